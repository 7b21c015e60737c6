//! The data dir: the host's own files, used by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::settings::{MIN_SECRET_KEY, Secret};
use crate::store::random_secret;

const LOCK_FILE: &str = "moondock.lock";
const KEY_FILE: &str = "secret.key";

/// A data dir that this process may use. Dropping it lets others in.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock is the operating system's and goes with the process, however it ends.
    _lock: File,
}

/// Why a data dir cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("another moondock is using {path}{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse { path: String, pid: Option<u32> },
    #[error("cannot use the data dir {path}: {error}")]
    Io { path: String, error: io::Error },
}

impl DataDir {
    /// Makes the folder if need be and takes its lock.
    pub fn open(path: &Path) -> Result<DataDir, DataDirError> {
        let shown = || path.display().to_string();
        let io = |error| DataDirError::Io { path: shown(), error };
        // The database and the socket are nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { path: shown(), pid: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(DataDir { path: path.to_owned(), _lock: file })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The key that secret columns are encrypted with, made at the first use. Only the owner of the
/// folder may read it.
///
/// # Errors
/// When the file cannot be read or made, or is no key.
pub fn secret_key(data_dir: &Path) -> Result<Secret> {
    let path = data_dir.join(KEY_FILE);
    let failed = |what: &str, error: io::Error| {
        Error::unexpected(format!("cannot {what} the key {}: {error}", path.display()))
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().chars().count() >= MIN_SECRET_KEY => {
            return Ok(Secret::new(text.trim()));
        }
        Ok(_) => {
            let message = format!("fewer than {MIN_SECRET_KEY} characters");
            return Err(failed("use", io::Error::other(message)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", error)),
    }
    let key = random_secret();
    // Whole or not at all: a half key would be another one.
    let aside = data_dir.join(format!("{KEY_FILE}.new"));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        writeln!(file, "{key}")?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    };
    write().map_err(|error| failed("make", error))?;
    Ok(Secret::new(key))
}

/// The process that wrote itself into the lock file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_for_the_owner() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let key = secret_key(dir.path()).unwrap();
        assert_eq!(secret_key(dir.path()).unwrap(), key);
        let file = dir.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_ne!(secret_key(tempfile::tempdir().unwrap().path()).unwrap(), key);
        std::fs::write(&file, "short").unwrap();
        let error = secret_key(dir.path()).unwrap_err().to_string();
        assert!(error.contains("fewer than 32 characters"), "{error}");
    }

    #[test]
    fn a_data_dir_is_made_and_used_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/data");
        let held = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(error, format!("another moondock is using {} (pid {pid})", path.display()));
        drop(held);
        assert!(DataDir::open(&path).is_ok());

        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = DataDir::open(&dir.path().join("file")).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the data dir"), "{error}");
    }
}

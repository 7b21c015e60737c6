//! The data dir: the host's own files, used by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "moondock.lock";

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

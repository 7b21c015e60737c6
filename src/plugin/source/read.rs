//! Walking a plugin's folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{
    Content, MANIFEST_FILE, MAX_DEPTH, MAX_FILES, MAX_SCRIPT_BYTES, MAX_TOTAL_BYTES, is_ignored,
};
use crate::error::{Phase, Problem};

/// How long after its last change an empty file is waited for to get its content.
const SAVING: Duration = Duration::from_millis(150);

/// Reads a folder into memory, or says everything that keeps it from being a plugin.
pub(super) fn read(dir: &Path) -> Result<BTreeMap<String, Content>, Vec<Problem>> {
    let shown = dir.display();
    let root = match fs::canonicalize(dir) {
        Ok(root) if root.is_dir() => root,
        Ok(_) => return Err(vec![problem(format!("{shown} is not a folder"))]),
        Err(e) => return Err(vec![problem(format!("cannot read the folder {shown}: {e}"))]),
    };
    let mut walk = Walk { root: root.clone(), ..Walk::default() };
    walk.folder(&root, "", &mut vec![root.clone()]);
    let has_manifest = walk.files.contains_key(MANIFEST_FILE)
        || walk.problems.iter().any(|p| p.file.as_deref() == Some(MANIFEST_FILE));
    // A problem of no file is one of the whole folder, and then who knows what is in it.
    if !has_manifest && !walk.is_over && walk.problems.iter().all(|p| p.file.is_some()) {
        walk.problems.push(problem(format!("the folder {shown} has no {MANIFEST_FILE}")));
    }
    if walk.problems.is_empty() { Ok(walk.files) } else { Err(walk.problems) }
}

fn problem(message: impl Into<String>) -> Problem {
    Problem::new(Phase::Source, message)
}

#[derive(Default)]
struct Walk {
    root: PathBuf,
    files: BTreeMap<String, Content>,
    problems: Vec<Problem>,
    bytes: u64,
    entries: usize,
    /// A limit on the whole is exceeded; the walk ends.
    is_over: bool,
}

impl Walk {
    /// Reads a folder. `above` are the real paths from the root to it, for finding loops.
    fn folder(&mut self, dir: &Path, relative: &str, above: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries.filter_map(Result::ok),
            Err(e) => return self.report(relative, format!("cannot read the folder: {e}")),
        };
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        // The order decides only which problems are reported first; it should not be the disk's.
        names.sort();
        for name in names.into_iter().filter(|name| !is_ignored(name)) {
            if self.is_over {
                return;
            }
            let shown = name.to_string_lossy();
            let path =
                if relative.is_empty() { shown.to_string() } else { format!("{relative}/{shown}") };
            if name.to_str().is_none() {
                self.report(&path, "the name is not valid UTF-8");
                continue;
            }
            self.entry(&dir.join(&name), &path, above);
        }
    }

    fn entry(&mut self, place: &Path, path: &str, above: &mut Vec<PathBuf>) {
        // Folders count too: links from each to the next could make a few of them endless.
        self.entries += 1;
        if self.entries > MAX_FILES {
            self.is_over = true;
            return self.report("", format!("there are more than {MAX_FILES} files and folders"));
        }
        let Some(real) = self.resolve(place, path) else { return };
        let metadata = match fs::metadata(&real) {
            Ok(metadata) => metadata,
            // It was there a moment ago: an editor renamed it, and the next snapshot has the rest.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return self.report(path, format!("cannot read the file: {e}")),
        };
        if metadata.is_file() {
            self.file(&real, path, metadata.len());
        } else if !metadata.is_dir() {
            // Opening a pipe would wait for its other end.
            self.report(path, "is neither a file nor a folder");
        } else if above.contains(&real) {
            self.report(path, "the link leads back to a folder that it is in");
        } else if above.len() >= MAX_DEPTH {
            self.report(path, format!("folders are nested more than {MAX_DEPTH} deep"));
        } else {
            above.push(real.clone());
            self.folder(&real, path, above);
            above.pop();
        }
    }

    /// The real path of an entry, which must be inside the plugin's folder.
    fn resolve(&mut self, place: &Path, path: &str) -> Option<PathBuf> {
        let target = match fs::symlink_metadata(place) {
            Ok(metadata) if metadata.is_symlink() => fs::read_link(place).unwrap_or_default(),
            Ok(_) => return Some(place.to_owned()),
            Err(e) => {
                if e.kind() != io::ErrorKind::NotFound {
                    self.report(path, format!("cannot read the file: {e}"));
                }
                return None;
            }
        };
        let target = target.display();
        match fs::canonicalize(place) {
            Ok(real) if real.starts_with(&self.root) => Some(real),
            Ok(_) => {
                self.report(
                    path,
                    format!("the link points out of the plugin's folder, to {target}"),
                );
                None
            }
            Err(e) => {
                self.report(path, format!("cannot follow the link to {target}: {e}"));
                None
            }
        }
    }

    fn file(&mut self, real: &Path, path: &str, size: u64) {
        let is_parsed =
            [".lua", ".luau", ".json", ".yml", ".yaml"].iter().any(|e| path.ends_with(e));
        if is_parsed && size > MAX_SCRIPT_BYTES {
            return self.report(
                path,
                format!("the file has {size} bytes; at most {MAX_SCRIPT_BYTES} are allowed"),
            );
        }
        let left = MAX_TOTAL_BYTES.saturating_sub(self.bytes);
        let limit = if is_parsed { left.min(MAX_SCRIPT_BYTES) } else { left };
        let bytes = match read_saved(real, limit) {
            Ok(Some(bytes)) => bytes,
            // It grew since its size was looked at.
            Ok(None) if limit < left => {
                let message = format!("the file has more than {MAX_SCRIPT_BYTES} bytes");
                return self.report(path, message);
            }
            Ok(None) => {
                self.is_over = true;
                let message =
                    format!("the files of the folder have more than {MAX_TOTAL_BYTES} bytes");
                return self.report(path, message);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return self.report(path, format!("cannot read the file: {e}")),
        };
        self.bytes += bytes.len() as u64;
        let content = match String::from_utf8(bytes) {
            Ok(text) => Content::Text(Arc::from(text)),
            Err(e) if is_parsed => {
                let at = e.utf8_error().valid_up_to();
                return self.report(path, format!("not valid UTF-8 at byte {at}"));
            }
            Err(e) => Content::Binary(Arc::from(e.into_bytes())),
        };
        self.files.insert(path.to_owned(), content);
    }

    fn report(&mut self, path: &str, message: impl Into<String>) {
        let problem = problem(message);
        self.problems.push(if path.is_empty() { problem } else { problem.in_file(path) });
    }
}

/// As [`read_at_most`], of a file that somebody may be saving: most editors empty it before they write.
fn read_saved(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    loop {
        let bytes = read_at_most(path, limit)?;
        // A clock that runs backwards makes no file one that was just emptied.
        let is_being_saved = bytes.as_ref().is_some_and(Vec::is_empty)
            && fs::metadata(path)?.modified()?.elapsed().is_ok_and(|age| age < SAVING);
        if !is_being_saved {
            return Ok(bytes);
        }
        thread::sleep(SAVING / 50);
    }
}

/// The content of a file, or `None` if it has more than `limit` bytes, whatever its size was when it
/// was looked at.
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

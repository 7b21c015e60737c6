//! A plugin's folder, read once into memory.
//!
//! A generation is made from such a snapshot and from nothing else, so what it does cannot change
//! while somebody edits the folder.

mod read;
mod scan;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use scan::{Candidate, scan};

use super::manifest::{MANIFEST_FILE, line_of};
use crate::error::Problem;

/// The longest script or other file that the host parses. Compiling is work that no deadline can
/// interrupt, and its time grows with the size.
pub const MAX_SCRIPT_BYTES: u64 = 1024 * 1024;
/// The size of all files of a plugin together.
pub const MAX_TOTAL_BYTES: u64 = 16 * 1024 * 1024;
/// The number of files and folders of a plugin.
pub const MAX_FILES: usize = 2_000;
/// How many folders deep a file may be, counting the plugin's own.
pub const MAX_DEPTH: usize = 16;

/// The files of a plugin's folder by their path relative to it, with forward slashes.
#[derive(Debug, Clone)]
pub struct Source {
    files: BTreeMap<String, Content>,
    hash: String,
}

#[derive(Debug, Clone)]
enum Content {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Text(text) => text.as_bytes(),
            Content::Binary(bytes) => bytes,
        }
    }
}

impl Source {
    /// Reads the folder. Everything in it counts except hidden files, `node_modules`, `target` and
    /// what editors leave behind; see [`is_ignored`]. All problems are reported at once.
    pub fn read(dir: &Path) -> Result<Source, Vec<Problem>> {
        read::read(dir).map(Source::new)
    }

    /// A snapshot that was never on disk.
    pub fn from_files<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Source
    where
        P: Into<String>,
        T: AsRef<str>,
    {
        let text = |(path, text): (P, T)| (path.into(), Content::Text(Arc::from(text.as_ref())));
        Source::new(files.into_iter().map(text).collect())
    }

    fn new(files: BTreeMap<String, Content>) -> Source {
        let hash = hash_of(files.iter().map(|(path, content)| (path.as_str(), content.bytes())));
        Source { files, hash }
    }

    /// SHA-256 over names and contents, in hex. Equal snapshots have equal hashes.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The text of a file, unless it is absent or not UTF-8.
    pub fn get(&self, path: &str) -> Option<&str> {
        match self.files.get(path)? {
            Content::Text(text) => Some(text),
            Content::Binary(_) => None,
        }
    }

    /// The text of a file, shared.
    pub fn shared(&self, path: &str) -> Option<Arc<str>> {
        match self.files.get(path)? {
            Content::Text(text) => Some(text.clone()),
            Content::Binary(_) => None,
        }
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Content::bytes)
    }

    /// The text of `manifest.json`.
    pub fn manifest(&self) -> Option<&str> {
        self.get(MANIFEST_FILE)
    }

    /// The names of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// One line of a text file, from 1.
    pub fn excerpt(&self, file: &str, line: u32) -> Option<String> {
        line_of(self.get(file)?, line)
    }

    /// Adds the source line to a problem that names its place.
    pub fn illustrate(&self, mut problem: Problem) -> Problem {
        if problem.excerpt.is_none()
            && let (Some(file), Some(line)) = (&problem.file, problem.line)
        {
            problem.excerpt = self.excerpt(file, line);
        }
        problem
    }
}

/// SHA-256 over names and contents, in hex.
pub fn hash_of<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> String {
    let mut hash = Sha256::new();
    for (path, content) in files {
        // Lengths keep the boundary between a name and its content out of doubt.
        for part in [path.as_bytes(), content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex::encode(hash.finalize())
}

/// Whether a file or folder of this name is no part of a plugin: hidden (but for what Compose and
/// images are made with), not the plugin's own code,
/// or something that an editor makes while it saves.
pub fn is_ignored(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_temporary = name.ends_with('~')
        || [".swp", ".swo", ".swx", ".tmp"].iter().any(|end| name.ends_with(end))
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || (name.starts_with('#') && name.ends_with('#'))
        // Vim makes a file of this name to see whether it may write to the folder.
        || name == "4913";
    let is_read = name == ".dockerignore" || name == ".env" || name.starts_with(".env.");
    (name.starts_with('.') && !is_read)
        || name == "node_modules"
        || name == "target"
        || is_temporary
}

#[cfg(test)]
mod tests;

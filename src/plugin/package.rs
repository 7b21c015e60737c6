//! Packages: zips with the folder of a plugin in them. Nothing in one is trusted, neither a name nor a size.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFile;

use super::manifest::{MANIFEST_FILE, Manifest};
use super::source::{MAX_DEPTH, MAX_FILES, MAX_TOTAL_BYTES};
use crate::error::{Error, Problem, Result};

/// How many times its packed size a file may have, if it is larger than [`RATIO_FROM`]. Text gets to
/// about 20; what a bomb is made of gets to 1,000.
const MAX_RATIO: u64 = 100;

/// Small files may be of one letter.
const RATIO_FROM: u64 = 64 * 1024;

/// Where the original's client puts what is for the server, beside what is for browsers.
const SERVER_FOLDER: &str = "api";

/// A plugin's files, as they were packed.
#[derive(Debug)]
pub struct Package {
    pub plugin_id: String,
    /// By their paths in the plugin's folder.
    files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    /// Reads a zip. The plugin is at its root, in its only folder, or in the folder `api` of either.
    ///
    /// # Errors
    /// When it is no zip, has in it what no plugin has, is too large, or has no valid manifest.
    pub fn read(zip: &[u8]) -> Result<Package> {
        let files = unpack(zip).map_err(refused)?;
        let root = root(&files).ok_or_else(|| {
            refused(format!(
                "there is no {MANIFEST_FILE} at its root, in its only folder, or in the folder \
                 {SERVER_FOLDER}"
            ))
        })?;
        let files: BTreeMap<String, Vec<u8>> = files
            .into_iter()
            .filter_map(|(path, content)| Some((path.strip_prefix(&root)?.to_owned(), content)))
            .collect();
        let text = files.get(MANIFEST_FILE).map(|bytes| String::from_utf8_lossy(bytes));
        let (manifest, _) =
            Manifest::parse(&text.unwrap_or_default(), None).map_err(|problems| {
                let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
                refused(format!("{MANIFEST_FILE}: {}", said.join("; ")))
            })?;
        Ok(Package { plugin_id: manifest.plugin_id.clone(), files })
    }

    /// Writes the files into a folder that does not exist.
    ///
    /// # Errors
    /// Those of the disk; then a part of it is there.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir(folder)?;
        for (path, content) in &self.files {
            // Components were checked one by one.
            let file = folder.join(path);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(file, content)?;
        }
        Ok(())
    }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::invalid_argument(&["input", "pluginZip"], format!("The package is refused: {why}"))
}

/// The files of a zip by their paths.
fn unpack(zip: &[u8]) -> std::result::Result<BTreeMap<String, Vec<u8>>, String> {
    let mut archive =
        ZipArchive::new(Cursor::new(zip)).map_err(|e| format!("it is no zip: {e}"))?;
    if archive.len() > MAX_FILES {
        return Err(format!("it has {} entries; at most {MAX_FILES} are allowed", archive.len()));
    }
    let mut files = BTreeMap::new();
    let mut folders = BTreeSet::new();
    let mut left = MAX_TOTAL_BYTES;
    for index in 0..archive.len() {
        let mut entry =
            archive.by_index(index).map_err(|e| format!("entry {index} cannot be read: {e}"))?;
        let Some(path) = path_of(&entry)? else { continue };
        if entry.is_dir() {
            folders.insert(path);
            continue;
        }
        let content = content_of(&mut entry, &path, left)?;
        left -= content.len() as u64;
        for (at, _) in path.match_indices('/') {
            folders.insert(path[..at].to_owned());
        }
        if files.insert(path.clone(), content).is_some() {
            return Err(format!("it has {path:?} twice"));
        }
    }
    match files.keys().find(|path| folders.contains(*path)) {
        Some(path) => Err(format!("{path:?} is both a file and a folder")),
        None => Ok(files),
    }
}

/// The path of an entry, if it is one that matters.
fn path_of<R: Read>(entry: &ZipFile<'_, R>) -> std::result::Result<Option<String>, String> {
    let name = std::str::from_utf8(entry.name_raw())
        .map_err(|_| format!("the name {:?} is not UTF-8", entry.name()))?;
    let is_odd = |part: &str| {
        part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0', ':'])
    };
    let path = name.strip_suffix('/').unwrap_or(name);
    let parts: Vec<&str> = path.split('/').collect();
    if parts.iter().any(|part| is_odd(part)) {
        return Err(format!("the path {name:?} does not stay in the plugin's folder"));
    }
    if parts.len() > MAX_DEPTH {
        return Err(format!("the path {name:?} is more than {MAX_DEPTH} folders deep"));
    }
    // The kinds of files on Unix: only plain ones and folders are a plugin's.
    let kind = entry.unix_mode().unwrap_or(0) & 0o170_000;
    if ![0, 0o100_000, 0o040_000].contains(&kind) {
        let what = if kind == 0o120_000 { "a link" } else { "neither a file nor a folder" };
        return Err(format!("{name:?} is {what}"));
    }
    // What systems put beside the files.
    let is_litter = parts[0] == "__MACOSX" || parts.last() == Some(&".DS_Store");
    Ok((!is_litter).then(|| path.to_owned()))
}

/// The content of a file of at most `left` bytes, whatever its header says.
fn content_of<R: Read>(
    entry: &mut ZipFile<'_, R>,
    path: &str,
    left: u64,
) -> std::result::Result<Vec<u8>, String> {
    let packed = entry.compressed_size();
    let by_ratio = packed.saturating_mul(MAX_RATIO).max(RATIO_FROM);
    let mut content = Vec::new();
    let limit = left.min(by_ratio);
    entry
        .take(limit + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("{path:?} cannot be unpacked: {error}"))?;
    if content.len() as u64 <= limit {
        return Ok(content);
    }
    Err(match left < by_ratio {
        true => format!("its files are larger than {MAX_TOTAL_BYTES} bytes together"),
        false => format!("{path:?} is more than {MAX_RATIO} times as large as it is packed"),
    })
}

/// The folder of the plugin: empty, or ending in a slash.
fn root(files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let first = |path: &str| path.split_once('/').map(|(folder, _)| format!("{folder}/"));
    let tops: BTreeSet<Option<String>> = files.keys().map(|path| first(path)).collect();
    let only = match tops.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(only)] => Some(only.clone()),
        _ => None,
    };
    let bases = [Some(String::new()), only];
    let candidates =
        bases.iter().flatten().flat_map(|base| [base.clone(), format!("{base}{SERVER_FOLDER}/")]);
    candidates.into_iter().find(|root| files.contains_key(&format!("{root}{MANIFEST_FILE}")))
}

#[cfg(test)]
mod tests;

//! What is sent to the engine to build an image from: the files of a folder of the plugin, without what
//! its `.dockerignore` leaves out. They come from the plugin's snapshot, so nothing outside of it can
//! get in, by links or otherwise.

use globset::{GlobBuilder, GlobMatcher};

use crate::plugin::source::{Source, hash_of};

const IGNORE_FILE: &str = ".dockerignore";
/// As the client of Docker sends them from systems that know no such bit: who packs a plugin as a zip
/// loses it as well.
const FILE_MODE: u32 = 0o755;

/// The files of a context by their path in it, sorted.
#[derive(Debug)]
pub struct BuildContext<'s> {
    files: Vec<(&'s str, &'s [u8])>,
}

impl<'s> BuildContext<'s> {
    /// The files of the folder `context`, which is empty for the plugin's own.
    ///
    /// # Errors
    /// When `.dockerignore` cannot be read: its line, from 1, and what is wrong.
    pub fn of(source: &'s Source, context: &str, dockerfile: &str) -> Result<Self, (u32, String)> {
        let prefix = match context {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let rules = match source.get(&format!("{prefix}{IGNORE_FILE}")) {
            Some(text) => Rules::parse(text)?,
            None => Rules::default(),
        };
        let files = source
            .paths()
            .filter_map(|path| Some((path.strip_prefix(prefix.as_str())?, source.bytes(path)?)))
            .filter(|(path, _)| {
                *path == dockerfile || *path == IGNORE_FILE || !rules.leave_out(path)
            })
            .collect();
        Ok(BuildContext { files })
    }

    /// Whether a file is in it.
    pub fn has(&self, path: &str) -> bool {
        self.files.binary_search_by_key(&path, |(name, _)| name).is_ok()
    }

    /// SHA-256 over names and contents, in hex.
    pub fn hash(&self) -> String {
        hash_of(self.files.iter().copied())
    }

    /// The context as the engine takes it. Equal contexts give equal bytes.
    ///
    /// # Errors
    /// When a path is too long for the format.
    pub fn tar(&self) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(FILE_MODE);
            header.set_mtime(0);
            tar.append_data(&mut header, path, *content)?;
        }
        tar.into_inner()
    }
}

/// The rules of a `.dockerignore`, of which the last that fits decides.
#[derive(Default)]
struct Rules(Vec<(bool, GlobMatcher)>);

impl Rules {
    fn parse(text: &str) -> Result<Rules, (u32, String)> {
        let mut rules = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (leaves_out, pattern) = match line.strip_prefix('!') {
                Some(rest) => (false, rest.trim()),
                None => (true, line),
            };
            let parts: Vec<&str> =
                pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            let glob = GlobBuilder::new(&parts.join("/"))
                .literal_separator(true)
                .build()
                .map_err(|error| (number, format!("the pattern {pattern:?}: {error}")))?;
            rules.push((leaves_out, glob.compile_matcher()));
        }
        Ok(Rules(rules))
    }

    /// Whether a file is left out: it, or a folder that it is in, fits the rule that decides.
    fn leave_out(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let places: Vec<&str> = ends.map(|end| &path[..end]).collect();
        let fits = |glob: &GlobMatcher| places.iter().any(|place| glob.is_match(place));
        let last = self.0.iter().rev().find(|(_, glob)| fits(glob));
        last.is_some_and(|(leaves_out, _)| *leaves_out)
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rules({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ignore: &str) -> Vec<String> {
        let files = [
            "svc/Dockerfile",
            "svc/app.sh",
            "svc/a/b/deep.md",
            "svc/a/note.md",
            "svc/top.md",
            "svc/secret/key",
            "other/x",
        ];
        let mut files: Vec<(&str, &str)> = files.map(|path| (path, path)).into();
        files.push(("svc/.dockerignore", ignore));
        let source = Source::from_files(files);
        let context = BuildContext::of(&source, "svc", "Dockerfile").unwrap();
        let tar = context.tar().unwrap();
        assert!(context.has("Dockerfile"));
        let mut archive = tar::Archive::new(tar.as_slice());
        let name = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            entry.unwrap().path().unwrap().to_str().unwrap().to_owned()
        };
        archive.entries().unwrap().map(name).filter(|name| name != IGNORE_FILE).collect()
    }

    #[test]
    fn dockerignore_leaves_files_out() {
        let all = ["Dockerfile", "a/b/deep.md", "a/note.md", "app.sh", "secret/key", "top.md"];
        assert_eq!(names(""), all);
        assert_eq!(
            names("# no\n\n*.md"),
            ["Dockerfile", "a/b/deep.md", "a/note.md", "app.sh", "secret/key"]
        );
        assert_eq!(names("**/*.md\n/secret/"), ["Dockerfile", "app.sh"]);
        assert_eq!(
            names("a\n!a/b"),
            ["Dockerfile", "a/b/deep.md", "app.sh", "secret/key", "top.md"]
        );
        assert_eq!(names("*\n!app.sh"), ["Dockerfile", "app.sh"]);
        let source = Source::from_files([(".dockerignore", "ok\n[a")]);
        assert_eq!(BuildContext::of(&source, "", "Dockerfile").unwrap_err().0, 2);
    }

    #[test]
    fn the_hash_is_about_what_is_sent() {
        let hash = |files: &[(&str, &str)]| {
            let source = Source::from_files(files.iter().copied());
            BuildContext::of(&source, "c", "Dockerfile").unwrap().hash()
        };
        let one = hash(&[("c/Dockerfile", "x"), ("init.lua", "1")]);
        assert_eq!(one, hash(&[("c/Dockerfile", "x"), ("init.lua", "2")]));
        assert_ne!(one, hash(&[("c/Dockerfile", "y"), ("init.lua", "1")]));
    }
}

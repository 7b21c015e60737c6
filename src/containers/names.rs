//! What the things of a plugin are called and labeled on the engine, and the hash of how they should be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The labels of Compose, by which its tools find what belongs together.
pub const PROJECT: &str = "com.docker.compose.project";
pub const SERVICE: &str = "com.docker.compose.service";
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
pub const NUMBER: &str = "com.docker.compose.container-number";
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
pub const VOLUME: &str = "com.docker.compose.volume";
pub const NETWORK: &str = "com.docker.compose.network";
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub const VERSION: &str = "com.docker.compose.version";
/// The version of Compose whose labels these are.
pub const COMPOSE_VERSION: &str = "2.40.0";

/// The host's own labels.
pub const INSTANCE: &str = "dev.moondock.instance";
pub const PLUGIN: &str = "dev.moondock.plugin";
/// On containers that go on when the plugin is deactivated.
pub const STAYS_UP: &str = "dev.moondock.stays-up";
/// On what stays when the plugin is uninstalled.
pub const STAYS: &str = "dev.moondock.stays";

const INSTANCE_FILE: &str = "instance-id";
/// The folder with an empty file for each plugin that may have something on an engine, so that the engine
/// is not asked about others.
const MARKS: &str = "services";

/// Tells the things of this host from those of others on the same engine. It is in the data dir, made
/// when it is needed first.
#[derive(Debug)]
pub struct Instance {
    file: PathBuf,
    marks: PathBuf,
    id: OnceLock<String>,
}

impl Instance {
    pub fn new(data_dir: PathBuf) -> Self {
        Instance {
            file: data_dir.join(INSTANCE_FILE),
            marks: data_dir.join(MARKS),
            id: OnceLock::new(),
        }
    }

    /// The id, if there is one already: without one there is nothing of this host on any engine.
    pub fn known(&self) -> Option<&str> {
        if let Some(id) = self.id.get() {
            return Some(id);
        }
        let id = std::fs::read_to_string(&self.file).ok()?;
        is_id(id.trim()).then(|| self.id.get_or_init(|| id.trim().to_owned()).as_str())
    }

    /// The name of a plugin's project, of which something is about to be made.
    ///
    /// # Errors
    /// When that cannot be noted in the data dir.
    pub fn begin(&self, plugin_id: &str) -> Result<String> {
        let mark = self.marks.join(plugin_id);
        let marked = std::fs::create_dir_all(&self.marks).and_then(|()| std::fs::write(&mark, ""));
        marked.map_err(|error| {
            Error::unexpected(format!("cannot write {}: {error}", mark.display()))
        })?;
        Ok(project(self.id()?, plugin_id))
    }

    /// Whether a plugin may have something on the engine.
    pub fn has(&self, plugin_id: &str) -> bool {
        self.marks.join(plugin_id).exists()
    }

    /// Whether any plugin may.
    pub fn has_any(&self) -> bool {
        std::fs::read_dir(&self.marks).is_ok_and(|mut marks| marks.next().is_some())
    }

    /// Notes that a plugin has nothing on the engine any more.
    pub fn ended(&self, plugin_id: &str) {
        let mark = self.marks.join(plugin_id);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", mark.display());
            }
            _ => {}
        }
    }

    /// The id.
    ///
    /// # Errors
    /// When its file cannot be written or is something else.
    pub fn id(&self) -> Result<&str> {
        if let Some(id) = self.known() {
            return Ok(id);
        }
        let shown = self.file.display();
        if self.file.exists() {
            let message =
                format!("{shown} is no instance id; remove it if nothing of this host runs");
            return Err(Error::unexpected(message));
        }
        let id = hex::encode(&uuid::Uuid::new_v4().as_bytes()[..4]);
        write_whole(&self.file, &id)
            .map_err(|error| Error::unexpected(format!("cannot write {shown}: {error}")))?;
        Ok(self.id.get_or_init(|| id))
    }
}

/// A crash in the middle of it must not leave half an id.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, file)
}

fn is_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What everything of this host on an engine begins with.
pub fn prefix(instance: &str) -> String {
    format!("moondock-{instance}-")
}

/// The name of a plugin's project. Plugins whose ids differ only in case do not exist side by side.
pub fn project(instance: &str, plugin_id: &str) -> String {
    format!("{}{}", prefix(instance), slug(plugin_id, false))
}

pub fn container(project: &str, service: &str) -> String {
    format!("{project}-{service}-1")
}

pub fn network(project: &str, network: &str) -> String {
    format!("{project}_{network}")
}

pub fn volume(project: &str, volume: &str) -> String {
    format!("{project}_{volume}")
}

/// The repository of the images that are built for a service.
pub fn repository(project: &str, service: &str) -> String {
    format!("{project}-{}", slug(service, true))
}

/// The name of an image as it was given. Podman puts a registry before it.
pub fn plain(tag: &str) -> &str {
    ["docker.io/library/", "localhost/"]
        .iter()
        .find_map(|prefix| tag.strip_prefix(prefix))
        .unwrap_or(tag)
}

/// A text as a part of the name of an image, which has lower-case letters, digits and single separators
/// between them. One that is none gets a hash, so that no two become the same.
fn slug(text: &str, dashes: bool) -> String {
    let lower = text.to_lowercase();
    let is_separator = |c: char| c == '_' || (dashes && c == '-');
    let parts: Vec<&str> = lower.split(is_separator).collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_plain = parts.iter().all(is_word) && (!dashes || lower == text);
    if is_plain {
        return lower;
    }
    let kept: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{kept}x{}", &hash(&text)[..8])
}

/// SHA-256 of a value as JSON, in hex.
pub fn hash<T: Serialize>(value: &T) -> String {
    // What is hashed here has texts for keys, so that it always is JSON.
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}

/// The filter of those with all these labels.
pub fn labeled(labels: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    HashMap::from([("label".to_owned(), labels)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_engine_takes_them() {
        assert_eq!(project("0a1b2c3d", "summarizer"), "moondock-0a1b2c3d-summarizer");
        assert_eq!(project("0a1b2c3d", "My_Search"), "moondock-0a1b2c3d-my_search");
        assert_eq!(repository("p", "api"), "p-api");
        assert_eq!(repository("p", "web-front"), "p-web-front");
        for odd in ["a__b", "a_", "A", "a.b", "ä"] {
            let name = repository("p", odd);
            assert!(name.starts_with("p-") && name.len() >= 10, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
        assert_ne!(repository("p", "a__b"), repository("p", "a_b"));
        assert!(!project("i", "a__").contains("__"));
    }

    #[test]
    fn the_instance_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::new(dir.path().to_owned());
        assert_eq!(first.known(), None);
        let id = first.id().unwrap().to_owned();
        assert_eq!(Instance::new(dir.path().to_owned()).known(), Some(id.as_str()));
        std::fs::write(dir.path().join(INSTANCE_FILE), "what").unwrap();
        assert!(Instance::new(dir.path().to_owned()).id().is_err());
    }
}

//! Finding the plugins in the plugins folder.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read::read_at_most;
use super::{MANIFEST_FILE, MAX_SCRIPT_BYTES, is_ignored};
use crate::error::{Phase, Problem};

/// A folder that should be a plugin.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The folder's name, which is the plugin's id.
    pub name: String,
    pub path: PathBuf,
    /// Why it cannot be one, as far as that follows from its neighbors.
    pub problem: Option<Problem>,
}

/// The folders in `plugins_dir`, sorted by name. A plugins folder that does not exist has none.
///
/// Of two folders whose manifests have the same id, or ids that differ only in case, the one that is
/// not named so gets a problem. (Databases compare table names without case, so such plugins would
/// share tables.)
pub fn scan(plugins_dir: &Path) -> Result<Vec<Candidate>, Problem> {
    let unreadable = |e: io::Error| {
        let message = format!("cannot read the plugins folder {}: {e}", plugins_dir.display());
        Problem::new(Phase::Source, message)
    };
    let entries = match std::fs::read_dir(plugins_dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(e)),
    };
    let mut candidates = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if is_ignored(&entry.file_name()) || !path.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        candidates.push(Candidate { name, path, problem: None });
    }
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    report_shared_ids(&mut candidates);
    Ok(candidates)
}

fn report_shared_ids(candidates: &mut [Candidate]) {
    let ids: Vec<Option<String>> = candidates.iter().map(|c| plugin_id(&c.path)).collect();
    let mut owners: HashMap<String, usize> = HashMap::new();
    // A folder named like its id owns the id; among others the first one does.
    for named_so in [true, false] {
        for (index, id) in ids.iter().enumerate() {
            let Some(id) = id else { continue };
            if (*id == candidates[index].name) != named_so {
                continue;
            }
            let owner = *owners.entry(id.to_lowercase()).or_insert(index);
            if owner == index {
                continue;
            }
            let other = &candidates[owner].name;
            let other_id = ids[owner].as_deref().unwrap_or_default();
            let message = if other_id == id {
                format!("pluginId: {id:?} is already the id of the plugin in the folder {other:?}")
            } else {
                format!(
                    "pluginId: {id:?} differs only in case from {other_id:?}, the id of the plugin \
                     in the folder {other:?}"
                )
            };
            candidates[index].problem =
                Some(Problem::new(Phase::Manifest, message).in_file(MANIFEST_FILE));
        }
    }
}

/// The id that a folder's manifest gives, if there is one to read; what else is wrong is found when
/// the plugin is loaded.
fn plugin_id(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Id {
        plugin_id: String,
    }
    let path = folder.join(MANIFEST_FILE);
    if !path.is_file() {
        return None;
    }
    let bytes = read_at_most(&path, MAX_SCRIPT_BYTES).ok().flatten()?;
    serde_json::from_slice::<Id>(&bytes).ok().map(|id| id.plugin_id)
}

//! Watches the plugins folder for what editors and administrators do to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::manager::Manager;
use super::source::is_ignored;

/// Files that are saved together belong together: this much quiet ends a save.
const QUIET: Duration = Duration::from_millis(6);
/// A file that is open for writing is waited for at most this long after its last change.
const OPEN_PATIENCE: Duration = Duration::from_millis(150);
/// A folder that appears may have got files before it was watched, so it is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// Something that happened to a plugin's folder.
#[derive(Debug)]
struct Change {
    plugin_id: String,
    /// Whether a file was changed and is still open.
    unfinished: bool,
    /// Whether a folder was made.
    new_folder: bool,
}

/// Watches `plugins_dir`, and tells the manager which plugins have changed, until `stop` is
/// cancelled.
///
/// # Errors
/// When the folder cannot be watched.
pub fn watch(
    plugins_dir: &Path,
    manager: Manager,
    stop: CancellationToken,
) -> Result<(), notify::Error> {
    let root = plugins_dir.canonicalize().map_err(notify::Error::io)?;
    let (sender, changes) = mpsc::unbounded_channel();
    let again = sender.clone();
    let inside = root.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        match event {
            Ok(event) => {
                for change in changes_of(&inside, &event) {
                    // Without a receiver the host is shutting down.
                    let _ = sender.send(change);
                }
            }
            Err(error) => tracing::warn!("watching the plugins folder: {error}"),
        }
    })?;
    watcher.watch(&root, RecursiveMode::Recursive)?;
    tokio::spawn(async move {
        tokio::select! {
            () = collect(changes, again, manager) => {}
            () = stop.cancelled() => {}
        }
        drop(watcher);
    });
    Ok(())
}

/// Gathers the changes of one save and passes them on.
async fn collect(
    mut changes: mpsc::UnboundedReceiver<Change>,
    again: mpsc::UnboundedSender<Change>,
    manager: Manager,
) {
    while let Some(first) = changes.recv().await {
        let mut ids = BTreeSet::new();
        let mut new_folders = BTreeSet::new();
        let mut open_since = None;
        let mut note = |change: Change, open_since: &mut Option<Instant>| {
            // On systems that do not tell when a file is closed, patience is what ends the wait.
            *open_since = change.unfinished.then(Instant::now);
            if change.new_folder {
                new_folders.insert(change.plugin_id.clone());
            }
            ids.insert(change.plugin_id);
        };
        note(first, &mut open_since);
        loop {
            let wait = match open_since {
                Some(since) => OPEN_PATIENCE.saturating_sub(since.elapsed()),
                None => QUIET,
            };
            match tokio::time::timeout(wait, changes.recv()).await {
                Ok(Some(change)) => note(change, &mut open_since),
                Ok(None) | Err(_) => break,
            }
        }
        manager.files_changed(ids).await;
        if !new_folders.is_empty() {
            let again = again.clone();
            tokio::spawn(async move {
                tokio::time::sleep(SECOND_LOOK).await;
                for plugin_id in new_folders {
                    // Without a receiver the host is shutting down.
                    let _ = again.send(Change { plugin_id, unfinished: false, new_folder: false });
                }
            });
        }
    }
}

fn changes_of(root: &Path, event: &notify::Event) -> Vec<Change> {
    let (unfinished, new_folder) = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => (false, false),
        EventKind::Access(_) => return Vec::new(),
        EventKind::Modify(notify::event::ModifyKind::Metadata(_)) => return Vec::new(),
        EventKind::Modify(notify::event::ModifyKind::Data(_)) => (cfg!(target_os = "linux"), false),
        EventKind::Create(notify::event::CreateKind::File) => (cfg!(target_os = "linux"), false),
        EventKind::Create(_) => (false, true),
        _ => (false, false),
    };
    let plugins: BTreeSet<String> =
        event.paths.iter().filter_map(|path| plugin_of(root, path)).collect();
    plugins.into_iter().map(|plugin_id| Change { plugin_id, unfinished, new_folder }).collect()
}

/// The plugin that a path belongs to, unless the file is none of a plugin's.
fn plugin_of(root: &Path, path: &Path) -> Option<String> {
    let inside: PathBuf = path.strip_prefix(root).ok()?.to_owned();
    let mut parts = inside.components();
    let plugin = parts.next()?.as_os_str();
    if is_ignored(plugin) || parts.any(|part| is_ignored(part.as_os_str())) {
        return None;
    }
    Some(plugin.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_behind_is_nobodys_change() {
        let root = Path::new("/p");
        let of = |path: &str| plugin_of(root, Path::new(path));
        assert_eq!(of("/p/polls/init.lua").as_deref(), Some("polls"));
        assert_eq!(of("/p/polls").as_deref(), Some("polls"));
        for path in ["/p/polls/.init.lua.swp", "/p/polls/init.lua~", "/p/.git/x", "/p", "/q/x"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}

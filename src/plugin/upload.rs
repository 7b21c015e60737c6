//! Taking a package in: its files come to be the plugin's folder in one step, and if the plugin does not
//! take to them, in one step they are gone again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::PluginView;
use super::operations::{Operations, Purpose};
use super::package::Package;
use super::records::require_id;
use crate::error::{Error, Result};
use crate::permission::Grant;
use crate::store::plugins;

/// What a folder is called while another is in its place.
const REPLACED: &str = ".replaced-";
/// What a folder is called before it takes its place.
const STAGING: &str = ".staging-";

impl Operations {
    /// Takes a package in. A new plugin is installed, and activated if `activate` says so; an active one
    /// is upgraded.
    pub async fn upload(&self, package: Arc<Package>, activate: bool) -> Result<PluginView> {
        let plugin_id = &package.plugin_id;
        require_id(plugin_id)?;
        let session = self.services.store.session();
        let before = plugins::by_plugin_id(&session, plugin_id).await?;
        let folder = Folder::new(&self.options.plugins_dir, plugin_id);
        let (placed, writing) = (folder.clone(), Arc::clone(&package));
        on_disk(move || placed.put(&writing)).await?;
        let taken = self.take_up(plugin_id, activate).await;
        let Err(error) = taken else {
            // What is left of it is in nobody's way.
            if let Err(error) = on_disk(move || folder.settle()).await {
                tracing::warn!(plugin = %plugin_id, "the replaced folder stays: {error}");
            }
            return self.view(plugin_id).await;
        };
        // Only what this has installed is uninstalled.
        if before.as_ref().is_none_or(|record| !record.is_installed)
            && self.record(plugin_id).await.is_ok_and(|record| record.is_installed)
            && let Err(error) = self.uninstall(plugin_id, true).await
        {
            tracing::error!(plugin = %plugin_id, "not taken back: {error}");
        }
        on_disk(move || folder.take_back()).await?;
        if before.is_none() {
            if let Ok(record) = self.record(plugin_id).await {
                plugins::delete(&session, &record.id).await?;
            }
            self.directory.forget(plugin_id);
        } else {
            // The folder is what it was, so nothing needs to be loaded again.
            self.directory.change(plugin_id, |state| {
                let active = state.active.as_ref();
                state.tried = active.map(|active| active.source().hash().to_owned());
            });
            self.read_manifest(plugin_id).await;
        }
        Err(error)
    }

    async fn take_up(&self, plugin_id: &str, activate: bool) -> Result<()> {
        let record = plugins::by_plugin_id(&self.services.store.session(), plugin_id).await?;
        let Some(record) = record.filter(|record| record.is_installed) else {
            self.install(plugin_id, false).await?;
            if activate {
                self.activate(plugin_id).await?;
            }
            return Ok(());
        };
        if record.is_activated {
            return self.replace(plugin_id).await;
        }
        if activate {
            return self.activate(plugin_id).await.map(drop);
        }
        let config = record.config.as_ref();
        match self.load(plugin_id, &Grant::default(), config, Purpose::Look).await {
            Ok(generation) => {
                self.settled(plugin_id, &generation);
                Ok(())
            }
            Err(problems) => Err(super::lifecycle::failed(plugin_id, "replaced", problems)),
        }
    }

    /// Puts back what a process that was killed has left half done.
    pub(super) async fn tidy(&self) {
        let dir = self.options.plugins_dir.clone();
        if let Err(error) = on_disk(move || tidy(&dir)).await {
            tracing::warn!("the plugins folder cannot be tidied: {error}");
        }
    }
}

async fn on_disk(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Error::unexpected(error.to_string()))?;
    done.map_err(|error| {
        Error::unexpected(format!("the plugin's folder cannot be written: {error}"))
    })
}

/// A plugin's folder, and where it is while another takes its place.
#[derive(Clone)]
struct Folder {
    place: PathBuf,
    replaced: PathBuf,
    staging: PathBuf,
}

impl Folder {
    fn new(plugins: &Path, plugin_id: &str) -> Self {
        Folder {
            place: plugins.join(plugin_id),
            replaced: plugins.join(format!("{REPLACED}{plugin_id}")),
            staging: plugins.join(format!("{STAGING}{plugin_id}")),
        }
    }

    /// Puts a package's files in the place of what is there.
    fn put(&self, package: &Package) -> io::Result<()> {
        remove(&self.staging)?;
        remove(&self.replaced)?;
        if let Err(error) = package.write(&self.staging) {
            // The disk may be full; what was written only makes it worse.
            remove(&self.staging)?;
            return Err(error);
        }
        let is_there = self.place.symlink_metadata().is_ok();
        if is_there {
            std::fs::rename(&self.place, &self.replaced)?;
        }
        std::fs::rename(&self.staging, &self.place).inspect_err(|_| {
            if is_there && let Err(error) = std::fs::rename(&self.replaced, &self.place) {
                tracing::error!(
                    "{} is now {}: {error}",
                    self.place.display(),
                    self.replaced.display()
                );
            }
        })
    }

    /// Forgets what was there before.
    fn settle(&self) -> io::Result<()> {
        remove(&self.replaced)
    }

    /// Puts back what was there before, or nothing.
    fn take_back(&self) -> io::Result<()> {
        std::fs::rename(&self.place, &self.staging)?;
        if self.replaced.symlink_metadata().is_ok() {
            std::fs::rename(&self.replaced, &self.place)?;
        }
        remove(&self.staging)
    }
}

fn tidy(plugins: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(plugins)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with(STAGING) {
            remove(&path)?;
        } else if let Some(plugin_id) = name.strip_prefix(REPLACED) {
            let place = plugins.join(plugin_id);
            match place.symlink_metadata() {
                Ok(_) => remove(&path)?,
                Err(_) => std::fs::rename(&path, &place)?,
            }
        }
    }
    Ok(())
}

/// Removes a folder, or a link to one; it need not be there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

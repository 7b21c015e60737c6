//! The containers of plugins: what a Compose file declares, made to run on an engine over its API. No
//! command is run for it.
//!
//! Everything that is made carries the labels that Compose gives it, so that `docker compose ls`, `ps` and
//! `logs` show it, and labels of the host, by which it is found again after a crash. What runs with the
//! configuration that is wanted is taken over as it is; what differs is replaced.

mod create;
mod down;
mod engine;
mod images;
mod logs;
mod names;
mod shared;
mod state;
mod up;
mod wait;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use down::{Extent, Known};
pub use engine::{FAILED, UNAVAILABLE};
pub use state::{Health, RunState, ServiceState};

use self::engine::Engine;
use self::names::Instance;
use crate::error::{Error, Result};
use crate::extension::services::Declared;
use crate::plugin::generation::Generation;
use crate::settings::docker::DockerSettings;

/// The containers of all plugins.
pub struct Containers {
    engine: Engine,
    settings: DockerSettings,
    plugins_dir: PathBuf,
    instance: Instance,
    /// The host stops: nothing that takes long is begun or waited for any more.
    stopping: CancellationToken,
    running: RwLock<BTreeMap<String, Running>>,
    /// Told when `running` has got a plugin.
    changed: Notify,
}

/// The services of an active plugin.
struct Running {
    declared: Arc<Declared>,
    generation: Weak<Generation>,
    services: BTreeMap<String, ServiceState>,
    /// Whether they are being started or replaced, and nobody else's business.
    is_changing: bool,
}

impl std::fmt::Debug for Containers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Containers")
    }
}

impl Containers {
    /// Nothing is connected to before a plugin needs it.
    pub fn new(settings: DockerSettings, plugins_dir: PathBuf, data_dir: PathBuf) -> Self {
        Containers {
            engine: Engine::new(settings.host.clone()),
            settings,
            plugins_dir,
            instance: Instance::new(data_dir),
            stopping: CancellationToken::new(),
            running: RwLock::default(),
            changed: Notify::new(),
        }
    }

    /// The host is about to stop: images that are being built and services that are waited for are given
    /// up, and what was made for them is taken back.
    pub fn give_up(&self) {
        self.stopping.cancel();
    }

    /// Lets another generation have the services of the one before it, which declares the same. `false`
    /// if they are not there.
    pub fn pass_to(&self, generation: &Arc<Generation>, declared: &Arc<Declared>) -> bool {
        let mut running = self.running.write();
        let Some(running) = running.get_mut(generation.plugin_id()) else { return false };
        running.generation = Arc::downgrade(generation);
        running.declared = Arc::clone(declared);
        true
    }

    /// What something that takes long comes to, unless the host stops before.
    async fn unless_stopping<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.stopping.cancelled() => {
                Err(Error::new(FAILED, "it was given up, because the host stops"))
            }
        }
    }
}

//! What a plugin may add to the server. Each extension point is one folder here and one line in
//! [`all`]; the lifecycle walks over them without knowing what they are.

pub mod database;
pub mod graphql;
pub mod hooks;
pub mod jobs;
mod loading;
pub mod schedules;
pub mod services;
pub mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

pub use loading::{Handlers, Loading, described, script_problem};

use crate::error::{Problem, Result};
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::lifecycle::StepTransaction;
use crate::services::Services;
use crate::store::Session;
use crate::store::plugins::PluginRecord;

/// A kind of thing that plugins add.
#[async_trait]
pub trait ExtensionPoint: Send + Sync {
    /// Reads what the plugin declares into `loading`'s parts and handlers. It runs in the plugin's
    /// VM and has neither a database nor a network. Everything that is wrong is added as a problem.
    async fn declare(&self, loading: &mut Loading<'_>);

    /// Puts together what all active generations declare and adds it to the World's parts.
    ///
    /// # Errors
    /// When the declarations of several plugins, each right by itself, do not fit together.
    fn assemble(
        &self,
        generations: &[Arc<Generation>],
        world: &mut Parts,
    ) -> Result<(), Vec<Conflict>>;

    /// Makes what must exist before the plugin runs, in the installation's transaction.
    async fn install(&self, _generation: &Generation, _session: &Session) -> Result<()> {
        Ok(())
    }

    /// Whether this version needs what the installed one does not have.
    ///
    /// # Errors
    /// When what is installed cannot be known.
    fn needs_upgrade(&self, _generation: &Generation, _record: &PluginRecord) -> Result<bool> {
        Ok(false)
    }

    /// Makes what this version needs beyond the installed one, in a transaction that is committed
    /// when the version serves.
    async fn upgrade(
        &self,
        _generation: &Arc<Generation>,
        _record: &PluginRecord,
        _transaction: &StepTransaction,
    ) -> Result<()> {
        Ok(())
    }

    /// Makes what takes long and is outside of the database, before the plugin is installed.
    async fn prepare(&self, _generation: &Arc<Generation>) -> Result<()> {
        Ok(())
    }

    /// Starts what a generation needs to serve, outside of the database. `before` is the generation that
    /// serves until now.
    async fn start(
        &self,
        _generation: &Arc<Generation>,
        _before: Option<&Arc<Generation>>,
    ) -> Result<()> {
        Ok(())
    }

    /// Ends what [`ExtensionPoint::start`] has started. It cannot fail: what cannot be ended now is ended
    /// later.
    async fn stop(&self, _services: &Services, _plugin_id: &str) {}

    /// Whether [`ExtensionPoint::start`] may take so long that other plugins should not wait for it when the
    /// host starts.
    fn is_slow(&self, _generation: &Generation) -> bool {
        false
    }

    /// Removes what is left of a plugin outside of the database, in the same way.
    async fn remove(&self, _services: &Services, _plugin_id: &str) {}

    /// Writes what the plugin has to a new file in `folder` and gives its path, in the transaction
    /// that is about to remove it.
    async fn backup(
        &self,
        _record: &PluginRecord,
        _session: &Session,
        _folder: &Path,
    ) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Brings back what [`ExtensionPoint::backup`] wrote, in a transaction, and gives the number of
    /// rows. With `replace`, what is there is removed first.
    async fn restore(
        &self,
        _record: &PluginRecord,
        _session: &Session,
        _file: &Path,
        _replace: bool,
    ) -> Result<u64> {
        Ok(0)
    }

    /// Removes what [`ExtensionPoint::install`] made, in the same way. It gets only the id: the
    /// folder may be gone.
    async fn uninstall(&self, _plugin_id: &str, _session: &Session) -> Result<()> {
        Ok(())
    }
}

/// Why a plugin's declarations do not fit into the World.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The plugin that has to give way: the one activated last.
    pub plugin_id: String,
    pub problem: Problem,
}

/// Every extension point, in the order in which they declare and install.
pub fn all(
    graphql: graphql::Graphql,
    services: services::ServicePoint,
) -> Arc<[Arc<dyn ExtensionPoint>]> {
    Arc::new([
        Arc::new(database::Database),
        Arc::new(graphql),
        Arc::new(hooks::Hooks),
        Arc::new(jobs::JobPoint),
        Arc::new(schedules::Schedules),
        Arc::new(services),
        Arc::new(webhooks::Webhooks),
    ])
}

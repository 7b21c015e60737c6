//! The manager: the only thing that changes plugins. It works through a queue, one operation at a
//! time, whoever asks: the admin API, the command line, the watcher, start-up.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::directory::{Directory, PluginView};
use super::manifest::Permissions;
use super::operations::Operations;
use super::package::Package;
use super::update::Update;
use crate::audit;
use crate::containers::Containers;
use crate::error::{Error, Result};
use crate::services::Services;
use crate::value::Value;

/// How many operations may wait.
const QUEUE: usize = 1_024;

type Job = Box<dyn for<'a> FnOnce(&'a mut Operations) -> BoxFuture<'a, ()> + Send>;

/// Where the manager says what is wrong with a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// In the log.
    Log,
    /// On standard error, with the source line: for an author at a terminal.
    Terminal,
    /// Nowhere: whoever asked for the operation gets it as its error.
    Caller,
}

/// How the manager treats plugins.
#[derive(Debug, Clone)]
pub struct ManagerOptions {
    /// The folder of plugin folders.
    pub plugins_dir: PathBuf,
    /// The folder of backups, made when it is needed.
    pub backups: PathBuf,
    /// For authors: new folders are installed, granted what they ask for, and activated.
    pub automatic: bool,
    pub report: Report,
}

/// Asks the manager for operations. Clones share the queue.
#[derive(Clone)]
pub struct Manager {
    jobs: mpsc::Sender<Job>,
    directory: Arc<Directory>,
    containers: Arc<Containers>,
    /// Plugins whose files have changed since the manager last looked.
    changed: Arc<Mutex<BTreeSet<String>>>,
}

impl Manager {
    /// Starts the manager's task. It ends when all handles are gone.
    pub fn start(services: Arc<Services>, options: ManagerOptions) -> Manager {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let directory =
            Arc::new(Directory::new(Arc::clone(&services.store), Arc::clone(&services.failures)));
        let containers = Arc::clone(&services.containers);
        let mut operations = Operations::new(services, options, Arc::clone(&directory));
        tokio::spawn(async move {
            while let Some(job) = queue.recv().await {
                job(&mut operations).await;
            }
        });
        Manager { jobs, directory, containers, changed: Arc::default() }
    }

    /// What is known about the plugins.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The containers of the plugins.
    pub fn containers(&self) -> &Containers {
        &self.containers
    }

    /// Runs an operation after those that were asked for before. It runs to its end even if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// Those of the operation.
    async fn run<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Operations) -> BoxFuture<'a, Result<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let actor = audit::actor();
        let job: Job = Box::new(move |operations| {
            async move {
                let done = audit::acting(actor, operation(operations)).await;
                // Whoever asked may have stopped waiting.
                let _ = reply.send(done);
            }
            .boxed()
        });
        let stopped = || Error::unexpected("the plugin manager has stopped");
        self.jobs.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Makes what the database says active active again. One broken plugin does not stop it. Those that
    /// take long are left to [`Manager::start_late_plugins`]: `true` if there are any.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn start_plugins(&self) -> Result<bool> {
        self.run(|operations| operations.start().boxed()).await
    }

    /// Starts the plugins that take long, one after the other. Other operations come between.
    pub async fn start_late_plugins(&self) {
        loop {
            match self.run(|operations| operations.start_late().boxed()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::error!("a plugin is not started: {error}"),
            }
        }
    }

    /// Reads what the folders say about the plugins, without running any.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn know_plugins(&self) -> Result<()> {
        self.run(|operations| operations.know().boxed()).await
    }

    /// The names of the folders in the plugins folder, installed or not.
    ///
    /// # Errors
    /// None of its own.
    pub async fn folders(&self) -> Result<Vec<String>> {
        self.run(|operations| async move { Ok(operations.folders().await) }.boxed()).await
    }

    /// Ends all generations, for shutdown. Records stay as they are.
    ///
    /// # Errors
    /// None of its own.
    pub async fn stop_plugins(&self) -> Result<()> {
        self.run(|operations| operations.stop().boxed()).await
    }

    /// After the container engine was gone: puts the services of all plugins in order.
    pub async fn put_services_in_order(&self) {
        let done = self.run(|operations| operations.put_services_in_order().boxed()).await;
        if let Err(error) = done {
            tracing::error!("the services of plugins are not in order: {error}");
        }
    }

    /// Makes a record.
    ///
    /// # Errors
    /// When the id is no plugin id, or has a record.
    pub async fn create(&self, plugin_id: &str) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.create(&id).await }.boxed()).await
    }

    /// Installs a plugin; with `grant`, it is granted what it asks for.
    ///
    /// # Errors
    /// When it has no folder, is installed already, or a step fails; then nothing has changed.
    pub async fn install(&self, plugin_id: &str, grant: bool) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.install(&id, grant).await }.boxed())
            .await
    }

    /// Takes in a package: a new plugin is installed, and activated if `activate` says so; an active one
    /// is upgraded in one step.
    ///
    /// # Errors
    /// When a step fails; then nothing has changed.
    pub async fn upload(&self, package: Package, activate: bool) -> Result<PluginView> {
        let package = Arc::new(package);
        self.run(move |operations| {
            async move { operations.upload(package, activate).await }.boxed()
        })
        .await
    }

    /// Activates a plugin; does nothing if it is active.
    ///
    /// # Errors
    /// When it is not installed or a step fails; then nothing has changed.
    pub async fn activate(&self, plugin_id: &str) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.activate(&id).await }.boxed()).await
    }

    /// Deactivates a plugin; does nothing if it is inactive. With `force`, the failure of its own
    /// functions does not keep it active.
    ///
    /// # Errors
    /// When active plugins depend on it, or a step fails; then nothing has changed.
    pub async fn deactivate(&self, plugin_id: &str, force: bool) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.deactivate(&id, force).await }.boxed())
            .await
    }

    /// Uninstalls a plugin, deactivating it first. With `force`, the failure of its own functions
    /// does not keep it installed.
    ///
    /// # Errors
    /// When it is not installed, or a step fails; then nothing has changed.
    pub async fn uninstall(&self, plugin_id: &str, force: bool) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.uninstall(&id, force).await }.boxed())
            .await
    }

    /// Uninstalls a plugin, removes its folder and its record.
    ///
    /// # Errors
    /// When a step fails; then what was not done yet stays.
    pub async fn delete(&self, plugin_id: &str) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.delete(&id).await }.boxed()).await
    }

    /// Changes several things about a plugin.
    ///
    /// # Errors
    /// When a part of it fails; then nothing has changed.
    pub async fn update(&self, plugin_id: &str, update: Update) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.update(&id, update).await }.boxed())
            .await
    }

    /// What the version in the plugin's folder would change in the database.
    ///
    /// # Errors
    /// When the plugin has no record, or the version does not load.
    pub async fn table_plan(&self, plugin_id: &str) -> Result<Value> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.table_plan(&id).await }.boxed()).await
    }

    /// Brings rows back from a backup; without a file, from the newest one of the plugin.
    ///
    /// # Errors
    /// When there is none, it does not fit, or there are rows and `replace` is not set; then nothing
    /// has changed.
    pub async fn restore(
        &self,
        plugin_id: &str,
        file: Option<PathBuf>,
        replace: bool,
    ) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| {
            async move { operations.restore(&id, file, replace).await }.boxed()
        })
        .await
    }

    /// Reads an active plugin's folder again and lets the new generation serve.
    ///
    /// # Errors
    /// When it is not active, or the new generation does not load; then the old one goes on.
    pub async fn reload(&self, plugin_id: &str) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.reload(&id).await }.boxed()).await
    }

    /// Replaces what a plugin is granted.
    ///
    /// # Errors
    /// When the plugin has no record, or `permissions` are none.
    pub async fn grant(
        &self,
        plugin_id: &str,
        permissions: serde_json::Value,
    ) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.grant(&id, permissions).await }.boxed())
            .await
    }

    /// Grants a plugin something besides what it is granted already, or all that its manifest asks for. An
    /// active plugin is loaded again with it, and one that was refused for the lack of it is activated.
    ///
    /// # Errors
    /// When the plugin has no record, or its manifest cannot be read.
    pub async fn grant_more(
        &self,
        plugin_id: &str,
        permissions: Option<Permissions>,
    ) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| {
            async move { operations.grant_more(&id, permissions).await }.boxed()
        })
        .await
    }

    /// Replaces a plugin's configuration.
    ///
    /// # Errors
    /// When it does not fit the manifest's `configSchema`, or the plugin is active and its new
    /// generation does not load; then nothing has changed.
    pub async fn configure(&self, plugin_id: &str, config: Value) -> Result<PluginView> {
        let id = plugin_id.to_owned();
        self.run(move |operations| async move { operations.configure(&id, config).await }.boxed())
            .await
    }

    /// Notes that files of these plugins have changed. Changes that come while the manager is busy
    /// are looked at together, once it is free.
    pub async fn files_changed(&self, plugin_ids: impl IntoIterator<Item = String>) {
        let was_empty = {
            let mut changed = self.changed.lock();
            let was_empty = changed.is_empty();
            changed.extend(plugin_ids);
            was_empty && !changed.is_empty()
        };
        if !was_empty {
            // The operation that will look at them is waiting already.
            return;
        }
        let changed = Arc::clone(&self.changed);
        let looked = self.run(move |operations| {
            async move {
                let ids = std::mem::take(&mut *changed.lock());
                for id in ids {
                    operations.folder_changed(&id).await;
                }
                Ok(())
            }
            .boxed()
        });
        if let Err(error) = looked.await {
            tracing::warn!("changed files were not looked at: {error}");
        }
    }
}

//! What the steps of a plugin's life are made of: its lifecycle functions, its events, and the
//! checks that come before.

use std::sync::Arc;
use std::time::Instant;

use super::generation::Generation;
use super::loader::lifecycle_key;
use super::manifest::Manifest;
use super::world::World;
use crate::containers;
use crate::ctx::CallContext;
use crate::error::{Error, Phase, Problem, code};
use crate::events::{Event, Held, HeldBack};
use crate::extension::{Conflict, script_problem};
use crate::permission::Grant;
use crate::services::Services;
use crate::store::{Session, Transaction};
use crate::value::{Map, Value};

/// A lifecycle function and the phase that its failure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Install,
    Load,
    Activate,
    Deactivate,
    Uninstall,
    Unload,
}

impl Function {
    fn name(self) -> &'static str {
        match self {
            Function::Install => "onInstall",
            Function::Load => "onLoad",
            Function::Activate => "onActivate",
            Function::Deactivate => "onDeactivate",
            Function::Uninstall => "onUninstall",
            Function::Unload => "onUnload",
        }
    }

    fn phase(self) -> Phase {
        match self {
            Function::Install => Phase::Install,
            Function::Load => Phase::Load,
            Function::Activate => Phase::Activate,
            Function::Deactivate | Function::Unload => Phase::Deactivate,
            Function::Uninstall => Phase::Uninstall,
        }
    }
}

/// A transaction that a step runs in, and what to go on with once it has committed.
pub struct StepTransaction {
    inner: Transaction,
    held: HeldBack,
}

impl StepTransaction {
    pub fn new(inner: Transaction) -> Self {
        StepTransaction { inner, held: HeldBack::default() }
    }

    /// For statements inside the transaction.
    pub fn session(&self) -> &Session {
        self.inner.session()
    }

    /// Lets a call run inside the transaction.
    pub fn context(&self, context: CallContext) -> CallContext {
        context.in_transaction(self.session(), &self.held)
    }

    /// Commits, and gives what the plugin has raised meanwhile.
    ///
    /// # Errors
    /// When the database cannot commit; then nothing has happened.
    pub async fn commit(self) -> Result<Vec<Held>, Error> {
        self.inner.commit().await?;
        Ok(std::mem::take(&mut *self.held.lock()))
    }
}

/// Calls a lifecycle function, if the plugin has it.
pub async fn call(
    generation: &Arc<Generation>,
    function: Function,
    transaction: Option<&StepTransaction>,
) -> Result<(), Vec<Problem>> {
    let key = lifecycle_key(function.name());
    if !generation.has_handler(&key) {
        return Ok(());
    }
    let mut context = CallContext::of(generation, Instant::now() + generation.time_limit());
    if let Some(transaction) = transaction {
        context = transaction.context(context);
    }
    generation.call(&key, &[], context).await.map(drop).map_err(|script| {
        let mut problem = script_problem(function.phase(), &script, &generation.manifest().main);
        problem.message = format!("{}: {}", function.name(), problem.message);
        vec![generation.source().illustrate(problem)]
    })
}

/// Calls a lifecycle function whose failure changes nothing any more.
pub async fn call_and_log(generation: &Arc<Generation>, function: Function) {
    if let Err(problems) = call(generation, function, None).await {
        let plugin = generation.plugin_id();
        for problem in problems {
            tracing::error!(plugin, "{problem}");
        }
    }
}

/// Ends a generation that serves no longer.
pub async fn unload(services: &Services, generation: &Arc<Generation>) {
    let emit = |name| {
        let version = generation.manifest().version.to_string();
        services.events.emit(event(name, generation.plugin_id(), Some(version), None));
    };
    emit("plugin:unloading");
    call_and_log(generation, Function::Unload).await;
    emit("plugin:unloaded");
}

/// An event of a plugin's life.
pub fn event(name: &str, plugin_id: &str, version: Option<String>, message: Option<&str>) -> Event {
    let mut payload = Map::new();
    payload.insert("pluginId".into(), plugin_id.into());
    if let Some(version) = version {
        payload.insert("version".into(), version.into());
    }
    if let Some(message) = message {
        payload.insert("message".into(), message.into());
    }
    Event::new(name, Value::Map(payload))
}

/// The error of a step that failed.
pub fn failed(plugin_id: &str, step: &str, problems: Vec<Problem>) -> Error {
    let text = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
    let message = format!("Plugin \"{plugin_id}\" could not be {step}: {text}");
    let code = problems.iter().find_map(|problem| problem.code.clone());
    let code = code.unwrap_or_else(|| code::FORBIDDEN_ON_ARGUMENTS.to_owned());
    Error { problems, ..Error::new(code, message) }
}

/// The error of a step that the plugin's state does not allow.
pub fn forbidden(message: impl Into<String>) -> Error {
    Error::new(code::FORBIDDEN_ON_ARGUMENTS, message)
}

/// A host error as a problem of the phase it happened in.
pub fn problem_of(phase: Phase, error: &Error) -> Vec<Problem> {
    if error.problems.is_empty() {
        let problem = Problem::new(phase, error.message.clone());
        let is_own = [containers::UNAVAILABLE, containers::FAILED].contains(&error.code.as_str());
        vec![if is_own { problem.with_code(error.code.clone()) } else { problem }]
    } else {
        error.problems.clone()
    }
}

/// What a plugin that other plugins clash with has to know.
pub fn problems_of(conflicts: Vec<Conflict>) -> Vec<Problem> {
    conflicts.into_iter().map(|conflict| conflict.problem).collect()
}

/// What is asked for but not granted, as a problem.
pub fn ungranted(manifest: &Manifest, granted: &Grant) -> Result<(), Vec<Problem>> {
    if granted.monitor {
        return Ok(());
    }
    let missing = manifest.permissions.missing_from(&granted.permissions);
    if missing.is_empty() {
        return Ok(());
    }
    let id = &manifest.plugin_id;
    let message = format!(
        "these permissions are not granted: {}; an administrator grants them with the mutation \
         grantPlugin, or with: moondock plugin grant {id}",
        missing.join(", ")
    );
    Err(vec![Problem::new(Phase::Activate, message)])
}

/// Whether the plugins that this one depends on are active, in fitting versions.
pub fn dependencies(manifest: &Manifest, world: &World) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for (id, wanted) in &manifest.dependencies {
        let found = world.generations().iter().find(|g| g.plugin_id() == id);
        let message = match found {
            None => format!("it depends on {id} {wanted}, which is not active"),
            Some(found) if !wanted.matches(&found.manifest().version) => {
                format!("it depends on {id} {wanted}; active is {}", found.manifest().version)
            }
            Some(_) => continue,
        };
        problems.push(Problem::new(Phase::Activate, message));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Whether the active plugins that depend on this one can go on with this version of it.
pub fn still_fits(manifest: &Manifest, world: &World) -> Result<(), Vec<Problem>> {
    let (id, version) = (&manifest.plugin_id, &manifest.version);
    let mut problems = Vec::new();
    for generation in world.generations() {
        let wanted = generation.manifest().dependencies.get(id);
        if let Some(wanted) = wanted.filter(|wanted| !wanted.matches(version)) {
            let other = generation.plugin_id();
            let message = format!("{other} is active and depends on {id} {wanted}, not {version}");
            problems.push(Problem::new(Phase::Activate, message));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The active plugins that depend on this one.
pub fn dependents<'w>(plugin_id: &str, world: &'w World) -> Vec<&'w str> {
    let depends = |g: &&Arc<Generation>| g.manifest().dependencies.contains_key(plugin_id);
    world.generations().iter().filter(depends).map(|g| g.plugin_id()).collect()
}

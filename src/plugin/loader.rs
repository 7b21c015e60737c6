//! From a folder's snapshot to a generation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::generation::{Generation, GenerationHandle, LoadedVm};
use super::later;
use super::logs::{self, Level, Line};
use super::manifest::Manifest;
use super::source::Source;
use crate::error::{Phase, Problem};
use crate::extension::{ExtensionPoint, Loading, described};
use crate::lua::{Modules, ScriptError, ScriptErrorKind, Vm, VmOptions};
use crate::parts::Parts;
use crate::permission::Grant;
use crate::services::Services;
use crate::value::Value;

/// Functions of the main module that the lifecycle calls, each with `(ctx)`.
pub const LIFECYCLE: &[&str] =
    &["onInstall", "onLoad", "onActivate", "onDeactivate", "onUninstall", "onUnload"];

/// Running all files of a plugin once may take this long, or the plugin's own time limit if that
/// is longer.
const LOAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// The key of a lifecycle function among a generation's handlers.
pub fn lifecycle_key(function: &str) -> String {
    format!("lifecycle:{function}")
}

/// All that is needed to make a further VM of a generation.
#[derive(Clone)]
pub struct Blueprint {
    pub manifest: Arc<Manifest>,
    pub source: Arc<Source>,
    pub time_limit: Duration,
    /// What an administrator lets the plugin do.
    pub granted: Grant,
    /// The plugin's configuration, with defaults.
    pub config: Value,
    modules: Arc<Modules>,
    memory: usize,
    points: Arc<[Arc<dyn ExtensionPoint>]>,
    handle: GenerationHandle,
}

impl Blueprint {
    fn load_time_limit(&self) -> Duration {
        LOAD_TIME_LIMIT.max(self.time_limit)
    }
}

/// Loads the generation that a snapshot describes. `folder` is the name of the plugin's folder,
/// `config` the configuration that was set.
///
/// # Errors
/// Everything that is wrong with the plugin, as far as it can be told in one go: a broken manifest
/// hides what is wrong with the code.
pub async fn load(
    folder: &str,
    source: Arc<Source>,
    number: u64,
    granted: &Grant,
    config: Option<&Value>,
    services: &Arc<Services>,
) -> Result<Arc<Generation>, Vec<Problem>> {
    let Some(text) = source.manifest() else {
        let message = "the folder has no manifest.json";
        return Err(vec![Problem::new(Phase::Manifest, message)]);
    };
    let (manifest, mut warnings) = Manifest::parse(text, Some(folder))?;
    warnings.extend(later::warnings(&manifest));
    let compiling = Arc::clone(&source);
    let modules = tokio::task::spawn_blocking(move || {
        let scripts = compiling.paths().filter(|path| is_script(path));
        Modules::compile(scripts.filter_map(|path| Some((path, compiling.get(path)?))))
    })
    .await
    .map_err(|error| vec![Problem::new(Phase::Load, format!("cannot compile: {error}"))])?;

    let limits = &services.limits;
    let memory_mb = manifest.runtime.memory_mb.min(limits.max_memory_mb);
    let timeout_ms = manifest.runtime.timeout_ms.min(limits.max_timeout_ms);
    let instances = manifest.runtime.instances;
    let handle = GenerationHandle::default();
    let config = manifest.config(config);
    let blueprint = Blueprint {
        manifest: Arc::new(manifest),
        source,
        time_limit: Duration::from_millis(timeout_ms),
        granted: granted.clone(),
        config,
        modules: Arc::new(modules),
        memory: usize::try_from(memory_mb << 20).unwrap_or(usize::MAX),
        points: Arc::clone(&services.points),
        handle: handle.clone(),
    };
    let deadline = Instant::now() + blueprint.load_time_limit();
    let dependencies = dependencies(&blueprint.manifest, services);
    let (first, parts, odd) = load_vm(&blueprint, dependencies, deadline).await?;
    warnings.extend(odd);
    let mut loaded = vec![first];
    for _ in 1..instances {
        loaded.push(load_vm(&blueprint, None, deadline).await?.0);
    }
    let services = Arc::clone(services);
    Ok(Generation::new(number, blueprint, &handle, loaded, parts, warnings, services))
}

/// A fresh VM for a generation that lost one. What the files declare was checked before.
pub(super) async fn load_again(blueprint: &Blueprint) -> Result<LoadedVm, ScriptError> {
    let deadline = Instant::now() + blueprint.load_time_limit();
    let (loaded, ..) = load_vm(blueprint, None, deadline).await.map_err(|problems| {
        let text = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
        ScriptError::new(ScriptErrorKind::Runtime(format!("cannot load the plugin again: {text}")))
    })?;
    Ok(loaded)
}

/// The active plugins that a plugin depends on, and those that they depend on.
fn dependencies(manifest: &Manifest, services: &Services) -> Option<Vec<Arc<Generation>>> {
    let world = services.world.load();
    let mut found: Vec<Arc<Generation>> = Vec::new();
    let mut open: Vec<String> = manifest.dependencies.keys().cloned().collect();
    while let Some(id) = open.pop() {
        if found.iter().any(|generation| generation.plugin_id() == id) {
            continue;
        }
        let generation = world.generations().iter().find(|g| g.plugin_id() == id)?;
        open.extend(generation.manifest().dependencies.keys().cloned());
        found.push(Arc::clone(generation));
    }
    Some(found)
}

async fn load_vm(
    blueprint: &Blueprint,
    dependencies: Option<Vec<Arc<Generation>>>,
    deadline: Instant,
) -> Result<(LoadedVm, Parts, Vec<Problem>), Vec<Problem>> {
    let manifest = &*blueprint.manifest;
    let source = &*blueprint.source;
    let failed = |script: &ScriptError| {
        let problem = crate::extension::script_problem(Phase::Load, script, &manifest.main);
        vec![source.illustrate(problem)]
    };
    let plugin = manifest.plugin_id.clone();
    let printing = blueprint.handle.clone();
    let print = move |text: String| {
        tracing::info!(target: "plugin", plugin = %plugin, "{text}");
        // Nobody watches a plugin that is not loaded yet.
        if let Some(generation) = printing.get() {
            let line = Line { level: Level::Info, message: &text, fields: None, request_id: None };
            logs::tell(&generation.services, &plugin, line);
        }
    };
    let options = VmOptions { memory: blueprint.memory };
    let vm = Vm::new(options, Arc::clone(&blueprint.modules), print).map_err(|e| failed(&e))?;
    let run = vm.run(deadline, async {
        let handle = blueprint.handle.clone();
        let mut loading = Loading::new(
            manifest,
            source,
            vm.lua(),
            &blueprint.granted,
            vm.import(),
            handle,
            dependencies,
        );
        declare_lifecycle(&mut loading).await;
        for point in blueprint.points.iter() {
            point.declare(&mut loading).await;
        }
        Ok((loading.handlers, loading.parts, loading.problems, loading.warnings))
    });
    let (handlers, parts, problems, warnings) = run.await.map_err(|error| failed(&error))?;
    if problems.is_empty() {
        Ok((LoadedVm { vm, handlers }, parts, warnings))
    } else {
        Err(problems)
    }
}

async fn declare_lifecycle(loading: &mut Loading<'_>) {
    let main = loading.manifest.main.clone();
    let Some(module) = loading.module(&main).await else { return };
    for name in LIFECYCLE {
        match module.get::<mlua::Value>(*name) {
            Ok(mlua::Value::Nil) => {}
            Ok(mlua::Value::Function(function)) => loading.handler(lifecycle_key(name), function),
            Ok(other) => {
                let message = format!("{name} must be a function; it is {}", described(&other));
                loading.problem(Problem::new(Phase::Load, message).in_file(main.as_str()));
            }
            Err(error) => loading.lua_problem(&error, &main),
        }
    }
}

fn is_script(path: &str) -> bool {
    (path.ends_with(".lua") || path.ends_with(".luau")) && !path.ends_with(".d.luau")
}

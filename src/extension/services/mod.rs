//! Container services: what a plugin's Compose file declares.

pub mod compose;
pub mod context;

use std::sync::Arc;

use async_trait::async_trait;

use self::compose::{Bounds, Context, Project, Variables};
use super::{Conflict, ExtensionPoint, Loading};
use crate::containers::Extent;
use crate::error::Result;
use crate::parts::Parts;
use crate::permission;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::Docker;
use crate::services::Services;
use crate::settings::docker::DockerSettings;

/// The extension point.
#[derive(Debug)]
pub struct ServicePoint {
    pub bounds: Bounds,
}

impl ServicePoint {
    /// With the limits of the settings.
    pub fn new(settings: &DockerSettings) -> Self {
        let bounds = Bounds {
            memory: settings.memory_mb << 20,
            cpus: settings.cpu_percent as f64 / 100.0,
            pids: settings.pids,
        };
        ServicePoint { bounds }
    }
}

/// The services of one generation.
#[derive(Debug, PartialEq)]
pub struct Declared {
    pub project: Project,
    /// What the manifest says about when they are built, started and removed.
    pub docker: Docker,
    /// The limits of containers that ask for none.
    pub bounds: Bounds,
}

/// The services that a generation declares, if its manifest has any that are enabled.
pub fn declared(generation: &Generation) -> Option<Arc<Declared>> {
    generation.parts.get::<Declared>()
}

#[async_trait]
impl ExtensionPoint for ServicePoint {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let Some(docker) = loading.manifest.docker.clone().filter(|docker| docker.enabled) else {
            return;
        };
        let mut variables = Variables::default();
        for (name, value) in &docker.env {
            variables.set(name, value);
        }
        // What the administrator says beats what the plugin comes with.
        for name in &loading.granted.permissions.env {
            if let Ok(value) = std::env::var(name) {
                variables.set(name, value);
            }
        }
        let context = Context {
            source: loading.source,
            variables: &variables,
            bounds: self.bounds,
            only: docker.service.as_deref(),
        };
        match compose::parse(&docker.compose_file, &context) {
            Ok(parsed) => {
                let illustrated =
                    parsed.warnings.into_iter().map(|warning| loading.source.illustrate(warning));
                loading.warnings.extend(illustrated);
                let declared = Declared { project: parsed.project, docker, bounds: self.bounds };
                loading.parts.insert(Arc::new(declared));
            }
            Err(problems) => problems.into_iter().for_each(|problem| loading.problem(problem)),
        }
    }

    async fn prepare(&self, generation: &Arc<Generation>) -> Result<()> {
        let Some(declared) = declared(generation).filter(|d| d.docker.build_on_install) else {
            return Ok(());
        };
        if !generation.granted().permissions.docker {
            let plugin = generation.plugin_id();
            tracing::info!(plugin, "docker is not granted yet: images are built at activation");
            return Ok(());
        }
        generation.services.containers.build(generation, &declared).await
    }

    async fn start(
        &self,
        generation: &Arc<Generation>,
        before: Option<&Arc<Generation>>,
    ) -> Result<()> {
        let containers = &generation.services.containers;
        let before = before.and_then(|before| declared(before));
        let Some(declared) = declared(generation).filter(|d| d.docker.up_on_activate) else {
            if before.is_some() {
                containers.down(generation.plugin_id(), Extent::Deactivated).await;
            }
            return Ok(());
        };
        permission::docker(generation)?;
        if before.as_ref().is_some_and(|before| **before == *declared)
            && containers.pass_to(generation, &declared)
        {
            return Ok(());
        }
        containers.up(generation, &declared, before.as_deref()).await
    }

    async fn stop(&self, services: &Services, plugin_id: &str) {
        services.containers.down(plugin_id, Extent::Deactivated).await;
    }

    fn is_slow(&self, generation: &Generation) -> bool {
        declared(generation).is_some_and(|declared| declared.docker.up_on_activate)
    }

    async fn remove(&self, services: &Services, plugin_id: &str) {
        services.containers.down(plugin_id, Extent::Uninstalled).await;
    }

    fn assemble(&self, _: &[Arc<Generation>], _: &mut Parts) -> Result<(), Vec<Conflict>> {
        Ok(())
    }
}

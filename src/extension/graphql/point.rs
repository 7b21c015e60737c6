//! GraphQL as an extension point.

use std::sync::Arc;

use async_trait::async_trait;

use super::builder::Builder;
use super::check::SchemaProblem;
use super::model::{Declarations, HOST};
use super::{Schema, SchemaOptions};
use crate::error::{Phase, Problem};
use crate::extension::database::Tables;
use crate::extension::{Conflict, ExtensionPoint, Loading};
use crate::parts::Parts;
use crate::plugin::generation::Generation;

/// The extension point: the plugins' fields beside those of the host and its embedder.
#[derive(Debug, Default)]
pub struct Graphql {
    /// What is in the schema whether a plugin is active or not.
    pub host: Vec<Arc<Declarations>>,
    pub options: SchemaOptions,
}

#[async_trait]
impl ExtensionPoint for Graphql {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let plugin_id = &loading.manifest.plugin_id;
        // What is wrong with the tables has been said; types made from them would only repeat it.
        let are_right = loading.problems.is_empty();
        let tables = loading.parts.get::<Tables>().filter(|_| are_right);
        let tables = tables.map(|tables| Arc::clone(tables.set()));
        let dependencies = loading.manifest.dependencies.keys().cloned().collect();
        let builder = Builder::new(plugin_id, dependencies, loading.generation.clone(), tables);
        let entries = loading.manifest.extension_points.graphql.iter().enumerate();
        for (i, entry) in entries {
            let wanted_by = format!("extensionPoints.graphql[{i}].builderDefinition");
            let name = &entry.builder_definition;
            let Some(function) = loading.function(&entry.file, name, &wanted_by).await else {
                continue;
            };
            if let Err(error) = function.call_async::<()>(builder.clone()).await {
                loading.lua_problem(&error, &entry.file);
            }
        }
        let collected = builder.take();
        for (place, message) in collected.problems {
            loading.problem(placed(place, message));
        }
        for (key, function) in collected.handlers {
            loading.handler(key, function);
        }
        let declarations = Arc::new(collected.declarations);
        // Alone with the host's own fields and what it depends on: what is wrong here is the plugin's own
        // doing. Other plugins come in when the World is put together.
        let mut sets = self.host.clone();
        let depended_on = loading.dependencies.as_deref().unwrap_or_default();
        sets.extend(depended_on.iter().filter_map(|g| g.parts.get::<Declarations>()));
        sets.push(Arc::clone(&declarations));
        // Without them nobody can tell; they are asked for when the plugin is activated.
        if loading.problems.is_empty() && loading.dependencies.is_some() {
            for problem in super::check::check(&sets) {
                loading.problem(placed(problem.place, problem.message));
            }
        }
        loading.parts.insert(declarations);
    }

    fn assemble(
        &self,
        generations: &[Arc<Generation>],
        world: &mut Parts,
    ) -> Result<(), Vec<Conflict>> {
        let declared = generations.iter().filter_map(|g| g.parts.get::<Declarations>());
        let sets: Vec<_> = self.host.iter().cloned().chain(declared).collect();
        let schema = Schema::build_with(&sets, self.options)
            .map_err(|problems| problems.into_iter().map(conflict).collect::<Vec<_>>())?;
        world.insert(Arc::new(schema));
        Ok(())
    }
}

fn placed(place: Option<super::model::Place>, message: String) -> Problem {
    let problem = Problem::new(Phase::Load, message);
    match place {
        Some(place) => problem.in_file(place.file).at_line(place.line),
        None => problem,
    }
}

fn conflict(problem: SchemaProblem) -> Conflict {
    debug_assert_ne!(problem.owner, HOST, "the host's own declarations fit together");
    let plugin_id = problem.owner.clone();
    Conflict { plugin_id, problem: placed(problem.place, problem.message) }
}

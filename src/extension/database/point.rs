//! Tables as an extension point.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mlua::Function;
use mlua::chunk::ChunkMode;

use super::declare::{Declaration, from_value};
use super::migrations::{self, Migration};
use super::model::Place;
use super::plan::{self, Plan};
use super::upgrade::{self, Migrating};
use super::{Installed, TableSet, Tables, backup, role};
use crate::ctx::CallContext;
use crate::error::{Error, Phase, Problem, Result};
use crate::extension::{Conflict, ExtensionPoint, Loading, script_problem};
use crate::lua::bridge;
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::lifecycle::StepTransaction;
use crate::plugin::manifest::DatabaseKind;
use crate::store::plugins::{self, PluginRecord};
use crate::store::{Dialect, Session};
use crate::value::Value;

/// The extension point.
#[derive(Debug)]
pub struct Database;

#[async_trait]
impl ExtensionPoint for Database {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let (mut tables, mut enums, mut relations) = (Vec::new(), Vec::new(), Vec::new());
        for (i, entry) in loading.manifest.extension_points.database.iter().enumerate() {
            let path = format!("extensionPoints.database[{i}]");
            let wanted_by = format!("{path}.name");
            let Some(value) = loading.export(&entry.file, &entry.name, &wanted_by).await else {
                continue;
            };
            let place = Place { file: entry.file.clone(), line: None };
            let declaration = match bridge::from_lua(&value) {
                Ok(value) => from_value(&entry.name, &value, Some(place)),
                Err(error) => Err(vec![format!("\"{}\": {error}", entry.name)]),
            };
            match declaration {
                Ok(declaration) if declaration.kind() != kind_name(entry.kind) => {
                    let message = format!(
                        "{path}.type is \"{}\", but \"{}\" is a {}",
                        kind_name(entry.kind),
                        entry.name,
                        declaration.kind()
                    );
                    loading.problem(Problem::new(Phase::Load, message).in_file(&entry.file));
                }
                Ok(Declaration::Table(table)) => tables.push(table),
                Ok(Declaration::Enum(values)) => enums.push(values),
                Ok(Declaration::Relation(relation)) => relations.push(relation),
                Err(messages) => {
                    for message in messages {
                        loading.problem(Problem::new(Phase::Load, message).in_file(&entry.file));
                    }
                }
            }
        }
        match TableSet::new(&loading.manifest.plugin_id, tables, enums, relations) {
            Ok(set) => loading.parts.insert(Arc::new(Tables::new(Arc::new(set)))),
            Err(problems) => problems.into_iter().for_each(|problem| loading.problem(problem)),
        }
        match migrations::files(loading.source) {
            Ok(files) => {
                for file in &files {
                    declare_migration(loading, file).await;
                }
                loading.parts.insert(Arc::new(Migrations(files)));
            }
            Err(problems) => problems.into_iter().for_each(|problem| loading.problem(problem)),
        }
    }

    fn assemble(&self, _: &[Arc<Generation>], _: &mut Parts) -> Result<(), Vec<Conflict>> {
        Ok(())
    }

    async fn install(&self, generation: &Generation, session: &Session) -> Result<()> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(()) };
        upgrade::create(session, tables.set()).await?;
        let files = generation.parts.get::<Migrations>();
        // New tables are what migrations would lead to.
        let migrations = files.iter().flat_map(|m| &m.0).map(|m| m.name.clone()).collect();
        let installed = Installed { set: TableSet::clone(tables.set()), migrations };
        Ok(Installed::remember(session, generation.plugin_id(), Some(&installed)).await?)
    }

    fn needs_upgrade(&self, generation: &Generation, record: &PluginRecord) -> Result<bool> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(false) };
        let installed = Installed::of(record)?;
        let installed = installed.unwrap_or_else(|| Installed::nothing(&record.plugin_id));
        let pending = pending(generation, &installed)?;
        Ok(!pending.is_empty() || !plan::diff(&installed.set, tables.set()).is_empty())
    }

    async fn upgrade(
        &self,
        generation: &Arc<Generation>,
        record: &PluginRecord,
        transaction: &StepTransaction,
    ) -> Result<()> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(()) };
        let (session, plugin_id) = (transaction.session(), generation.plugin_id());
        let before = Installed::of(record)?.unwrap_or_else(|| Installed::nothing(plugin_id));
        let pending = pending(generation, &before)?;
        let names: Vec<String> = pending.iter().map(|file| file.name.clone()).collect();
        let migrate = |name: String, migrating: Migrating| {
            let file = pending.iter().find(|file| file.name == name);
            async move {
                let Some(file) = file else { return Ok(()) };
                run_migration(generation, file, migrating, transaction).await
            }
        };
        let after = upgrade::upgrade(session, &before, tables.set(), &names, migrate).await?;
        Ok(Installed::remember(session, plugin_id, Some(&after)).await?)
    }

    async fn backup(
        &self,
        record: &PluginRecord,
        session: &Session,
        folder: &Path,
    ) -> Result<Option<PathBuf>> {
        let Some(installed) = Installed::of(record)? else { return Ok(None) };
        if installed.set.is_empty() {
            return Ok(None);
        }
        let now = plugins::now();
        let path = backup::new_path(folder, &record.plugin_id, &now);
        let version = record.installed_version.as_deref().unwrap_or_default();
        backup::write(session, &installed.set, version, &now, &path).await?;
        Ok(Some(path))
    }

    async fn restore(
        &self,
        record: &PluginRecord,
        session: &Session,
        file: &Path,
        replace: bool,
    ) -> Result<u64> {
        let installed = Installed::of(record)?;
        let installed = installed.unwrap_or_else(|| Installed::nothing(&record.plugin_id));
        let mut reader = backup::Reader::open(file)?;
        Ok(backup::restore(session, &installed.set, &mut reader, replace).await?)
    }

    async fn uninstall(&self, plugin_id: &str, session: &Session) -> Result<()> {
        let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(()) };
        let Some(installed) = Installed::of(&record)? else { return Ok(()) };
        upgrade::drop(session, &installed.set).await?;
        if let Err(error) = role::remove(session, plugin_id).await {
            // It has no rights any more; a plugin must not be stuck because of it.
            tracing::warn!(plugin = plugin_id, "its role is left behind: {error}");
        }
        Ok(Installed::remember(session, plugin_id, None).await?)
    }
}

/// The migrations that a plugin has, in the order in which they run.
#[derive(Debug)]
pub struct Migrations(pub Vec<Migration>);

/// What the version that was loaded would change in the database: see [`Plan::to_value`].
///
/// # Errors
/// When what is installed cannot be known, or a migration has a number that was taken.
pub fn table_plan(
    generation: &Generation,
    record: &PluginRecord,
    dialect: Dialect,
) -> Result<Value> {
    let declared = generation.parts.get::<Tables>();
    let none = TableSet::empty(&record.plugin_id);
    let to = declared.as_ref().map_or(&none, |tables| &**tables.set());
    let (from, pending) = match Installed::of(record)? {
        Some(installed) => {
            let pending = pending(generation, &installed)?;
            (installed, pending.into_iter().map(|file| file.name).collect())
        }
        // Installing makes the tables as they are declared; migrations lead there from older ones.
        None => (Installed::nothing(&record.plugin_id), Vec::new()),
    };
    Ok(Plan::new(&from, to, &pending).to_value(dialect)?)
}

/// Lets a migration be run: its `up` becomes a handler.
async fn declare_migration(loading: &mut Loading<'_>, file: &Migration) {
    // What the host calls gets a ctx, a migration what is in it.
    const CALLED: &str = "local up = ...\nreturn function(ctx) return up(ctx.db, ctx) end";
    let wanted_by = format!("the migration {}", file.name);
    let Some(up) = loading.function(&file.path, "up", &wanted_by).await else { return };
    let chunk = loading.lua.load(CALLED).set_name("=@host/migration").set_mode(ChunkMode::Text);
    match chunk.call::<Function>(up) {
        Ok(handler) => loading.handler(migration_key(file), handler),
        Err(error) => loading.lua_problem(&error, &file.path),
    }
}

fn migration_key(file: &Migration) -> String {
    format!("migration:{}", file.name)
}

/// The migrations of this version that have not run.
fn pending(generation: &Generation, installed: &Installed) -> Result<Vec<Migration>> {
    let files = generation.parts.get::<Migrations>();
    let files = files.as_ref().map_or(&[][..], |migrations| &migrations.0);
    migrations::pending(files, &installed.migrations).map_err(Error::from_problems)
}

async fn run_migration(
    generation: &Arc<Generation>,
    file: &Migration,
    migrating: Migrating,
    transaction: &StepTransaction,
) -> Result<()> {
    // It runs once, with an administrator's knowledge, and may have many rows to go through.
    let limit = Duration::from_millis(generation.services.limits.max_timeout_ms);
    let context = CallContext::of(generation, Instant::now() + limit);
    let context = transaction.context(context).migrating(migrating);
    tracing::info!(plugin = generation.plugin_id(), "migration {}", file.name);
    generation.call(&migration_key(file), &[], context).await.map(drop).map_err(|script| {
        let mut problem = script_problem(Phase::Activate, &script, &file.path);
        problem.message = format!("migration {}: {}", file.name, problem.message);
        Error::from_problems(vec![generation.source().illustrate(problem)])
    })
}

fn kind_name(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Table => "table",
        DatabaseKind::Enum => "enum",
        DatabaseKind::Relation => "relation",
    }
}

//! Tables as an extension point.

use std::sync::Arc;

use async_trait::async_trait;

use super::declare::{Declaration, from_value};
use super::migrations::{self, Migration};
use super::model::Place;
use super::{Installed, TableSet, Tables, upgrade};
use crate::error::{Phase, Problem, Result};
use crate::extension::{Conflict, ExtensionPoint, Loading};
use crate::lua::bridge;
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::DatabaseKind;
use crate::store::plugins::{self, PluginRecord};
use crate::store::{DbError, Session};

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
            Ok(files) => loading.parts.insert(Arc::new(Migrations(files))),
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

    async fn upgrade(&self, generation: &Generation, session: &Session) -> Result<()> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(()) };
        let plugin_id = generation.plugin_id();
        let Some(before) = installed(session, plugin_id).await? else { return Ok(()) };
        let no_migrations = async |_, _| Ok(());
        let after = upgrade::upgrade(session, &before, tables.set(), &[], no_migrations).await?;
        if after != before {
            Installed::remember(session, plugin_id, Some(&after)).await?;
        }
        Ok(())
    }

    async fn downgrade(&self, before: &PluginRecord, session: &Session) -> Result<()> {
        let plugin_id = &before.plugin_id;
        let Some(now) = installed(session, plugin_id).await? else { return Ok(()) };
        let before = Installed::of(before)?.unwrap_or_else(|| Installed::nothing(plugin_id));
        if now == before {
            return Ok(());
        }
        upgrade::change(session, &now.set, &before.set).await?;
        Ok(Installed::remember(session, plugin_id, Some(&before)).await?)
    }

    async fn uninstall(&self, plugin_id: &str, session: &Session) -> Result<()> {
        let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(()) };
        let Some(installed) = Installed::of(&record)? else { return Ok(()) };
        upgrade::drop(session, &installed.set).await?;
        Ok(Installed::remember(session, plugin_id, None).await?)
    }
}

/// The migrations that a plugin has, in the order in which they run.
#[derive(Debug)]
pub struct Migrations(pub Vec<Migration>);

/// What the plugin has in the database; `None` if it has no record.
async fn installed(session: &Session, plugin_id: &str) -> Result<Option<Installed>, DbError> {
    let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(None) };
    let installed = Installed::of(&record)?;
    Ok(Some(installed.unwrap_or_else(|| Installed::nothing(plugin_id))))
}

fn kind_name(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Table => "table",
        DatabaseKind::Enum => "enum",
        DatabaseKind::Relation => "relation",
    }
}

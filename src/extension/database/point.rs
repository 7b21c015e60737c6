//! Tables as an extension point.

use std::sync::Arc;

use async_trait::async_trait;

use super::declare::{Declaration, from_value};
use super::model::Place;
use super::{TableSet, Tables, ddl};
use crate::error::{Error, Phase, Problem, Result};
use crate::extension::{Conflict, ExtensionPoint, Loading};
use crate::lua::bridge;
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::DatabaseKind;
use crate::store::Session;
use crate::store::plugins::{self, OwnedTables, PluginChanges, PluginRecord};

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
    }

    fn assemble(&self, _: &[Arc<Generation>], _: &mut Parts) -> Result<(), Vec<Conflict>> {
        Ok(())
    }

    async fn install(&self, generation: &Generation, session: &Session) -> Result<()> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(()) };
        let owned = ddl::create(session, tables.set()).await?;
        remember(session, generation.plugin_id(), owned).await
    }

    async fn upgrade(&self, generation: &Generation, session: &Session) -> Result<()> {
        let Some(tables) = generation.parts.get::<Tables>() else { return Ok(()) };
        let plugin_id = generation.plugin_id();
        let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(()) };
        let owned = ddl::add_missing(session, tables.set(), &record.tables).await?;
        if owned == record.tables {
            return Ok(());
        }
        remember(session, plugin_id, owned).await
    }

    async fn downgrade(&self, before: &PluginRecord, session: &Session) -> Result<()> {
        let plugin_id = &before.plugin_id;
        let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(()) };
        if record.tables == before.tables {
            return Ok(());
        }
        let mut added = record.tables;
        added.tables.retain(|table| !before.tables.tables.contains(table));
        added.indexes.retain(|index| !before.tables.indexes.contains(index));
        ddl::drop(session, &added).await?;
        remember(session, plugin_id, before.tables.clone()).await
    }

    async fn uninstall(&self, plugin_id: &str, session: &Session) -> Result<()> {
        let Some(record) = plugins::by_plugin_id(session, plugin_id).await? else { return Ok(()) };
        ddl::drop(session, &record.tables).await?;
        remember(session, plugin_id, OwnedTables::default()).await
    }
}

/// Keeps in the plugin's record what it owns, so that it can be dropped without the folder.
async fn remember(session: &Session, plugin_id: &str, owned: OwnedTables) -> Result<()> {
    let record = plugins::by_plugin_id(session, plugin_id).await?;
    let record = record.ok_or_else(|| Error::unexpected(format!("no record of {plugin_id}")))?;
    let changes = PluginChanges { tables: Some(owned), ..PluginChanges::default() };
    plugins::update(session, &record.id, changes).await?;
    Ok(())
}

fn kind_name(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Table => "table",
        DatabaseKind::Enum => "enum",
        DatabaseKind::Relation => "relation",
    }
}

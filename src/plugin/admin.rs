//! The administrators' GraphQL: the fields of the original's admin API over the plugin manager.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::directory::{PluginView, error_value};
use super::manager::Manager;
use super::package::Package;
use super::services;
use super::update::Update;
use crate::audit;
use crate::error::{Error, Result};
use crate::extension::graphql::hosted::{self, described, input, object, ty};
use crate::extension::graphql::{
    Auth, Declarations, EnumDef, EnumValueDef, FieldDef, InputValueDef, Operation, Resolver,
    RootField, TypeDef, for_fn,
};
use crate::store::plugins::PluginFilter;
use crate::value::{Map, Value};

/// The types and fields, each resolved by the manager that `manager` gives once the host has one.
pub fn declarations(manager: ManagerCell) -> Arc<Declarations> {
    let types = vec![
        TypeDef::Enum(EnumDef {
            name: "PluginStatus".into(),
            description: Some("How a plugin is doing.".into()),
            values: ["LOADING", "ACTIVE", "INACTIVE", "ERROR"].map(EnumValueDef::new).into(),
            place: None,
        }),
        plugin_type(&manager),
        services::state_type(),
        services::object_type(),
        object("PluginError", "Something that went wrong with a plugin.", ERROR_FIELDS),
        input(
            "QueryPluginsInput",
            &[("pluginId", "String"), ("isActivated", "Boolean"), ("isInstalled", "Boolean")],
        ),
        input("QueryPluginInput", &[("id", "String!")]),
        input("CreatePluginInput", &[("pluginId", "String!")]),
        input("InstallPluginInput", &[("pluginId", "String!")]),
        input(
            "UpdatePluginInput",
            &[
                ("id", "String!"),
                ("pluginId", "String"),
                ("isActivated", "Boolean"),
                ("isInstalled", "Boolean"),
                ("backup", "Boolean"),
                ("monitor", "Boolean"),
            ],
        ),
        input("DeletePluginInput", &[("id", "String!")]),
        input("ReloadPluginInput", &[("pluginId", "String!")]),
        input("SetPluginConfigInput", &[("pluginId", "String!"), ("config", "JSON!")]),
        input("UploadPluginZipInput", &[("pluginZip", "Upload!"), ("activate", "Boolean")]),
        input("GrantPluginInput", &[("pluginId", "String!"), ("permissions", "JSON!")]),
    ];
    let m = manager;
    let fields = vec![
        query(&m, "getPlugins", "[Plugin!]", "QueryPluginsInput", "All plugins that fit.", list),
        query(&m, "getPluginById", "Plugin", "QueryPluginInput!", "One plugin.", by_id),
        mutation(&m, "createPlugin", "CreatePluginInput!", "Makes a record.", create),
        mutation(&m, "installPlugin", "InstallPluginInput!", "Installs a plugin.", install),
        mutation(
            &m,
            "updatePlugin",
            "UpdatePluginInput!",
            "Changes a record; isInstalled and isActivated drive the plugin's life.",
            update,
        ),
        mutation(
            &m,
            "deletePlugin",
            "DeletePluginInput!",
            "Uninstalls a plugin and removes its folder and record.",
            delete,
        ),
        mutation(
            &m,
            "uploadPluginZip",
            "UploadPluginZipInput!",
            "Takes in a zip of a plugin's folder: installs it, or upgrades what is there.",
            upload,
        ),
        mutation(&m, "reloadPlugin", "ReloadPluginInput!", "Reads the folder again.", reload),
        mutation(
            &m,
            "setPluginConfig",
            "SetPluginConfigInput!",
            "Replaces the plugin's configuration; an active plugin is loaded again with it.",
            configure,
        ),
        mutation(
            &m,
            "grantPlugin",
            "GrantPluginInput!",
            "Replaces what the plugin is granted.",
            grant,
        ),
    ];
    hosted::declarations(types, fields)
}

/// Where the resolvers find the manager, which is made after the schema's declarations.
#[derive(Clone, Default)]
pub struct ManagerCell(Arc<std::sync::OnceLock<Manager>>);

impl ManagerCell {
    /// Sets the manager, once.
    pub fn set(&self, manager: Manager) {
        // A second one would mean two hosts with one set of declarations, which nobody makes.
        let _ = self.0.set(manager);
    }

    fn get(&self) -> Result<Manager> {
        self.0.get().cloned().ok_or_else(|| Error::unexpected("the plugin manager is not there"))
    }
}

/// How long a client may wait for an operation on a plugin. It goes on if it takes longer.
const LONGEST_STEP: Duration = Duration::from_secs(2 * 3600);

const PLUGIN_FIELDS: &[(&str, &str)] = &[
    ("id", "ID!"),
    ("pluginId", "String!"),
    ("isActivated", "Boolean!"),
    ("isInstalled", "Boolean!"),
    ("backup", "Boolean!"),
    ("monitor", "Boolean!"),
    ("createdAt", "DateTime!"),
    ("updatedAt", "DateTime"),
    ("status", "PluginStatus!"),
    ("name", "String"),
    ("version", "String"),
    ("description", "String"),
    ("author", "String"),
    ("manifest", "JSON"),
    ("errorMessage", "String"),
    ("errors", "[PluginError!]!"),
    ("generation", "Int!"),
    ("permissions", "JSON"),
    ("grantedPermissions", "JSON"),
    ("config", "JSON"),
];

const ERROR_FIELDS: &[(&str, &str)] = &[
    ("phase", "String!"),
    ("message", "String!"),
    ("file", "String"),
    ("line", "Int"),
    ("at", "DateTime!"),
];

fn plugin_type(cell: &ManagerCell) -> TypeDef {
    let mut plugin = object("Plugin", "A plugin and what is known about it.", PLUGIN_FIELDS);
    let table_plan =
        computed(cell, |manager, id| async move { manager.table_plan(&id).await }.boxed());
    let services = computed(cell, |manager, id| {
        async move { Ok(services::values(&manager.containers().services(&id))) }.boxed()
    });
    let table_plan = described(
        "tablePlan",
        "JSON",
        "What the version in the plugin's folder would change in the database: changes, migrations, refused \
         and sql.",
    )
    .resolver(table_plan);
    let services = described(
        "services",
        "[PluginService!]!",
        "The container services of a plugin that is active.",
    )
    .resolver(services);
    if let TypeDef::Object(object) = &mut plugin {
        object.fields.extend([table_plan, services]);
    }
    plugin
}

type Computed = fn(Manager, String) -> BoxFuture<'static, Result<Value>>;

/// Resolves a field of `Plugin` by the plugin's id.
fn computed(cell: &ManagerCell, compute: Computed) -> Arc<dyn Resolver> {
    let cell = cell.clone();
    for_fn(move |parent, _, _| {
        let cell = cell.clone();
        let id = parent.get("pluginId").and_then(Value::as_str).map(str::to_owned);
        async move {
            let Some(id) = id else { return Ok(Value::Null) };
            compute(cell.get()?, id).await
        }
        .boxed()
    })
}

type Handler = fn(Manager, Map) -> BoxFuture<'static, Result<Value>>;

fn root(
    cell: &ManagerCell,
    operation: Operation,
    (name, returns, takes, description): (&str, &str, &str, &str),
    handler: Handler,
) -> RootField {
    let cell = cell.clone();
    let resolver = for_fn(move |_, mut args, cx| {
        let cell = cell.clone();
        let actor: Arc<str> = match &cx.user {
            Some(user) => format!("{} ({})", user.email_address, user.id).into(),
            None => "nobody".into(),
        };
        async move {
            let input = match args.shift_remove("input") {
                Some(Value::Map(input)) => input,
                _ => Map::new(),
            };
            audit::acting(actor, handler(cell.get()?, input)).await
        }
        .boxed()
    });
    let mut field = FieldDef::new(name, ty(returns))
        .arg(InputValueDef::new("input", ty(takes)))
        .resolver(resolver);
    field.description = Some(description.to_owned());
    if operation == Operation::Mutation {
        // Steps of a plugin's life have limits of their own; an image may take minutes.
        field.time_limit = Some(LONGEST_STEP);
    }
    RootField { operation, field, auth: Auth::Administrator }
}

fn query(
    cell: &ManagerCell,
    name: &str,
    returns: &str,
    takes: &str,
    description: &str,
    handler: Handler,
) -> RootField {
    root(cell, Operation::Query, (name, returns, takes, description), handler)
}

fn mutation(
    cell: &ManagerCell,
    name: &str,
    takes: &str,
    description: &str,
    handler: Handler,
) -> RootField {
    root(cell, Operation::Mutation, (name, "Plugin", takes, description), handler)
}

// --- resolvers -------------------------------------------------------------------------------------

fn list(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let filter = PluginFilter {
            plugin_id: text(&input, "pluginId"),
            is_activated: flag(&input, "isActivated"),
            is_installed: flag(&input, "isInstalled"),
        };
        let views = manager.directory().list(&filter).await?;
        Ok(Value::List(views.iter().map(plugin_value).collect()))
    }
    .boxed()
}

fn by_id(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move { Ok(plugin_value(&find(&manager, &input).await?)) }.boxed()
}

fn create(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let view = manager.create(&required(&input, "pluginId")?).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("pluginId"))
    }
    .boxed()
}

fn install(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let view = manager.install(&required(&input, "pluginId")?, false).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("pluginId"))
    }
    .boxed()
}

fn upload(manager: Manager, mut input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let activate = flag(&input, "activate").unwrap_or(false);
        let content = match input.get_mut("pluginZip") {
            Some(Value::Map(file)) => match file.get_mut("content") {
                Some(Value::Bytes(content)) => std::mem::take(content),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        let read = tokio::task::spawn_blocking(move || Package::read(&content)).await;
        let package = read.map_err(|error| Error::unexpected(error.to_string()))??;
        let view = manager.upload(package, activate).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("pluginZip"))
    }
    .boxed()
}

fn reload(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let view = manager.reload(&required(&input, "pluginId")?).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("pluginId"))
    }
    .boxed()
}

fn grant(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let permissions = input.get("permissions").cloned().unwrap_or_default();
        let permissions = serde_json::to_value(&permissions)
            .map_err(|e| Error::invalid_argument(&["input", "permissions"], e.to_string()))?;
        let view = manager.grant(&required(&input, "pluginId")?, permissions).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("pluginId"))
    }
    .boxed()
}

fn configure(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let config = input.get("config").cloned().unwrap_or_default();
        let view = manager.configure(&required(&input, "pluginId")?, config).await;
        view.map(|view| plugin_value(&view))
    }
    .boxed()
}

fn delete(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let view = find(&manager, &input).await?;
        let deleted = manager.delete(&view.record.plugin_id).await;
        deleted.map(|view| plugin_value(&view)).map_err(|error| error.about("id"))
    }
    .boxed()
}

/// All of an update happens, or none of it.
fn update(manager: Manager, input: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let found = find(&manager, &input).await?;
        let update = Update {
            plugin_id: text(&input, "pluginId"),
            backup: flag(&input, "backup"),
            monitor: flag(&input, "monitor"),
            is_installed: flag(&input, "isInstalled"),
            is_activated: flag(&input, "isActivated"),
        };
        let view = manager.update(&found.record.plugin_id, update).await;
        view.map(|view| plugin_value(&view)).map_err(|error| error.about("id"))
    }
    .boxed()
}

// --- values ----------------------------------------------------------------------------------------

fn text(input: &Map, key: &str) -> Option<String> {
    input.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn flag(input: &Map, key: &str) -> Option<bool> {
    input.get(key).and_then(Value::as_bool)
}

fn required(input: &Map, key: &str) -> Result<String> {
    match text(input, key) {
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(Error::invalid_argument(&["input", key], "It must not be empty")),
    }
}

async fn find(manager: &Manager, input: &Map) -> Result<PluginView> {
    let id = required(input, "id")?;
    if uuid::Uuid::try_parse(&id).is_err() {
        return Err(Error::invalid_argument(&["input", "id"], "It must be a UUID"));
    }
    let found = manager.directory().by_record_id(&id.to_lowercase()).await?;
    found.ok_or_else(|| Error::not_found(&["input", "id"], "There is no plugin with this id"))
}

fn plugin_value(view: &PluginView) -> Value {
    let record = &view.record;
    let manifest = view.manifest.as_deref();
    let json = |json: serde_json::Value| Value::from(&json);
    let granted = serde_json::to_value(view.granted()).unwrap_or_default();
    let message = view.errors.first().map(|error| match (&error.file, error.line) {
        (Some(file), Some(line)) => format!("{file}:{line}: {}", error.message),
        (Some(file), None) => format!("{file}: {}", error.message),
        _ => error.message.clone(),
    });
    let permissions = manifest.and_then(|m| serde_json::to_value(&m.permissions).ok());
    let entries: [(&str, Value); 20] = [
        ("id", record.id.clone().into()),
        ("pluginId", record.plugin_id.clone().into()),
        ("isActivated", record.is_activated.into()),
        ("isInstalled", record.is_installed.into()),
        ("backup", record.backup.into()),
        ("monitor", record.monitor.into()),
        ("createdAt", record.created_at.clone().into()),
        ("updatedAt", record.updated_at.clone().into()),
        ("status", view.status.as_str().into()),
        ("name", manifest.map(|m| m.name.clone()).into()),
        ("version", view.version.clone().into()),
        ("description", manifest.map(|m| m.description.clone()).into()),
        ("author", manifest.map(|m| m.author.clone()).into()),
        ("manifest", manifest.map(|m| json(m.json.clone())).into()),
        ("errorMessage", message.into()),
        ("errors", Value::List(view.errors.iter().map(error_value).collect())),
        ("generation", i64::try_from(view.generation).unwrap_or(i64::MAX).into()),
        ("permissions", permissions.map(json).into()),
        ("grantedPermissions", json(granted)),
        ("config", view.config.clone().into()),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

//! The `builder` that plugins declare their types and fields with.

use std::sync::Arc;

use mlua::{Function, UserData, UserDataMethods, Value as LuaValue, Variadic};
use parking_lot::Mutex;

use super::definition::Definition;
use super::from_table::{Direction, EnumUse};
use super::inputs::{enum_value, input_value, text, type_of};
use super::model::{
    Auth, CostDef, Declarations, EnumDef, ExtensionDef, FieldDef, InputDef, InterfaceDef,
    ObjectDef, Operation, Place, Resolve, RootField, ScalarDef, TypeDef, UnionDef,
};
use super::resolve::TypeResolver;
use super::resolvers::{
    LuaAuthCheck, LuaBatchResolver, LuaResolver, LuaScalar, LuaSubscriber, LuaTypeResolver,
    SubscriberKeys,
};
use crate::events::pubsub::{BUFFER, MAX_BUFFER, Overflow};
use crate::extension::database::TableSet;
use crate::plugin::generation::GenerationHandle;

/// What a plugin's builder functions have declared so far.
#[derive(Debug, Default)]
pub struct Collected {
    pub declarations: Declarations,
    /// Functions by the keys that the resolvers call them under.
    pub handlers: Vec<(Arc<str>, Function)>,
    /// What is wrong, and where.
    pub problems: Vec<(Option<Place>, String)>,
    /// Columns whose type is an enum that is declared once everything else is.
    pub(super) enums: Vec<EnumUse>,
}

/// The userdata; clones collect into the same place.
#[derive(Clone)]
pub struct Builder {
    plugin_id: String,
    generation: GenerationHandle,
    tables: Option<Arc<TableSet>>,
    collected: Arc<Mutex<Collected>>,
}

impl Builder {
    /// A builder for one plugin. Without `tables`, because something is wrong with them, types that
    /// are made from tables are neither declared nor looked at.
    pub fn new(
        plugin_id: &str,
        dependencies: Vec<String>,
        generation: GenerationHandle,
        tables: Option<Arc<TableSet>>,
    ) -> Self {
        let owner = plugin_id.to_owned();
        let declarations =
            Declarations { owner, is_plugin: true, dependencies, ..Default::default() };
        let collected = Collected { declarations, ..Default::default() };
        Builder {
            plugin_id: plugin_id.to_owned(),
            generation,
            tables,
            collected: Arc::new(Mutex::new(collected)),
        }
    }

    /// Everything declared, leaving nothing behind.
    pub fn take(&self) -> Collected {
        let mut collected = std::mem::take(&mut *self.collected.lock());
        super::from_table::declare_enums(&mut collected);
        collected
    }

    /// The plugin's tables, if they are all right.
    pub(super) fn tables(&self) -> Option<&TableSet> {
        self.tables.as_deref()
    }

    fn object(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let interfaces = definition.strings("interfaces");
        let fields = self.fields(definition);
        definition.finish(&["description", "interfaces", "fields"]);
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Object(ObjectDef { name, description, interfaces, fields, place })
    }

    fn interface(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let interfaces = definition.strings("interfaces");
        let fields = self.fields(definition);
        let resolve_type = self.resolve_type(definition);
        definition.finish(&["description", "interfaces", "fields", "resolveType"]);
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Interface(InterfaceDef {
            name,
            description,
            interfaces,
            fields,
            resolve_type,
            place,
        })
    }

    fn union(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let types = definition.strings("types");
        let resolve_type = self.resolve_type(definition);
        definition.finish(&["description", "types", "resolveType"]);
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Union(UnionDef { name, description, types, resolve_type, place })
    }

    fn resolve_type(&self, definition: &mut Definition) -> Option<Arc<dyn TypeResolver>> {
        let key = definition.handler("resolveType", "graphql:type")?;
        Some(Arc::new(LuaTypeResolver::new(self.generation.clone(), key)))
    }

    fn scalar(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let specified_by = definition.string("specifiedBy");
        let parse = definition.handler("parse", "graphql:parse");
        let serialize = definition.handler("serialize", "graphql:serialize");
        definition.finish(&["description", "specifiedBy", "parse", "serialize"]);
        let codec = Arc::new(LuaScalar::new(self.generation.clone(), parse, serialize));
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Scalar(ScalarDef { name, description, specified_by, codec, place })
    }

    fn extension(&self, definition: &mut Definition) -> ExtensionDef {
        let fields = self.fields(definition);
        definition.finish(&["fields"]);
        ExtensionDef { of: definition.name.clone(), fields, place: definition.place.clone() }
    }

    fn input(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let one_of = definition.flag("oneOf");
        let fields = definition.entries("fields");
        definition.finish(&["description", "oneOf", "fields"]);
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| input_value(definition, &name, &value))
            .collect();
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Input(InputDef { name, description, one_of, fields, place })
    }

    fn fields(&self, definition: &mut Definition) -> Vec<FieldDef> {
        let owner = definition.name.clone();
        let fields = definition.entries("fields");
        fields
            .into_iter()
            .filter_map(|(name, value)| {
                self.field(definition, &owner, &name, &value, &[], |_| ()).map(|(field, ())| field)
            })
            .collect()
    }

    fn enumeration(&self, definition: &mut Definition) -> TypeDef {
        let description = definition.string("description");
        let values = definition.list("values");
        definition.finish(&["description", "values"]);
        let values = values.iter().filter_map(|value| enum_value(definition, value)).collect();
        let (name, place) = (definition.name.clone(), definition.place.clone());
        TypeDef::Enum(EnumDef { name, description, values, place })
    }

    /// A field of `owner`. It is a type string, or a table with more to say; `further` reads the
    /// keys in `known` that only this kind of field has.
    pub(super) fn field<T>(
        &self,
        definition: &mut Definition,
        owner: &str,
        name: &str,
        value: &LuaValue,
        known: &[&str],
        further: impl FnOnce(&mut Definition) -> T,
    ) -> Option<(FieldDef, T)> {
        let what = format!("{owner}.{name}");
        let mut own = definition.inner(&what, value)?;
        let ty = type_of(&mut own);
        let description = own.string("description");
        let deprecated = own.string("deprecated");
        let args = own
            .entries("args")
            .into_iter()
            .filter_map(|(name, value)| input_value(&mut own, &name, &value))
            .collect();
        let resolver = self.resolver(&mut own, known);
        let cost = CostDef { own: own.count("cost"), list_size: own.count("listSize") };
        let more = further(&mut own);
        let common =
            ["type", "description", "deprecated", "args", "resolve", "batch", "cost", "listSize"];
        own.finish(&[&common, known].concat());
        let place = own.place.clone();
        definition.absorb(own);
        let mut field = FieldDef::new(name, ty?);
        (field.description, field.deprecated) = (description, deprecated);
        (field.args, field.resolver, field.cost, field.place) = (args, resolver, cost, place);
        Some((field, more))
    }

    fn resolver(&self, own: &mut Definition, known: &[&str]) -> Option<Resolve> {
        let generation = || self.generation.clone();
        let one = own.handler("resolve", "graphql");
        let batch = own.handler("batch", "graphql:batch");
        let subscribes = known.contains(&"subscribe");
        if one.is_some() && batch.is_some() {
            own.problem("it has both \"resolve\" and \"batch\"; one of them must do");
        }
        if subscribes && (one.is_some() || batch.is_some()) {
            own.problem("a subscription has \"subscribe\", and perhaps \"filter\" and \"map\"");
        }
        if subscribes {
            return self.subscriber(own);
        }
        if let Some(key) = one {
            return Some(Resolve::One(Arc::new(LuaResolver::new(generation(), key))));
        }
        let key = batch?;
        Some(Resolve::Batch(Arc::new(LuaBatchResolver::new(generation(), key))))
    }

    fn subscriber(&self, own: &mut Definition) -> Option<Resolve> {
        let subscribe = own.handler("subscribe", "graphql:subscribe");
        let filter = own.handler("filter", "graphql:filter");
        let map = own.handler("map", "graphql:map");
        let capacity =
            own.count("buffer").map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        if capacity.is_some_and(|capacity| !(1..=MAX_BUFFER).contains(&capacity)) {
            own.problem(&format!("\"buffer\" must be from 1 to {MAX_BUFFER}"));
        }
        let overflow = match own.string("overflow").as_deref() {
            None | Some("end") => Overflow::End,
            Some("dropOldest") => Overflow::DropOldest,
            Some(_) => {
                own.problem("\"overflow\" must be \"end\" or \"dropOldest\"");
                Overflow::End
            }
        };
        let Some(subscribe) = subscribe else {
            own.problem("it needs a \"subscribe\" function");
            return None;
        };
        let capacity = capacity.unwrap_or(BUFFER);
        let generation = self.generation.clone();
        let keys = SubscriberKeys { subscribe, filter, map };
        let subscriber = LuaSubscriber::new(generation, keys, capacity, overflow);
        Some(Resolve::Subscribe(Arc::new(subscriber)))
    }

    fn root_field(&self, operation: Operation, definition: &mut Definition) -> Option<RootField> {
        let name = format!("{}_{}", self.plugin_id, definition.name);
        let value = LuaValue::Table(definition.table.clone());
        let root = operation.type_name();
        let known: &[&str] = match operation {
            Operation::Subscription => {
                &["auth", "subscribe", "filter", "map", "buffer", "overflow"]
            }
            _ => &["auth"],
        };
        let (field, auth) = self.field(definition, root, &name, &value, known, |own| {
            let has_resolver = !own.value("resolve").is_nil() || !own.value("batch").is_nil();
            if !has_resolver && operation != Operation::Subscription {
                own.problem("it needs a \"resolve\" function");
            }
            self.auth(own, &name)
        })?;
        Some(RootField { operation, field, auth })
    }

    fn auth(&self, definition: &mut Definition, name: &str) -> Auth {
        match definition.value("auth") {
            LuaValue::Nil => Auth::User,
            LuaValue::Function(function) => {
                let key: Arc<str> = format!("graphql:auth:{name}").into();
                definition.handlers.push((Arc::clone(&key), function));
                Auth::Custom(Arc::new(LuaAuthCheck::new(self.generation.clone(), key)))
            }
            LuaValue::String(s) if s == "public" => Auth::Public,
            LuaValue::String(s) if s == "user" => Auth::User,
            LuaValue::String(s) if s == "administrator" => Auth::Administrator,
            _ => {
                definition.problem(
                    "\"auth\" must be \"public\", \"user\", \"administrator\" or a function",
                );
                Auth::Administrator
            }
        }
    }

    /// Reads one declaration with `read` and keeps what it gives.
    fn declare(
        &self,
        lua: &mlua::Lua,
        method: &str,
        args: Variadic<LuaValue>,
        read: impl FnOnce(&mut Definition, &mut Declarations),
    ) -> mlua::Result<()> {
        let [LuaValue::String(name), LuaValue::Table(table)] = &args[..] else {
            return Err(mlua::Error::runtime(format!(
                "builder:{method} takes a name and a table: builder:{method}(\"Name\", {{ … }})"
            )));
        };
        let definition = Definition::new(text(name)?, table.clone(), calling_place(lua));
        self.collect(definition, |definition, to| read(definition, &mut to.declarations));
        Ok(())
    }

    /// Reads a definition with `read` and keeps what was found in it.
    pub(super) fn collect(
        &self,
        mut definition: Definition,
        read: impl FnOnce(&mut Definition, &mut Collected),
    ) {
        let mut collected = self.collected.lock();
        read(&mut definition, &mut collected);
        collected.handlers.append(&mut definition.handlers);
        collected.problems.append(&mut definition.problems);
    }
}

impl UserData for Builder {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("objectType", |lua, this, args| {
            this.declare(lua, "objectType", args, |definition, to| {
                to.types.push(this.object(definition));
            })
        });
        methods.add_method("inputType", |lua, this, args| {
            this.declare(lua, "inputType", args, |definition, to| {
                to.types.push(this.input(definition));
            })
        });
        methods.add_method("enumType", |lua, this, args| {
            this.declare(lua, "enumType", args, |definition, to| {
                to.types.push(this.enumeration(definition));
            })
        });
        methods.add_method("objectFromTable", |lua, this, args| {
            this.declare_from_table(lua, Direction::Output, args)
        });
        methods.add_method("inputFromTable", |lua, this, args| {
            this.declare_from_table(lua, Direction::Input, args)
        });
        methods.add_method("queryField", |lua, this, args| {
            this.declare(lua, "queryField", args, |definition, to| {
                to.fields.extend(this.root_field(Operation::Query, definition));
            })
        });
        methods.add_method("mutationField", |lua, this, args| {
            this.declare(lua, "mutationField", args, |definition, to| {
                to.fields.extend(this.root_field(Operation::Mutation, definition));
            })
        });
        methods.add_method("interfaceType", |lua, this, args| {
            this.declare(lua, "interfaceType", args, |definition, to| {
                to.types.push(this.interface(definition));
            })
        });
        methods.add_method("unionType", |lua, this, args| {
            this.declare(lua, "unionType", args, |definition, to| {
                to.types.push(this.union(definition));
            })
        });
        methods.add_method("scalarType", |lua, this, args| {
            this.declare(lua, "scalarType", args, |definition, to| {
                to.types.push(this.scalar(definition));
            })
        });
        methods.add_method("extendType", |lua, this, args| {
            this.declare(lua, "extendType", args, |definition, to| {
                to.extensions.push(this.extension(definition));
            })
        });
        methods.add_method("subscriptionField", |lua, this, args| {
            this.declare(lua, "subscriptionField", args, |definition, to| {
                to.fields.extend(this.root_field(Operation::Subscription, definition));
            })
        });
        methods.add_meta_method(mlua::MetaMethod::Index, |_, _, key: LuaValue| {
            let key = key.to_string()?;
            let methods = [
                "objectType",
                "inputType",
                "enumType",
                "interfaceType",
                "unionType",
                "scalarType",
                "extendType",
                "objectFromTable",
                "inputFromTable",
                "queryField",
                "mutationField",
                "subscriptionField",
            ];
            Err::<LuaValue, _>(mlua::Error::runtime(format!(
                "builder has no method \"{key}\"; it has {}",
                methods.join(", ")
            )))
        });
    }
}

/// Where the plugin called the builder.
pub(super) fn calling_place(lua: &mlua::Lua) -> Option<Place> {
    (1..8).find_map(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let file = source.source.filter(|_| source.what != "C")?;
            let line = u32::try_from(debug.current_line()?).ok()?;
            Some(Place { file: file.trim_start_matches('=').to_owned(), line })
        })
        .flatten()
    })
}

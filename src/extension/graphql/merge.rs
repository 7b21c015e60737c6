//! Object types with everything that others add to them: the fields of their interfaces, and those of
//! extensions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::model::{Declarations, FieldDef, InterfaceDef, TypeDef};

type Interfaces<'d> = HashMap<&'d str, (&'d str, &'d InterfaceDef)>;

/// The declarations with interfaces and extensions put into the types. What the checks refuse must have
/// been refused before.
pub(super) fn merged(sets: &[Arc<Declarations>]) -> Vec<Arc<Declarations>> {
    let mut interfaces = Interfaces::new();
    let mut extensions: HashMap<&str, BTreeMap<&str, (&str, &FieldDef)>> = HashMap::new();
    for set in sets {
        for def in &set.types {
            if let TypeDef::Interface(def) = def {
                interfaces.entry(&def.name).or_insert((&set.owner, def));
            }
        }
        for extension in &set.extensions {
            let fields = extensions.entry(&extension.of).or_default();
            fields.extend(extension.fields.iter().map(|f| (f.name.as_str(), (&*set.owner, f))));
        }
    }
    if interfaces.is_empty() && extensions.is_empty() {
        return sets.to_vec();
    }
    let merge = |set: &Arc<Declarations>| {
        let types = set.types.iter().map(|def| match def {
            TypeDef::Object(def) => {
                let mut def = def.clone();
                let all = implemented(&def.interfaces, &interfaces);
                inherit(&mut def.fields, &all, &set.owner, &interfaces);
                def.interfaces = all;
                for (owner, field) in extensions.get(&*def.name).into_iter().flatten().map(|f| f.1)
                {
                    let added_by = Some((*owner).into());
                    def.fields.push(FieldDef { added_by, ..(*field).clone() });
                }
                TypeDef::Object(def)
            }
            TypeDef::Interface(def) => {
                let mut def = def.clone();
                let all = implemented(&def.interfaces, &interfaces);
                inherit(&mut def.fields, &all, &set.owner, &interfaces);
                def.interfaces = all;
                TypeDef::Interface(def)
            }
            other => other.clone(),
        });
        Arc::new(Declarations { types: types.collect(), extensions: Vec::new(), ..(**set).clone() })
    };
    sets.iter().map(merge).collect()
}

/// The interfaces of a type with those that they implement, sorted.
fn implemented(own: &[String], interfaces: &Interfaces<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open: Vec<&String> = own.iter().collect();
    while let Some(name) = open.pop() {
        if !all.contains(name) {
            all.push(name.clone());
            open.extend(interfaces.get(name.as_str()).iter().flat_map(|(_, def)| &def.interfaces));
        }
    }
    all.sort();
    all
}

/// Takes over the fields that a type does not declare itself.
fn inherit(
    fields: &mut Vec<FieldDef>,
    implements: &[String],
    owner: &str,
    interfaces: &Interfaces<'_>,
) {
    for name in implements {
        let Some((declared_by, interface)) = interfaces.get(name.as_str()) else { continue };
        for field in &interface.fields {
            if fields.iter().all(|own| own.name != field.name) {
                let foreign = *declared_by != owner && field.resolver.is_some();
                let added_by = foreign.then(|| (*declared_by).into());
                fields.push(FieldDef { added_by, ..field.clone() });
            }
        }
    }
}

//! Writing down the host's own types and fields.

use std::sync::Arc;

use super::{
    Declarations, FieldDef, HOST, InputDef, InputValueDef, ObjectDef, RootField, TypeDef, TypeRef,
};

/// Everything that one part of the host declares.
pub fn declarations(types: Vec<TypeDef>, fields: Vec<RootField>) -> Arc<Declarations> {
    Arc::new(Declarations { owner: HOST.into(), types, fields, ..Default::default() })
}

/// A type that is written right.
///
/// # Panics
/// If it is not: it is in the program's text, which every start of a host reads.
pub fn ty(text: &str) -> TypeRef {
    TypeRef::parse(text).expect("the host's own types are written right; every host uses them")
}

/// A field with a description.
pub fn described(name: &str, of: &str, description: &str) -> FieldDef {
    let mut field = FieldDef::new(name, ty(of));
    field.description = Some(description.to_owned());
    field
}

/// An object of fields that speak for themselves: names and types.
pub fn object(name: &str, description: &str, fields: &[(&str, &str)]) -> TypeDef {
    let fields = fields.iter().map(|(name, of)| FieldDef::new(*name, ty(of))).collect();
    let (name, description) = (name.to_owned(), Some(description.to_owned()));
    TypeDef::Object(ObjectDef { name, description, fields, ..Default::default() })
}

/// An object of fields with descriptions: names, types, descriptions.
pub fn described_object(name: &str, description: &str, fields: &[(&str, &str, &str)]) -> TypeDef {
    let fields = fields.iter().map(|(name, of, what)| described(name, of, what)).collect();
    let (name, description) = (name.to_owned(), Some(description.to_owned()));
    TypeDef::Object(ObjectDef { name, description, fields, ..Default::default() })
}

/// An input of these names and types.
pub fn input(name: &str, fields: &[(&str, &str)]) -> TypeDef {
    let fields = fields.iter().map(|(name, of)| InputValueDef::new(*name, ty(of))).collect();
    TypeDef::Input(InputDef { name: name.into(), fields, ..Default::default() })
}

//! Whether fields under one response key give values of one shape, whatever types the objects turn out to
//! have (SameResponseShape, section 5.3.2). Where there are only object types this cannot fail, so it is
//! looked at only in schemas with interfaces or unions.

use std::collections::HashSet;

use async_graphql::Positioned;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    ExecutableDocument, Field as FieldNode, Selection as SelectionNode, SelectionSet,
};

use super::response::GraphqlError;
use super::tables::{Type, Types};
use super::types::TypeRef;
use crate::error::code;

type Groups<'a> = IndexMap<&'a str, Vec<(TypeRef, &'a Positioned<FieldNode>)>>;

/// The conflicts in a selection of the type `parent`. Fragment cycles must have been refused before.
pub(super) fn conflicts(
    types: &Types,
    document: &ExecutableDocument,
    parent: &str,
    set: &SelectionSet,
) -> Vec<GraphqlError> {
    let mut shapes = Shapes { types, document, errors: Vec::new() };
    shapes.merged(&[(parent.to_owned(), set)]);
    shapes.errors
}

struct Shapes<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
    errors: Vec<GraphqlError>,
}

impl<'a> Shapes<'a> {
    fn merged(&mut self, sets: &[(String, &'a SelectionSet)]) {
        let mut groups = Groups::new();
        let mut visited = HashSet::new();
        for (parent, set) in sets {
            self.collect(parent, set, &mut visited, &mut groups);
        }
        for (key, fields) in groups {
            let Some((first, rest)) = fields.split_first() else { continue };
            for other in rest {
                if !self.fit(&first.0, &other.0) {
                    let message = format!(
                        "Fields \"{key}\" conflict because they return conflicting types \"{}\" and \
                         \"{}\". Use different aliases on the fields to fetch both if this was \
                         intentional.",
                        first.0, other.0
                    );
                    let error = GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message);
                    self.errors.push(error.at(first.1.pos).at(other.1.pos));
                }
            }
            let below: Vec<(String, &'a SelectionSet)> = fields
                .iter()
                .filter(|(_, node)| !node.node.selection_set.node.items.is_empty())
                .map(|(ty, node)| (ty.name().to_owned(), &node.node.selection_set.node))
                .collect();
            if !below.is_empty() {
                self.merged(&below);
            }
        }
    }

    /// All fields, whatever the conditions on types are.
    fn collect(
        &self,
        parent: &str,
        set: &'a SelectionSet,
        visited: &mut HashSet<&'a str>,
        groups: &mut Groups<'a>,
    ) {
        for item in &set.items {
            match &item.node {
                SelectionNode::Field(field) => {
                    let ty = match self.types.get(parent) {
                        Some(Type::Object(object)) => {
                            object.fields.get(field.node.name.node.as_str()).map(|f| f.ty.clone())
                        }
                        Some(Type::Abstract(of)) => {
                            of.fields.get(field.node.name.node.as_str()).cloned()
                        }
                        _ => None,
                    };
                    // Introspection has no conflicts of this kind, and others report what is unknown.
                    if let Some(ty) = ty {
                        let key = field.node.response_key().node.as_str();
                        groups.entry(key).or_default().push((ty, field));
                    }
                }
                SelectionNode::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name)
                        && visited.insert(name.as_str())
                    {
                        let on = &fragment.node.type_condition.node.on.node;
                        self.collect(on, &fragment.node.selection_set.node, visited, groups);
                    }
                }
                SelectionNode::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(parent, |condition| &condition.node.on.node);
                    self.collect(on, &inline.node.selection_set.node, visited, groups);
                }
            }
        }
    }

    fn fit(&self, a: &TypeRef, b: &TypeRef) -> bool {
        match (a, b) {
            (TypeRef::NonNull(a), TypeRef::NonNull(b)) => self.fit(a, b),
            (TypeRef::List(a), TypeRef::List(b)) => self.fit(a, b),
            (TypeRef::Named(a), TypeRef::Named(b)) => {
                a == b || (self.is_composite(a) && self.is_composite(b))
            }
            _ => false,
        }
    }

    fn is_composite(&self, name: &str) -> bool {
        matches!(self.types.get(name), Some(Type::Object(_) | Type::Abstract(_)))
    }
}

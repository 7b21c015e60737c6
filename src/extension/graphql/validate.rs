//! Validation: the library's rules, behind a guard for what they cannot bear, and followed by what
//! they do not cover.

use std::collections::HashMap;

use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Selection as SelectionNode, SelectionSet, Type as ParsedType,
};
use async_graphql::{Pos, Positioned, ServerError};

use super::coerce::{Coercer, Variables, type_ref};
use super::limits::{QueryLimits, exceeded};
use super::response::{GraphqlError, Location, path_text};
use super::stock::Stock;
use super::tables::Types;
use crate::error::code;
use crate::nearest::hint;

/// Fields are never nested deeper, whatever the limit is: several walks over them recurse.
pub const MAX_DEPTH: usize = 32;

/// Nor are fields and fragments together.
const MAX_LEVELS: usize = 64;

/// How many selections an operation may come to when all fragments are spread out. Some rules of
/// the library walk through every spread, so a few fragments that spread each other twice would
/// otherwise keep it busy for ever.
const MAX_SELECTIONS: usize = 10_000;

/// What must be known of a document before the library may see it: that it ends, that it is not
/// deep or large, and that variables have types.
pub(super) fn guard(
    types: &Types,
    document: &ExecutableDocument,
    limits: &QueryLimits,
) -> Vec<GraphqlError> {
    let mut errors = Vec::new();
    let mut measure = Measure { document, fragments: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        let size = match measure.set(&operation.node.selection_set.node) {
            Ok(size) => size,
            Err((message, pos)) => {
                errors.push(invalid(message).at(pos));
                continue;
            }
        };
        let aliased = format!("has {} aliases", size.aliases);
        let directed = format!("has {} directives", size.directives);
        let nested = format!("is nested {} levels deep", size.depth);
        let sizes = [
            ("depth", nested, size.depth, limits.depth.min(MAX_DEPTH)),
            ("aliases", aliased, size.aliases, limits.aliases),
            (
                "directives",
                directed,
                size.directives + operation.node.directives.len(),
                limits.directives,
            ),
        ];
        for (limit, what, found, allowed) in sizes {
            if found > allowed {
                let error = exceeded(limit, &what, found as u64, allowed as u64);
                errors.push(error.at(operation.pos));
            }
        }
        if size.levels > MAX_LEVELS {
            let message = format!(
                "Fields and fragments are nested {} levels deep; at most {MAX_LEVELS} are allowed.",
                size.levels
            );
            errors.push(invalid(message).at(operation.pos));
        }
        if size.selections > MAX_SELECTIONS {
            let message =
                format!("The operation selects more than {MAX_SELECTIONS} fields and fragments.");
            errors.push(invalid(message).at(operation.pos));
        } else if let Some(pos) = deep_introspection(document, &operation.node.selection_set, 0) {
            let message = "Introspection is nested too deep: each list of fields multiplies it.";
            errors.push(invalid(message).at(pos));
        }
        for definition in &operation.node.variable_definitions {
            let name = innermost(&definition.node.var_type.node);
            if types.get(name).is_none() {
                let hint = hint(name, types.types.keys().map(|name| &**name));
                let message = format!("Unknown type \"{name}\".{hint}");
                errors.push(invalid(message).at(definition.node.var_type.pos));
            }
        }
    }
    // Fragments that no operation uses are walked through too.
    for (name, fragment) in &document.fragments {
        if errors.is_empty()
            && let Err((message, pos)) = measure.fragment(name.as_str(), fragment.pos)
        {
            errors.push(invalid(message).at(pos));
        }
    }
    sort(&mut errors);
    errors
}

/// Lists in introspection that may be nested in each other. Tools need two (a type's fields, and
/// their arguments, which are no such list); each further one multiplies the answer by the schema.
const MAX_INTROSPECTION_LISTS: usize = 3;

/// Where lists of introspection are nested too deep. The number of selections has been bounded.
fn deep_introspection(
    document: &ExecutableDocument,
    set: &Positioned<SelectionSet>,
    lists: usize,
) -> Option<Pos> {
    set.node.items.iter().find_map(|item| match &item.node {
        SelectionNode::Field(field) => {
            let lists = match field.node.name.node.as_str() {
                // Only what is below these is introspection; elsewhere a field may have any name.
                "__schema" | "__type" => 1,
                "fields" | "inputFields" | "interfaces" | "possibleTypes" if lists > 0 => lists + 1,
                _ => lists,
            };
            match lists > MAX_INTROSPECTION_LISTS {
                true => Some(field.pos),
                false => deep_introspection(document, &field.node.selection_set, lists),
            }
        }
        SelectionNode::InlineFragment(inline) => {
            deep_introspection(document, &inline.node.selection_set, lists)
        }
        SelectionNode::FragmentSpread(spread) => {
            let fragment = document.fragments.get(&spread.node.fragment_name.node)?;
            deep_introspection(document, &fragment.node.selection_set, lists)
        }
    })
}

/// What planning all operations of a document found out.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub errors: Vec<GraphqlError>,
    /// Variables that conditions use. The library does not see them on `__typename`.
    pub used: Vec<String>,
    /// Variables that are allowed where they are because the position has a default. The library
    /// does not know this rule.
    pub allowed_by_default: Vec<String>,
}

impl Planned {
    /// Whether the library is wrong about something, or says less than we do.
    fn overrules(&self, message: &str) -> bool {
        let subject = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
        if message.starts_with("Invalid value for argument")
            || message.starts_with("Invalid default value")
        {
            return !self.errors.is_empty();
        }
        if let Some(rest) = message.strip_prefix("Variable \"$")
            && message.contains("\" is not used")
        {
            return self.used.contains(&subject(rest));
        }
        if let Some(rest) = message.strip_prefix("Variable \"")
            && message.contains("used in position")
        {
            let name = subject(rest);
            let ours = format!("Variable \"${name}\" of type");
            return self.allowed_by_default.contains(&name)
                || self.errors.iter().any(|error| error.message.contains(&ours));
        }
        // The library knows a part of these conflicts, in nearly the same words.
        message.starts_with("Fields ")
            && self.errors.iter().any(|error| error.message.starts_with("Fields \""))
    }
}

/// The library's verdict and that of the planner, which went through all operations.
pub(super) fn verdict(
    types: &Types,
    stock: &Stock,
    document: &ExecutableDocument,
    mut planned: Planned,
) -> Vec<GraphqlError> {
    planned.errors.extend(defaults(types, document));
    let mut errors: Vec<GraphqlError> = stock
        .validate(document)
        .into_iter()
        .filter(|error| !planned.overrules(&error.message))
        .map(from_stock)
        .collect();
    errors.extend(planned.errors);
    sort(&mut errors);
    // The library goes over the document twice.
    errors.dedup();
    errors
}

/// An error of validation.
pub(super) fn invalid(message: impl Into<String>) -> GraphqlError {
    GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message)
}

fn from_stock(error: ServerError) -> GraphqlError {
    let mut own = invalid(error.message);
    own.locations = error.locations.into_iter().map(Location::from).collect();
    own
}

/// Documents keep fragments in a hash map; the order of the text is the same every time.
fn sort(errors: &mut [GraphqlError]) {
    errors.sort_by(|a, b| a.locations.cmp(&b.locations).then_with(|| a.message.cmp(&b.message)));
}

fn defaults(types: &Types, document: &ExecutableDocument) -> Vec<GraphqlError> {
    let mut errors = Vec::new();
    for (_, operation) in document.operations.iter() {
        for definition in &operation.node.variable_definitions {
            let Some(default) = &definition.node.default_value else { continue };
            let ty = type_ref(&definition.node.var_type.node);
            let mut coercer = Coercer::new(types);
            coercer.literal(&ty, &default.node.clone().into_value(), Variables::Unknown(&[]));
            for issue in coercer.issues {
                let at = match issue.path.is_empty() {
                    true => String::new(),
                    false => format!(" at \"{}\"", path_text(&issue.path)),
                };
                let message = format!(
                    "The default of variable \"${}\" is invalid{at}: {}",
                    definition.node.name.node, issue.message
                );
                errors.push(invalid(message).at(default.pos));
            }
        }
    }
    errors
}

fn innermost(ty: &ParsedType) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => innermost(inner),
    }
}

/// The size of a selection set with all fragments spread out.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Of fields in fields.
    depth: usize,
    /// Of fields and fragments in each other.
    levels: usize,
    selections: usize,
    aliases: usize,
    directives: usize,
}

struct Measure<'d> {
    document: &'d ExecutableDocument,
    /// `None` while a fragment is being measured: meeting it again is a cycle.
    fragments: HashMap<&'d str, Option<Size>>,
}

impl<'d> Measure<'d> {
    fn set(&mut self, set: &'d SelectionSet) -> Result<Size, (String, Pos)> {
        let mut size = Size::default();
        for item in &set.items {
            let inner = match &item.node {
                SelectionNode::Field(field) => self.set(&field.node.selection_set.node)?,
                SelectionNode::InlineFragment(inline) => {
                    self.set(&inline.node.selection_set.node)?
                }
                SelectionNode::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str(), item.pos)?
                }
            };
            let is_aliased =
                matches!(&item.node, SelectionNode::Field(f) if f.node.alias.is_some());
            let add = |a: usize, b: usize, c: usize| a.saturating_add(b).saturating_add(c);
            let is_field = matches!(&item.node, SelectionNode::Field(_));
            size.depth = size.depth.max(inner.depth + usize::from(is_field));
            size.levels = size.levels.max(inner.levels + 1);
            size.selections = add(size.selections, inner.selections, 1);
            size.aliases = add(size.aliases, inner.aliases, usize::from(is_aliased));
            let directives = item.node.directives().len();
            size.directives = add(size.directives, inner.directives, directives);
        }
        Ok(size)
    }

    /// An unknown fragment has no size; the library reports it.
    fn fragment(&mut self, name: &str, pos: Pos) -> Result<Size, (String, Pos)> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Ok(Size::default());
        };
        match self.fragments.get(name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err((format!("Cannot spread fragment \"{name}\" within itself."), pos));
            }
            None => {}
        }
        self.fragments.insert(name.as_str(), None);
        let size = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name.as_str(), Some(size));
        Ok(size)
    }
}

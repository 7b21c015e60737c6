//! Making plans: fields looked up, fragments merged, constant arguments coerced.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field as FieldNode, OperationDefinition,
    OperationType, Selection as SelectionNode, SelectionSet, VariableDefinition,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value as Literal;
use indexmap::{IndexMap, IndexSet};

use super::coerce::{Coercer, Variables};
use super::model::Resolve;
use super::plan::{Args, Below, DeclaredField, FieldId, FieldKind, Plan, PlanField, Selection};
use super::response::{GraphqlError, path_text};
use super::tables::{Field, ObjectType, OutputType, Types};
use super::variables::check_constraints;
use crate::error::code;
use crate::value::{Map, Value};

/// How many fields a plan may have. Interfaces and unions multiply them by their types.
const MAX_PLANNED: usize = 50_000;

/// How a planner decides `@skip` and `@include`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Conditions<'v> {
    /// Ignores them, as validation does.
    Ignored,
    /// By these coerced variables.
    Known(&'v Map),
}

/// Makes plans.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
    conditions: Conditions<'a>,
    /// What validation should have refused; see [`super::validate`].
    pub errors: Vec<GraphqlError>,
    /// The variables that conditions depend on.
    pub condition_variables: IndexSet<&'a str>,
    /// Whether the operation has conditions that are constants.
    pub constant_conditions: bool,
    /// The variables that are allowed where they are only because the position has a default.
    pub allowed_by_default: Vec<String>,
    definitions: &'a [Positioned<VariableDefinition>],
    /// What has been planned, by the nodes that a selection was collected from and its type.
    made: HashMap<(Vec<usize>, Arc<str>), Arc<Selection>>,
    planned: usize,
    owners: BTreeSet<Arc<str>>,
    time_limit: Option<Duration>,
}

type Group<'a> = Vec<&'a Positioned<FieldNode>>;

impl<'a> Planner<'a> {
    pub(super) fn new(
        types: &'a Types,
        document: &'a ExecutableDocument,
        conditions: Conditions<'a>,
    ) -> Self {
        Planner {
            types,
            document,
            conditions,
            errors: Vec::new(),
            condition_variables: IndexSet::new(),
            constant_conditions: false,
            allowed_by_default: Vec::new(),
            definitions: &[],
            made: HashMap::new(),
            planned: 0,
            owners: BTreeSet::new(),
            time_limit: None,
        }
    }

    /// Plans an operation. Fragment cycles must have been refused before.
    pub(super) fn plan(&mut self, operation: &'a Positioned<OperationDefinition>) -> Plan {
        self.definitions = &operation.node.variable_definitions;
        let root = match operation.node.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let Some(object) = self.types.object_type(root) else {
            return Plan {
                root: Arc::default(),
                owners: Vec::new(),
                time_limit: None,
                introspection: None,
            };
        };
        let set = &operation.node.selection_set.node;
        let mut groups = IndexMap::new();
        self.collect(object, set, &mut HashSet::new(), &mut groups);
        let introspection = introspection(self.document, operation, &groups);
        let is_validating = matches!(self.conditions, Conditions::Ignored);
        if is_validating && operation.node.ty == OperationType::Subscription {
            self.one_field(operation, &groups);
        }
        if is_validating && self.types.has_abstract() {
            for error in super::shapes::conflicts(self.types, self.document, root, set) {
                self.error(error);
            }
        }
        let root = Arc::new(self.selection(object, groups));
        if self.planned > MAX_PLANNED {
            let message = format!(
                "The operation comes to more than {MAX_PLANNED} fields for all types that its \
                 interfaces and unions may turn out to be."
            );
            let error = GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message);
            self.error(error.at(operation.pos));
        }
        let owners = std::mem::take(&mut self.owners).into_iter().collect();
        Plan { root, owners, time_limit: self.time_limit, introspection }
    }

    /// A subscription has one field (section 5.2.4).
    fn one_field(
        &mut self,
        operation: &'a Positioned<OperationDefinition>,
        groups: &IndexMap<&'a str, Group<'a>>,
    ) {
        let name = match &operation_name(self.document, operation) {
            Some(name) => format!("Subscription \"{name}\""),
            None => "Anonymous Subscription".to_owned(),
        };
        let mut nodes = groups.values().filter_map(|group| group.first());
        let message = match (nodes.next(), nodes.next()) {
            (_, Some(second)) => {
                (format!("{name} must select only one top level field."), second.pos)
            }
            (Some(only), None) if only.node.name.node.starts_with("__") => {
                (format!("{name} must not select an introspection top level field."), only.pos)
            }
            _ => return,
        };
        let (message, pos) = message;
        self.error(GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message).at(pos));
    }

    /// CollectFields: groups the fields under their response keys.
    fn collect(
        &mut self,
        object: &ObjectType,
        set: &'a SelectionSet,
        visited: &mut HashSet<&'a str>,
        groups: &mut IndexMap<&'a str, Group<'a>>,
    ) {
        for item in &set.items {
            if !self.included(item.node.directives()) {
                continue;
            }
            match &item.node {
                SelectionNode::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    groups.entry(key).or_default().push(field);
                }
                SelectionNode::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if !visited.insert(name.as_str()) {
                        continue;
                    }
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if object.is_a(&fragment.node.type_condition.node.on.node) {
                        self.collect(object, &fragment.node.selection_set.node, visited, groups);
                    }
                }
                SelectionNode::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    if condition.is_none_or(|condition| object.is_a(&condition.node.on.node)) {
                        self.collect(object, &fragment.node.selection_set.node, visited, groups);
                    }
                }
            }
        }
    }

    fn included(&mut self, directives: &'a [Positioned<Directive>]) -> bool {
        let mut included = true;
        for directive in directives {
            let wanted = match directive.node.name.node.as_str() {
                "include" => true,
                "skip" => false,
                _ => continue,
            };
            let condition = directive.node.get_argument("if").map(|value| &value.node);
            let value = match condition {
                Some(Literal::Variable(name)) => {
                    self.condition_variables.insert(name.as_str());
                    match self.conditions {
                        Conditions::Ignored => continue,
                        Conditions::Known(variables) => {
                            variables.get(name.as_str()).and_then(Value::as_bool)
                        }
                    }
                }
                Some(Literal::Boolean(value)) => {
                    self.constant_conditions = true;
                    Some(*value)
                }
                // Validation has reported it.
                _ => None,
            };
            included &= value == Some(wanted);
        }
        included || matches!(self.conditions, Conditions::Ignored)
    }

    fn selection(
        &mut self,
        object: &ObjectType,
        groups: IndexMap<&'a str, Group<'a>>,
    ) -> Selection {
        let mut selection = Selection::default();
        for (key, nodes) in groups {
            let Some(first) = nodes.first().copied() else { continue };
            self.conflicts(key, &nodes);
            let Some(kind) = self.field(object, first, &nodes) else { continue };
            if let FieldKind::Declared(declared) = &kind {
                let index = selection.fields.len();
                if declared.field.resolver.is_some() {
                    selection.resolved.push(index);
                } else if declared.waits {
                    selection.waiting.push(index);
                }
                if let Some(Resolve::Batch(_)) = declared.field.resolver {
                    selection.batches.push(FieldId::of(&declared.field));
                }
                selection.batches.extend(declared.below.batches());
            }
            selection.fields.push(PlanField { key: key.into(), pos: first.pos, kind });
        }
        selection.batches.sort_unstable();
        selection.batches.dedup();
        self.planned += selection.fields.len();
        mark_last_readers(&mut selection);
        selection
    }

    /// `None` if there is no such field, which validation reports.
    fn field(
        &mut self,
        object: &ObjectType,
        node: &'a Positioned<FieldNode>,
        nodes: &[&'a Positioned<FieldNode>],
    ) -> Option<FieldKind> {
        let name = node.node.name.node.as_str();
        match name {
            "__typename" => {
                self.plain_type_name(nodes);
                return Some(FieldKind::TypeName(object.name.clone()));
            }
            "__schema" | "__type" => {
                return (&*object.name == "Query").then_some(FieldKind::Introspection);
            }
            _ => {}
        }
        let field = object.fields.get(name)?.clone();
        let args = self.args(&field, node);
        self.owners.insert(field.owner.clone());
        self.time_limit = self.time_limit.max(field.time_limit);
        let (below, mut waits) = match field.output.innermost() {
            OutputType::Custom(scalar) => {
                self.owners.insert(scalar.owner.clone());
                (Below::Nothing, true)
            }
            OutputType::Object(of) => {
                let of = self.types.object_type(of)?.clone();
                (Below::One(self.below(&of, nodes)), false)
            }
            OutputType::Abstract(of) => {
                self.owners.insert(of.owner.clone());
                let by_type = of.possible.iter().filter_map(|name| {
                    let object = self.types.object_type(name)?.clone();
                    Some((name.clone(), self.below(&object, nodes)))
                });
                (Below::ByType(by_type.collect()), of.resolver.is_some())
            }
            _ => (Below::Nothing, false),
        };
        waits |= below.selections().any(|selection| selection.waits());
        let declared = DeclaredField { field, args, below, waits, last_reader: false };
        Some(FieldKind::Declared(Box::new(declared)))
    }

    /// What nodes select of an object type.
    fn below(
        &mut self,
        object: &Arc<ObjectType>,
        nodes: &[&'a Positioned<FieldNode>],
    ) -> Arc<Selection> {
        if self.planned > MAX_PLANNED {
            return Arc::default();
        }
        let key: (Vec<usize>, Arc<str>) = (
            nodes.iter().map(|node| std::ptr::from_ref(*node) as usize).collect(),
            object.name.clone(),
        );
        if let Some(made) = self.made.get(&key) {
            return Arc::clone(made);
        }
        let mut visited = HashSet::new();
        let mut groups = IndexMap::new();
        for node in nodes {
            let set = &node.node.selection_set.node;
            self.collect(object, set, &mut visited, &mut groups);
        }
        let selection = Arc::new(self.selection(object, groups));
        self.made.insert(key, Arc::clone(&selection));
        selection
    }

    fn args(&mut self, field: &Field, node: &Positioned<FieldNode>) -> Args {
        let written = &node.node.arguments;
        let dynamic = written.iter().any(|(_, value)| has_variable(&value.node));
        let mut coercer = Coercer::new(self.types);
        let map = coercer.arguments(&field.args, written, Variables::Unknown(self.definitions));
        self.allowed_by_default.append(&mut coercer.allowed_by_default);
        for issue in std::mem::take(&mut coercer.issues) {
            // The issue's first step is the argument.
            let pos = issue
                .path
                .first()
                .and_then(|first| {
                    let first = path_text(std::slice::from_ref(first));
                    written.iter().find(|(name, _)| name.node.as_str() == first)
                })
                .map_or(node.pos, |(_, value)| value.pos);
            let message = format!("Argument \"{}\": {}", path_text(&issue.path), issue.message);
            self.error(GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message).at(pos));
        }
        match dynamic {
            true => Args::Dynamic(written.clone()),
            false => {
                let refused = check_constraints(self.types, field, &map).err().map(Box::new);
                Args::Constant { args: map, custom: coercer.custom, refused }
            }
        }
    }

    /// Fields with one response key must be the same field with the same arguments (section
    /// 5.3.2). Since there is one object type here, comparing with the first is enough.
    fn conflicts(&mut self, key: &str, nodes: &[&Positioned<FieldNode>]) {
        let Some((first, rest)) = nodes.split_first() else { return };
        for other in rest {
            let reason = if first.node.name.node != other.node.name.node {
                let (a, b) = (&first.node.name.node, &other.node.name.node);
                format!("\"{a}\" and \"{b}\" are different fields")
            } else if !same_arguments(&first.node, &other.node) {
                "they have differing arguments".to_owned()
            } else {
                continue;
            };
            let message = format!(
                "Fields \"{key}\" conflict because {reason}. Use different aliases on the fields \
                 to fetch both if this was intentional."
            );
            let error = GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message);
            self.error(error.at(first.pos).at(other.pos));
        }
    }

    /// The library does not look into `__typename`.
    fn plain_type_name(&mut self, nodes: &[&Positioned<FieldNode>]) {
        for node in nodes {
            let message = if let Some((name, _)) = node.node.arguments.first() {
                format!("Unknown argument \"{}\" on field \"__typename\".", name.node)
            } else if !node.node.selection_set.node.items.is_empty() {
                "Field \"__typename\" must not have a selection since type \"String!\" has no \
                 subfields."
                    .to_owned()
            } else {
                continue;
            };
            self.error(GraphqlError::new(code::GRAPHQL_VALIDATION_FAILED, message).at(node.pos));
        }
    }

    /// A fragment that is spread twice has its errors once.
    fn error(&mut self, error: GraphqlError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

fn mark_last_readers(selection: &mut Selection) {
    let mut read = HashSet::new();
    for field in selection.fields.iter_mut().rev() {
        if let FieldKind::Declared(declared) = &mut field.kind
            && declared.field.resolver.is_none()
        {
            declared.last_reader = read.insert(declared.field.name.clone());
        }
    }
}

fn has_variable(literal: &Literal) -> bool {
    match literal {
        Literal::Variable(_) => true,
        Literal::List(items) => items.iter().any(has_variable),
        Literal::Object(entries) => entries.values().any(has_variable),
        _ => false,
    }
}

fn same_arguments(a: &FieldNode, b: &FieldNode) -> bool {
    a.arguments.len() == b.arguments.len()
        && a.arguments.iter().all(|(name, value)| {
            b.get_argument(&name.node).is_some_and(|other| other.node == value.node)
        })
}

fn introspection<'a>(
    document: &ExecutableDocument,
    operation: &Positioned<OperationDefinition>,
    groups: &IndexMap<&'a str, Group<'a>>,
) -> Option<ExecutableDocument> {
    if operation.node.ty != OperationType::Query {
        return None;
    }
    let items: Vec<Positioned<SelectionNode>> = groups
        .values()
        .flatten()
        .filter(|field| matches!(field.node.name.node.as_str(), "__schema" | "__type"))
        .map(|field| Positioned::new(SelectionNode::Field((*field).clone()), field.pos))
        .collect();
    if items.is_empty() {
        return None;
    }
    let set = Positioned::new(SelectionSet { items }, operation.node.selection_set.pos);
    let definition = OperationDefinition { selection_set: set, ..operation.node.clone() };
    Some(ExecutableDocument {
        operations: DocumentOperations::Single(Positioned::new(definition, operation.pos)),
        fragments: document.fragments.clone(),
    })
}

fn operation_name<'a>(
    document: &'a ExecutableDocument,
    operation: &Positioned<OperationDefinition>,
) -> Option<&'a Name> {
    document
        .operations
        .iter()
        .find(|(_, other)| other.pos == operation.pos)
        .and_then(|(name, _)| name)
}

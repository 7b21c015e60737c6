//! Whether the defaults that are declared fit their types.

use super::check::Checker;
use super::coerce::Coercer;
use super::constraints::check_default;
use super::model::{
    Declarations, FieldDef, InputValueDef, InterfaceDef, ObjectDef, Place, TypeDef,
};
use super::response::path_text;
use super::tables::Types;

impl<'d> Checker<'d> {
    pub(super) fn defaults(&mut self, set: &'d Declarations, tables: &Types) {
        for def in &set.types {
            match def {
                TypeDef::Object(ObjectDef { name, fields, place, .. })
                | TypeDef::Interface(InterfaceDef { name, fields, place, .. }) => {
                    for field in fields {
                        let place = field.place.as_ref().or(place.as_ref());
                        self.argument_defaults(name, field, place, tables);
                    }
                }
                TypeDef::Input(def) => {
                    for field in &def.fields {
                        let at = format!("the field \"{}.{}\"", def.name, field.name);
                        self.default_value(&at, field, def.place.as_ref(), tables);
                    }
                }
                TypeDef::Enum(_) | TypeDef::Union(_) | TypeDef::Scalar(_) => {}
            }
        }
        for root in &set.fields {
            let parent = root.operation.type_name();
            self.argument_defaults(parent, &root.field, root.field.place.as_ref(), tables);
        }
    }

    fn argument_defaults(
        &mut self,
        parent: &str,
        field: &'d FieldDef,
        place: Option<&Place>,
        tables: &Types,
    ) {
        for arg in &field.args {
            let at = format!("the argument \"{}\" of \"{parent}.{}\"", arg.name, field.name);
            self.default_value(&at, arg, place, tables);
        }
    }

    fn default_value(
        &mut self,
        at: &str,
        def: &InputValueDef,
        place: Option<&Place>,
        tables: &Types,
    ) {
        let Some(default) = &def.default else { return };
        let mut coercer = Coercer::new(tables);
        let value = coercer.value(&def.ty, default);
        let mut issues = coercer.issues;
        if issues.is_empty() {
            issues = check_default(tables, &tables.input(def), &value);
        }
        for issue in issues {
            let within = match issue.path.is_empty() {
                true => String::new(),
                false => format!(" at \"{}\"", path_text(&issue.path)),
            };
            let message = format!(
                "the default of {at} does not fit the type \"{}\"{within}: {}",
                def.ty, issue.message
            );
            self.problem(place, message);
        }
    }
}

//! What names, addresses and passwords must be.

use crate::error::{Error, Result};
use crate::extension::graphql::Format;
use crate::value::{Map, Value};

const MAX_NAME: usize = 200;
const MAX_EMAIL: usize = 254;
/// As NIST SP 800-63B says for passwords that people choose.
const MIN_PASSWORD: usize = 8;
/// In bytes: hashing takes time for each.
const MAX_PASSWORD: usize = 1_024;

/// Collects what is wrong with the fields of an input.
#[derive(Default)]
pub struct Issues(Vec<Value>);

impl Issues {
    /// A name, without the spaces around it.
    pub fn name(&mut self, name: &str) -> String {
        let name = name.trim();
        let length = name.chars().count();
        if !(1..=MAX_NAME).contains(&length) || name.chars().any(char::is_control) {
            let message = format!("It must have 1 to {MAX_NAME} characters, none of them control");
            self.add("name", &message);
        }
        name.to_owned()
    }

    /// An email address, without the spaces around it.
    pub fn email(&mut self, address: &str) -> String {
        let address = address.trim();
        if address.len() > MAX_EMAIL || !Format::Email.fits(address) {
            self.add("emailAddress", "It must be an email address");
        }
        address.to_owned()
    }

    /// A new password.
    pub fn password(&mut self, password: &str) {
        if password.chars().count() < MIN_PASSWORD || password.len() > MAX_PASSWORD {
            let message = format!(
                "It must have at least {MIN_PASSWORD} characters, and at most {MAX_PASSWORD} bytes"
            );
            self.add("password", &message);
        }
    }

    fn add(&mut self, field: &str, message: &str) {
        let mut issue = Map::new();
        let path = vec![Value::from("input"), Value::from(field)];
        issue.insert("argumentPath".into(), Value::List(path));
        issue.insert("message".into(), message.into());
        self.0.push(Value::Map(issue));
    }

    /// # Errors
    /// `invalid_arguments` with all of it.
    pub fn done(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let message = "You have provided invalid arguments for this action";
        let error = Error::new(crate::error::code::INVALID_ARGUMENTS, message);
        Err(error.with("issues", Value::List(self.0)))
    }
}

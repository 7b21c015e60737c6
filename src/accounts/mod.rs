//! Accounts: who may sign in, and what the host's operations on them do.
//!
//! Creating, changing and deleting an account runs the hooks of `user:create`, `user:update` and
//! `user:delete`. A password is in none of their payloads.

mod authenticator;
mod check;
mod graphql;
pub mod jwt;
mod password;
mod setup;
mod throttle;
mod token;

use std::time::Duration;

use futures_util::FutureExt as _;
use uuid::Uuid;

pub use authenticator::AccountAuthenticator;
pub use graphql::declarations;
pub use setup::{Setup, routes as setup_routes};

use self::check::Issues;
use self::throttle::Throttle;
use crate::error::{Error, Result, code};
use crate::events::operation::run_operation;
use crate::request::{RequestContext, Role};
use crate::services::ServicesCell;
use crate::store::users::{self, UserChanges, UserRecord, email_key};
use crate::store::{DbError, DbErrorKind, Session};
use crate::value::{Map, Value};

/// What the host does with accounts.
pub struct Accounts {
    services: ServicesCell,
    throttle: Throttle,
    options: AccountOptions,
}

/// How accounts are used.
#[derive(Debug, Clone, Copy)]
pub struct AccountOptions {
    /// Whether everybody may make one.
    pub sign_up: bool,
    /// How long a token is valid.
    pub lifetime: Duration,
    /// Whether there is an administrator besides the accounts.
    pub has_admin_token: bool,
}

/// A person to make an account for.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: String,
    pub email_address: String,
    pub password: String,
    pub role: Role,
}

/// What [`Accounts::update`] changes; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    pub name: Option<String>,
    pub email_address: Option<String>,
    pub password: Option<String>,
    pub role: Option<Role>,
}

impl Accounts {
    /// The accounts of the host that `services` are of.
    pub fn new(services: ServicesCell, options: AccountOptions) -> Self {
        Accounts { services, throttle: Throttle::default(), options }
    }

    fn session(&self) -> Result<Session> {
        Ok(self.services.get()?.store.session())
    }

    /// Makes an account and signs in to it.
    ///
    /// # Errors
    /// What is wrong with the fields, that the address has an account, or a veto of a plugin.
    pub async fn sign_up(
        &self,
        new: NewUser,
        request: &RequestContext,
    ) -> Result<(String, UserRecord)> {
        if !self.options.sign_up {
            let message = "New accounts are made by administrators";
            return Err(Error::new("sign_up_closed", message));
        }
        self.throttle.sign_up(request.info.ip)?;
        let user = self.create(new, Some(request)).await?;
        Ok((self.issue(&user.id).await?, user))
    }

    /// Gives a token to who knows the password.
    ///
    /// # Errors
    /// `unauthenticated` without saying whether there is such an account; or that there were too many
    /// attempts.
    pub async fn sign_in(
        &self,
        email_address: &str,
        password: String,
        request: &RequestContext,
    ) -> Result<(String, UserRecord)> {
        let email_address = email_address.trim();
        let key = email_key(email_address);
        self.throttle.sign_in(&key, request.info.ip)?;
        let user = users::by_email(&self.session()?, email_address).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let is_right = password::verify(password, hash).await?;
        match user.filter(|_| is_right) {
            Some(user) => {
                self.throttle.signed_in(&key, request.info.ip);
                Ok((self.issue(&user.id).await?, user))
            }
            None => {
                let ip = request.info.ip.map(|ip| ip.to_string());
                tracing::info!(request = %request.info.id, ip, "a sign-in failed");
                let message = "The email address or the password is wrong";
                Err(Error::new(code::UNAUTHENTICATED, message))
            }
        }
    }

    /// Ends the token that a request was made with; `false` if it was not one of an account.
    ///
    /// # Errors
    /// When the database cannot do it.
    pub async fn sign_out(&self, request: &RequestContext) -> Result<bool> {
        let Some(bearer) = &request.info.bearer else { return Ok(false) };
        Ok(users::end_token(&self.session()?, &token::digest(bearer.expose())).await?)
    }

    /// A new token in place of the one that a request was made with.
    ///
    /// # Errors
    /// When that was not one of an account.
    pub async fn rotate(&self, request: &RequestContext) -> Result<(String, UserRecord)> {
        let session = self.session()?;
        let none = || {
            let message = "Only the token of an account can be exchanged for a new one";
            Error::new(code::UNAUTHENTICATED, message)
        };
        let bearer = request.info.bearer.as_ref().ok_or_else(none)?;
        let digest = token::digest(bearer.expose());
        let user = users::by_token(&session, &digest).await?.ok_or_else(none)?;
        // Of two that exchange the same token, one gets a new one.
        if !users::end_token(&session, &digest).await? {
            return Err(none());
        }
        Ok((self.issue(&user.id).await?, user))
    }

    async fn issue(&self, user_id: &str) -> Result<String> {
        let token = token::new();
        let lifetime = i64::try_from(self.options.lifetime.as_millis()).unwrap_or(i64::MAX / 4);
        users::add_token(&self.session()?, &token::digest(&token), user_id, lifetime).await?;
        Ok(token)
    }

    /// The account of a token that is valid.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn by_token(&self, token: &str) -> Result<Option<UserRecord>> {
        Ok(users::by_token(&self.session()?, &token::digest(token)).await?)
    }

    /// The account with this id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn by_id(&self, id: &str) -> Result<Option<UserRecord>> {
        Ok(users::by_id(&self.session()?, id).await?)
    }

    /// Whether somebody can administer this host.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn has_administrator(&self) -> Result<bool> {
        Ok(self.options.has_admin_token || users::administrators(&self.session()?).await? > 0)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// What is wrong with the fields, that the address has an account, or a veto of a plugin.
    pub async fn create(
        &self,
        new: NewUser,
        request: Option<&RequestContext>,
    ) -> Result<UserRecord> {
        let mut issues = Issues::default();
        let (name, email_address) = (issues.name(&new.name), issues.email(&new.email_address));
        issues.password(&new.password);
        issues.done()?;
        // Before it takes time: hashing does, and so may hooks.
        if users::by_email(&self.session()?, &email_address).await?.is_some() {
            return Err(taken());
        }
        let hash = password::hash(new.password).await?;
        let role = new.role;
        let mut data = Map::new();
        data.insert("name".into(), name.into());
        data.insert("emailAddress".into(), email_address.into());
        data.insert("role".into(), role.as_str().into());
        let services = self.services.get()?;
        let user = run_operation(&services, request, "user:create", data, move |session, data| {
            async move {
                unchanged(&data, "role", Some(&role.as_str().into()))?;
                let (name, email) = (changed(&data, "name")?, changed(&data, "emailAddress")?);
                let mut issues = Issues::default();
                let (name, email) = (issues.name(&name), issues.email(&email));
                issues.done()?;
                let id = Uuid::new_v4().to_string();
                let made = users::insert(&session, &id, &name, &email, role, Some(&hash)).await;
                let made = made.map_err(or_taken)?;
                let mut payload = data;
                payload.extend(payload_of(&made));
                Ok((made, payload))
            }
            .boxed()
        });
        let user = user.await?;
        tracing::info!(user = user.id, role = user.role.as_str(), "account created");
        Ok(user)
    }

    /// Changes an account. Another password or role ends all its tokens.
    ///
    /// # Errors
    /// What is wrong with the fields, that there is no such account, that it is the last administrator,
    /// or a veto of a plugin.
    pub async fn update(
        &self,
        id: &str,
        update: UserUpdate,
        request: &RequestContext,
    ) -> Result<UserRecord> {
        let before = self.by_id(id).await?.ok_or_else(missing)?;
        let mut issues = Issues::default();
        let name = update.name.map(|name| issues.name(&name));
        let email = update.email_address.map(|address| issues.email(&address));
        if let Some(password) = &update.password {
            issues.password(password);
        }
        issues.done()?;
        let hash = match update.password {
            Some(password) => Some(password::hash(password).await?),
            None => None,
        };
        let role = update.role.filter(|role| *role != before.role);
        let mut data = Map::new();
        data.insert("id".into(), before.id.clone().into());
        for (key, value) in [("name", name), ("emailAddress", email)] {
            if let Some(value) = value {
                data.insert(key.into(), value.into());
            }
        }
        if let Some(role) = role {
            data.insert("role".into(), role.as_str().into());
        }
        let keep_one = !self.options.has_admin_token;
        let services = self.services.get()?;
        let event = "user:update";
        let user = run_operation(&services, Some(request), event, data, move |session, data| {
            async move {
                let id = before.id;
                unchanged(&data, "id", Some(&id.as_str().into()))?;
                unchanged(&data, "role", role.map(|role| role.as_str().into()).as_ref())?;
                let mut issues = Issues::default();
                let name = text(&data, "name").map(|name| issues.name(&name));
                let email_address = text(&data, "emailAddress").map(|email| issues.email(&email));
                issues.done()?;
                if role.is_some() || hash.is_some() {
                    users::end_tokens(&session, &id).await?;
                }
                let changes = UserChanges { name, email_address, role, password_hash: hash };
                let made = users::update(&session, &id, changes).await.map_err(or_taken)?;
                let made = made.ok_or_else(missing)?;
                if before.role == Role::Administrator && keep_one {
                    one_is_left(&session).await?;
                }
                let mut payload = data;
                payload.extend(payload_of(&made));
                Ok((made, payload))
            }
            .boxed()
        });
        user.await
    }

    /// Removes an account, with its tokens, and gives it as it was.
    ///
    /// # Errors
    /// That there is no such account, that it is the last administrator, or a veto of a plugin.
    pub async fn delete(&self, id: &str, request: &RequestContext) -> Result<UserRecord> {
        let user = self.by_id(id).await?.ok_or_else(missing)?;
        let data = payload_of(&user);
        let keep_one = !self.options.has_admin_token;
        let services = self.services.get()?;
        let event = "user:delete";
        let gone = run_operation(&services, Some(request), event, data, move |session, data| {
            async move {
                unchanged(&data, "id", Some(&user.id.as_str().into()))?;
                if !users::delete(&session, &user.id).await? {
                    return Err(missing());
                }
                if user.role == Role::Administrator && keep_one {
                    one_is_left(&session).await?;
                }
                Ok((user, data))
            }
            .boxed()
        });
        let gone = gone.await?;
        tracing::info!(user = gone.id, "account deleted");
        Ok(gone)
    }
}

/// What hooks are told of an account.
fn payload_of(user: &UserRecord) -> Map {
    let entries: [(&str, Value); 4] = [
        ("id", user.id.as_str().into()),
        ("name", user.name.as_str().into()),
        ("emailAddress", user.email_address.as_str().into()),
        ("role", user.role.as_str().into()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text(data: &Map, key: &str) -> Option<String> {
    data.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn changed(data: &Map, key: &str) -> Result<String> {
    text(data, key).ok_or_else(|| Error::unexpected(format!("a hook removed {key} of a user")))
}

/// A plugin must not make administrators, or turn an operation against another account.
fn unchanged(data: &Map, key: &str, wanted: Option<&Value>) -> Result<()> {
    if data.get(key) == wanted {
        return Ok(());
    }
    Err(Error::unexpected(format!("a hook changed {key} of a user, which hooks may not")))
}

async fn one_is_left(session: &Session) -> Result<()> {
    if users::administrators(session).await? > 0 {
        return Ok(());
    }
    let message = "This is the last administrator";
    Err(Error::new(code::FORBIDDEN_ON_ARGUMENTS, message).about("id"))
}

fn missing() -> Error {
    Error::not_found(&["input", "id"], "There is no user with this id")
}

fn taken() -> Error {
    let message = "This email address has an account already";
    Error::new(code::FORBIDDEN_ON_ARGUMENTS, message).about("emailAddress")
}

fn or_taken(error: DbError) -> Error {
    match error.kind {
        DbErrorKind::UniqueViolation => taken(),
        _ => error.into(),
    }
}

//! The GraphQL of accounts.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Accounts, NewUser, UserUpdate};
use crate::error::{Error, Result};
use crate::extension::graphql::hosted::{self, input, object, ty};
use crate::extension::graphql::{
    Auth, Declarations, EnumDef, EnumValueDef, FieldDef, InputValueDef, Operation, RootField,
    TypeDef, for_fn,
};
use crate::request::{RequestContext, Role};
use crate::store::users::UserRecord;
use crate::value::{Map, Value};

/// The types and fields.
pub fn declarations(accounts: &Arc<Accounts>) -> Arc<Declarations> {
    let types = vec![
        TypeDef::Enum(EnumDef {
            name: "UserRole".into(),
            description: Some("What a user may do.".into()),
            values: ["administrator", "regular"].map(EnumValueDef::new).into(),
            place: None,
        }),
        object(
            "User",
            "Somebody who may sign in.",
            &[
                ("id", "ID!"),
                ("name", "String!"),
                ("emailAddress", "String!"),
                ("role", "UserRole!"),
                ("createdAt", "DateTime!"),
                ("updatedAt", "DateTime"),
            ],
        ),
        object(
            "AuthenticationPayload",
            "A token, which goes into the header \"Authorization: Bearer TOKEN\", and whose it is.",
            &[("authenticationToken", "String!"), ("user", "User!")],
        ),
        input(
            "SignUpInput",
            &[("name", "String!"), ("emailAddress", "String!"), ("password", "String!")],
        ),
        input("SignInInput", &[("emailAddress", "String!"), ("password", "String!")]),
        input(
            "CreateUserInput",
            &[
                ("name", "String!"),
                ("emailAddress", "String!"),
                ("password", "String!"),
                ("role", "UserRole!"),
            ],
        ),
        input(
            "UpdateUserInput",
            &[
                ("id", "ID!"),
                ("name", "String"),
                ("emailAddress", "String"),
                ("password", "String"),
                ("role", "UserRole"),
            ],
        ),
        input("DeleteUserInput", &[("id", "ID!")]),
    ];
    let (query, mutation) = (Operation::Query, Operation::Mutation);
    let fields = vec![
        field(
            accounts,
            (query, Auth::Public),
            ("currentUser", "User", None, "Who makes this request; null for an anonymous caller."),
            current_user,
        ),
        field(
            accounts,
            (mutation, Auth::Public),
            ("signUp", "AuthenticationPayload", Some("SignUpInput!"), "Makes an account."),
            sign_up,
        ),
        field(
            accounts,
            (mutation, Auth::Public),
            ("signIn", "AuthenticationPayload", Some("SignInInput!"), "Gives a token."),
            sign_in,
        ),
        field(
            accounts,
            (mutation, Auth::User),
            ("signOut", "Boolean!", None, "Ends the token of this request."),
            sign_out,
        ),
        field(
            accounts,
            (mutation, Auth::User),
            (
                "rotateToken",
                "AuthenticationPayload",
                None,
                "Gives a new token in place of the one of this request.",
            ),
            rotate,
        ),
        field(
            accounts,
            (mutation, Auth::Administrator),
            ("createUser", "User", Some("CreateUserInput!"), "Makes an account."),
            create,
        ),
        field(
            accounts,
            (mutation, Auth::Administrator),
            (
                "updateUser",
                "User",
                Some("UpdateUserInput!"),
                "Changes an account. Another password or role ends all its tokens.",
            ),
            update,
        ),
        field(
            accounts,
            (mutation, Auth::Administrator),
            ("deleteUser", "User", Some("DeleteUserInput!"), "Removes an account."),
            delete,
        ),
    ];
    hosted::declarations(types, fields)
}

type Handler = for<'a> fn(&'a Accounts, Map, &'a RequestContext) -> BoxFuture<'a, Result<Value>>;

fn field(
    accounts: &Arc<Accounts>,
    (operation, auth): (Operation, Auth),
    (name, returns, takes, description): (&str, &str, Option<&str>, &str),
    handler: Handler,
) -> RootField {
    let accounts = Arc::clone(accounts);
    let resolver = for_fn(move |_, mut args, cx| {
        let accounts = Arc::clone(&accounts);
        async move {
            let input = match args.shift_remove("input") {
                Some(Value::Map(input)) => input,
                _ => Map::new(),
            };
            handler(&accounts, input, cx).await
        }
        .boxed()
    });
    let mut field = FieldDef::new(name, ty(returns)).resolver(resolver);
    if let Some(takes) = takes {
        field = field.arg(InputValueDef::new("input", ty(takes)));
    }
    field.description = Some(description.to_owned());
    RootField { operation, field, auth }
}

fn current_user<'a>(
    accounts: &'a Accounts,
    _: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move {
        let Some(user) = &cx.user else { return Ok(Value::Null) };
        if let Some(record) = accounts.by_id(&user.id).await? {
            return Ok(user_value(&record));
        }
        // Of the automation token, or known elsewhere.
        let entries: [(&str, Value); 6] = [
            ("id", user.id.as_str().into()),
            ("name", user.name.as_str().into()),
            ("emailAddress", user.email_address.as_str().into()),
            ("role", user.role.as_str().into()),
            ("createdAt", "1970-01-01T00:00:00.000Z".into()),
            ("updatedAt", Value::Null),
        ];
        Ok(Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
    }
    .boxed()
}

fn sign_up<'a>(
    accounts: &'a Accounts,
    input: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move {
        let made = accounts.sign_up(new_user(&input, Role::Regular), cx).await?;
        Ok(authenticated(made))
    }
    .boxed()
}

fn sign_in<'a>(
    accounts: &'a Accounts,
    input: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move {
        let (address, password) = (text(&input, "emailAddress"), text(&input, "password"));
        Ok(authenticated(accounts.sign_in(&address, password, cx).await?))
    }
    .boxed()
}

fn sign_out<'a>(
    accounts: &'a Accounts,
    _: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move { Ok(accounts.sign_out(cx).await?.into()) }.boxed()
}

fn rotate<'a>(
    accounts: &'a Accounts,
    _: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move { Ok(authenticated(accounts.rotate(cx).await?)) }.boxed()
}

fn create<'a>(
    accounts: &'a Accounts,
    input: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move {
        let role = role(&input).unwrap_or(Role::Regular);
        Ok(user_value(&accounts.create(new_user(&input, role), Some(cx)).await?))
    }
    .boxed()
}

fn update<'a>(
    accounts: &'a Accounts,
    input: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move {
        let given = |key: &str| input.get(key).and_then(Value::as_str).map(str::to_owned);
        let update = UserUpdate {
            name: given("name"),
            email_address: given("emailAddress"),
            password: given("password"),
            role: role(&input),
        };
        Ok(user_value(&accounts.update(&id(&input)?, update, cx).await?))
    }
    .boxed()
}

fn delete<'a>(
    accounts: &'a Accounts,
    input: Map,
    cx: &'a RequestContext,
) -> BoxFuture<'a, Result<Value>> {
    async move { Ok(user_value(&accounts.delete(&id(&input)?, cx).await?)) }.boxed()
}

fn text(input: &Map, key: &str) -> String {
    input.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn role(input: &Map) -> Option<Role> {
    match input.get("role").and_then(Value::as_str)? {
        "administrator" => Some(Role::Administrator),
        _ => Some(Role::Regular),
    }
}

fn id(input: &Map) -> Result<String> {
    match uuid::Uuid::try_parse(&text(input, "id")) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(Error::invalid_argument(&["input", "id"], "It must be a UUID")),
    }
}

fn new_user(input: &Map, role: Role) -> NewUser {
    NewUser {
        name: text(input, "name"),
        email_address: text(input, "emailAddress"),
        password: text(input, "password"),
        role,
    }
}

fn authenticated((token, user): (String, UserRecord)) -> Value {
    let mut payload = Map::new();
    payload.insert("authenticationToken".into(), token.into());
    payload.insert("user".into(), user_value(&user));
    Value::Map(payload)
}

fn user_value(user: &UserRecord) -> Value {
    let entries: [(&str, Value); 6] = [
        ("id", user.id.as_str().into()),
        ("name", user.name.as_str().into()),
        ("emailAddress", user.email_address.as_str().into()),
        ("role", user.role.as_str().into()),
        ("createdAt", user.created_at.as_str().into()),
        ("updatedAt", user.updated_at.clone().into()),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

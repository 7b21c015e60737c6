//! People who may sign in, and their tokens.

use sea_query::{Expr, ExprTrait as _, Query};

use super::deliveries::now as milliseconds_now;
use super::plugins::now;
use super::read::Cells;
use super::{Cell, DbError, DbErrorKind, Session, Statement};
use crate::request::Role;

const USERS: &str = "users";
const TOKENS: &str = "tokens";
const COLUMNS: [&str; 7] =
    ["id", "name", "email_address", "role", "password_hash", "created_at", "updated_at"];

/// An account.
#[derive(Debug, Clone, PartialEq)]
pub struct UserRecord {
    /// A UUID, lower-case.
    pub id: String,
    pub name: String,
    pub email_address: String,
    pub role: Role,
    /// In the PHC format. `None`: nobody can sign in with a password.
    pub password_hash: Option<String>,
    /// RFC 3339, UTC, milliseconds.
    pub created_at: String,
    pub updated_at: Option<String>,
}

/// What [`update`] changes; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UserChanges {
    pub name: Option<String>,
    pub email_address: Option<String>,
    pub role: Option<Role>,
    pub password_hash: Option<String>,
}

/// Two addresses with the same key are one account.
pub fn email_key(email_address: &str) -> String {
    email_address.to_lowercase()
}

/// Adds an account; `id` is a new UUID.
///
/// # Errors
/// `uniqueViolation` when there is one with this address.
pub async fn insert(
    session: &Session,
    id: &str,
    name: &str,
    email_address: &str,
    role: Role,
    password_hash: Option<&str>,
) -> Result<UserRecord, DbError> {
    let query = Query::insert()
        .into_table(USERS)
        .columns([
            "id",
            "name",
            "email_address",
            "email_key",
            "role",
            "password_hash",
            "created_at",
        ])
        .values([
            id.into(),
            name.into(),
            email_address.into(),
            email_key(email_address).into(),
            role.as_str().into(),
            Expr::val(password_hash.map(str::to_owned)),
            now().into(),
        ])
        .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?
        .returning(Query::returning().columns(COLUMNS))
        .to_owned();
    let made = one(session, Statement::write(session.dialect(), &query)).await?;
    made.ok_or_else(|| DbError::new(DbErrorKind::Internal, "table users: no new row"))
}

/// The account with this id.
pub async fn by_id(session: &Session, id: &str) -> Result<Option<UserRecord>, DbError> {
    let query = select().and_where(Expr::col("id").eq(id)).to_owned();
    one(session, Statement::read(session.dialect(), &query)).await
}

/// The account with this address, in whatever case it is written.
pub async fn by_email(session: &Session, email: &str) -> Result<Option<UserRecord>, DbError> {
    let query = select().and_where(Expr::col("email_key").eq(email_key(email))).to_owned();
    one(session, Statement::read(session.dialect(), &query)).await
}

/// How many administrators there are.
pub async fn administrators(session: &Session) -> Result<i64, DbError> {
    let query = Query::select()
        .expr(Expr::col("id").count())
        .from(USERS)
        .and_where(Expr::col("role").eq(Role::Administrator.as_str()))
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    match rows.into_iter().flatten().next() {
        Some(Cell::Int(count)) => Ok(count),
        _ => Err(DbError::new(DbErrorKind::Internal, "table users: no count")),
    }
}

/// Changes an account and gives it as it is then; `None` if there is none.
///
/// # Errors
/// `uniqueViolation` when another one has the new address.
pub async fn update(
    session: &Session,
    id: &str,
    changes: UserChanges,
) -> Result<Option<UserRecord>, DbError> {
    let mut query = Query::update();
    query.table(USERS).value("updated_at", now()).and_where(Expr::col("id").eq(id));
    if let Some(name) = changes.name {
        query.value("name", name);
    }
    if let Some(address) = changes.email_address {
        query.value("email_key", email_key(&address)).value("email_address", address);
    }
    if let Some(role) = changes.role {
        query.value("role", role.as_str());
    }
    if let Some(hash) = changes.password_hash {
        query.value("password_hash", hash);
    }
    query.returning(Query::returning().columns(COLUMNS));
    one(session, Statement::write(session.dialect(), &query)).await
}

/// Removes an account with its tokens; `false` if there is none.
pub async fn delete(session: &Session, id: &str) -> Result<bool, DbError> {
    let query = Query::delete().from_table(USERS).and_where(Expr::col("id").eq(id)).to_owned();
    Ok(session.execute(Statement::write(session.dialect(), &query)).await? > 0)
}

/// Adds a token, of which only the digest is kept. Takes the opportunity to remove expired ones.
pub async fn add_token(
    session: &Session,
    digest: &str,
    user_id: &str,
    lifetime_ms: i64,
) -> Result<(), DbError> {
    let dialect = session.dialect();
    let expired = Query::delete()
        .from_table(TOKENS)
        .and_where(Expr::col("expires_at").lt(milliseconds_now(dialect)))
        .to_owned();
    session.execute(Statement::write(dialect, &expired)).await?;
    let query = Query::insert()
        .into_table(TOKENS)
        .columns(["digest", "user_id", "created_at", "expires_at"])
        .values([
            digest.into(),
            user_id.into(),
            now().into(),
            milliseconds_now(dialect).add(lifetime_ms),
        ])
        .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}

/// The account of a token that has not expired.
pub async fn by_token(session: &Session, digest: &str) -> Result<Option<UserRecord>, DbError> {
    let dialect = session.dialect();
    let query = Query::select()
        .columns(COLUMNS.map(|column| (USERS, column)))
        .from(USERS)
        .inner_join(TOKENS, Expr::col((TOKENS, "user_id")).equals((USERS, "id")))
        .and_where(Expr::col((TOKENS, "digest")).eq(digest))
        .and_where(Expr::col((TOKENS, "expires_at")).gt(milliseconds_now(dialect)))
        .to_owned();
    one(session, Statement::read(dialect, &query)).await
}

/// Ends a token; `false` if there is none.
pub async fn end_token(session: &Session, digest: &str) -> Result<bool, DbError> {
    let query =
        Query::delete().from_table(TOKENS).and_where(Expr::col("digest").eq(digest)).to_owned();
    Ok(session.execute(Statement::write(session.dialect(), &query)).await? > 0)
}

/// Ends all tokens of an account.
pub async fn end_tokens(session: &Session, user_id: &str) -> Result<(), DbError> {
    let query =
        Query::delete().from_table(TOKENS).and_where(Expr::col("user_id").eq(user_id)).to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

fn select() -> sea_query::SelectStatement {
    Query::select().columns(COLUMNS).from(USERS).to_owned()
}

async fn one(session: &Session, statement: Statement) -> Result<Option<UserRecord>, DbError> {
    session.fetch(statement).await?.into_iter().next().map(read).transpose()
}

fn read(row: Vec<Cell>) -> Result<UserRecord, DbError> {
    let mut cells = Cells::new(USERS, &COLUMNS, row);
    Ok(UserRecord {
        id: cells.required()?,
        name: cells.required()?,
        email_address: cells.required()?,
        role: match cells.required()?.as_str() {
            "administrator" => Role::Administrator,
            "regular" => Role::Regular,
            _ => return Err(cells.unreadable("role")),
        },
        password_hash: cells.text()?,
        created_at: cells.required()?,
        updated_at: cells.text()?,
    })
}

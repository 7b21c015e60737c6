//! Calls that are owed to plugins: events for post hooks, jobs, and schedules whose time has come.
//!
//! A delivery is written in the transaction of whatever causes it, and removed once the call has
//! succeeded. Whoever makes the call leases it for a while and renews the lease; a lease that has run
//! out is one of a host that is gone, and somebody else takes the delivery over. So each is made at
//! least once.

use std::time::Duration;

use sea_query::{
    Alias, Cond, Expr, ExprTrait as _, Func, LockBehavior, LockType, OnConflict, Order, Query,
    SelectStatement,
};

use super::read::Cells;
use super::{Cell, DbError, Dialect, Session, Statement};

const TABLE: &str = "deliveries";
const COLUMNS: [&str; 16] = [
    "seq",
    "id",
    "kind",
    "plugin_id",
    "name",
    "handler",
    "payload",
    "ordering_key",
    "unique_key",
    "depth",
    "state",
    "attempt",
    "max_attempts",
    "due_at",
    "last_error",
    "emitted_at",
];

/// Why a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A post hook hears of an event.
    Event,
    /// A plugin has asked for it.
    Job,
    /// Its time has come.
    Schedule,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Event, Kind::Job, Kind::Schedule];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Job => "job",
            Kind::Schedule => "schedule",
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// For its time, its turn, or its plugin to be active.
    Waiting,
    Running,
    /// It has failed too often and is not tried again by itself.
    Dead,
}

impl State {
    pub const ALL: [State; 3] = [State::Waiting, State::Running, State::Dead];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Dead => "dead",
        }
    }
}

/// A delivery to write.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// A UUID, the same in every attempt.
    pub id: String,
    pub kind: Kind,
    pub plugin_id: String,
    /// Of the event or the job; of a schedule what its handler is called.
    pub name: String,
    /// The key of the plugin's function.
    pub handler: String,
    /// JSON.
    pub payload: String,
    /// Deliveries of one key to one function are made one after another, in the order in which they
    /// were written.
    pub ordering_key: Option<String>,
    /// There is one delivery of this kind and name with the key at a time.
    pub unique_key: Option<String>,
    /// How many hooks led to it.
    pub depth: u32,
    pub max_attempts: u32,
    pub delay: Duration,
}

/// A delivery as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The order in which deliveries were written.
    pub seq: i64,
    pub id: String,
    pub kind: Kind,
    pub plugin_id: String,
    pub name: String,
    pub handler: String,
    pub payload: String,
    pub ordering_key: Option<String>,
    pub unique_key: Option<String>,
    pub depth: u32,
    pub state: State,
    /// From 1 when it is made for the first time.
    pub attempt: u32,
    pub max_attempts: u32,
    /// Milliseconds since 1970.
    pub due_at: i64,
    pub last_error: Option<String>,
    /// RFC 3339, UTC, milliseconds.
    pub emitted_at: String,
}

/// What [`list`] looks for; what is `None` is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub id: Option<String>,
    pub plugin_id: Option<String>,
    pub kind: Option<Kind>,
    pub name: Option<String>,
    pub state: Option<State>,
}

/// Writes deliveries.
pub async fn insert(session: &Session, deliveries: Vec<NewDelivery>) -> Result<(), DbError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut query = insertion();
    for delivery in deliveries {
        query.values(row(session.dialect(), delivery)).map_err(internal)?;
    }
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Writes a delivery, unless there is one with its unique key; gives the id of the one that there is
/// now, and whether it is the new one.
pub async fn insert_unique(
    session: &Session,
    delivery: NewDelivery,
) -> Result<(String, bool), DbError> {
    let NewDelivery { id, kind, plugin_id, name, unique_key, .. } = delivery.clone();
    let mut query = insertion();
    query.values(row(session.dialect(), delivery)).map_err(internal)?;
    query.on_conflict(OnConflict::new().do_nothing().to_owned());
    // Whoever was in the way may be gone before it can be looked at.
    loop {
        let statement = Statement::write(session.dialect(), &query);
        if session.execute(statement).await? > 0 {
            return Ok((id, true));
        }
        let existing = Query::select()
            .column("id")
            .from(TABLE)
            .and_where(Expr::col("plugin_id").eq(&plugin_id))
            .and_where(Expr::col("kind").eq(kind.as_str()))
            .and_where(Expr::col("name").eq(&name))
            .and_where(Expr::col("unique_key").eq(unique_key.clone()))
            .and_where(Expr::col("state").ne(State::Dead.as_str()))
            .to_owned();
        let found = session.fetch(Statement::read(session.dialect(), &existing)).await?;
        if let Some(Cell::Text(id)) = found.into_iter().flatten().next() {
            return Ok((id, false));
        }
    }
}

/// Leases up to `count` deliveries to the plugins in `plugins` whose time and turn have come, and gives
/// them, oldest first.
pub async fn claim(
    session: &Session,
    owner: &str,
    plugins: &[String],
    count: u64,
    lease: Duration,
) -> Result<Vec<Delivery>, DbError> {
    let dialect = session.dialect();
    let column = |name: &'static str| Expr::col(("one", name));
    let earlier = Query::select()
        .expr(Expr::val(1))
        .from_as(TABLE, "earlier")
        .and_where(Expr::col(("earlier", "plugin_id")).eq(column("plugin_id")))
        .and_where(Expr::col(("earlier", "handler")).eq(column("handler")))
        .and_where(Expr::col(("earlier", "ordering_key")).eq(column("ordering_key")))
        .and_where(Expr::col(("earlier", "seq")).lt(column("seq")))
        .and_where(Expr::col(("earlier", "state")).ne(State::Dead.as_str()))
        .to_owned();
    let due = Cond::all()
        .add(column("state").eq(State::Waiting.as_str()))
        .add(column("due_at").lte(now(dialect)));
    let abandoned = Cond::all()
        .add(column("state").eq(State::Running.as_str()))
        .add(column("lease_until").lt(now(dialect)));
    let mut wanted = Query::select()
        .column(("one", "seq"))
        .from_as(TABLE, "one")
        .cond_where(Cond::any().add(due).add(abandoned))
        .and_where(column("plugin_id").is_in(plugins))
        .cond_where(
            Cond::any().add(column("ordering_key").is_null()).add(Expr::exists(earlier).not()),
        )
        .order_by(("one", "due_at"), Order::Asc)
        .order_by(("one", "seq"), Order::Asc)
        .limit(count)
        .to_owned();
    if dialect == Dialect::Postgres {
        // Other hosts take what this one is not about to take.
        wanted.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let query = Query::update()
        .table(TABLE)
        .value("state", State::Running.as_str())
        .value("owner", owner)
        .value("attempt", Expr::col("attempt").add(1))
        .value("lease_until", now(dialect).add(milliseconds(lease)))
        .and_where(Expr::col("seq").in_subquery(wanted))
        .returning(Query::returning().columns(COLUMNS))
        .to_owned();
    let rows = session.fetch(Statement::write(dialect, &query)).await?;
    let mut claimed = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    claimed.sort_by_key(|delivery| (delivery.due_at, delivery.seq));
    Ok(claimed)
}

/// Prolongs the leases of everything that `owner` is at.
pub async fn renew(session: &Session, owner: &str, lease: Duration) -> Result<(), DbError> {
    let dialect = session.dialect();
    let query = Query::update()
        .table(TABLE)
        .value("lease_until", now(dialect).add(milliseconds(lease)))
        .and_where(Expr::col("owner").eq(owner))
        .and_where(Expr::col("state").eq(State::Running.as_str()))
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}

/// Gives up what a host that is gone was at for the last time. Gives the number.
pub async fn bury_abandoned(session: &Session) -> Result<u64, DbError> {
    let dialect = session.dialect();
    let query = Query::update()
        .table(TABLE)
        .value("state", State::Dead.as_str())
        .value("owner", None::<String>)
        .value("last_error", "the host ended during the last attempt")
        .and_where(Expr::col("state").eq(State::Running.as_str()))
        .and_where(Expr::col("lease_until").lt(now(dialect)))
        .and_where(Expr::col("attempt").gte(Expr::col("max_attempts")))
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await
}

/// Lets everything that was being made be made anew at once: for a database that this host alone uses,
/// when it starts.
pub async fn release_all(session: &Session) -> Result<u64, DbError> {
    let query = Query::update()
        .table(TABLE)
        .value("lease_until", 0)
        .and_where(Expr::col("state").eq(State::Running.as_str()))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await
}

/// Removes a delivery that `owner` has made.
pub async fn finish(session: &Session, owner: &str, id: &str) -> Result<(), DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("owner").eq(owner))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Lets a delivery that `owner` was at wait again; with `unmade`, as if it had not been tried.
pub async fn wait_again(
    session: &Session,
    owner: &str,
    id: &str,
    delay: Duration,
    error: Option<&str>,
    unmade: bool,
) -> Result<(), DbError> {
    let dialect = session.dialect();
    let mut query = Query::update();
    query
        .table(TABLE)
        .value("state", State::Waiting.as_str())
        .value("owner", None::<String>)
        .value("due_at", now(dialect).add(milliseconds(delay)))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("owner").eq(owner));
    if let Some(error) = error {
        query.value("last_error", error);
    }
    if unmade {
        query.value("attempt", Expr::col("attempt").sub(1));
    }
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}

/// Gives up a delivery that `owner` was at.
pub async fn bury(session: &Session, owner: &str, id: &str, error: &str) -> Result<(), DbError> {
    let query = Query::update()
        .table(TABLE)
        .value("state", State::Dead.as_str())
        .value("owner", None::<String>)
        .value("last_error", error)
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("owner").eq(owner))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Lets a delivery be made now, with all its attempts before it; `None` if there is none that waits or
/// is dead.
///
/// # Errors
/// `uniqueViolation` when the same work waits already.
pub async fn retry(session: &Session, id: &str) -> Result<Option<Delivery>, DbError> {
    let dialect = session.dialect();
    let query = Query::update()
        .table(TABLE)
        .value("state", State::Waiting.as_str())
        .value("attempt", 0)
        .value("due_at", now(dialect))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("state").ne(State::Running.as_str()))
        .returning(Query::returning().columns(COLUMNS))
        .to_owned();
    let changed = session.fetch(Statement::write(dialect, &query)).await?;
    changed.into_iter().next().map(read).transpose()
}

/// Removes a delivery that is not being made, and gives it as it was.
pub async fn discard(session: &Session, filter: &Filter) -> Result<Option<Delivery>, DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .cond_where(condition(filter))
        .and_where(Expr::col("state").ne(State::Running.as_str()))
        .returning(Query::returning().columns(COLUMNS))
        .to_owned();
    let gone = session.fetch(Statement::write(session.dialect(), &query)).await?;
    gone.into_iter().next().map(read).transpose()
}

/// Removes everything that is owed to a plugin, and gives the number.
pub async fn drop_all(session: &Session, plugin_id: &str) -> Result<u64, DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await
}

/// The deliveries that fit, oldest first.
pub async fn list(
    session: &Session,
    filter: &Filter,
    limit: u64,
    offset: u64,
) -> Result<Vec<Delivery>, DbError> {
    let query = select()
        .cond_where(condition(filter))
        .order_by("seq", Order::Asc)
        .limit(limit)
        .offset(offset)
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    rows.into_iter().map(read).collect()
}

/// In how many milliseconds the next delivery to one of `plugins` is due, or the next lease runs out: 0
/// if that is now. `None` if there is none of either.
pub async fn next_due(session: &Session, plugins: &[String]) -> Result<Option<i64>, DbError> {
    let dialect = session.dialect();
    let moment = sea_query::CaseStatement::new()
        .case(Expr::col("state").eq(State::Running.as_str()), Expr::col("lease_until").add(1))
        .finally(Expr::col("due_at"));
    let query = Query::select()
        .expr(Func::min(moment).sub(now(dialect)))
        .from(TABLE)
        .and_where(Expr::col("state").is_in([State::Waiting.as_str(), State::Running.as_str()]))
        .and_where(Expr::col("plugin_id").is_in(plugins))
        .to_owned();
    let rows = session.fetch(Statement::read(dialect, &query)).await?;
    Ok(match rows.into_iter().flatten().next() {
        Some(Cell::Int(milliseconds)) => Some(Ord::max(milliseconds, 0)),
        _ => None,
    })
}

/// The present moment in milliseconds since 1970. On PostgreSQL it is the server's, which all hosts
/// share.
pub(super) fn now(dialect: Dialect) -> Expr {
    match dialect {
        Dialect::Sqlite => Expr::val(jiff::Timestamp::now().as_millisecond()),
        Dialect::Postgres => {
            Expr::cust("CAST(extract(epoch from clock_timestamp()) * 1000 AS bigint)")
        }
    }
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn insertion() -> sea_query::InsertStatement {
    let mut query = Query::insert();
    query.into_table(TABLE).columns([
        "id",
        "kind",
        "plugin_id",
        "name",
        "handler",
        "payload",
        "ordering_key",
        "unique_key",
        "depth",
        "max_attempts",
        "due_at",
        "emitted_at",
    ]);
    query
}

fn row(dialect: Dialect, delivery: NewDelivery) -> [Expr; 12] {
    [
        delivery.id.into(),
        delivery.kind.as_str().into(),
        delivery.plugin_id.into(),
        delivery.name.into(),
        delivery.handler.into(),
        delivery.payload.into(),
        Expr::val(delivery.ordering_key),
        Expr::val(delivery.unique_key),
        i64::from(delivery.depth).into(),
        i64::from(delivery.max_attempts).into(),
        now(dialect).add(milliseconds(delivery.delay)),
        super::plugins::now().into(),
    ]
}

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS).from(Alias::new(TABLE)).to_owned()
}

fn condition(filter: &Filter) -> Cond {
    let mut all = Cond::all();
    let texts = [
        ("id", filter.id.as_deref()),
        ("plugin_id", filter.plugin_id.as_deref()),
        ("kind", filter.kind.map(Kind::as_str)),
        ("name", filter.name.as_deref()),
        ("state", filter.state.map(State::as_str)),
    ];
    for (column, wanted) in texts {
        all = all.add_option(wanted.map(|text| Expr::col(column).eq(text)));
    }
    all
}

fn read(row: Vec<Cell>) -> Result<Delivery, DbError> {
    let mut cells = Cells::new(TABLE, &COLUMNS, row);
    let seq = cells.int()?;
    let id = cells.required()?;
    let kind = cells.required()?;
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Delivery {
        seq,
        id,
        kind: kind.ok_or_else(|| cells.unreadable("kind"))?,
        plugin_id: cells.required()?,
        name: cells.required()?,
        handler: cells.required()?,
        payload: cells.required()?,
        ordering_key: cells.text()?,
        unique_key: cells.text()?,
        depth: cells.count()?,
        state: {
            let state = cells.required()?;
            let state = State::ALL.into_iter().find(|known| known.as_str() == state);
            state.ok_or_else(|| cells.unreadable("state"))?
        },
        attempt: cells.count()?,
        max_attempts: cells.count()?,
        due_at: cells.int()?,
        last_error: cells.text()?,
        emitted_at: cells.required()?,
    })
}

fn internal(error: sea_query::error::Error) -> DbError {
    DbError::new(super::DbErrorKind::Internal, error.to_string())
}

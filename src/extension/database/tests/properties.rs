//! Properties that hold for random rows and random queries, on both databases alike.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, Union};
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::extension::database::{Aggregate, Query};
use crate::store::{DbErrorKind, Dialect, Statement};
use ColumnType as T;

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Texts that programs have trouble with.
fn any_text() -> BoxedStrategy<String> {
    let hard = "[ -~]{0,12}|['\"\\\\%_;?$`\\[\\]{}]{1,6}|[é\u{301}\u{1F600}\u{202e}ｄß\n\t]{1,6}";
    prop_oneof![
        3 => hard.prop_map(|s: String| s.replace('\0', "")),
        1 => any::<String>().prop_map(|s| s.replace('\0', "")),
        1 => "x{2000}".prop_map(|s: String| s),
    ]
    .boxed()
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-(1_i64 << 53)..(1 << 53)).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("finite, with a fraction", |f| f.is_finite() && f.fract() != 0.0)
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Map(pairs.into_iter().collect())),
        ]
    });
    // A column has one null.
    tree.prop_filter("not null", |value| !value.is_null()).boxed()
}

fn any_timestamp() -> BoxedStrategy<Value> {
    let parts =
        (1..=9999_i32, 1..=12_u8, 1..=28_u8, 0..24_u8, 0..60_u8, 0..60_u8, 0..1_000_000_u32);
    (parts, prop_oneof![Just("Z"), Just("+00:00"), Just("-00:30"), Just("+13:45")])
        .prop_filter("in UTC it may be another year", |((y, m, d, ..), _)| {
            (2..9999).contains(y) || (*m, *d) != (1, 1) && (*m, *d) != (12, 28)
        })
        .prop_map(|((y, mo, d, h, mi, s, us), zone)| {
            format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{us:06}{zone}").into()
        })
        .boxed()
}

/// A value that a column of this type takes.
fn any_value(ty: &ColumnType) -> BoxedStrategy<Value> {
    let whole = |min: i64, max: i64| prop_oneof![4 => min..=max, 1 => Just(min), 1 => Just(max), 2 => -3..=3_i64];
    match ty {
        T::Text | T::Secret => any_text().prop_map(Value::String).boxed(),
        T::Integer | T::Serial => {
            whole(i32::MIN.into(), i32::MAX.into()).prop_map(Value::Int).boxed()
        }
        T::BigInt | T::BigSerial => {
            whole(i64::MIN, i64::MAX).prop_map(|i| Value::String(i.to_string())).boxed()
        }
        T::Real | T::DoublePrecision => prop_oneof![
            any::<f64>().prop_filter("finite", |f| f.is_finite()),
            Just(-0.0),
            Just(5e-324),
            Just(f64::MAX),
            Just(f64::MIN),
        ]
        .prop_map(Value::Float)
        .boxed(),
        T::Decimal => "[+-]?[0-9]{1,40}(\\.[0-9]{1,40})?|-?0{1,5}\\.0{1,5}|[0-9]{500}\\.[0-9]{499}"
            .prop_map(Value::String)
            .boxed(),
        T::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        T::Timestamp => any_timestamp(),
        T::Date => (1..=9999_i32, 1..=12_u8, 1..=28_u8)
            .prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}").into())
            .boxed(),
        T::Time => (0..24_u8, 0..60_u8, 0..60_u8, 0..1_000_u16)
            .prop_map(|(h, m, s, ms)| format!("{h:02}:{m:02}:{s:02}.{ms:03}").into())
            .boxed(),
        T::Json => any_json(),
        T::Uuid => any::<u128>()
            .prop_map(|n| uuid::Uuid::from_u128(n).to_string().to_uppercase().into())
            .boxed(),
        T::Enum(_) => prop_oneof![Just("open"), Just("it's \"closed\""), Just("é")]
            .prop_map(Value::from)
            .boxed(),
        T::Blob => vec(any::<u8>(), 0..60).prop_map(Value::Bytes).boxed(),
    }
}

/// Every type but those that number themselves, a column each.
fn types() -> Vec<(&'static str, ColumnType)> {
    let plain = T::NAMES.into_iter().filter(|(_, ty)| !ty.is_serial());
    plain.chain([("state", T::Enum("state".into()))]).collect()
}

fn all_types() -> TableSet {
    let mut columns = vec![("id", T::BigSerial, "primaryKey")];
    columns.extend(types().into_iter().map(|(name, ty)| (name, ty, "")));
    let states = enumeration("state", &["open", "it's \"closed\"", "é"]);
    TableSet::new("p", vec![table("all", &columns)], vec![states], vec![]).unwrap()
}

/// A row with some of the columns, some of them null.
fn any_row() -> BoxedStrategy<Map> {
    let cells: Vec<_> = types()
        .into_iter()
        .map(|(name, ty)| {
            prop_oneof![
                6 => any_value(&ty).prop_map(Some),
                1 => Just(Some(Value::Null)),
                1 => Just(None),
            ]
            .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
        })
        .collect();
    cells.prop_map(|cells| cells.into_iter().flatten().collect()).boxed()
}

/// Runs `test` for random inputs, with a table of every type on both databases.
fn on_both<S, F>(cases: u32, strategy: S, test: F)
where
    S: Strategy,
    F: AsyncFn(&[(Database, Tables)], S::Value) -> Result<(), TestCaseError>,
{
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let both = runtime.block_on(async {
        let mut both = Vec::new();
        for db in databases().await {
            let tables = db.with(all_types()).await;
            both.push((db, tables));
        }
        both
    });
    let mut runner = TestRunner::new(config(cases));
    runner.run(&strategy, |input| runtime.block_on(test(&both, input))).unwrap();
}

async fn empty_tables(both: &[(Database, Tables)]) {
    for (db, tables) in both {
        tables.delete(&db.session, "all", &empty()).await.unwrap();
    }
}

fn without_id(mut row: Map) -> Map {
    row.shift_remove("id");
    row
}

#[test]
fn rows_of_every_type_come_back_equal() {
    on_both(150, any_row(), async |both, row| {
        empty_tables(both).await;
        let mut seen = Vec::new();
        for (db, tables) in both {
            let s = &db.session;
            let inserted = tables.insert(s, "all", &row).await.unwrap();
            let read = tables.from("all").unwrap().first(s).await.unwrap().unwrap();
            prop_assert_eq!(&inserted, &read);
            // What was read can be written again, and is the same.
            let again = tables.insert_many(s, "all", &[without_id(read.clone())]).await.unwrap();
            prop_assert_eq!(without_id(again[0].clone()), without_id(read.clone()));
            let filter: Map = [("id".to_owned(), read["id"].clone())].into_iter().collect();
            let changed = tables.update_returning(s, "all", &row, &filter).await.unwrap();
            prop_assert_eq!(without_id(changed[0].clone()), without_id(read.clone()));
            let upserted = tables.upsert(s, "all", &read, &["id".to_owned()]).await.unwrap();
            prop_assert_eq!(&upserted, &read);
            for (name, value) in without_id(read.clone()) {
                let column = types().into_iter().find(|(n, _)| *n == name).unwrap().1;
                if column.is_comparable() {
                    let found = tables.from("all").unwrap().where_op(&name, "=", &value).unwrap();
                    prop_assert_eq!(found.count(s).await.unwrap(), 2, "{}", name);
                }
            }
            seen.push(without_id(read));
        }
        prop_assert_eq!(&seen[0], &seen[1]);
        // Nothing was lost, and what has one spelling came back as it was.
        for (name, value) in &row {
            let given = !value.is_null();
            prop_assert_eq!(seen[0].contains_key(name), given, "{}", name);
            if given
                && matches!(
                    name.as_str(),
                    "text" | "secret" | "json" | "boolean" | "blob" | "state"
                )
            {
                let same = match (&seen[0][name], value) {
                    (Value::Bytes(bytes), Value::String(text)) => bytes == text.as_bytes(),
                    (found, value) => found == value,
                };
                prop_assert!(same, "{}: {:?}", name, seen[0][name]);
            }
        }
        Ok(())
    });
}

#[test]
fn orders_pages_and_sums_are_the_same() {
    let comparable: Vec<String> = types()
        .into_iter()
        .filter(|(_, ty)| ty.is_comparable())
        .map(|(name, _)| name.to_owned())
        .collect();
    let order = (proptest::sample::select(comparable), any::<bool>());
    on_both(
        40,
        (vec(any_row(), 0..12), vec(order, 1..3), 1..5_u64),
        async |both, (rows, orders, size)| {
            empty_tables(both).await;
            let mut seen = Vec::new();
            for (db, tables) in both {
                let s = &db.session;
                // The same number for the same row on both.
                let numbered: Vec<Map> = rows
                    .iter()
                    .enumerate()
                    .map(|(i, row)| {
                        let mut row = row.clone();
                        row.insert("id".into(), Value::Int(i as i64 + 1));
                        // Of equal numbers either spelling may be the smallest.
                        if let Some(Value::String(decimal)) = row.get_mut("decimal")
                            && decimal.contains('.')
                        {
                            *decimal = decimal.trim_end_matches('0').to_owned();
                        }
                        row
                    })
                    .collect();
                tables.insert_many(s, "all", &numbered).await.unwrap();
                let mut query = tables.from("all").unwrap();
                for (column, descending) in &orders {
                    let direction = if *descending { "desc" } else { "asc" };
                    query = query.order_by(column, direction).unwrap();
                }
                let sorted = query.order_by("id", "asc").unwrap().all(s).await.unwrap();
                let ids =
                    |rows: &[Map]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
                let pageable =
                    orders.iter().all(|(c, _)| !matches!(c.as_str(), "blob" | "state" | "boolean"));
                if pageable {
                    let (mut paged, mut after) = (Vec::new(), None);
                    loop {
                        let page = query.page(s, size, after.as_deref()).await.unwrap();
                        paged.extend(ids(&page.rows));
                        after = page.cursors.last().cloned();
                        if !page.has_next {
                            break;
                        }
                    }
                    prop_assert_eq!(paged, ids(&sorted));
                }
                let mut values = Vec::new();
                let all = tables.from("all").unwrap();
                for (column, aggregate) in [
                    ("integer", Aggregate::Sum),
                    ("decimal", Aggregate::Sum),
                    ("decimal", Aggregate::Min),
                    ("decimal", Aggregate::Max),
                    ("text", Aggregate::Min),
                    ("timestamp", Aggregate::Max),
                    ("uuid", Aggregate::Min),
                    ("date", Aggregate::Min),
                    ("time", Aggregate::Max),
                    ("bigint", Aggregate::Min),
                ] {
                    values.push(all.value_of(s, aggregate, column).await.unwrap());
                }
                for (column, _) in &orders {
                    values.push(Value::List(all.distinct_values(s, column).await.unwrap()));
                    let wanted = map(json!({ "n": ["count"], "sum": ["sum", "decimal"] }));
                    let groups =
                        all.group_by(&[column]).unwrap().aggregate(s, &wanted).await.unwrap();
                    values.push(Value::List(groups.into_iter().map(Value::Map).collect()));
                }
                seen.push((ids(&sorted), values));
            }
            prop_assert_eq!(&seen[0], &seen[1]);
            Ok(())
        },
    );
}

/// A step of building a query; what is wrong in it the builder refuses.
#[derive(Debug, Clone)]
enum Step {
    Where(String, String, Value),
    In(String, Vec<Value>),
    Null(String, bool),
    Order(String, String),
    Limit(u64),
    Offset(u64),
    Select(Vec<String>),
    Distinct,
    ForUpdate,
    Group(String),
    With(String),
}

fn any_step() -> BoxedStrategy<Step> {
    let names: Vec<String> = types().into_iter().map(|(name, _)| name.to_owned()).collect();
    let column = move || {
        let known = proptest::sample::select(names.clone()).boxed();
        prop_oneof![12 => known, 1 => Just("nope".to_owned()), 1 => Just("\"; --".to_owned())]
    };
    let operators = ["=", "!=", "<", "<=", ">", ">=", "<>", "like", "ilike", "in", "~", "or 1=1"];
    let operator = proptest::sample::select(operators.to_vec()).prop_map(str::to_owned);
    let value = || {
        let all: Vec<_> = types().iter().map(|(_, ty)| any_value(ty)).collect();
        prop_oneof![8 => Union::new(all), 1 => Just(Value::Null), 1 => Just(Value::List(vec![]))]
    };
    prop_oneof![
        4 => (column(), operator, value()).prop_map(|(c, o, v)| Step::Where(c, o, v)),
        1 => (column(), vec(value(), 0..4)).prop_map(|(c, v)| Step::In(c, v)),
        1 => (column(), any::<bool>()).prop_map(|(c, is)| Step::Null(c, is)),
        2 => (column(), prop_oneof![Just("asc"), Just("desc"), Just("up")])
            .prop_map(|(c, d)| Step::Order(c, d.to_owned())),
        1 => prop_oneof![0..5_u64, Just(u64::MAX)].prop_map(Step::Limit),
        1 => prop_oneof![0..5_u64, Just(u64::MAX)].prop_map(Step::Offset),
        1 => vec(column(), 0..4).prop_map(Step::Select),
        1 => Just(Step::Distinct),
        1 => Just(Step::ForUpdate),
        1 => column().prop_map(Step::Group),
        1 => Just(Step::With("nope".to_owned())),
    ]
    .boxed()
}

fn step(query: &Query, step: &Step) -> Result<Query, DbError> {
    match step {
        Step::Where(column, operator, value) => query.where_op(column, operator, value),
        Step::In(column, values) => query.where_in(column, values),
        Step::Null(column, is_null) => query.where_null(column, *is_null),
        Step::Order(column, direction) => query.order_by(column, direction),
        Step::Limit(count) => Ok(query.limit(*count)),
        Step::Offset(count) => Ok(query.offset(*count)),
        Step::Select(columns) => query.select(columns),
        Step::Distinct => query.distinct(),
        Step::ForUpdate => Ok(query.for_update()),
        Step::Group(column) => query.group_by(&[column]),
        Step::With(relation) => query.with_related(relation),
    }
}

/// Whether the database itself refused the text, rather than what is in the rows.
fn is_refused_by_parser(error: &DbError) -> bool {
    let said = [
        "syntax error",
        "no such",
        "does not exist",
        "must appear",
        "not allowed",
        "ambiguous",
        "misuse",
        "near \"",
        "operator",
    ];
    matches!(error.kind, DbErrorKind::Invalid | DbErrorKind::Internal)
        && said.iter().any(|text| error.message.contains(text))
}

#[test]
fn random_queries_are_always_sql() {
    on_both(120, (vec(any_row(), 0..4), vec(any_step(), 0..8)), async |both, (rows, steps)| {
        empty_tables(both).await;
        let mut seen = Vec::new();
        for (db, tables) in both {
            for row in &rows {
                tables.insert(&db.session, "all", row).await.unwrap();
            }
            let mut query = tables.from("all").unwrap();
            let mut refused = Vec::new();
            for one in &steps {
                match step(&query, one) {
                    Ok(next) => query = next,
                    Err(error) => refused.push(error.message),
                }
            }
            assert_kept_text_is_the_same(&query);
            let tx = db.store.begin().await.unwrap();
            let s = tx.session();
            let savepoint = s.savepoint().await.unwrap();
            let mut outcomes = Vec::new();
            let mut note = |what: &str, result: Result<usize, DbError>| {
                if let Err(error) = &result {
                    assert!(!is_refused_by_parser(error), "{what} of {steps:?}: {error}");
                }
                outcomes.push((what.to_owned(), result.map_err(|error| error.kind)));
            };
            note("all", query.all(s).await.map(|rows| rows.len()));
            note("first", query.first(s).await.map(|row| usize::from(row.is_some())));
            note("count", query.count(s).await.map(|n| n as usize));
            note("exists", query.exists(s).await.map(usize::from));
            let wanted =
                map(json!({ "n": ["count"], "s": ["sum", "integer"], "m": ["max", "timestamp"] }));
            note("aggregate", query.aggregate(s, &wanted).await.map(|rows| rows.len()));
            note("sum", query.value_of(s, Aggregate::Sum, "decimal").await.map(|_| 0));
            note("distinct", query.distinct_values(s, "text").await.map(|list| list.len()));
            note("page", query.page(s, 2, None).await.map(|page| page.rows.len()));
            s.roll_back_to(savepoint).await.unwrap();
            tx.rollback().await;
            seen.push((refused, outcomes));
        }
        prop_assert_eq!(&seen[0], &seen[1]);
        Ok(())
    });
}

/// A text that was kept, with the values of the query, is what would be written anew.
fn assert_kept_text_is_the_same(query: &Query) {
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        let columns = query.columns();
        let written = || query.statement(dialect, &columns, 7);
        let shown =
            |made: Result<Statement, DbError>| format!("{:?}", made.map_err(|error| error.message));
        for _ in 0..2 {
            let kept = query.texts().statement(query, dialect, &columns, 7, written);
            assert_eq!(shown(kept), shown(written()));
        }
    }
}

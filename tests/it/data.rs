//! `ctx.db` as plugins use it, on both databases.

use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest, manifest_with};

const TABLES: &str = r#"
local t = require("@std/table")
return {
    authors = t.table("authors", { id = t.serial():primaryKey(), name = t.text():notNull():unique() }),
    books = t.table("books", {
        id = t.uuid():primaryKey():defaultRandom(), title = t.text():notNull(), pages = t.integer(),
        price = t.decimal(), genre = t.enum("genre"), authorId = t.integer(), key = t.secret(),
        meta = t.json(), addedAt = t.timestamp():notNull():defaultNow(),
    }, { indexes = { { "title", unique = true }, { "authorId" } } }),
    loans = t.table("loans", { bookId = t.uuid(), reader = t.text(), days = t.integer():notNull():default(14) },
        { primaryKey = { "bookId", "reader" } }),
    genre = t.enumType("genre", { "novel", "essay" }),
    author = t.relation { from = "books.authorId", to = "authors.id", onDelete = "setNull" },
    loanedBook = t.relation { from = "loans.bookId", to = "books.id", onDelete = "cascade" },
}
"#;

const POINTS: &str = r#""database": [
    { "type": "table", "name": "authors", "file": "tables.lua" }, { "type": "table", "name": "books", "file": "tables.lua" },
    { "type": "table", "name": "loans", "file": "tables.lua" }, { "type": "enum", "name": "genre", "file": "tables.lua" },
    { "type": "relation", "name": "author", "file": "tables.lua" }, { "type": "relation", "name": "loanedBook", "file": "tables.lua" }]"#;

/// A host with the plugin `library`, whose one field runs `body`; what that returns.
async fn run(on: On, body: &str) -> Value {
    let host = TestHost::start_with(on.settings().await).await;
    let manifest = manifest("library", &format!("{REGISTER}, {POINTS}"));
    let main = getting(body);
    host.plugin(
        "library",
        &[("manifest.json", &manifest), ("tables.lua", TABLES), ("init.lua", &main)],
    )
    .await;
    let data = host.data(ADA, "{ library_get }", json!({})).await;
    host.stop().await;
    data["library_get"].clone()
}

/// Three authors, and four books of the first two.
const SOME: &str = r#"
local db = ctx.db
local authors = db:insertMany("authors", { { name = "Ada" }, { name = "Bo" }, { name = "Cy" } })
local books = db:insertMany("books", {
    { title = "a", pages = 100, price = "1.50", genre = "novel", authorId = authors[1].id },
    { title = "b", pages = 200, price = "2.25", genre = "novel", authorId = authors[1].id },
    { title = "c", pages = 300, price = "10", genre = "essay", authorId = authors[2].id },
    { title = "d", price = "0.05" },
})
local function titles(rows) local out = {} for _, row in rows do table.insert(out, row.title) end return table.concat(out) end
"#;

#[rstest]
#[tokio::test]
async fn rows_are_inserted_changed_and_deleted(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local up = db:upsert("books", { title = "a", pages = 111 }, { "title" })
        local new = db:upsert("books", { title = "e", pages = 5 }, { "title" })
        local loan = { bookId = up.id, reader = "Zoe" }
        db:insert("loans", loan)
        db:upsert("loans", { bookId = up.id, reader = "Zoe", days = 3 }, { "bookId", "reader" })
        local key = db:update("books", { key = "sk_secret" }, { title = "b" }, { returning = true })[1].key
        local gone = db:delete("books", { title = "d" }, { returning = true })
        local explicit = db:insert("authors", { id = 41, name = "Di" })
        return {
            same = up.id == books[1].id, pages = up.pages, price = up.price, new = new.title,
            days = db:from("loans"):first().days, key = key, read = db:from("books"):where({ title = "b" }):first().key,
            gone = titles(gone), count = db:from("books"):count(), next = db:insert("authors", { name = "Ed" }).id,
            empty = #db:insertMany("books", {}), stamp = #books[1].addedAt,
        }"#;
    assert_eq!(
        run(on, &format!("{SOME}{body}")).await,
        json!({ "same": true, "pages": 111, "price": "1.50", "new": "e", "days": 3,
            "key": "sk_secret", "read": "sk_secret", "gone": "d", "count": 4, "next": 42,
            "empty": 0, "stamp": 24 })
    );
}

#[rstest]
#[tokio::test]
async fn queries_select_sum_and_group(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local q = db:from("books")
        local groups = q:groupBy("genre"):aggregate { n = { "count" }, pages = { "sum", "pages" }, price = { "sum", "price" }, top = { "max", "title" } }
        return {
            groups = groups, all = q:aggregate { n = { "count" }, known = { "count", "pages" }, avg = { "avg", "pages" } },
            sum = q:sum("price"), min = q:min("price"), max = q:max("price"), avg = q:avg("price"),
            none = q:where({ title = "x" }):sum("pages") == nil, genres = q:distinct("genre"),
            pairs = q:select("genre"):distinct():orderBy("genre"):all(),
            titles = titles(q:whereIn("title", { "a", "d", "z" }):orderBy("title", "desc"):all()),
            like = titles(q:where("title", "ilike", "A"):all()), nothing = #q:whereIn("title", {}):all(),
            oldest = q:orderBy("pages"):select{ "title" }:first(), count = q:limit(2):count(),
        }"#;
    assert_eq!(
        run(on, &format!("{SOME}{body}")).await,
        json!({
            "groups": [
                { "n": 1, "price": "0.05", "top": "d" },
                { "genre": "essay", "n": 1, "pages": 300, "price": "10", "top": "c" },
                { "genre": "novel", "n": 2, "pages": 300, "price": "3.75", "top": "b" },
            ],
            "all": { "n": 4, "known": 3, "avg": 200 },
            "sum": "13.80", "min": "0.05", "max": "10", "avg": 3.45, "none": true,
            "genres": ["essay", "novel"],
            "pairs": [{}, { "genre": "essay" }, { "genre": "novel" }],
            "titles": "da", "like": "a", "nothing": 0, "oldest": { "title": "d" }, "count": 2,
        })
    );
}

#[rstest]
#[tokio::test]
async fn related_rows_come_along(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        db:insertMany("loans", { { bookId = books[1].id, reader = "Zoe" }, { bookId = books[1].id, reader = "Abe" } })
        local authors = db:from("authors"):with("author"):orderBy("name"):all()
        local book = db:from("books"):with("author", "loanedBook"):where({ title = "a" }):select("title"):first()
        local deep = db:from("authors"):with("author.loanedBook"):where({ name = "Ada" }):first()
        local readers = {}
        for _, b in deep.author do for _, loan in b.loanedBook do table.insert(readers, loan.reader) end end
        local ok, err = pcall(function() return db:from("loans"):with("autor") end)
        return {
            counts = { #authors[1].author, #authors[2].author, #authors[3].author },
            author = book.author.name, loans = #book.loanedBook, keys = book.authorId == nil and book.id == nil,
            none = db:from("books"):with("author"):where({ title = "d" }):first().author == nil,
            readers = table.concat(readers, " "), error = tostring(err),
        }"#;
    let found = run(on, &format!("{SOME}{body}")).await;
    assert_eq!(found["counts"], json!([2, 1, 0]));
    assert_eq!((&found["author"], &found["loans"]), (&json!("Ada"), &json!(2)));
    assert_eq!((&found["keys"], &found["none"]), (&json!(true), &json!(true)));
    assert_eq!(found["readers"], "Abe Zoe");
    assert!(found["error"].as_str().unwrap().contains("did you mean \"author\"?"), "{found}");
}

#[rstest]
#[tokio::test]
async fn pages_go_on_after_a_cursor(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local seen, orders = {}, { { "pages", "asc" }, { "pages", "desc" }, { "price", "asc" }, { "title", "desc" } }
        for _, order in orders do
            local q, after, all = db:from("books"):orderBy(order[1], order[2]):select("title"), nil, ""
            repeat
                local page = q:page { first = 3, after = after }
                all = all .. titles(page.rows) .. "|"
                after = page.pageInfo.endCursor
                assert(page.edges[1].node.title == page.rows[1].title and page.rows[1].id == nil)
            until not page.pageInfo.hasNextPage
            table.insert(seen, all)
        end
        local cursor = db:from("books"):orderBy("pages"):page({ first = 1 }).pageInfo.endCursor
        local errors = {}
        for _, try in {
            function() db:from("books"):orderBy("title"):page { first = 1, after = cursor } end,
            function() db:from("books"):page { first = 1, after = "nonsense" } end,
            function() db:from("books"):limit(1):page { first = 1 } end,
            function() db:from("books"):page { first = 0 } end,
            function() db:from("books"):page {} end,
        } do
            local ok, err = pcall(try)
            table.insert(errors, ok and "none" or tostring(err))
        end
        return { seen = seen, errors = errors }"#;
    let found = run(on, &format!("{SOME}{body}")).await;
    assert_eq!(found["seen"], json!(["dab|c|", "cba|d|", "dab|c|", "dcb|a|"]));
    for (error, expected) in found["errors"].as_array().unwrap().iter().zip([
        "not a cursor of this query",
        "not a cursor of this query",
        "takes the place of limit",
        "from 1 to 10000",
        "page takes { first = 20",
    ]) {
        assert!(error.as_str().unwrap().contains(expected), "{error}");
    }
}

#[rstest]
#[tokio::test]
async fn transactions_are_all_or_nothing(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local out = {}
        out.value, out.second = db:transaction(function(tx)
            tx:insert("authors", { name = "in" })
            -- ctx.db takes part, and sees what is not committed.
            return ctx.db:from("authors"):count(), "two"
        end)
        local ok, err = pcall(function()
            db:transaction(function() ctx.db:insert("authors", { name = "out" }) error({ mine = 7 }) end)
        end)
        out.mine = err.mine
        -- A failed statement takes back nothing but itself.
        db:transaction(function(tx)
            local _, e = pcall(function() tx:insert("authors", { name = "Ada" }) end)
            out.kind, out.columns, out.table = e.kind, table.concat(e.columns), e.table
            tx:insert("authors", { name = "after" })
        end)
        -- Savepoints.
        db:transaction(function(tx)
            tx:insert("authors", { name = "outer" })
            pcall(function() tx:transaction(function(inner) inner:insert("authors", { name = "inner" }) error("no") end) end)
            tx:transaction(function() ctx.db:insert("authors", { name = "kept" }) end)
        end)
        local kept
        db:transaction(function(tx) kept = tx end)
        out.over = tostring(select(2, pcall(function() kept:insert("authors", { name = "late" }) end)))
        out.lock = db:transaction(function(tx) return #tx:from("books"):where({ title = "a" }):forUpdate():all() end)
        out.unlocked = tostring(select(2, pcall(function() return db:from("books"):forUpdate():all() end)))
        out.isolated = db:transaction(function(tx) return tx:from("books"):count() end, { isolation = "serializable" })
        out.wrong = tostring(select(2, pcall(function() db:transaction(function() end, { isolation = "serialisable" }) end)))
        local names = {}
        for _, row in db:from("authors"):orderBy("name"):all() do table.insert(names, row.name) end
        out.names = table.concat(names, " ")
        return out"#;
    let found = run(on, &format!("{SOME}{body}")).await;
    assert_eq!(found["names"], "Ada Bo Cy after in kept outer", "{found}");
    assert_eq!((&found["value"], &found["second"]), (&json!(4), &json!("two")));
    assert_eq!(found["mine"], 7);
    assert_eq!(found["kind"], "uniqueViolation");
    assert_eq!((&found["table"], &found["columns"]), (&json!("authors"), &json!("name")));
    assert_eq!((&found["lock"], &found["isolated"]), (&json!(1), &json!(4)));
    for (key, expected) in [
        ("over", "this transaction is over"),
        ("unlocked", "inside of ctx.db:transaction"),
        ("wrong", "did you mean \"serializable\"?"),
    ] {
        assert!(found[key].as_str().unwrap().contains(expected), "{found}");
    }
}

#[rstest]
#[tokio::test]
async fn errors_have_kinds(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local out = {}
        for name, try in {
            unique = function() db:insert("books", { title = "a" }) end,
            foreign = function() db:insert("books", { title = "x", authorId = 99 }) end,
            notNull = function() db:insert("books", { pages = 1 }) end,
            null = function() db:update("books", { title = ctx.null }, {}) end,
            check = function() db:insert("books", { title = "x", genre = "poem" }) end,
            key = function() db:insertMany("loans", { { bookId = books[1].id, reader = "z" }, { bookId = books[1].id, reader = "z" } }) end,
            range = function() db:insert("books", { title = "x", pages = 2147483648 }) end,
            column = function() db:insert("books", { titel = "x" }) end,
            conflict = function() db:upsert("books", { title = "x", pages = 1 }, { "pages" }) end,
            secret = function() db:from("books"):where({ key = "x" }) end,
        } do
            local ok, e = pcall(try)
            out[name] = { kind = e.kind, table = e.table, columns = table.concat(e.columns, ","), text = tostring(e) }
        end
        out.left = db:from("books"):count() + db:from("loans"):count()
        return out"#;
    let found = run(on, &format!("{SOME}{body}")).await;
    let facts = |name: &str| {
        let fact = |key: &str| found[name][key].as_str().unwrap_or_default().to_owned();
        (fact("kind"), fact("table"), fact("columns"))
    };
    for (name, kind, table, columns) in [
        ("unique", "uniqueViolation", "books", "title"),
        ("foreign", "foreignKeyViolation", "books", "authorId"),
        ("notNull", "notNullViolation", "books", "title"),
        ("null", "notNullViolation", "books", "title"),
        ("check", "checkViolation", "books", "genre"),
        ("key", "uniqueViolation", "loans", "bookId,reader"),
        ("range", "invalid", "books", "pages"),
        ("column", "invalid", "", ""),
        ("conflict", "invalid", "", ""),
        ("secret", "invalid", "books", "key"),
    ] {
        let expected = (kind.to_owned(), table.to_owned(), columns.to_owned());
        assert_eq!(facts(name), expected, "{name}: {found}");
    }
    assert_eq!(found["left"], 4, "nothing was written");
}

/// Two transactions that each read what the other writes: one of them has to run again.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_serializable_transaction_runs_again_after_a_conflict(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = TestHost::start_with(on.settings().await).await;
    let points = format!("{REGISTER}, {}", POINTS);
    let body = r#"
        local runs = 0
        ctx.db:transaction(function(tx)
            runs += 1
            local n = tx:from("authors"):count()
            local from = os.clock()
            while os.clock() - from < 0.03 do tx:from("authors"):count() end
            tx:insert("authors", { name = "author " .. n })
        end, { isolation = "serializable" })
        return runs"#;
    let manifest =
        manifest_with("library", &points, r#", "runtime": { "instances": 4, "timeoutMs": 20000 }"#);
    let main = getting(body);
    host.plugin(
        "library",
        &[("manifest.json", &manifest), ("tables.lua", TABLES), ("init.lua", &main)],
    )
    .await;
    let ask = || host.data(ADA, "{ library_get }", json!({}));
    let answers = futures_util::future::join_all((0..4).map(|_| ask())).await;
    let runs: Vec<i64> = answers.iter().filter_map(|a| a["library_get"].as_i64()).collect();
    // The names are unique: had two counted the same number, one insert would have failed.
    assert_eq!(runs.len(), 4, "{answers:?}");
    match on {
        On::Sqlite => assert_eq!(runs, [1; 4], "one writer at a time has no conflicts"),
        On::Postgres => assert!(runs.iter().any(|runs| *runs > 1), "{runs:?}"),
    }
    host.stop().await;
}

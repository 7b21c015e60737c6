//! Changes to tables.

use super::*;

fn migrate(dialect: Dialect, sql: &str) -> Result<Checked, String> {
    check(dialect, &set(), sql, Purpose::Migration).map_err(|error| error.message)
}

#[test]
fn changes_to_own_tables_are_read() {
    let own = |name: &str| name.to_owned();
    for dialect in DIALECTS {
        for (sql, expected) in [
            (
                "alter table {notes} rename column title to heading",
                Change::RenameColumn {
                    table: own("notes"),
                    from: own("title"),
                    to: own("heading"),
                },
            ),
            (
                "ALTER TABLE {noteTags} RENAME Note_Id TO \"parent_id\";",
                Change::RenameColumn {
                    table: own("noteTags"),
                    from: own("note_id"),
                    to: own("parent_id"),
                },
            ),
            (
                "alter table journal_notes drop column author_id",
                Change::DropColumn { table: own("notes"), column: own("author_id") },
            ),
            (
                "alter table {notes} drop votes",
                Change::DropColumn { table: own("notes"), column: own("votes") },
            ),
            ("drop table {noteTags}", Change::DropTable { table: own("noteTags") }),
            (
                "alter table {notes} rename to {entries}",
                Change::RenameTable { table: own("notes"), to: own("entries") },
            ),
            (
                "alter table {notes} rename to oldEntries",
                Change::RenameTable { table: own("notes"), to: own("oldEntries") },
            ),
        ] {
            assert_eq!(migrate(dialect, sql), Ok(Checked::Change(expected)), "{sql}");
            assert!(call(dialect, sql).is_err(), "{sql}");
        }
        // Rows are changed as in a call.
        let update = "update {notes} set votes = ?";
        let statement = call(dialect, update).unwrap();
        assert_eq!(migrate(dialect, update), Ok(Checked::Statement(statement)));
    }
}

#[test]
fn what_is_declared_is_not_made_by_hand() {
    for dialect in DIALECTS {
        for sql in [
            "create table x (id integer)",
            "create index i on {notes} (title)",
            "alter table {notes} add column x text",
            "alter table {notes} add x text",
            "alter table {notes} alter column title set not null",
            "alter table {notes} add constraint c unique (title)",
        ] {
            let error = migrate(dialect, sql).unwrap_err();
            assert!(error.contains("declare it in the plugin's tables"), "{sql}: {error}");
        }
    }
}

#[test]
fn other_changes_are_refused() {
    for dialect in DIALECTS {
        for sql in [
            "alter table other_secrets rename to mine",
            "alter table other_secrets drop column token",
            "alter table plugins rename column state to x",
            "alter table main.{notes} drop column title",
            "alter table public.{notes} rename to x",
            "alter table if exists {notes} drop column title",
            "alter table only {notes} drop column title",
            "alter table {notes} drop column title cascade",
            "alter table {notes} drop column if exists title",
            "alter table {notes} drop column title, drop column votes",
            "alter table {notes} rename to plugins.x",
            "alter table {notes} rename to \"a b\"",
            "alter table {notes} rename to {noteTags}",
            "alter table {notes} rename to journal_note_tags",
            "alter table {notes} rename to notes",
            "alter table {notes} rename column title to \"a\"\"b\"",
            "alter table {notes} rename column \"\" to x",
            "alter table {notes} rename constraint a to b",
            "alter table {notes} owner to x",
            "alter table {notes} set schema x",
            "alter table {notes} disable trigger all",
            "alter index i rename to j",
            "alter view v rename to w",
            "alter role postgres superuser",
            "drop table other_secrets",
            "drop table plugins",
            "drop table {notes}, other_secrets",
            "drop table {notes} cascade",
            "drop table if exists {notes}",
            "drop table main.{notes}",
            "drop table {gone}",
            "drop index i",
            "drop view v",
            "drop trigger t",
            "drop schema public",
            "drop type journal_state_enum",
            "drop function f",
            "drop database x",
            "drop role postgres",
            "drop table {notes}; drop table plugins",
            "create trigger t after insert on {notes} begin delete from plugins; end",
            "select * from {entries}",
            "insert into {notes} (id) values (1) returning {entries}",
            "pragma writable_schema = on",
            "vacuum",
            "begin",
            "commit",
            "truncate {notes}",
        ] {
            assert!(migrate(dialect, sql).is_err(), "{sql}: {:?}", migrate(dialect, sql));
        }
    }
}

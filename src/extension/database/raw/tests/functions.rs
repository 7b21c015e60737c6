//! Which functions may be called.

use super::*;

#[test]
fn functions_are_on_lists() {
    for name in ["count", "COALESCE", "json_extract", "->", "like", "current_timestamp"] {
        assert!(is_allowed_function(Dialect::Sqlite, name), "{name}");
    }
    for name in ["count", "jsonb_set", "DATE_TRUNC", "row_number", "gen_random_uuid"] {
        assert!(is_allowed_function(Dialect::Postgres, name), "{name}");
    }
    for name in [
        "",
        "load_extension",
        "readfile",
        "writefile",
        "edit",
        "fts3_tokenizer",
        "zeroblob",
        "randomblob",
        "printf",
        "format",
        "last_insert_rowid",
        "changes",
        "total_changes",
        "match",
        "regexp",
        "sqlite_version",
        "sqlite_offset",
        "json_each",
        "count\0",
        "ｃount",
    ] {
        assert!(!is_allowed_function(Dialect::Sqlite, name), "{name}");
    }
    for name in [
        "pg_sleep",
        "pg_read_file",
        "lo_import",
        "dblink",
        "query_to_xml",
        "table_to_xml",
        "current_setting",
        "set_config",
        "nextval",
        "currval",
        "setval",
        "lastval",
        "repeat",
        "lpad",
        "rpad",
        "format",
        "array_fill",
        "ts_stat",
        "ts_rewrite",
        "to_regclass",
        "version",
        "current_user",
        "session_user",
        "current_database",
        "pg_catalog.count",
        "txid_current",
        "has_table_privilege",
        "setseed",
        "factorial",
        "xmlparse",
        "pg_typeof",
        "text",
    ] {
        assert!(!is_allowed_function(Dialect::Postgres, name), "{name}");
    }
}

//! The functions that raw SQL may call: those that compute from their arguments and do nothing else.
//!
//! Not on the lists are, on purpose: what reads or writes files, settings, sequences, catalogs or
//! the connection; what takes a statement or the name of a table as text; what makes a value of a
//! size that one of its arguments says (`repeat`, `lpad`, `zeroblob`, `printf`, `array_fill`); and
//! what waits.

use crate::store::Dialect;

/// Whether `name`, in any case and without a schema, may be called.
pub fn is_allowed(dialect: Dialect, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let lists: &[&[&str]] = match dialect {
        Dialect::Sqlite => &[COMMON, SQLITE],
        Dialect::Postgres => &[COMMON, POSTGRES, POSTGRES_JSON],
    };
    lists.iter().any(|list| list.contains(&name.as_str()))
}

/// Whether `name`, in lower case, may be called in a FROM clause.
pub(super) fn is_allowed_in_from(dialect: Dialect, name: &str) -> bool {
    let list: &[&str] = match dialect {
        Dialect::Sqlite => &["json_each", "json_tree"],
        Dialect::Postgres => &[
            "generate_series",
            "json_array_elements",
            "json_array_elements_text",
            "json_each",
            "json_each_text",
            "json_object_keys",
            "jsonb_array_elements",
            "jsonb_array_elements_text",
            "jsonb_each",
            "jsonb_each_text",
            "jsonb_object_keys",
            "jsonb_path_query",
            "regexp_split_to_table",
            "string_to_table",
            "unnest",
        ],
    };
    list.contains(&name)
}

/// Whether `name`, in lower case, is a function that is called without parentheses.
pub(super) fn is_bare(dialect: Dialect, name: &str) -> bool {
    match name {
        "current_date" | "current_time" | "current_timestamp" => true,
        "localtime" | "localtimestamp" => dialect == Dialect::Postgres,
        _ => false,
    }
}

/// What both databases have.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "ceil", "ceiling",
    "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date",
    "current_time", "current_timestamp", "date", "degrees", "dense_rank", "exp", "first_value",
    "floor", "json_array_length", "lag", "last_value", "lead", "length", "ln", "log", "log10",
    "lower", "ltrim", "max", "min", "mod", "nth_value", "ntile", "nullif", "octet_length",
    "percent_rank", "percentile_cont", "percentile_disc", "pi", "power", "radians", "random",
    "rank", "replace", "round", "row_number", "rtrim", "sign", "sin", "sinh", "sqrt",
    "string_agg", "substr", "substring", "sum", "tan", "tanh", "trim", "trunc", "upper",
];

/// What only SQLite has.
#[rustfmt::skip]
const SQLITE: &[&str] = &[
    // What it calls for the operators, to an authorizer.
    "->", "->>", "glob", "like",
    "char", "datetime", "group_concat", "hex", "if", "ifnull", "iif", "instr", "json",
    "json_array", "json_error_position", "json_extract", "json_group_array",
    "json_group_object", "json_insert", "json_object", "json_patch",
    "json_quote", "json_remove", "json_replace", "json_set", "json_type", "json_valid", "jsonb",
    "jsonb_array", "jsonb_extract", "jsonb_group_array", "jsonb_group_object", "jsonb_insert",
    "jsonb_object", "jsonb_patch", "jsonb_remove", "jsonb_replace", "jsonb_set", "julianday",
    "likelihood", "likely", "log2", "median", "percentile", "pow", "quote", "soundex",
    "strftime", "time", "timediff", "total", "typeof", "unhex", "unicode", "unistr",
    "unixepoch", "unlikely",
];

/// What only PostgreSQL has, without JSON.
#[rustfmt::skip]
const POSTGRES: &[&str] = &[
    "age", "any_value", "array_agg", "array_append", "array_cat", "array_length", "array_lower",
    "array_ndims", "array_position", "array_positions", "array_prepend", "array_remove",
    "array_replace", "array_to_string", "array_upper", "ascii", "bit_and", "bit_length",
    "bit_or", "bit_xor", "bool_and", "bool_or", "btrim", "cardinality", "cbrt", "char_length",
    "character_length", "chr", "clock_timestamp", "convert_from", "convert_to", "corr",
    "covar_pop", "covar_samp", "date_bin", "date_part", "date_trunc", "decode", "div", "encode",
    "every", "gcd", "gen_random_uuid", "generate_series", "generate_subscripts", "greatest",
    "grouping", "initcap", "isempty", "isfinite", "justify_days", "justify_hours",
    "justify_interval", "lcm", "least", "left", "localtime", "localtimestamp", "lower_inf",
    "make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz", "md5",
    "min_scale", "mode", "now", "num_nonnulls", "num_nulls", "numnode", "phraseto_tsquery",
    "plainto_tsquery", "position", "regexp_count", "regexp_instr", "regexp_like",
    "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array",
    "regexp_split_to_table", "regexp_substr", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "reverse",
    "right", "row", "scale", "setweight", "sha224", "sha256", "sha384", "sha512", "split_part",
    "starts_with", "statement_timestamp", "stddev", "stddev_pop", "stddev_samp",
    "string_to_array", "string_to_table", "strip", "strpos", "timezone", "to_char", "to_date",
    "to_hex", "to_number", "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp",
    "translate", "trim_array", "trim_scale", "ts_headline", "ts_rank", "ts_rank_cd", "unnest",
    "upper_inf", "var_pop", "var_samp", "variance", "websearch_to_tsquery", "width_bucket",
];

/// What only PostgreSQL has for JSON.
#[rustfmt::skip]
const POSTGRES_JSON: &[&str] = &[
    "array_to_json", "json_agg", "json_array_elements", "json_array_elements_text",
    "json_build_array", "json_build_object", "json_each", "json_each_text", "json_extract_path",
    "json_extract_path_text", "json_object", "json_object_agg", "json_object_keys",
    "json_strip_nulls", "json_typeof", "jsonb_agg", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array",
    "jsonb_build_object", "jsonb_contains", "jsonb_delete", "jsonb_delete_path", "jsonb_each",
    "jsonb_each_text", "jsonb_exists", "jsonb_exists_all", "jsonb_exists_any",
    "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object",
    "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_match",
    "jsonb_path_query", "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_pretty",
    "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_typeof", "row_to_json", "to_json",
    "to_jsonb",
];

//! GraphiQL, for browsers that open the GraphQL endpoint.

use axum::http::header::{ACCEPT, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};

/// Loads GraphiQL from unpkg.com, in exact versions whose hashes the browser checks: an administrator
/// types a token into this page. Where that cannot be reached, the page is a plain console.
const PAGE: &str = include_str!("graphiql.html");

/// Whether a GET request comes from a browser that wants a page rather than from a GraphQL client.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepts: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .map(str::trim)
        .collect();
    let has = |media: &str| accepts.iter().any(|range| range.eq_ignore_ascii_case(media));
    has("text/html") && !has("application/json") && !has("application/graphql-response+json")
}

/// The page.
pub fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_the_page_and_clients_do_not() {
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            wants_page(&headers)
        };
        assert!(accept("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!accept("*/*"));
        assert!(!accept("application/json, text/html"));
        assert!(!accept("application/graphql-response+json"));
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn nothing_is_loaded_whose_hash_is_not_checked() {
        let loaded = PAGE.matches("https://").count();
        assert_eq!(loaded, 4);
        assert_eq!(PAGE.matches("integrity=\"sha384-").count(), loaded);
    }
}

//! What a webhook's function gets.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use mlua::Lua;

use crate::lua::push;
use crate::request::RequestInfo;
use crate::value::Value;

/// The body is not what its content type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedBody(pub String);

/// A request to a webhook.
#[derive(Debug)]
pub struct Incoming<'a> {
    pub info: &'a RequestInfo,
    /// After `/webhook`, without a slash at its end.
    pub path: &'a str,
    pub params: &'a [(&'a str, String)],
    pub query: &'a [(String, String)],
    /// What was made of the body; `None` if there is none, or if it is as it was sent.
    pub body: Content,
    pub raw_body: &'a Bytes,
    /// Set when the body turns out not to be what it says.
    pub malformed: OnceLock<MalformedBody>,
}

/// The body as the function sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Absent,
    /// The bytes themselves.
    Raw,
    /// JSON, read when the function is called: straight into its VM.
    Json,
    Parsed(Value),
}

impl Content {
    /// What a body is by its content type: JSON, a form, or else text or bytes.
    pub fn of(headers: &HeaderMap, bytes: &Bytes) -> Self {
        if bytes.is_empty() {
            return Content::Absent;
        }
        // Who compresses sends bytes: what is in them is for the plugin to find out.
        let is_plain = headers
            .get(CONTENT_ENCODING)
            .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        let media = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let media = media.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        if is_plain && is_json(media) {
            return Content::Json;
        }
        if is_plain && media.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            let pairs = form_urlencoded::parse(bytes);
            let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned()));
            let map = first_of_each(pairs).into_iter().map(|(k, v)| (k, Value::from(v))).collect();
            return Content::Parsed(Value::Map(map));
        }
        Content::Raw
    }
}

fn is_json(media: &[u8]) -> bool {
    media.eq_ignore_ascii_case(b"application/json")
        || media.to_ascii_lowercase().ends_with(b"+json")
}

/// The pairs of a query.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    let Some(query) = uri.query() else { return Vec::new() };
    let pairs = form_urlencoded::parse(query.as_bytes());
    first_of_each(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
}

/// Of pairs with the same name the first: whoever sends a second one must not be able to make a list of
/// what plugins take for a string.
fn first_of_each(pairs: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut first = indexmap::IndexMap::new();
    for (name, value) in pairs {
        first.entry(name).or_insert(value);
    }
    first.into_iter().collect()
}

impl Incoming<'_> {
    /// Copies it into the VM.
    ///
    /// # Errors
    /// When the VM's memory limit is reached, or the body is malformed.
    pub fn to_lua(&self, lua: &Lua) -> mlua::Result<mlua::Value> {
        let json = match self.body {
            Content::Json => Some(push::json(lua, self.raw_body)?.map_err(|error| {
                let malformed = MalformedBody(format!("The body is not JSON: {error}."));
                mlua::Error::external(self.malformed.get_or_init(|| malformed).clone())
            })?),
            _ => None,
        };
        let ip = self.info.ip.map(|ip| ip.to_string());
        let request = push::table(lua, 8, |request| {
            match &self.body {
                Content::Absent | Content::Json => {}
                Content::Raw => request.bytes("body", self.raw_body),
                Content::Parsed(value) => request.value("body", value),
            }
            request.bytes("method", &self.info.method);
            request.bytes("path", self.path);
            request.table("params", self.params.len(), |params| {
                for (name, value) in self.params {
                    params.bytes(name, value);
                }
            });
            request.table("query", self.query.len(), |query| {
                for (name, value) in self.query {
                    query.bytes(name, value);
                }
            });
            request.table("headers", self.info.headers.len(), |headers| {
                for (name, value) in self.info.headers.iter() {
                    headers.bytes(name, value.as_bytes());
                }
            });
            request.bytes("rawBody", self.raw_body);
            if let Some(ip) = &ip {
                request.bytes("ip", ip);
            }
        })?;
        if let Some(json) = json {
            request.raw_set("body", json)?;
        }
        Ok(mlua::Value::Table(request))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn read(media: &'static str, body: &'static [u8]) -> Content {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        Content::of(&headers, &Bytes::from_static(body))
    }

    #[test]
    fn bodies_are_read_by_their_content_type() {
        assert_eq!(read("application/json", b"{}"), Content::Json);
        assert_eq!(read("Application/vnd.x+JSON; charset=utf-8", b"7"), Content::Json);
        let form = json!({ "a": "1 2", "b": "&", "c": "" });
        assert_eq!(
            read("application/x-www-form-urlencoded", b"a=1+2&b=%26&a=3&c"),
            Content::Parsed(serde_json::from_value(form).unwrap())
        );
        assert_eq!(read("text/plain", b"x"), Content::Raw);
        assert_eq!(read("application/json", b""), Content::Absent);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(Content::of(&headers, &Bytes::from_static(b"\x1f\x8b")), Content::Raw);
    }
}

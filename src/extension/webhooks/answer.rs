//! What a webhook's function gives.

use axum::body::Bytes;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mlua::{UserData, Value as LuaValue};

use crate::lua::{Failure, bridge};
use crate::value::{Map, Value};

/// Headers that are between the server and its peer.
const RESERVED: [HeaderName; 6] =
    [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// The longest value of a header, in bytes, and the most headers.
const MAX_HEADER: usize = 8 * 1024;
const MAX_HEADERS: usize = 100;

/// An HTTP response, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What `ctx:reply` gives, for a webhook to return.
#[derive(Debug, Clone)]
pub struct Reply(Answer);

impl UserData for Reply {}

impl Reply {
    /// Reads the arguments of `ctx:reply`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(status: f64, body: &LuaValue, headers: &LuaValue) -> mlua::Result<Self> {
        let wrong = |message: String| Failure::misuse(format!("ctx:reply: {message}"));
        if status.fract() != 0.0 || !(200.0..=599.0).contains(&status) {
            return Err(wrong(format!("{status} is not a status from 200 to 599")));
        }
        let status = StatusCode::from_u16(status as u16).map_err(|e| wrong(e.to_string()))?;
        let mut answer = match body {
            LuaValue::Nil => Answer::empty(status),
            body => content(status, body)?,
        };
        if !answer.body.is_empty()
            && matches!(
                status,
                StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
            )
        {
            return Err(wrong(format!("a response with the status {status} has no body")));
        }
        add_headers(&mut answer.headers, headers).map_err(wrong)?;
        Ok(Reply(answer))
    }
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Answer { status, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

/// The response that a function's result stands for.
///
/// # Errors
/// When it is none.
pub fn answer_of(result: &LuaValue) -> mlua::Result<Answer> {
    match result {
        LuaValue::Nil => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        LuaValue::UserData(data) => match data.borrow::<Reply>() {
            Ok(reply) => Ok(reply.0.clone()),
            Err(_) => Err(unfit("userdata")),
        },
        result => content(StatusCode::OK, result),
    }
}

fn content(status: StatusCode, body: &LuaValue) -> mlua::Result<Answer> {
    let (media, body) = match body {
        LuaValue::Table(_) => {
            let value = bridge::from_lua(body)
                .map_err(|error| mlua::Error::runtime(format!("the response: {error}")))?;
            let json = serde_json::to_vec(&value)
                .map_err(|error| mlua::Error::runtime(format!("the response: {error}")))?;
            ("application/json", json)
        }
        LuaValue::String(text) if text.to_str().is_ok() => {
            ("text/plain; charset=utf-8", text.as_bytes().to_vec())
        }
        LuaValue::String(bytes) => ("application/octet-stream", bytes.as_bytes().to_vec()),
        LuaValue::Buffer(bytes) => ("application/octet-stream", bytes.to_vec()),
        other => return Err(unfit(other.type_name())),
    };
    let mut answer = Answer { body: body.into(), ..Answer::empty(status) };
    answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(answer)
}

fn unfit(found: &str) -> mlua::Error {
    mlua::Error::runtime(format!(
        "a webhook returns a table (sent as JSON), a string, nothing or ctx:reply(status, body, \
         headers); it returned a {found}"
    ))
}

fn add_headers(headers: &mut HeaderMap, given: &LuaValue) -> Result<(), String> {
    let given = match bridge::from_lua(given).map_err(|error| format!("the headers: {error}"))? {
        Value::Null => return Ok(()),
        Value::Map(map) => map,
        Value::List(list) if list.is_empty() => Map::new(),
        other => return Err(format!("the headers are a table, not a {}", other.type_name())),
    };
    for (name, value) in given {
        let key = HeaderName::try_from(&name).map_err(|_| format!("\"{name}\" names no header"))?;
        if RESERVED.contains(&key) {
            return Err(format!("the header \"{name}\" is set by the server itself"));
        }
        let values = match value {
            Value::List(values) => values,
            value => vec![value],
        };
        headers.remove(&key);
        for value in values {
            headers.append(&key, header_value(&name, &value)?);
            if headers.len() > MAX_HEADERS {
                return Err(format!("there are more than {MAX_HEADERS} headers"));
            }
        }
    }
    Ok(())
}

fn header_value(name: &str, value: &Value) -> Result<HeaderValue, String> {
    let text = value
        .to_text()
        .ok_or_else(|| format!("the header \"{name}\" is a {}", value.type_name()))?;
    if text.len() > MAX_HEADER {
        return Err(format!("the header \"{name}\" has more than {MAX_HEADER} bytes"));
    }
    HeaderValue::try_from(text)
        .map_err(|_| format!("the header \"{name}\" has characters that no header may have"))
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::*;

    fn reply(call: &str) -> Result<Answer, String> {
        let lua = Lua::new();
        let make = lua.create_function(|_, (status, body, headers): (f64, LuaValue, LuaValue)| {
            Reply::new(status, &body, &headers)
        });
        lua.globals().set("reply", make.unwrap()).unwrap();
        let result: mlua::Result<LuaValue> = lua.load(format!("return {call}")).eval();
        result.and_then(|value| answer_of(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn results_are_answers() {
        for (call, status, media, body) in [
            ("{ a = 1, list = { 1 } }", 200, "application/json", "{\"a\":1,\"list\":[1]}"),
            ("'hé'", 200, "text/plain; charset=utf-8", "hé"),
            ("nil", 204, "", ""),
            ("reply(201, { id = 7 })", 201, "application/json", "{\"id\":7}"),
            ("reply(404)", 404, "", ""),
            ("reply(200, '<p>', { ['Content-Type'] = 'text/html' })", 200, "text/html", "<p>"),
        ] {
            let answer = reply(call).unwrap();
            let sent = answer.headers.get(CONTENT_TYPE).map_or("", |v| v.to_str().unwrap());
            assert_eq!((answer.status.as_u16(), sent), (status, media), "{call}");
            assert_eq!(String::from_utf8_lossy(&answer.body), body, "{call}");
        }
        let cookies = reply("reply(200, nil, { ['set-cookie'] = { 'a=1', 'b=2' }, x = 7 })");
        let headers = cookies.unwrap().headers;
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(headers["x"], "7");
        let bytes = reply("'\\255'").unwrap();
        assert_eq!(bytes.headers[CONTENT_TYPE], "application/octet-stream");
    }

    #[test]
    fn what_is_no_answer_says_why() {
        for (call, expected) in [
            ("7", "it returned a integer"),
            ("true", "it returned a boolean"),
            ("print", "it returned a function"),
            ("{ print }", "the response: [1]: a function cannot leave"),
            ("{ '\\255' }", "not valid UTF-8"),
            ("reply(99)", "99 is not a status"),
            ("reply(200.5)", "200.5 is not a status"),
            ("reply(101)", "101 is not a status"),
            ("reply(204, 'x')", "has no body"),
            ("reply(200, 7)", "it returned a integer"),
            ("reply(200, nil, 'x')", "the headers are a table, not a string"),
            ("reply(200, nil, { ['a b'] = '1' })", "names no header"),
            ("reply(200, nil, { a = '1\\r\\nb: 2' })", "characters that no header may have"),
            ("reply(200, nil, { ['Content-Length'] = '1' })", "set by the server itself"),
            ("reply(200, nil, { a = ('x'):rep(9000) })", "more than 8192 bytes"),
        ] {
            let error = reply(call).unwrap_err();
            assert!(error.contains(expected), "{call}: {error}");
        }
    }
}

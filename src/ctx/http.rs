//! `ctx.http`: requests to elsewhere.

use std::time::{Duration, Instant};

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use mlua::{
    Lua, LuaString, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, UserDataRegistry,
    Value,
};
use url::Url;

use super::{CallRef, Ctx};
use crate::error::Error;
use crate::http::multipart;
use crate::http::outbound::{OutError, OutRequest, OutResponse};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge, push};
use crate::nearest::nearest;
use crate::value::{Map, Value as HostValue};

/// How long a request may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Before the call's own time is over, the script hears that the request's is.
const MARGIN: Duration = Duration::from_millis(20);
const MAX_RETRIES: i64 = 5;

/// Headers that are between the client and the server.
const RESERVED: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE];
const OPTIONS: [&str; 10] = [
    "method",
    "url",
    "headers",
    "query",
    "body",
    "json",
    "form",
    "multipart",
    "timeoutMs",
    "retries",
];

#[derive(Clone)]
struct Http(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("http", |_, this| {
        this.call()?;
        Ok(Http(this.0.clone()))
    });
}

impl UserData for Http {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_async_method("request", |lua, this, options: Value| {
            let call = this.0.clone();
            async move { send(&lua, &call, options_of(&options)?).await }
        });
        for (name, method) in [
            ("get", "GET"),
            ("post", "POST"),
            ("put", "PUT"),
            ("patch", "PATCH"),
            ("delete", "DELETE"),
        ] {
            registry.add_async_method(
                name,
                move |lua, this, (url, options): (LuaString, Value)| {
                    let call = this.0.clone();
                    async move {
                        let mut options = options_of(&options)?;
                        options.insert("method".into(), method.into());
                        options.insert("url".into(), HostValue::from(&*url.to_str()?));
                        send(&lua, &call, options).await
                    }
                },
            );
        }
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.http"));
    }
}

async fn send(lua: &Lua, call: &CallRef, options: Map) -> mlua::Result<Table> {
    check_can_wait(lua, "ctx.http")?;
    let call = call.get()?;
    let request = request(options, call.deadline).map_err(wrong)?;
    let sent = call.generation.services.outbound.send(&call.generation, &request).await;
    response(lua, &sent.map_err(raised)?)
}

fn wrong(message: String) -> mlua::Error {
    Failure::misuse(format!("ctx.http: {message}"))
}

/// What a script catches when there is no response.
fn raised(error: OutError) -> mlua::Error {
    let kind = Some(error.kind().to_owned());
    let error = match error {
        OutError::Denied(error) => error,
        OutError::Timeout(message)
        | OutError::Connect(message)
        | OutError::Tls(message)
        | OutError::TooLarge(message) => {
            // Where plugins send requests to is not their clients' business.
            Error::unexpected(format!("ctx.http: {message}"))
        }
    };
    Failure { error, kind }.into_lua_error()
}

fn options_of(options: &Value) -> mlua::Result<Map> {
    match bridge::from_lua(options).map_err(|error| wrong(error.to_string()))? {
        HostValue::Map(map) => Ok(map),
        HostValue::Null => Ok(Map::new()),
        HostValue::List(list) if list.is_empty() => Ok(Map::new()),
        other => Err(wrong(format!("the options are a table, not a {}", other.type_name()))),
    }
}

fn request(mut options: Map, deadline: Instant) -> Result<OutRequest, String> {
    if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        let hint = nearest(unknown, OPTIONS).map(|near| format!("; did you mean \"{near}\"?"));
        return Err(format!("unknown option \"{unknown}\"{}", hint.unwrap_or_default()));
    }
    let text = options.get("url").and_then(HostValue::as_str);
    let text = text.ok_or("url is missing; it is a text such as \"https://api.example.com/x\"")?;
    let mut url = Url::parse(text).map_err(|error| format!("the url \"{text}\": {error}"))?;
    url.set_fragment(None);
    if let Some(query) = options.get("query") {
        let pairs = pairs("query", query)?;
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
    }
    let method = match options.get("method") {
        None => Method::GET,
        Some(method) => {
            let name = method.as_str().unwrap_or_default().to_uppercase();
            Method::from_bytes(name.as_bytes())
                .map_err(|_| "method is no HTTP method".to_owned())?
        }
    };
    let mut headers = match options.get("headers") {
        Some(headers) => headers_of(headers)?,
        None => HeaderMap::new(),
    };
    let body = body(&mut options, &mut headers)?;
    let timeout = match options.get("timeoutMs") {
        None => TIMEOUT,
        Some(HostValue::Int(ms)) if (1..=600_000).contains(ms) => {
            Duration::from_millis(ms.unsigned_abs())
        }
        Some(_) => return Err("timeoutMs is a whole number of milliseconds from 1".into()),
    };
    let retries = match options.get("retries") {
        None => 0,
        Some(HostValue::Int(count)) if (0..=MAX_RETRIES).contains(count) => {
            count.unsigned_abs() as u32
        }
        Some(_) => return Err(format!("retries is a whole number up to {MAX_RETRIES}")),
    };
    let until_call_ends = deadline.checked_sub(MARGIN).unwrap_or(deadline);
    let deadline = until_call_ends.min(Instant::now() + timeout);
    Ok(OutRequest { method, url, headers, body, deadline, retries })
}

fn body(options: &mut Map, headers: &mut HeaderMap) -> Result<Bytes, String> {
    let names = ["body", "json", "form", "multipart"];
    let mut given = names.into_iter().filter_map(|name| Some((name, options.shift_remove(name)?)));
    let Some((name, value)) = given.next() else { return Ok(Bytes::new()) };
    if let Some((other, _)) = given.next() {
        return Err(format!("there is one body: {name} or {other}"));
    }
    let (media, body) = match (name, value) {
        ("body", HostValue::String(text)) => (None, text.into_bytes()),
        ("body", HostValue::Bytes(bytes)) => (None, bytes),
        ("body", other) => return Err(format!("body is a string, not a {}", other.type_name())),
        ("json", value) => {
            let json = serde_json::to_vec(&value).map_err(|error| format!("json: {error}"))?;
            (Some("application/json".to_owned()), json)
        }
        ("form", value) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(pairs("form", &value)?);
            (Some("application/x-www-form-urlencoded".to_owned()), form.finish().into_bytes())
        }
        (_, value) => {
            let (media, body) = multipart::encode(&value)?;
            (Some(media), body)
        }
    };
    if let Some(media) = media
        && !headers.contains_key(CONTENT_TYPE)
        && let Ok(media) = HeaderValue::try_from(media)
    {
        headers.insert(CONTENT_TYPE, media);
    }
    Ok(body.into())
}

/// Names with one value or several.
fn pairs(what: &str, value: &HostValue) -> Result<Vec<(String, String)>, String> {
    let map = match value {
        HostValue::Map(map) => map,
        HostValue::List(list) if list.is_empty() => return Ok(Vec::new()),
        _ => return Err(format!("{what} is a table of names and values")),
    };
    let mut pairs = Vec::with_capacity(map.len());
    for (name, value) in map {
        let values = match value {
            HostValue::List(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let text = value.to_text().ok_or_else(|| {
                format!(
                    "{what}: \"{name}\" is a {}; it must be a string, number or boolean",
                    value.type_name()
                )
            })?;
            pairs.push((name.clone(), text));
        }
    }
    Ok(pairs)
}

fn headers_of(value: &HostValue) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs("headers", value)? {
        let key = HeaderName::try_from(&name).map_err(|_| format!("\"{name}\" names no header"))?;
        if RESERVED.contains(&key) {
            return Err(format!("the header \"{name}\" is set by the host itself"));
        }
        let value = HeaderValue::try_from(value)
            .map_err(|_| format!("the header \"{name}\" has characters that no header may have"))?;
        headers.append(key, value);
    }
    Ok(headers)
}

/// `{ status, headers, body, url }` with `:json()`.
fn response(lua: &Lua, response: &OutResponse) -> mlua::Result<Table> {
    let headers = lua.create_table()?;
    for name in response.headers.keys() {
        let values = response.headers.get_all(name).iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        headers.raw_set(name.as_str(), values.join(", "))?;
    }
    let table = lua.create_table()?;
    table.raw_set("status", response.status.as_u16())?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", lua.create_string(&response.body)?)?;
    table.raw_set("url", response.url.as_str())?;
    let methods = lua.create_table()?;
    methods.raw_set(
        "json",
        lua.create_function(|lua, this: Table| {
            let body: LuaString = this.get("body")?;
            push::json(lua, &body.as_bytes())?
                .map_err(|error| wrong(format!("the response is not JSON: {error}")))
        })?,
    )?;
    let meta = lua.create_table()?;
    meta.raw_set("__index", methods)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

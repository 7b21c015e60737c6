//! What modules of the standard library have from the host: things that Luau cannot do, or not as well.
//! Each module that needs some gets them as the argument of its main function.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::OsRng;
use chacha20poly1305::aead::rand_core::RngCore as _;
use hmac::{Hmac, Mac as _};
use mlua::{Lua, LuaString, Table, Value as LuaValue};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;
use url::Url;
use uuid::Uuid;

use super::{Failure, bridge, push};

/// The most random bytes at once.
const MAX_RANDOM: usize = 1024 * 1024;
/// In texts, padding may be left out.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

/// The host's part of a module such as `@std/json`; `None` if it has none.
///
/// # Errors
/// Only when the VM has no memory for it.
pub fn of(lua: &Lua, module: &str) -> mlua::Result<Option<Table>> {
    let make = match module {
        "@std/json" => json,
        "@std/schema" => null,
        "@std/crypto" => crypto,
        "@std/base64" => base64,
        "@std/hex" => hex,
        "@std/uuid" => uuid,
        "@std/time" => time,
        "@std/url" => url,
        _ => return Ok(None),
    };
    let table = lua.create_table()?;
    make(lua, &table)?;
    Ok(Some(table))
}

fn wrong(message: impl std::fmt::Display) -> mlua::Error {
    Failure::misuse(message.to_string())
}

fn null(_: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set("null", LuaValue::NULL)
}

fn json(lua: &Lua, table: &Table) -> mlua::Result<()> {
    null(lua, table)?;
    table.raw_set("arrayMetatable", bridge::array_metatable(lua)?)?;
    table.raw_set(
        "encode",
        lua.create_function(|_, value: LuaValue| {
            let value =
                bridge::from_lua(&value).map_err(|error| wrong(format!("json.encode: {error}")))?;
            serde_json::to_string(&value).map_err(|error| wrong(format!("json.encode: {error}")))
        })?,
    )?;
    table.raw_set(
        "decode",
        lua.create_function(|lua, text: LuaString| {
            push::json(lua, &text.as_bytes())?
                .map_err(|error| wrong(format!("json.decode: {error}")))
        })?,
    )
}

fn crypto(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set(
        "sha256",
        lua.create_function(|_, data: LuaString| {
            Ok(::hex::encode(Sha256::digest(data.as_bytes())))
        })?,
    )?;
    type HmacArgs = (LuaString, LuaString, LuaString);
    table.raw_set(
        "hmac",
        lua.create_function(|_, (hash, key, data): HmacArgs| {
            let (key, data) = (key.as_bytes(), data.as_bytes());
            let mac = match &*hash.to_str()? {
                "sha256" => Hmac::<Sha256>::new_from_slice(&key)
                    .map(|mac| ::hex::encode(mac.chain_update(&*data).finalize().into_bytes())),
                "sha512" => Hmac::<Sha512>::new_from_slice(&key)
                    .map(|mac| ::hex::encode(mac.chain_update(&*data).finalize().into_bytes())),
                other => {
                    let message = format!("crypto.hmac: there is sha256 and sha512, not {other:?}");
                    return Err(wrong(message));
                }
            };
            mac.map_err(wrong)
        })?,
    )?;
    table.raw_set(
        "randomBytes",
        lua.create_function(|lua, count: f64| {
            if count.fract() != 0.0 || !(0.0..=MAX_RANDOM as f64).contains(&count) {
                return Err(wrong(format!(
                    "crypto.randomBytes takes a number from 0 to {MAX_RANDOM}"
                )));
            }
            let count = count as usize;
            let mut bytes = vec![0; count];
            OsRng.fill_bytes(&mut bytes);
            lua.create_string(bytes)
        })?,
    )?;
    table.raw_set(
        "timingSafeEqual",
        lua.create_function(|_, (a, b): (LuaString, LuaString)| {
            Ok(bool::from(a.as_bytes().ct_eq(&b.as_bytes())))
        })?,
    )
}

fn base64(lua: &Lua, table: &Table) -> mlua::Result<()> {
    let engine = |url_safe: Option<bool>| match url_safe {
        Some(true) => &URL_SAFE,
        _ => &STANDARD,
    };
    type Args = (LuaString, Option<bool>);
    table.raw_set(
        "encode",
        lua.create_function(move |_, (data, url_safe): Args| {
            Ok(engine(url_safe).encode(data.as_bytes()))
        })?,
    )?;
    table.raw_set(
        "decode",
        lua.create_function(move |lua, (text, url_safe): Args| {
            let bytes = engine(url_safe)
                .decode(text.as_bytes())
                .map_err(|error| wrong(format!("base64.decode: {error}")))?;
            lua.create_string(bytes)
        })?,
    )
}

fn hex(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set(
        "encode",
        lua.create_function(|_, data: LuaString| Ok(::hex::encode(data.as_bytes())))?,
    )?;
    table.raw_set(
        "decode",
        lua.create_function(|lua, text: LuaString| {
            let bytes = ::hex::decode(text.as_bytes())
                .map_err(|error| wrong(format!("hex.decode: {error}")))?;
            lua.create_string(bytes)
        })?,
    )
}

fn uuid(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set("v4", lua.create_function(|_, ()| Ok(Uuid::new_v4().to_string()))?)?;
    table.raw_set("v7", lua.create_function(|_, ()| Ok(Uuid::now_v7().to_string()))?)?;
    table.raw_set(
        "isValid",
        lua.create_function(|_, text: LuaString| {
            let text = text.to_string_lossy();
            Ok(text.len() == 36 && Uuid::try_parse(&text).is_ok())
        })?,
    )
}

fn time(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set(
        "now",
        lua.create_function(|_, ()| Ok(format!("{:.3}", jiff::Timestamp::now())))?,
    )?;
    table.raw_set(
        "unix",
        lua.create_function(|_, ()| Ok(jiff::Timestamp::now().as_millisecond() as f64 / 1000.0))?,
    )?;
    table.raw_set(
        "parse",
        lua.create_function(|_, text: LuaString| {
            let time: jiff::Timestamp =
                text.to_str()?.parse().map_err(|error| wrong(format!("time.parse: {error}")))?;
            Ok(time.as_millisecond() as f64 / 1000.0)
        })?,
    )?;
    table.raw_set(
        "format",
        lua.create_function(|_, seconds: f64| {
            let time = jiff::Timestamp::from_millisecond((seconds * 1000.0).round() as i64)
                .map_err(|error| wrong(format!("time.format: {error}")))?;
            Ok(format!("{time:.3}"))
        })?,
    )
}

fn url(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.raw_set(
        "parse",
        lua.create_function(|lua, text: LuaString| {
            let text = text.to_str()?;
            let url = Url::parse(&text).map_err(|error| wrong(format!("url.parse: {error}")))?;
            let query = lua.create_table()?;
            for (name, value) in url.query_pairs() {
                if !query.contains_key(&*name)? {
                    query.raw_set(&*name, &*value)?;
                }
            }
            let parts = lua.create_table()?;
            parts.raw_set("scheme", url.scheme())?;
            parts.raw_set("host", url.host_str())?;
            parts.raw_set("port", url.port_or_known_default())?;
            parts.raw_set("path", url.path())?;
            parts.raw_set("query", query)?;
            parts.raw_set("fragment", url.fragment())?;
            parts.raw_set("origin", url.origin().ascii_serialization())?;
            Ok(parts)
        })?,
    )?;
    table.raw_set(
        "join",
        lua.create_function(|_, (base, path): (LuaString, LuaString)| {
            let joined =
                Url::parse(&base.to_str()?).and_then(|base| base.join(&path.to_string_lossy()));
            joined.map(String::from).map_err(|error| wrong(format!("url.join: {error}")))
        })?,
    )?;
    table.raw_set(
        "encode",
        lua.create_function(|_, text: LuaString| {
            let encoded =
                percent_encoding::percent_encode(&text.as_bytes(), UNRESERVED).to_string();
            Ok(encoded)
        })?,
    )?;
    table.raw_set(
        "decode",
        lua.create_function(|lua, text: LuaString| {
            let bytes = text.as_bytes();
            let decoded: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
            lua.create_string(decoded)
        })?,
    )
}

/// All but the unreserved characters of RFC 3986.
const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

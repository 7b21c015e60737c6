//! The facts of a request that plugins may see.

use std::mem;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::auth::bearer_token;
use super::request_id::RequestId;
use crate::request::{Credentials, Headers, RequestInfo};
use crate::settings::Secret;

/// The facts of a request, whose headers are taken. Hidden credentials are those of a caller who was found
/// to be who they say.
pub(super) fn of(parts: &mut Parts, credentials: Credentials) -> RequestInfo {
    let id = parts.extensions.get::<RequestId>().map(RequestId::as_str).unwrap_or_default();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let bearer = match credentials {
        Credentials::Hidden => bearer(&parts.headers),
        Credentials::Shown => None,
    };
    RequestInfo {
        id: id.to_owned(),
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        headers: Headers::new(mem::take(&mut parts.headers), credentials),
        ip: peer.map(|ConnectInfo(address)| address.ip().to_canonical()),
        bearer,
    }
}

/// The caller's token, which was found to be valid before.
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    bearer_token(value).ok().map(Secret::new)
}

//! Who asks, and with what: the facts of one request that resolvers and plugins may see.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use crate::plugin::world::World;
use crate::settings::Secret;

/// Headers that carry a sender's credentials.
const PRIVATE_HEADERS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Administrator,
    Regular,
}

impl Role {
    /// The name as GraphQL and Lua see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::Regular => "regular",
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// A UUID.
    pub id: String,
    pub name: String,
    pub email_address: String,
    pub role: Role,
}

/// Whether plugins see what a request's sender proves their identity with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Credentials {
    /// They are for the host. With those, a plugin could act in the sender's name, whatever it was
    /// granted.
    #[default]
    Hidden,
    /// They are for the plugin.
    Shown,
}

/// The headers of a request, as plugins see them.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    all: HeaderMap,
    credentials: Credentials,
}

impl Headers {
    pub fn new(all: HeaderMap, credentials: Credentials) -> Self {
        Headers { all, credentials }
    }

    /// About how many there are.
    pub fn len(&self) -> usize {
        self.all.keys_len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Names in lower case, with their values. Several values of one name are joined with `, `; what is
    /// not UTF-8 is replaced.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let is_shown = |name: &HeaderName| {
            self.credentials == Credentials::Shown || !PRIVATE_HEADERS.contains(name)
        };
        self.all.keys().filter(move |name| is_shown(name)).map(|name| {
            let mut joined = Cow::Borrowed("");
            for (i, value) in self.all.get_all(name).iter().enumerate() {
                let text = String::from_utf8_lossy(value.as_bytes());
                joined = if i == 0 { text } else { Cow::Owned(format!("{joined}, {text}")) };
            }
            (name.as_str(), joined)
        })
    }
}

/// The facts of an HTTP request.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// The request id, also in `x-request-id` and the log.
    pub id: String,
    pub method: String,
    pub path: String,
    pub headers: Headers,
    pub ip: Option<IpAddr>,
    /// The token that the caller has shown. Plugins do not see it.
    pub bearer: Option<Secret>,
}

/// One request and the World it lives in from its start to its end.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub info: Arc<RequestInfo>,
    /// `None` for an anonymous caller.
    pub user: Option<Arc<User>>,
    pub world: Arc<World>,
}

//! Who asks, and with what: the facts of one request that resolvers and plugins may see.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plugin::world::World;
use crate::settings::Secret;

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

/// The facts of an HTTP request.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// The request id, also in `x-request-id` and the log.
    pub id: String,
    pub method: String,
    pub path: String,
    /// Names are lower-case. Several values of one name are joined with `, `.
    pub headers: Vec<(String, String)>,
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

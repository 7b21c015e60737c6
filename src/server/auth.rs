//! Who makes a request: the `Authorization` header becomes a user.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::drain::drain;
use super::reply;
use crate::error::{Error, code};
use crate::request::{Role, User};
use crate::settings::Secret;

/// Knows whose a bearer token is. Embedders may bring their own.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// The user of a token, or `None` if the token is not valid. An error means that this cannot be
    /// told at the moment, which is no fault of the token.
    async fn authenticate(&self, token: &str) -> Result<Option<Arc<User>>, Error>;
}

/// Knows the administrator's token for automation, if one is set, and no other.
pub struct TokenAuthenticator {
    /// Digests have one length, so comparing them does not even tell the token's.
    digest: Option<[u8; 32]>,
    user: Arc<User>,
}

impl TokenAuthenticator {
    /// With `None` no token is valid.
    pub fn new(admin_token: Option<&Secret>) -> Self {
        TokenAuthenticator {
            digest: admin_token.map(|token| digest(token.expose())),
            user: Arc::new(automation_user()),
        }
    }

    /// The user, if this is the administrator's token. Takes the same time for every wrong token.
    pub fn check(&self, token: &str) -> Option<Arc<User>> {
        let is_equal = bool::from(self.digest?.ct_eq(&digest(token)));
        is_equal.then(|| self.user.clone())
    }
}

#[async_trait]
impl Authenticator for TokenAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Option<Arc<User>>, Error> {
        Ok(self.check(token))
    }
}

/// The user that the administrator's token stands for.
pub fn automation_user() -> User {
    User {
        id: Uuid::nil().to_string(),
        name: "automation".to_owned(),
        email_address: String::new(),
        role: Role::Administrator,
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Why a request is refused before anything looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 401, with what is wrong with the credentials.
    Unauthenticated(&'static str),
    /// 503: the credentials could not be checked; the log says why.
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Unauthenticated(message) => {
                let body = reply::error(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, message);
                ([(WWW_AUTHENTICATE, "Bearer")], body).into_response()
            }
            Refusal::Unavailable => {
                let message = "The credentials cannot be checked at the moment.";
                reply::error(StatusCode::SERVICE_UNAVAILABLE, code::UNEXPECTED, message)
            }
        }
    }
}

/// The token in the value of an `Authorization` header.
pub fn bearer_token(value: &str) -> Result<&str, Refusal> {
    const EXPECTED: Refusal = Refusal::Unauthenticated("Expected \"Authorization: Bearer TOKEN\".");
    let (scheme, token) = value.trim().split_once(' ').ok_or(EXPECTED)?;
    let token = token.trim_start();
    let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    if scheme.eq_ignore_ascii_case("bearer") && is_token { Ok(token) } else { Err(EXPECTED) }
}

/// The user of an `Authorization` value, be it from a header or a WebSocket's `connection_init`.
pub async fn user_of(
    authenticator: &dyn Authenticator,
    authorization: &str,
) -> Result<Arc<User>, Refusal> {
    let token = bearer_token(authorization)?;
    match authenticator.authenticate(token).await {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Refusal::Unauthenticated("The token is invalid or expired.")),
        Err(error) => {
            tracing::error!(%error, "cannot check credentials");
            Err(Refusal::Unavailable)
        }
    }
}

/// The caller, or `None` for a request without the header. Wrong credentials never make an anonymous
/// caller.
pub async fn caller(
    authenticator: &dyn Authenticator,
    headers: &HeaderMap,
) -> Result<Option<Arc<User>>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Unauthenticated("Expected one Authorization header, found several."));
    }
    let value = value
        .to_str()
        .map_err(|_| Refusal::Unauthenticated("The Authorization header is not ASCII."))?;
    user_of(authenticator, value).await.map(Some)
}

/// The caller of a request, in its extensions; `None` is an anonymous one.
#[derive(Debug, Clone)]
pub struct Caller(pub Option<Arc<User>>);

/// Middleware for the routes that look at the header: refuses wrong credentials and leaves a
/// [`Caller`] in the request.
pub async fn authenticate(
    State(authenticator): State<Arc<dyn Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    match caller(&*authenticator, request.headers()).await {
        Ok(user) => {
            request.extensions_mut().insert(Caller(user));
            next.run(request).await
        }
        Err(refusal) => {
            drain(request.into_body());
            refusal.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Extension;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    struct Broken;

    #[async_trait]
    impl Authenticator for Broken {
        async fn authenticate(&self, _: &str) -> Result<Option<Arc<User>>, Error> {
            Err(Error::unexpected("no database"))
        }
    }

    async fn ask(authenticator: Arc<dyn Authenticator>, values: &[&[u8]]) -> Response {
        let name = |Extension(Caller(user)): Extension<Caller>| async move {
            user.map_or("anonymous".to_owned(), |user| user.name.clone())
        };
        let layer = axum::middleware::from_fn_with_state(authenticator, authenticate);
        let app = Router::new().route("/", get(name)).layer(layer);
        let mut request = Request::get("/");
        for value in values {
            request = request.header(AUTHORIZATION, *value);
        }
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_header_decides_who_calls() {
        let admin = || Arc::new(TokenAuthenticator::new(Some(&Secret::new(TOKEN))));
        assert_eq!(text(ask(admin(), &[]).await).await, "anonymous");
        for good in [&b"Bearer 0123456789abcdef"[..], b"bearer  0123456789abcdef "] {
            assert_eq!(text(ask(admin(), &[good]).await).await, "automation");
        }
        let wrong: [&[&[u8]]; 7] = [
            &[b"Bearer 0123456789abcdeg"],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b""],
            &[b"Basic 0123456789abcdef"],
            &[b"Bearer \xff"],
            &[b"Bearer 0123456789abcdef", b"Bearer 0123456789abcdef"],
        ];
        for values in wrong {
            let response = ask(admin(), values).await;
            assert_eq!(response.status(), 401, "{values:?}");
            assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
            let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(body["error"], "unauthenticated");
            assert!(body["message"].is_string());
        }
    }

    #[tokio::test]
    async fn without_a_token_none_is_valid_and_a_failure_is_no_401() {
        let none = Arc::new(TokenAuthenticator::new(None));
        assert_eq!(ask(none, &[b"Bearer x"]).await.status(), 401);
        let response = ask(Arc::new(Broken), &[b"Bearer x"]).await;
        assert_eq!(response.status(), 503);
        assert!(!text(response).await.contains("database"), "internals are masked");
    }
}

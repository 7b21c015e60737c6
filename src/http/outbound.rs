//! Requests of plugins to elsewhere.
//!
//! A name is resolved once for a connection, and what it leads to is what is connected to: there is no time
//! in which it could come to lead to somewhere else. Redirects are requests of their own, which need a grant
//! of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::Url;

use super::address::is_public;
use crate::backoff;
use crate::error::Error;
use crate::permission::{self, Reach};
use crate::plugin::generation::Generation;

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;
/// The largest body of a response, in bytes.
pub const MAX_RESPONSE: usize = 8 * 1024 * 1024;
/// The first wait between two attempts, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The clients, each with its connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    public: reqwest::Client,
    anywhere: reqwest::Client,
}

/// A request to send.
#[derive(Debug, Clone)]
pub struct OutRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When there must be a response.
    pub deadline: Instant,
    /// How often it is sent again when there is none, or one that says to try again.
    pub retries: u32,
}

/// A response, whole.
#[derive(Debug, Clone)]
pub struct OutResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
}

/// Why there is no response.
#[derive(Debug, Clone)]
pub enum OutError {
    Timeout(String),
    Connect(String),
    Tls(String),
    /// The permission is not granted, or the address is not one that it is granted for.
    Denied(Error),
    TooLarge(String),
}

impl OutError {
    /// The name that scripts see as the error's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            OutError::Timeout(_) => "timeout",
            OutError::Connect(_) => "connect",
            OutError::Tls(_) => "tls",
            OutError::Denied(_) => "denied",
            OutError::TooLarge(_) => "tooLarge",
        }
    }

    fn not_public(host: &str) -> Self {
        OutError::Denied(Error::new(
            permission::CODE,
            format!(
                "{host} is not on the public internet; a permission reaches such an address only if it \
                 names it, as http://127.0.0.1:8080 and http://service.internal do"
            ),
        ))
    }
}

impl Default for Outbound {
    fn default() -> Self {
        let client = |resolver: Option<PublicOnly>| {
            // A proxy would connect to what this host must not connect to.
            let mut builder = super::client().redirect(Policy::none()).no_proxy();
            if let Some(resolver) = resolver {
                builder = builder.dns_resolver(Arc::new(resolver));
            }
            // Nothing here can be wrong.
            builder.build().unwrap_or_default()
        };
        Outbound { public: client(Some(PublicOnly)), anywhere: client(None) }
    }
}

impl Outbound {
    /// Sends a request on behalf of a plugin, as far as it is granted.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn send(
        &self,
        generation: &Generation,
        request: &OutRequest,
    ) -> Result<OutResponse, OutError> {
        let mut attempt = 0;
        loop {
            let result = self.follow(generation, request.clone()).await;
            let (again, after) = match &result {
                Ok(response) => (is_for_later(response.status), told(&response.headers)),
                Err(OutError::Connect(_)) => (true, None),
                Err(_) => (false, None),
            };
            if !again || attempt >= request.retries {
                return result;
            }
            attempt += 1;
            let wait = after
                .unwrap_or_else(|| backoff::after(attempt, FIRST_WAIT, LONGEST_WAIT))
                .min(LONGEST_WAIT);
            if Instant::now() + wait >= request.deadline {
                return result;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn follow(
        &self,
        generation: &Generation,
        mut request: OutRequest,
    ) -> Result<OutResponse, OutError> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.once(generation, &request).await?;
            let Some(next) = redirect(&request.url, &response) else { return Ok(response) };
            if next.origin() != request.url.origin() {
                // They were meant for where they were sent first.
                for name in [AUTHORIZATION, COOKIE, HOST] {
                    request.headers.remove(name);
                }
            }
            let becomes_get = response.status == StatusCode::SEE_OTHER
                || (request.method == Method::POST
                    && matches!(
                        response.status,
                        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND
                    ));
            if becomes_get && request.method != Method::HEAD {
                request.method = Method::GET;
                request.body = Bytes::new();
                request.headers.remove("content-type");
            }
            request.url = next;
        }
        let message = format!("there are more than {MAX_REDIRECTS} redirects");
        Err(OutError::Connect(message))
    }

    async fn once(
        &self,
        generation: &Generation,
        request: &OutRequest,
    ) -> Result<OutResponse, OutError> {
        let url = &request.url;
        if !matches!(url.scheme(), "http" | "https") {
            let message = format!("{} is not a scheme of HTTP", url.scheme());
            return Err(OutError::Denied(Error::new(permission::CODE, message)));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let message = "a URL with a user name in it; send an authorization header";
            return Err(OutError::Denied(Error::new(permission::CODE, message)));
        }
        let reach = permission::http(generation, url).map_err(OutError::Denied)?;
        let client = match reach {
            Reach::Anywhere => &self.anywhere,
            // Addresses are not resolved.
            Reach::Public if permission::literal(url).is_some_and(|ip| !is_public(ip)) => {
                return Err(OutError::not_public(url.host_str().unwrap_or_default()));
            }
            Reach::Public => &self.public,
        };
        let left = request.deadline.saturating_duration_since(Instant::now());
        let sending = client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .timeout(left)
            .send();
        let mut response = sending.await.map_err(|error| failure(&error, url))?;
        let too_large =
            || OutError::TooLarge(format!("the response has more than {MAX_RESPONSE} bytes"));
        if response.content_length().is_some_and(|length| length > MAX_RESPONSE as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|error| failure(&error, url))? {
            if body.len() + part.len() > MAX_RESPONSE {
                return Err(too_large());
            }
            body.extend_from_slice(&part);
        }
        Ok(OutResponse {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
            url: url.clone(),
        })
    }
}

/// Where a response sends the client.
fn redirect(from: &Url, response: &OutResponse) -> Option<Url> {
    let is_redirect = matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers.get(LOCATION).filter(|_| is_redirect)?;
    from.join(location.to_str().ok()?).ok()
}

/// Whether a status says that the same request may succeed later.
fn is_for_later(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// How long a response tells the client to wait.
fn told(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn failure(error: &reqwest::Error, url: &Url) -> OutError {
    use std::error::Error as _;
    let host = url.host_str().unwrap_or_default();
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return OutError::not_public(host);
        }
        if inner.is::<rustls::Error>() {
            return OutError::Tls(format!("{host}: {inner}"));
        }
        causes.push(inner.to_string());
        cause = match inner.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref()) {
            // An I/O error hides its cause's cause.
            Some(hidden) => Some(hidden as &dyn std::error::Error),
            None => inner.source(),
        };
    }
    let message =
        format!("{host}: {}", causes.last().cloned().unwrap_or_else(|| error.to_string()));
    if error.is_timeout() { OutError::Timeout(message) } else { OutError::Connect(message) }
}

/// The name leads to an address that is not on the public internet.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not on the public internet")]
struct NotPublic;

/// Resolves names to public addresses only.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let is_public = |address: &SocketAddr| is_public(address.ip().to_canonical());
            // One that is not public among others is no accident.
            if found.is_empty() || !found.iter().all(is_public) {
                return Err(Box::new(NotPublic) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

//! The first administrator, made with a link that is printed when there is none.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;

use super::{Accounts, NewUser, token};
use crate::error::Result;
use crate::request::Role;

/// The largest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

const PAGE: &str = include_str!("setup.html");

/// The set-up of a host that nobody can administer. It is over when somebody has used the link.
pub struct Setup {
    accounts: Arc<Accounts>,
    /// `None`: nothing is to be set up.
    token: Mutex<Option<String>>,
}

impl Setup {
    /// Nothing is to be set up yet.
    pub fn new(accounts: Arc<Accounts>) -> Self {
        Setup { accounts, token: Mutex::new(None) }
    }

    /// The path and query of the link, if there is no administrator. It works once, and until this
    /// process ends.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn link(&self) -> Result<Option<String>> {
        if self.accounts.has_administrator().await? {
            return Ok(None);
        }
        let token = token::new();
        let link = format!("/setup?token={token}");
        *self.token.lock() = Some(token);
        Ok(Some(link))
    }

    fn is_right(&self, given: &str) -> bool {
        let wanted = self.token.lock();
        wanted.as_ref().is_some_and(|wanted| bool::from(wanted.as_bytes().ct_eq(given.as_bytes())))
    }
}

/// The page behind the link.
pub fn routes(setup: Arc<Setup>) -> Router {
    Router::new().route("/setup", get(show).post(submit)).with_state(setup)
}

async fn show(State(setup): State<Arc<Setup>>, RawQuery(query): RawQuery) -> Response {
    let token = value_of(query.unwrap_or_default().as_bytes(), "token").unwrap_or_default();
    match setup.is_right(&token) {
        true => page(StatusCode::OK, &form(&token, "", "", None)),
        false => over(),
    }
}

async fn submit(State(setup): State<Arc<Setup>>, body: Bytes) -> Response {
    if body.len() > MAX_FORM {
        return page(StatusCode::PAYLOAD_TOO_LARGE, "<p>This is too much.</p>");
    }
    let field = |name: &str| value_of(&body, name).unwrap_or_default();
    let token = field("token");
    if !setup.is_right(&token) {
        return over();
    }
    // Nobody else can use it while this one tries.
    let taken = setup.token.lock().take();
    let (name, email_address) = (field("name"), field("email"));
    let new = NewUser {
        name: name.clone(),
        email_address: email_address.clone(),
        password: field("password"),
        role: Role::Administrator,
    };
    match setup.accounts.create(new, None).await {
        Ok(user) => {
            tracing::info!(user = user.id, "the host has its first administrator");
            let text = "<p>You are the administrator of this server now. Sign in with the mutation \
                        <code>signIn</code>.</p>";
            page(StatusCode::OK, text)
        }
        Err(error) => {
            *setup.token.lock() = taken;
            if !error.is_for_clients() {
                tracing::error!("the first administrator cannot be made: {}", error.message);
            }
            let issues = match error.extensions.get("issues") {
                Some(crate::value::Value::List(issues)) => issues.as_slice(),
                _ => &[],
            };
            let texts: Vec<String> = issues.iter().filter_map(described).collect();
            let message = match (texts.is_empty(), error.is_for_clients()) {
                (false, _) => texts.join(" "),
                (true, true) => error.message,
                (true, false) => "Something went wrong; the log says what.".to_owned(),
            };
            let body = form(&token, &name, &email_address, Some(&message));
            page(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
    }
}

fn described(issue: &crate::value::Value) -> Option<String> {
    let field = match issue.get("argumentPath") {
        Some(crate::value::Value::List(path)) => path.last()?.as_str()?,
        _ => return None,
    };
    let label = match field {
        "emailAddress" => "Email",
        "password" => "Password",
        _ => "Name",
    };
    Some(format!("{label}: {}.", issue.get("message")?.as_str()?))
}

fn over() -> Response {
    let text = "<p>This link is not valid, or was used already. It is printed by <code>moondock \
                serve</code> when it starts and there is no administrator.</p>";
    page(StatusCode::NOT_FOUND, text)
}

fn form(token: &str, name: &str, email: &str, message: Option<&str>) -> String {
    let (token, name, email) = (escaped(token), escaped(name), escaped(email));
    let message = match message {
        Some(message) => format!("<p role=\"alert\">{}</p>", escaped(message)),
        None => String::new(),
    };
    format!(
        "<p>Nobody can administer this server yet. Whoever fills this in becomes its first \
         administrator.</p>{message}<form method=\"post\" action=\"/setup\" accept-charset=\"utf-8\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <label>Name<input name=\"name\" value=\"{name}\" autocomplete=\"name\" required></label>\
         <label>Email<input name=\"email\" type=\"email\" value=\"{email}\" autocomplete=\"username\" \
         required></label>\
         <label>Password<input name=\"password\" type=\"password\" minlength=\"8\" \
         autocomplete=\"new-password\" required></label><button>Become administrator</button></form>"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A value of a form, which is encoded as the query of a URL is.
fn value_of(form: &[u8], name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(form);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn page(status: StatusCode, body: &str) -> Response {
    let mut response = (status, Html(PAGE.replace("{body}", body))).into_response();
    let headers = response.headers_mut();
    // Nothing but what is in the page, and nothing of the link for anybody else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                  frame-ancestors 'none'; base-uri 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

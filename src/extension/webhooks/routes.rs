//! Which webhook a request is for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use matchit::Router;

use super::{Verification, Webhook};
use crate::plugin::generation::Generation;

/// The webhooks of one plugin. Several methods of one path are one route.
#[derive(Debug, Default)]
pub struct Routes {
    /// From a path with its parameters as `{0}`, `{1}`…, so that the methods of a path may name them
    /// differently, to an index in `paths`.
    router: Router<usize>,
    paths: Vec<Vec<Arc<Webhook>>>,
}

/// The webhooks of all active plugins.
#[derive(Debug, Default)]
pub struct WebhookTable(HashMap<String, (Arc<Generation>, Arc<Routes>)>);

/// What there is for a request.
#[derive(Debug)]
pub enum Found<'a> {
    Webhook {
        generation: &'a Arc<Generation>,
        webhook: &'a Arc<Webhook>,
        /// The values of the path's parameters.
        params: Vec<(&'a str, String)>,
    },
    /// The path is there, but not with this method: those that are, for `Allow`.
    OtherMethods(String),
    /// The plugin is active, but does not have the path.
    NoPath,
    NoPlugin,
}

impl Routes {
    /// Adds a webhook. The manifest has no two of one path and method.
    pub(super) fn add(
        &mut self,
        path: &str,
        method: &str,
        handler: Arc<str>,
        verify: Option<Verification>,
    ) {
        let path = match path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let mut params = Vec::new();
        let mut pattern = String::new();
        for segment in path.split('/').skip(1) {
            match segment.strip_prefix(':') {
                Some(name) => {
                    // Writing to a string cannot fail.
                    let _ = write!(pattern, "/{{p{}}}", params.len());
                    params.push(name.to_owned());
                }
                None => {
                    pattern.push('/');
                    pattern.push_str(segment);
                }
            }
        }
        let index = self.paths.len();
        let webhook = Arc::new(Webhook {
            path: path.to_owned(),
            method: method.to_owned(),
            handler,
            verify,
            params,
        });
        match self.router.insert(&*pattern, index) {
            Ok(()) => self.paths.push(vec![webhook]),
            // Parameters have no names of their own and static segments come first, so the only
            // conflict is the same path.
            Err(_) => {
                if let Ok(known) = self.router.at(&pattern) {
                    self.paths[*known.value].push(webhook);
                }
            }
        }
    }
}

impl WebhookTable {
    /// The webhooks of these generations.
    pub(super) fn of(generations: &[Arc<Generation>]) -> Self {
        let with_routes = |generation: &Arc<Generation>| {
            let routes = generation.parts.get::<Routes>()?;
            Some((generation.plugin_id().to_owned(), (Arc::clone(generation), routes)))
        };
        WebhookTable(generations.iter().filter_map(with_routes).collect())
    }

    /// Finds the webhook for a path from `/`, as it was sent, without a slash at its end.
    pub fn find<'a>(&'a self, plugin_id: &str, method: &str, path: &str) -> Found<'a> {
        let Some((generation, routes)) = self.0.get(plugin_id) else { return Found::NoPlugin };
        // What these mean is a matter of taste, so they mean nothing.
        if path != "/" && path.split('/').skip(1).any(|one| matches!(one, "" | "." | "..")) {
            return Found::NoPath;
        }
        let Ok(found) = routes.router.at(path) else { return Found::NoPath };
        let methods = &routes.paths[*found.value];
        let with = |method: &str| methods.iter().find(|webhook| webhook.method == method);
        let webhook = match with(method) {
            None if method == "HEAD" => with("GET"),
            webhook => webhook,
        };
        let Some(webhook) = webhook else { return Found::OtherMethods(allowed(methods)) };
        let values =
            found.params.iter().map(|(_, value)| decoded(value)).collect::<Option<Vec<_>>>();
        match values {
            Some(values) => {
                let params = webhook.params.iter().map(String::as_str).zip(values).collect();
                Found::Webhook { generation, webhook, params }
            }
            None => Found::NoPath,
        }
    }
}

/// The methods of a path, with those that come by themselves.
fn allowed(webhooks: &[Arc<Webhook>]) -> String {
    let mut methods: Vec<&str> = webhooks.iter().map(|webhook| &*webhook.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// The text of a path's segment; `None` if it is not UTF-8.
fn decoded(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(routes: &[(&str, &str)], method: &str, path: &str) -> String {
        let mut table = Routes::default();
        for (i, (method, path)) in routes.iter().enumerate() {
            table.add(path, method, format!("h{i}").into(), None);
        }
        let Ok(at) = table.router.at(path) else { return "no path".into() };
        let values: Vec<_> = at.params.iter().map(|(_, value)| value.to_owned()).collect();
        let webhooks = &table.paths[*at.value];
        match webhooks.iter().find(|webhook| webhook.method == method) {
            Some(webhook) => format!("{} {:?} {values:?}", webhook.handler, webhook.params),
            None => allowed(webhooks),
        }
    }

    #[test]
    fn paths_and_methods() {
        let routes = [
            ("POST", "/"),
            ("POST", "/orders/:id"),
            ("GET", "/orders/:order"),
            ("PUT", "/orders/new"),
            ("POST", "/orders/:id/items/:item/"),
        ];
        for (method, path, expected) in [
            ("POST", "/", "h0 [] []"),
            ("POST", "/orders/7", "h1 [\"id\"] [\"7\"]"),
            ("GET", "/orders/7", "h2 [\"order\"] [\"7\"]"),
            ("DELETE", "/orders/7", "GET, HEAD, OPTIONS, POST"),
            ("PUT", "/orders/new", "h3 [] []"),
            ("POST", "/orders/7/items/8", "h4 [\"id\", \"item\"] [\"7\", \"8\"]"),
            ("POST", "/orders", "no path"),
            ("POST", "/orders/7/items/8/9", "no path"),
        ] {
            assert_eq!(found(&routes, method, path), expected, "{method} {path}");
        }
    }
}

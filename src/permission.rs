//! What a plugin may do, by what an administrator has granted it: all such decisions are here.

use std::net::IpAddr;

use url::{Host, Origin, Url};

use crate::error::Error;
use crate::extension::hooks::matches;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::Permissions;
use crate::value::Value;

/// What an administrator lets a plugin do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    pub permissions: Permissions,
    /// Whether what is not granted is noted only, and not denied: to find out what a plugin needs.
    pub monitor: bool,
}

/// The code of a refusal.
pub const CODE: &str = "forbidden";

/// Domains that no public name server knows.
const PRIVATE_DOMAINS: [&str; 9] = [
    "corp",
    "home.arpa",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
];

/// How far an HTTP grant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To addresses on the public internet.
    Public,
    /// To wherever the name leads: the grant names an address, or a name that is not a public one.
    Anywhere,
}

/// Whether a plugin may send requests to a URL, and how far.
///
/// # Errors
/// The refusal, with what would have to be granted.
pub fn http(generation: &Generation, url: &Url) -> Result<Reach, Error> {
    if generation.services.containers.owns(generation.plugin_id(), url) {
        return Ok(Reach::Anywhere);
    }
    let granted = &generation.granted().permissions.http;
    let reach = granted
        .iter()
        .filter_map(|entry| reach(entry, generation.config(), url))
        .max_by_key(|reach| *reach == Reach::Anywhere);
    match reach {
        Some(reach) => Ok(reach),
        None => {
            let origin = url.origin().ascii_serialization();
            deny(generation, &format!("send requests to {origin}"), "http", &origin)?;
            // Not even a monitored plugin finds its way into the network.
            Ok(Reach::Public)
        }
    }
}

/// Whether a plugin may raise an event. It raises its own, and those of others that it was granted. The
/// events of the host's own life cannot be forged.
///
/// # Errors
/// The refusal, with what would have to be granted.
pub fn event(generation: &Generation, name: &str) -> Result<(), Error> {
    let plugin_id = generation.plugin_id();
    if name.strip_prefix(plugin_id).is_some_and(|rest| rest.starts_with(':')) {
        return Ok(());
    }
    if ["plugin:", "plugins:"].iter().any(|space| name.starts_with(space)) {
        return Err(Error::new(CODE, format!("the event \"{name}\" is the host's own")));
    }
    if generation.granted().permissions.events.iter().any(|pattern| matches(pattern, name)) {
        return Ok(());
    }
    let what = format!("raise \"{name}\", which is not one of its own events (\"{plugin_id}:…\")");
    deny(generation, &what, "events", name)
}

/// Whether a plugin may read an environment variable.
pub fn env(generation: &Generation, name: &str) -> bool {
    generation.granted().permissions.env.iter().any(|granted| granted == name)
        || (is_variable(name) && deny(generation, "read it", "env", name).is_ok())
}

/// Whether a plugin may write SQL.
///
/// # Errors
/// The refusal, with what would have to be granted.
pub fn sql(generation: &Generation) -> Result<(), Error> {
    if generation.granted().permissions.sql {
        return Ok(());
    }
    deny(generation, "write SQL", "sql", "")
}

/// Whether a plugin may run containers. What an image does is nothing that could be noted and let pass, so
/// even a monitored plugin needs the grant.
///
/// # Errors
/// The refusal, with what would have to be granted.
pub fn docker(generation: &Generation) -> Result<(), Error> {
    if generation.granted().permissions.docker {
        return Ok(());
    }
    generation.services.audit.denied(generation.plugin_id(), "docker", "", false);
    Err(refusal(generation.plugin_id(), "run containers", "docker", ""))
}

/// Whether a text can name a variable; what else is asked for is not worth an entry.
fn is_variable(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Notes that something is not granted, and refuses it, unless the plugin is only monitored.
fn deny(generation: &Generation, what: &str, kind: &str, entry: &str) -> Result<(), Error> {
    let plugin_id = generation.plugin_id();
    let monitor = generation.granted().monitor;
    generation.services.audit.denied(plugin_id, kind, entry, monitor);
    if monitor {
        return Ok(());
    }
    Err(refusal(plugin_id, what, kind, entry))
}

fn refusal(plugin_id: &str, what: &str, kind: &str, entry: &str) -> Error {
    let (asked, option) = match entry {
        "" => (String::new(), format!("--{kind}")),
        entry => (format!(" with \"{entry}\""), format!("--{kind} {entry}")),
    };
    Error::new(
        CODE,
        format!(
            "the plugin may not {what}: permissions.{kind}{asked} is not granted; an administrator grants \
             it with: moondock plugin grant {plugin_id} {option}"
        ),
    )
}

/// How far an entry of `permissions.http` goes for a URL; `None` if it is for other ones.
fn reach(entry: &str, config: &Value, url: &Url) -> Option<Reach> {
    if let Some(key) = entry.strip_prefix("config.") {
        let value = key.split('.').try_fold(config, |value, key| value.get(key))?;
        return exact(value.as_str()?, url);
    }
    let (scheme, host) = entry.split_once("://")?;
    match host.strip_prefix('*') {
        Some("") => (url.scheme() == scheme).then_some(Reach::Public),
        Some(rest) => {
            // Parsed like any other, so that ports and upper case mean the same.
            let parent = Url::parse(&format!("{scheme}://{}", rest.strip_prefix('.')?)).ok()?;
            let (Some(Host::Domain(parent_host)), Some(Host::Domain(host))) =
                (parent.host(), url.host())
            else {
                return None;
            };
            let is_below = host.strip_suffix(parent_host).is_some_and(|rest| rest.ends_with('.'));
            let is_same = url.scheme() == scheme
                && parent.port_or_known_default() == url.port_or_known_default();
            (is_below && is_same).then_some(Reach::Public)
        }
        None => exact(entry, url),
    }
}

/// How far a grant of one origin goes. What follows the origin is nothing to it.
fn exact(entry: &str, url: &Url) -> Option<Reach> {
    let granted = Url::parse(entry).ok()?.origin();
    if !granted.is_tuple() || granted != url.origin() {
        return None;
    }
    let Origin::Tuple(_, host, _) = granted else { return None };
    Some(match host {
        Host::Ipv4(_) | Host::Ipv6(_) => Reach::Anywhere,
        Host::Domain(name) if is_private_name(&name) => Reach::Anywhere,
        // Whoever owns the name may let it lead to anywhere.
        Host::Domain(_) => Reach::Public,
    })
}

fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.')
        || PRIVATE_DOMAINS
            .iter()
            .any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// The address that a URL's host is, if it is one and no name.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(entry: &str, url: &str) -> Option<Reach> {
        let config = serde_json::json!({ "api": "https://pay.example.com/v1", "nested": { "url": "http://127.0.0.1:81" } });
        let config: Value = serde_json::from_value(config).unwrap();
        reach(entry, &config, &Url::parse(url).unwrap())
    }

    #[test]
    fn grants_are_origins() {
        use Reach::{Anywhere, Public};
        for (entry, url, expected) in [
            ("https://api.example.com", "https://api.example.com/x?y", Some(Public)),
            ("https://api.example.com", "https://API.example.com:443/", Some(Public)),
            ("https://api.example.com", "http://api.example.com/", None),
            ("https://api.example.com", "https://api.example.com:8443/", None),
            ("https://api.example.com", "https://api.example.com.evil.org/", None),
            ("https://api.example.com", "https://evil.org/#https://api.example.com", None),
            ("https://api.example.com", "https://api.example.com@evil.org/", None),
            ("https://api.example.com", "https://xapi.example.com/", None),
            ("https://*.example.com", "https://a.example.com/", Some(Public)),
            ("https://*.example.com", "https://a.b.example.com/", Some(Public)),
            ("https://*.example.com", "https://example.com/", None),
            ("https://*.example.com", "https://evilexample.com/", None),
            ("https://*.example.com", "http://a.example.com/", None),
            ("https://*.example.com", "https://a.example.com:444/", None),
            ("https://*.example.com:444", "https://a.example.com:444/", Some(Public)),
            ("https://*", "https://anything.org:9/", Some(Public)),
            ("https://*", "https://127.0.0.1/", Some(Public)),
            ("https://*", "http://anything.org/", None),
            ("http://127.0.0.1:81", "http://127.0.0.1:81/", Some(Anywhere)),
            ("http://127.0.0.1:81", "http://2130706433:81/", Some(Anywhere)),
            ("http://[::1]", "http://[0:0:0:0:0:0:0:1]/", Some(Anywhere)),
            ("http://localhost:81", "http://localhost:81/", Some(Anywhere)),
            ("http://payments", "http://payments/", Some(Anywhere)),
            ("http://a.svc.internal", "http://a.svc.internal/", Some(Anywhere)),
            ("http://internal.org", "http://internal.org/", Some(Public)),
            ("config.api", "https://pay.example.com/", Some(Public)),
            ("config.api", "https://other.example.com/", None),
            ("config.nested.url", "http://127.0.0.1:81/x", Some(Anywhere)),
            ("config.none", "https://pay.example.com/", None),
        ] {
            assert_eq!(reached(entry, url), expected, "{entry} {url}");
        }
    }
}

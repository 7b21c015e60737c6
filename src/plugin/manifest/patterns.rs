//! What the strings of a manifest must look like.

/// The longest event name, handler name, webhook path and the like, in bytes.
const MAX_NAME: usize = 200;

/// A name of a function or an export: not empty, one word.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// An event name, or the start of event names followed by `*`.
pub(super) fn is_event(text: &str) -> bool {
    let stem = text.strip_suffix('*').unwrap_or(text);
    !text.is_empty()
        && text.len() <= MAX_NAME
        && (stem.is_empty() || stem.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b))
}

/// The name of an environment variable.
pub(super) fn is_env_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.len() <= MAX_NAME
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `config.` and a key of the plugin's configuration, which may be nested.
pub(super) fn is_config_reference(text: &str) -> bool {
    text.strip_prefix("config.").is_some_and(|keys| {
        keys.split('.').all(|key| {
            !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
    })
}

/// An origin (`https://api.example.com`, with a port if need be), `https://*.example.com` or
/// `https://*`.
pub(super) fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    if let Some(rest) = rest.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let host = host.strip_prefix("*.").unwrap_or(if host == "*" { "any" } else { host });
    port.is_none_or(is_port) && is_host(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// A webhook path: from `/`, no empty or dot segments, `:params` named and named once.
pub(super) fn is_webhook_path(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else { return false };
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let mut params = Vec::new();
    text.len() <= MAX_NAME
        && (path.is_empty()
            || path.split('/').all(|segment| match segment.strip_prefix(':') {
                Some(name) => {
                    let is_new = !params.contains(&name);
                    params.push(name);
                    is_new && is_env_name(name)
                }
                None => {
                    !matches!(segment, "" | "." | "..")
                        && segment
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b"_-.~".contains(&b))
                }
            }))
}

/// A header name, in any case.
pub(super) fn is_header_name(text: &str) -> bool {
    axum::http::HeaderName::from_bytes(text.as_bytes()).is_ok()
}

/// The shape of a cron expression: `@daily` and its like, or five fields, or six with seconds. The
/// scheduler reads what the fields say.
pub(super) fn is_cron(text: &str) -> bool {
    if let Some(word) = text.strip_prefix('@') {
        let words = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        return words.contains(&word);
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    (5..=6).contains(&fields.len())
        && fields
            .iter()
            .all(|field| field.bytes().all(|b| b.is_ascii_alphanumeric() || b"*/,-?#".contains(&b)))
}

/// The normalized form of a file name inside the plugin's folder, or why it is none.
pub(super) fn inner_path(text: &str) -> Result<String, &'static str> {
    let path = text.strip_prefix("./").unwrap_or(text);
    if path.is_empty() {
        return Err("the name of a file in the plugin's folder");
    }
    if path.contains('\\') {
        return Err("a path with forward slashes");
    }
    let has_drive =
        path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    if path.starts_with('/') || has_drive {
        return Err("a path relative to the plugin's folder");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("a path inside the plugin's folder, without \"..\"");
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") || path.contains('\0') {
        return Err("a plain path such as \"graphql/queries.lua\"");
    }
    Ok(path.to_owned())
}

/// Whether a file name is that of a script.
pub(super) fn is_script(path: &str) -> bool {
    path.ends_with(".lua") || path.ends_with(".luau")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for good in [
            "https://api.example.com",
            "http://localhost:8080",
            "https://*.example.com",
            "https://*",
            "http://10.0.0.1:1",
            "https://[::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "api.example.com",
            "ftp://x",
            "https://",
            "https://a/b",
            "https://a/",
            "https://a:0",
            "https://a:99999",
            "https://a:",
            "https://a.*.b",
            "https://*x",
            "https://u@h",
            "https://[::1",
            "https://-a",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn events_and_paths() {
        for good in ["user:create", "payment:*", "*", "a.b/c-d_e"] {
            assert!(is_event(good), "{good}");
        }
        for bad in ["", "a*b", "**", ":a", "a b", "é"] {
            assert!(!is_event(bad), "{bad}");
        }
        for good in ["/", "/callback", "/callback/", "/a/:id/b", "/v1.0/~x"] {
            assert!(is_webhook_path(good), "{good}");
        }
        for bad in ["", "a", "//", "/a//b", "/..", "/a?b", "/:", "/:a/:a", "/a b", "/%2e"] {
            assert!(!is_webhook_path(bad), "{bad}");
        }
        assert!(is_cron("*/5 * * * *") && is_cron("0 0 9 * * MON-FRI") && is_cron("@daily"));
        assert!(!is_cron("") && !is_cron("* * *") && !is_cron("@never") && !is_cron("; * * * *"));
    }

    #[test]
    fn files_stay_inside_the_folder() {
        assert_eq!(inner_path("./a/b.lua").as_deref(), Ok("a/b.lua"));
        for bad in
            ["", "./", "/a", "../a", "a/../b", "a\\b", "C:/a", "a//b", "a/./b", "a\0b", ".//a"]
        {
            assert!(inner_path(bad).is_err(), "{bad:?}");
        }
    }
}

//! The texts that the constraint `format` knows.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::scalar::Scalar;
use crate::value::Value;

/// A form that a text must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `name@host`, without display name, quotes or comments.
    Email,
    /// An absolute URI (RFC 3986).
    Uri,
    /// With hyphens, in either case.
    Uuid,
    /// `2026-01-02`.
    Date,
    /// RFC 3339, with an offset.
    DateTime,
    Ipv4,
    /// Without a zone.
    Ipv6,
    /// Labels of letters, digits and hyphens (RFC 1123), without a final dot.
    Hostname,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::Email,
        Format::Uri,
        Format::Uuid,
        Format::Date,
        Format::DateTime,
        Format::Ipv4,
        Format::Ipv6,
        Format::Hostname,
    ];

    /// The name in a declaration, which is JSON Schema's.
    pub fn name(self) -> &'static str {
        match self {
            Format::Email => "email",
            Format::Uri => "uri",
            Format::Uuid => "uuid",
            Format::Date => "date",
            Format::DateTime => "date-time",
            Format::Ipv4 => "ipv4",
            Format::Ipv6 => "ipv6",
            Format::Hostname => "hostname",
        }
    }

    /// The format of that name.
    pub fn by_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What a text of this format is, for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Format::Email => "an email address",
            Format::Uri => "a URI with a scheme",
            Format::Uuid => "a UUID",
            Format::Date => "a date such as 2026-01-02",
            Format::DateTime => "a time such as 2026-01-02T03:04:05Z",
            Format::Ipv4 => "an IPv4 address",
            Format::Ipv6 => "an IPv6 address",
            Format::Hostname => "a host name",
        }
    }

    /// Whether the text has this format.
    pub fn fits(self, text: &str) -> bool {
        let scalar = |scalar: Scalar| scalar.parse(&Value::from(text)).is_ok();
        match self {
            Format::Email => is_email(text),
            Format::Uri => is_uri(text),
            Format::Uuid => scalar(Scalar::Uuid),
            Format::Date => scalar(Scalar::Date),
            Format::DateTime => scalar(Scalar::DateTime),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Hostname => is_hostname(text),
        }
    }
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The local part is a dot-atom (RFC 5322), in which RFC 6531 allows other scripts.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |c: char| match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        false => !c.is_whitespace() && !c.is_control(),
    };
    text.len() <= 254
        && local.len() <= 64
        && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
        && is_hostname(domain)
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_char = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_char) {
        return false;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let web = ["http", "https", "ws", "wss"].iter().any(|s| s.eq_ignore_ascii_case(scheme));
            if !is_authority(authority, !web) {
                return false;
            }
            path
        }
    };
    made_of(path, b":@/") && made_of(query, b":@/?") && made_of(fragment, b":@/?")
}

/// `user@host:port`. Only some schemes do without a host.
fn is_authority(text: &str, empty_host: bool) -> bool {
    let (user, address) = text.rsplit_once('@').unwrap_or(("", text));
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let Some((ip, port)) = rest.split_once(']') else { return false };
            if !Format::Ipv6.fits(ip) {
                return false;
            }
            ("", port)
        }
        None => {
            let (host, port) = address.split_at(address.find(':').unwrap_or(address.len()));
            if host.is_empty() && !empty_host {
                return false;
            }
            (host, port)
        }
    };
    let port = port.strip_prefix(':').or(port.is_empty().then_some(""));
    made_of(user, b":")
        && made_of(host, b"")
        && port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a part of a URI has only unreserved characters, sub-delimiters, percent escapes and
/// those in `more`.
fn made_of(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|d| d.is_ascii_hexdigit())),
            _ => {
                byte.is_ascii_alphanumeric()
                    || b"-._~!$&'()*+,;=".contains(&byte)
                    || more.contains(&byte)
            }
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_what_it_names_and_nothing_else() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_local = format!("{}@example.com", "a".repeat(65));
        for (name, right, wrong) in [
            (
                "email",
                &["ada@example.com", "a.b+c@localhost", "zoë@example.com"][..],
                &["ada", "@x.com", "a@", "a..b@x.com", "a b@x.com", "a@-x.com", &long_local][..],
            ),
            (
                "uri",
                &[
                    "https://example.com",
                    "http://a:b@[::1]:8080/p%20q?x=1#y",
                    "mailto:ada@example.com",
                    "file:///etc/hosts",
                    "urn:isbn:0451450523",
                ],
                &[
                    "example.com/path",
                    "https://",
                    "http:///x",
                    "1http://x",
                    "http://a b",
                    "http://x/%zz",
                    "http://x:80y",
                    "http://[::1",
                    "http://[::g]",
                    "http://é.com",
                    ":x",
                    "",
                ],
            ),
            (
                "uuid",
                &["00000000-0000-4000-8000-00000000000A"],
                &[
                    "0000000000004000800000000000000a",
                    "{00000000-0000-4000-8000-00000000000a}",
                    "x",
                ],
            ),
            ("date", &["2026-01-02"], &["2026-02-30", "20260102", "2026-01-02T00:00:00Z"]),
            (
                "date-time",
                &["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.6+01:00"],
                &["2026-01-02", "2026-01-02T03:04:05", "today"],
            ),
            ("ipv4", &["127.0.0.1"], &["127.1", "256.0.0.1", "01.0.0.1", "::1"]),
            ("ipv6", &["::1", "2001:db8::ffff:1.2.3.4"], &["1.2.3.4", "::1%eth0", "[::1]", ":::"]),
            (
                "hostname",
                &["localhost", "a-b.example.com", "1.example"],
                &["", "a..b", "-a.com", "a-.com", "a_b.com", "a.com.", &long_label],
            ),
        ] {
            let format = Format::by_name(name).unwrap();
            for text in right {
                assert!(format.fits(text), "{name}: {text}");
            }
            for text in wrong {
                assert!(!format.fits(text), "{name}: {text}");
            }
        }
        assert_eq!(Format::by_name("Email"), None);
    }
}

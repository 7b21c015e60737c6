//! The short forms of Compose: sizes, durations, ports, mounts.

use std::net::IpAddr;
use std::time::Duration;

use jiff::SignedDuration;

use super::model::{Exposed, Mount, MountSource, Port, Protocol};

/// What a duration is, in words.
pub const DURATION: &str = "a duration such as 1m30s";

/// A size such as `64m` or `1gb`, in bytes; units are powers of 1024, in either case.
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let number: u64 = lower[..digits].parse().ok()?;
    let shift = match &lower[digits..] {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A duration such as `1m30s` or `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let duration: SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(duration).ok()
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        other => Err(format!("expected the protocol tcp or udp, found {other:?}")),
    }
}

/// `80`, `80-85`, each with or without `/tcp` or `/udp`.
pub fn exposed(text: &str) -> Result<Vec<Exposed>, String> {
    let (ports, protocol) = match text.split_once('/') {
        Some((ports, name)) => (ports, protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    Ok(range(ports)?.map(|port| Exposed { port, protocol }).collect())
}

fn range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("expected a port from 1 to 65535 or a range of them, found {text:?}")),
    }
}

/// `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, with ranges.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    let (rest, target) = match text.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, text),
    };
    let targets = exposed(target)?;
    let (ip, published) = match rest {
        None => (None, None),
        Some(rest) if rest.ends_with(']') => (Some(rest), None),
        Some(rest) => match rest.rsplit_once(':') {
            Some((ip, published)) => (Some(ip), Some(published)),
            None => (None, Some(rest)),
        },
    };
    let host_ip = loopback(ip)?;
    let published: Vec<Option<u16>> = match published.filter(|text| !text.is_empty()) {
        None => vec![None; targets.len()],
        Some(text) => {
            let published: Vec<_> = range(text)?.map(Some).collect();
            if published.len() != targets.len() {
                return Err(format!("{text} and {target} are not equally many ports"));
            }
            published
        }
    };
    let port = |(target, published)| Port { target, published, host_ip: host_ip.clone() };
    Ok(targets.into_iter().zip(published).map(port).collect())
}

/// The address that a port is published on, which is one of the loopback.
pub fn loopback(ip: Option<&str>) -> Result<String, String> {
    let Some(text) = ip else { return Ok("127.0.0.1".into()) };
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => Ok(ip.to_string()),
        Ok(_) => Err(format!(
            "ports are published on the loopback only: leave {bare} out, or write 127.0.0.1"
        )),
        Err(_) => Err(format!("expected an IP address, found {bare:?}")),
    }
}

/// `[SOURCE:]TARGET[:MODE]`. A source that looks like a path is one of the plugin's.
pub fn mount(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [target] => (None, *target, "rw"),
        [source, target] => (Some(*source), *target, "rw"),
        [source, target, mode] => (Some(*source), *target, *mode),
        _ => return Err(format!("expected SOURCE:TARGET or SOURCE:TARGET:MODE, found {text:?}")),
    };
    let read_only = match mode {
        "rw" => false,
        "ro" => true,
        other => return Err(format!("expected the mode ro or rw, found {other:?}")),
    };
    let source = match source {
        None => MountSource::Anonymous,
        Some(source) if is_path(source) => MountSource::Inside(source.to_owned()),
        Some(name) => MountSource::Volume(volume_name(name)?),
    };
    Ok(Mount { source, target: container_path(target)?, read_only, content_hash: None })
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~']) || source.contains(['/', '\\'])
}

/// The name of a volume, network or service.
pub fn volume_name(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty()
        && name.len() <= 60
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    match is_name {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "expected a name of at most 60 letters, digits, \"_\", \".\" and \"-\", found {name:?}"
        )),
    }
}

/// A path in a container.
pub fn container_path(path: &str) -> Result<String, String> {
    let is_plain = path.starts_with('/')
        && path != "/"
        && !path.contains(['\0', '\n'])
        && !path.split('/').any(|part| part == "..");
    match is_plain {
        true => Ok(path.to_owned()),
        false => Err(format!("expected an absolute path in the container, found {path:?}")),
    }
}

/// The place in the plugin's folder of a path that is relative to `folder`, which is one of it: without
/// `.` and `..`, and empty for the plugin's folder itself.
pub fn inside(folder: &str, path: &str) -> Result<String, String> {
    let outside = || {
        Err(format!(
            "{path:?} is not inside the plugin's folder; a plugin's containers see nothing else of this \
             machine"
        ))
    };
    if path.starts_with(['/', '~']) || path.contains(['\\', '\0']) || path.contains("://") {
        return outside();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return outside();
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1g", Some(1 << 30)),
            ("2kb", Some(2048)),
            ("10b", Some(10)),
            ("1.5g", None),
            ("m", None),
            ("", None),
            ("-1", None),
            ("99999999999g", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        for (text, expected) in [
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5s", Some(1_500)),
            ("2h", Some(7_200_000)),
            ("10", None),
            ("", None),
            ("1d", None),
            ("s", None),
            ("-1s", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn ports_are_published_on_the_loopback() {
        let found = |text: &str| {
            ports(text).map(|ports| {
                let shown = |p: Port| {
                    let published = p.published.map(|p| p.to_string()).unwrap_or_default();
                    format!(
                        "{}:{published}:{}/{}",
                        p.host_ip,
                        p.target.port,
                        p.target.protocol.as_str()
                    )
                };
                ports.into_iter().map(shown).collect::<Vec<_>>().join(" ")
            })
        };
        for (text, expected) in [
            ("80", "127.0.0.1::80/tcp"),
            ("8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("[::1]:8080:80", "::1:8080:80/tcp"),
            ("3000-3001:4000-4001", "127.0.0.1:3000:4000/tcp 127.0.0.1:3001:4001/tcp"),
        ] {
            assert_eq!(found(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "0.0.0.0:80:80",
            "8.8.8.8:80:80",
            "[::]:80:80",
            "0:80",
            "80:70000",
            "a:80",
            "80/sctp",
            "3000-3002:4000-4001",
            "",
            "::80",
            "localhost:1:2",
        ] {
            assert!(found(text).is_err(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn binds_stay_inside() {
        for (text, expected) in [
            ("./conf:/etc/app:ro", Some(("conf", true))),
            ("./a/../b/./c:/x", Some(("b/c", false))),
            (".:/x", Some(("", false))),
            ("../x:/x", None),
            ("./a/../../x:/x", None),
            ("/etc:/x", None),
            ("/var/run/docker.sock:/var/run/docker.sock", None),
            ("~/x:/x", None),
            ("a/b:/x", Some(("a/b", false))),
            ("./a:/x:z", None),
            ("./a:relative", None),
            ("./a:/x/../..", None),
            ("./a:/", None),
        ] {
            let found = mount(text).ok().and_then(|mount| match mount.source {
                MountSource::Inside(path) => Some((inside("", &path).ok()?, mount.read_only)),
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_ref().map(|(p, r)| (p.as_str(), *r)), expected, "{text}");
        }
        assert_eq!(inside("deploy/local", "../conf"), Ok("deploy/conf".into()));
        assert!(inside("deploy", "../../conf").is_err());
        assert_eq!(mount("data:/x").map(|m| m.source), Ok(MountSource::Volume("data".into())));
        assert_eq!(mount("/x").map(|m| m.source), Ok(MountSource::Anonymous));
    }
}

//! The `ports` and `expose` sections of a service.

use super::model::{Exposed, Port, Protocol};
use super::reader::{At, Reader, join};
use super::values::{exposed, loopback, ports};
use super::yaml::Node;

/// Reads `ports`.
pub fn all_ports(reader: &mut Reader<'_>, at: At<'_>) -> Vec<Port> {
    let mut found = Vec::new();
    for (index, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{index}]", at.path);
        let item = At { item, path: &path };
        match &item.item.node {
            Node::Map(_) => found.extend(long_port(reader, item)),
            _ => {
                let read = reader.text(item).map(ports);
                found.extend(read.and_then(|read| reader.parsed(item, read)).unwrap_or_default());
            }
        }
    }
    found
}

fn long_port(reader: &mut Reader<'_>, at: At<'_>) -> Option<Port> {
    let (mut target, mut published, mut host_ip) = (None, None, loopback(None).ok()?);
    let mut protocol = Protocol::Tcp;
    for entry in reader.map(at)? {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        match entry.key.as_str() {
            "target" => target = Some(reader.value_by(item, "a port", port)?),
            "published" => published = Some(reader.value_by(item, "a port", port)?),
            "host_ip" => {
                let address = loopback(Some(reader.text(item)?));
                host_ip = reader.parsed(item, address)?;
            }
            "protocol" => {
                protocol = reader.value_by(item, "tcp or udp", |text| match text {
                    "tcp" => Some(Protocol::Tcp),
                    "udp" => Some(Protocol::Udp),
                    _ => None,
                })?;
            }
            _ => reader.unknown(at.path, entry, &["target", "published", "host_ip", "protocol"]),
        }
    }
    match target {
        Some(port) => Some(Port { target: Exposed { port, protocol }, published, host_ip }),
        None => reader.expected(at, "the \"target\" port"),
    }
}

/// Reads `expose`.
pub fn all_exposed(reader: &mut Reader<'_>, at: At<'_>) -> Vec<Exposed> {
    let mut found = Vec::new();
    for (index, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{index}]", at.path);
        let item = At { item, path: &path };
        let read = reader.text(item).map(exposed);
        found.extend(read.and_then(|read| reader.parsed(item, read)).unwrap_or_default());
    }
    found
}

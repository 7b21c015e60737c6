//! A YAML document as a tree in which everything knows its line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and the line it begins in, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub node: Node,
    pub line: u32,
}

/// What YAML has. Numbers and booleans are kept as text: Compose puts variables in before it asks what
/// kind of value something is.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Text(String),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub line: u32,
    pub value: Item,
}

/// Why a text is no YAML, and the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub message: String,
    pub line: Option<u32>,
}

/// Reads a document. Anchors, aliases and merge keys are resolved, within bounds.
pub fn parse(text: &str) -> Result<Item, SyntaxError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        budget: serde_saphyr::budget! { max_events: 100_000 },
    };
    let parsed = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options);
    parsed.map(item).map_err(|error| {
        let line = error.location().map(|location| line_of(location.line()));
        let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let message = message.lines().next().unwrap_or_default().to_owned();
        SyntaxError { message, line: line.filter(|line| *line > 0) }
    })
}

fn item(spanned: Spanned<Node>) -> Item {
    Item { line: line_of(spanned.referenced.line()), node: spanned.value }
}

fn line_of(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(spanned) = items.next_element::<Spanned<Node>>()? {
            list.push(item(spanned));
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Spanned<Node>>()? {
            let line = line_of(key.referenced.line());
            map.push(Entry { key: key.value, line, value: item(value) });
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(item: &Item) -> &[Entry] {
        match &item.node {
            Node::Map(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_has_its_line() {
        let tree = parse("a: 1\nb:\n  - x\n  - y: true\nc: &v {z: 0x10}\nd: *v\n").unwrap();
        let top = entries(&tree);
        assert_eq!(top.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 2, 5, 6]);
        let Node::List(list) = &top[1].value.node else { panic!() };
        assert_eq!(list.iter().map(|item| item.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(list[0].node, Node::Text("x".into()));
        assert_eq!(entries(&top[3].value)[0].key, entries(&top[2].value)[0].key);
    }

    #[test]
    fn keys_are_merged_and_what_is_no_yaml_is_refused() {
        let tree = parse("base: &b {x: 1}\nuse:\n  <<: *b\n  y: 2\n").unwrap();
        let used = entries(&entries(&tree)[1].value);
        assert_eq!(used.iter().map(|e| e.key.as_str()).collect::<Vec<_>>(), ["y", "x"]);
        for (text, line) in [("a: [1", None), ("a: 1\na: 2\n", Some(2)), ("a: 1\n b: 2\n", Some(2))]
        {
            let error = parse(text).unwrap_err();
            assert!(line.is_none() || error.line == line, "{text:?}: {error:?}");
            assert!(!error.message.is_empty());
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = n - 1;
            let list = vec![format!("*a{before}"); 9].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
        }
        assert!(parse(&text).is_err());
    }
}

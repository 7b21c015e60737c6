//! Bodies of the type `multipart/form-data` (RFC 7578).

use crate::value::{Map, Value};

/// Writes the parts, each `{ name, value }` or `{ name, value, filename, contentType }`; gives the content
/// type and the body.
///
/// # Errors
/// What is wrong with the parts.
pub fn encode(parts: &Value) -> Result<(String, Vec<u8>), String> {
    const USAGE: &str = "multipart is a list of { name = \"…\", value = \"…\", filename = \"…\", \
                         contentType = \"…\" }";
    let Value::List(parts) = parts else { return Err(USAGE.to_owned()) };
    // Nobody who writes the parts can know it.
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let mut body = Vec::new();
    for part in parts {
        let Value::Map(part) = part else { return Err(USAGE.to_owned()) };
        let name = text(part, "name")?.ok_or(USAGE)?;
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&name))
                .as_bytes(),
        );
        let filename = text(part, "filename")?;
        if let Some(filename) = &filename {
            body.extend_from_slice(format!("; filename=\"{}\"", quoted(filename)).as_bytes());
        }
        let media = match (text(part, "contentType")?, filename) {
            (Some(media), _) if media.bytes().any(|b| b.is_ascii_control()) => {
                return Err("multipart: a contentType has control characters".to_owned());
            }
            (Some(media), _) => Some(media),
            (None, Some(_)) => Some("application/octet-stream".to_owned()),
            (None, None) => None,
        };
        if let Some(media) = media {
            body.extend_from_slice(format!("\r\nContent-Type: {media}").as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        match part.get("value") {
            Some(Value::Bytes(bytes)) => body.extend_from_slice(bytes),
            Some(value) => body.extend_from_slice(value.to_text().ok_or(USAGE)?.as_bytes()),
            None => return Err(USAGE.to_owned()),
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), body))
}

fn text(part: &Map, key: &str) -> Result<Option<String>, String> {
    match part.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("multipart: {key} is a {}", other.type_name())),
    }
}

/// As browsers write names.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        let parts = serde_json::json!([
            { "name": "a\"\r\nb", "value": 7 },
            { "name": "f", "value": "text", "filename": "x.txt", "contentType": "text/plain" },
        ]);
        let (media, body) = encode(&serde_json::from_value(parts).unwrap()).unwrap();
        let boundary = media.strip_prefix("multipart/form-data; boundary=").unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a%22%0D%0Ab\"\r\n\r\n7\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\
             Content-Type: text/plain\r\n\r\ntext\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        for wrong in [
            serde_json::json!({ "name": "a" }),
            serde_json::json!(["a"]),
            serde_json::json!([{ "name": "a" }]),
            serde_json::json!([{ "name": "a", "value": [] }]),
            serde_json::json!([{ "name": "a", "value": "", "contentType": "a\r\nb: c" }]),
        ] {
            assert!(encode(&serde_json::from_value(wrong.clone()).unwrap()).is_err(), "{wrong}");
        }
    }
}

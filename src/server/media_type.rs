//! The media types of GraphQL over HTTP: which one a client wants, and which one it sends.

use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};

/// What a GraphQL response is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`. Its statuses say nothing about the GraphQL response: to a client that
    /// asks for it, anything but 200 may come from something in between.
    Json,
    /// `application/graphql-response+json`. Its statuses say how far the request got.
    GraphqlResponse,
}

/// How well a range of an `Accept` header fits a media type: the more specific one decides.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Fit {
    Anything,
    Application,
    Exact,
}

impl MediaType {
    /// The `content-type` of a response.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            MediaType::Json => "application/json; charset=utf-8",
            MediaType::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        })
    }

    fn subtype(self) -> &'static str {
        match self {
            MediaType::Json => "json",
            MediaType::GraphqlResponse => "graphql-response+json",
        }
    }

    /// Whether the client wants to hear of events as they happen.
    pub(super) fn wants_events(headers: &HeaderMap) -> bool {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges = values.flat_map(|value| value.split(',')).filter_map(Range::parse);
        ranges.any(|range| {
            range.kind.eq_ignore_ascii_case("text")
                && range.subtype.eq_ignore_ascii_case("event-stream")
                && range.quality > 0.0
        })
    }

    /// What the client wants, or `None` if it accepts neither. Without an `Accept` header, or with
    /// one that takes both as they come, it is `application/json`; a client that names both
    /// alike gets the more telling one.
    pub(super) fn wanted(headers: &HeaderMap) -> Option<MediaType> {
        let mut values = headers.get_all(ACCEPT).iter().filter(|value| !value.is_empty());
        let Some(first) = values.next() else { return Some(MediaType::Json) };
        let more = values.next();
        // What nearly all clients send.
        if more.is_none() {
            match first.as_bytes() {
                b"application/json" | b"*/*" => return Some(MediaType::Json),
                b"application/graphql-response+json" => return Some(MediaType::GraphqlResponse),
                _ => {}
            }
        }
        let ranges: Vec<Range<'_>> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .collect();
        let json = quality(&ranges, MediaType::Json);
        let graphql = quality(&ranges, MediaType::GraphqlResponse);
        match (json, graphql) {
            (None, None) => None,
            (Some(_), None) => Some(MediaType::Json),
            (None, Some(_)) => Some(MediaType::GraphqlResponse),
            (Some(json), Some(graphql)) if json > graphql => Some(MediaType::Json),
            (Some(json), Some(graphql)) if json < graphql => Some(MediaType::GraphqlResponse),
            (Some((_, Fit::Exact)), Some(_)) => Some(MediaType::GraphqlResponse),
            (Some(_), Some(_)) => Some(MediaType::Json),
        }
    }
}

/// The quality that the most specific range gives a media type, and how specific that is. `None`
/// if it is not acceptable.
fn quality(ranges: &[Range<'_>], media: MediaType) -> Option<(f32, Fit)> {
    let mut best: Option<(f32, Fit)> = None;
    for range in ranges {
        let Some(fit) = range.fit(media) else { continue };
        let is_better = best.is_none_or(|(quality, other)| {
            fit > other || (fit == other && range.quality > quality)
        });
        if is_better {
            best = Some((range.quality, fit));
        }
    }
    best.filter(|(quality, _)| *quality > 0.0)
}

/// One entry of an `Accept` header.
#[derive(Debug)]
struct Range<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: f32,
}

impl<'h> Range<'h> {
    /// `None` if it cannot be understood, or wants a charset that is not ours.
    fn parse(entry: &'h str) -> Option<Self> {
        let mut parts = entry.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut range = Range { kind, subtype, quality: 1.0 };
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let name = name.trim();
            if name.eq_ignore_ascii_case("q") {
                let quality: f32 = value.trim().parse().ok()?;
                range.quality = (0.0..=1.0).contains(&quality).then_some(quality)?;
            } else if name.eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(range)
    }

    fn fit(&self, media: MediaType) -> Option<Fit> {
        if self.kind == "*" && self.subtype == "*" {
            return Some(Fit::Anything);
        }
        if !self.kind.eq_ignore_ascii_case("application") {
            return None;
        }
        match self.subtype {
            "*" => Some(Fit::Application),
            subtype => subtype.eq_ignore_ascii_case(media.subtype()).then_some(Fit::Exact),
        }
    }
}

fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Checks that a body is JSON in UTF-8. Nothing that a browser's form can send without asking the
/// server first passes, so no other web site can send a mutation in a user's name.
///
/// # Errors
///
/// What is wrong with the headers.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), String> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err("The body is compressed; send it without a content-encoding.".to_owned());
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err("The content-type is missing; expected application/json.".to_owned());
    };
    if value.as_bytes() == b"application/json" {
        return Ok(());
    }
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut parts = text.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(format!("The content-type is {essence:?}; expected application/json."));
    }
    let is_foreign = |parameter: &str| {
        let Some((name, value)) = parameter.split_once('=') else { return false };
        name.trim().eq_ignore_ascii_case("charset") && !is_utf8(value)
    };
    match parts.find(|parameter| is_foreign(parameter)) {
        Some(parameter) => {
            Err(format!("The content-type has {:?}; expected UTF-8.", parameter.trim()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(values: &[&'static str]) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        MediaType::wanted(&headers)
    }

    #[test]
    fn the_accept_header_decides() {
        use MediaType::{GraphqlResponse, Json};
        let cases: [(&[&str], Option<MediaType>); 27] = [
            (&[], Some(Json)),
            (&[""], Some(Json)),
            (&["*/*"], Some(Json)),
            (&["application/*"], Some(Json)),
            (&["application/json"], Some(Json)),
            (&["Application/JSON ; charset=\"UTF-8\""], Some(Json)),
            (&["application/json;charset=latin1"], None),
            (&["application/graphql-response+json"], Some(GraphqlResponse)),
            (&["application/graphql-response+json; charset=utf-8"], Some(GraphqlResponse)),
            (&["application/graphql-response+json, application/json;q=0.9"], Some(GraphqlResponse)),
            (&["application/graphql-response+json;q=0.8, application/json"], Some(Json)),
            (&["application/json, application/graphql-response+json"], Some(GraphqlResponse)),
            (&["application/json", "application/graphql-response+json"], Some(GraphqlResponse)),
            (&["application/json, text/plain, */*"], Some(Json)),
            (&["application/graphql-response+json, */*"], Some(GraphqlResponse)),
            (&["text/html, */*;q=0.8"], Some(Json)),
            (&["application/json;q=0, */*"], Some(GraphqlResponse)),
            (&["application/json;q=0"], None),
            (&["application/json;q=0.000, application/*;q=0"], None),
            (&["text/html"], None),
            (&["text/*"], None),
            (&["json"], None),
            (&["*/json"], None),
            (&["application/json;q=2"], None),
            (&["application/json;q=nan"], None),
            (&["application/json;q=x, */*"], Some(Json)),
            (&["text/html;q=0.9,application/*;q=0.1"], Some(Json)),
        ];
        for (values, expected) in cases {
            assert_eq!(wanted(values), expected, "{values:?}");
        }
    }

    #[test]
    fn bodies_are_json_in_utf8() {
        let check = |value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
            check_json(&headers).is_ok()
        };
        for good in [
            &b"application/json"[..],
            b"application/json; charset=utf-8",
            b"Application/Json;Charset=\"UTF-8\"",
            b"application/json; charset=utf8; x",
        ] {
            assert!(check(good), "{good:?}");
        }
        for bad in [
            &b"text/plain"[..],
            b"",
            b"application/graphql",
            b"application/jsonp",
            b"application/json; charset=utf-16",
            b"application/json; charset=iso-8859-1",
            b"text/plain; application/json",
            b"\xff",
        ] {
            assert!(!check(bad), "{bad:?}");
        }
        let mut headers = HeaderMap::new();
        assert!(check_json(&headers).unwrap_err().contains("missing"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(check_json(&headers).is_err());
    }
}

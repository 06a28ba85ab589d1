//! What clients send: fields as JSON, as a form or in parts, numbers as numbers or as text; and pages by offset.

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::refusal::Refusal;
use crate::app::App;

/// Rows of a page where a client does not say.
const PAGE: i64 = 100;

/// The fields of a body.
pub(super) struct Fields(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("multipart/form-data") {
            let parts = Multipart::from_request(request, state).await.map_err(|_| unreadable())?;
            return in_parts(parts).await;
        }
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let bytes = Bytes::from_request(request, state).await.map_err(|_| too_long())?;
        if is_form {
            return Ok(Self::of_pairs(form_urlencoded::parse(&bytes).into_owned()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(Value::Null) => Ok(Self(Map::new())),
            _ if bytes.is_empty() => Ok(Self(Map::new())),
            _ => Err(unreadable()),
        }
    }
}

fn unreadable() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "Invalid body", "The body must be a JSON object, a form or form data")
}

fn too_long() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too long", "The body is longer than we read")
}

async fn in_parts(mut parts: Multipart) -> Result<Fields, Refusal> {
    let mut pairs = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|_| unreadable())? {
        let name = part.name().unwrap_or_default().to_owned();
        pairs.push((name, part.text().await.map_err(|_| unreadable())?));
    }
    Ok(Fields::of_pairs(pairs.into_iter()))
}

impl Fields {
    /// Pairs of a form; a name that comes again makes a list.
    fn of_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let mut fields = Map::new();
        for (name, text) in pairs {
            match fields.get_mut(&name) {
                None => {
                    fields.insert(name, text.into());
                }
                Some(Value::Array(list)) => list.push(text.into()),
                Some(first) => *first = json!([first.take(), text]),
            }
        }
        Self(fields)
    }

    /// A body that says nothing.
    pub(super) fn none() -> Self {
        Self(Map::new())
    }

    /// Refuses fields that are not among the known ones.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, Refusal> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Refusal::unknown(name, "body")),
            None => Ok(self),
        }
    }

    /// Refuses a body without one of these, or with a blank one.
    pub(super) fn require(&self, names: &[&'static str]) -> Result<(), Refusal> {
        let wrong = |name: &&'static str| match self.given(name) {
            None => Some((*name, "This field is required.")),
            Some(Value::String(text)) if text.trim().is_empty() => Some((*name, "This field may not be blank.")),
            Some(_) => None,
        };
        let wrong: Vec<_> = names.iter().filter_map(wrong).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Refusal::fields(&wrong)) }
    }

    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; `None` if it is not there.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::fields(&[(name, "Not a valid string.")])),
        }
    }

    /// A whole number, or the text of one.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        let number = match self.given(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| Refusal::fields(&[(name, "A valid integer is required.")]))
    }

    /// Yes or no; no if it is not there.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        match self.given(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Refusal::fields(&[(name, "Must be a valid boolean.")])),
        }
    }

    /// A list of texts; one text is a list of one.
    pub(super) fn list(&self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let texts: Option<Vec<String>> = match self.given(name) {
            None => return Ok(None),
            Some(Value::String(text)) => Some(vec![text.clone()]),
            Some(Value::Array(list)) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        texts.map(Some).ok_or_else(|| Refusal::fields(&[(name, "Expected a list of items.")]))
    }
}

/// The parameters of an address, each of them known.
pub(super) fn parameters(uri: &Uri, known: &[&str]) -> Result<Vec<(String, String)>, Refusal> {
    let pairs: Vec<_> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(Refusal::unknown(name, "query")),
        None => Ok(pairs),
    }
}

/// The last parameter of a name.
pub(super) fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().rfind(|(given, _)| given == name).map(|(_, text)| text.as_str())
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// At most so many rows.
    pub(super) limit: i64,
    /// Behind so many.
    pub(super) offset: i64,
}

impl Window {
    /// Reads `limit` and `offset`. What cannot be used is as if it were not there, as clients are used to.
    pub(super) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let given = parameters(uri, &["limit", "offset"])?;
        let number = |name, least: i64| parameter(&given, name)?.parse().ok().filter(|number| *number >= least);
        let most = i64::from(domain::limits::ROWS_PER_QUERY_MAX);
        Ok(Self { limit: number("limit", 1).unwrap_or(PAGE).min(most), offset: number("offset", 0).unwrap_or(0) })
    }

    /// `{count, next, previous, results}`.
    pub(super) fn page(self, app: &App, path: &str, count: i64, results: Vec<Value>) -> Value {
        let at = |offset: i64| {
            let base = &app.config.listen.public_url;
            format!(
                "{}{}/{path}/?limit={}&offset={offset}",
                base.as_str().trim_end_matches('/'),
                super::BASE,
                self.limit
            )
        };
        let behind = self.offset.saturating_add(self.limit);
        let next = (behind < count).then(|| at(behind));
        let previous = (self.offset > 0).then(|| at(self.offset.saturating_sub(self.limit).max(0)));
        json!({ "count": count, "next": next, "previous": previous, "results": results })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(kind: &str, body: &'static str) -> Result<Fields, Refusal> {
        let request = Request::builder().header(CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        Fields::from_request(request, &()).await
    }

    #[tokio::test]
    async fn the_three_forms_of_a_body_say_the_same() {
        let parts = "--x\r\ncontent-disposition: form-data; name=\"days\"\r\n\r\n90\r\n--x\r\n\
            content-disposition: form-data; name=\"scope\"\r\n\r\na\r\n--x\r\n\
            content-disposition: form-data; name=\"scope\"\r\n\r\nb\r\n--x--\r\n";
        for (kind, body) in [
            ("application/json", r#"{"days": 90, "scope": ["a", "b"]}"#),
            ("application/json", r#"{"days": "90", "scope": ["a", "b"]}"#),
            ("application/x-www-form-urlencoded", "days=90&scope=a&scope=b"),
            ("multipart/form-data; boundary=x", parts),
        ] {
            let fields = read(kind, body).await.unwrap().only(&["days", "scope"]).unwrap();
            assert_eq!(fields.number("days").unwrap(), Some(90), "{kind}");
            assert_eq!(fields.list("scope").unwrap().unwrap(), ["a", "b"], "{kind}");
            assert_eq!((fields.text("other").unwrap(), fields.flag("other").unwrap()), (None, false));
        }
        for (kind, body) in
            [("application/json", "["), ("application/json", "[]"), ("multipart/form-data; boundary=y", "x")]
        {
            assert!(read(kind, body).await.is_err(), "{kind} {body}");
        }
    }

    #[tokio::test]
    async fn what_is_unknown_missing_or_of_another_kind_is_refused() {
        let fields = read("", r#"{"a": 1.5, "b": {}, "c": " ", "d": null}"#).await.unwrap();
        assert!(fields.number("a").is_err() && fields.text("a").is_err() && fields.flag("a").is_err());
        assert!(fields.list("b").is_err() && fields.number("b").is_err());
        assert!(fields.require(&["a", "b"]).is_ok());
        assert!(fields.require(&["c"]).is_err() && fields.require(&["d"]).is_err());
        assert!(fields.only(&["a", "b", "c"]).is_err());
    }

    #[test]
    fn a_page_is_bounded_whatever_is_asked() {
        let window = |query: &str| Window::of(&format!("/x?{query}").parse().unwrap()).map(|w| (w.limit, w.offset));
        for (query, expected) in
            [("", (100, 0)), ("limit=7&offset=3", (7, 3)), ("limit=0&offset=-1", (100, 0)), ("limit=999999", (500, 0))]
        {
            assert_eq!(window(query).unwrap(), expected, "{query}");
        }
        assert!(window("page=2").is_err());
    }
}

//! Reading a bank's answer by its content and not by its status or content type, alike for all standards.

use std::sync::Arc;

use bytes::Bytes;
use domain::records::Issue;
use http::{HeaderMap, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::RawRow;
use crate::error::{self, BankCode, BankError, BankProblem, Breach, Means, Shape};
use crate::profile::{Profile, Standard};
use crate::standards::statement::{self, Statement};

/// Longest error body that is looked into, in bytes. Error bodies are a few hundred; the rest is a page or an attack.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;
/// Longest wait that a bank's word is taken for.
const WAIT_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What every wire type of a success shows, so that an error inside it is found without a second look at the body.
pub(crate) trait Answer {
    /// `tppMessages` or the like, unread.
    fn messages(&self) -> Option<&RawValue>;
}

/// A success by status and content: JSON, or nothing at all with 204.
pub(crate) struct Reply {
    profile: Arc<Profile>,
    status: StatusCode,
    headers: HeaderMap,
    now: Timestamp,
    body: Bytes,
    issues: Vec<Issue>,
}

impl Reply {
    /// Opens an answer; one that is no success is the error that it means.
    pub(crate) fn open(profile: Arc<Profile>, response: Response<Bytes>, now: Timestamp) -> Result<Self, BankError> {
        Self::open_any(profile, response, now)?.in_json()
    }

    /// Opens an answer whose success may be something else than JSON.
    pub(crate) fn open_any(
        profile: Arc<Profile>,
        response: Response<Bytes>,
        now: Timestamp,
    ) -> Result<Self, BankError> {
        let (parts, body) = response.into_parts();
        let status = parts.status;
        if status.is_redirection() {
            return Err(BankError::Contract(Breach::Redirect(status.as_u16())));
        }
        if !status.is_success() {
            return Err(refusal(&profile, problem(status, &body), &parts.headers, now));
        }
        let (body, issues) = readable(body);
        Ok(Self { profile, status, headers: parts.headers, now, body, issues })
    }

    fn in_json(self) -> Result<Self, BankError> {
        let shape = shape(&self.body);
        if shape != Shape::Json && (shape != Shape::Empty || self.status != StatusCode::NO_CONTENT) {
            return Err(BankError::Contract(Breach::NotJson { status: self.status.as_u16(), shape }));
        }
        Ok(self)
    }

    /// The account statement that the body is; `None` where it is JSON, or nothing.
    pub(crate) fn statement(&self) -> Result<Option<Statement>, BankError> {
        match (statement::read(self.text()), shape(&self.body)) {
            (Some(read), _) => read.map(Some).map_err(BankError::Contract),
            (None, Shape::Json) => Ok(None),
            (None, shape) => Err(BankError::Contract(Breach::NotJson { status: self.status.as_u16(), shape })),
        }
    }

    /// Whether the bank had nothing to say (204).
    pub(crate) fn is_nothing(&self) -> bool {
        self.body.is_empty() && self.status == StatusCode::NO_CONTENT
    }

    /// The standard that the bank speaks.
    pub(crate) fn standard(&self) -> Standard {
        self.profile.bank.standard
    }

    /// The header's text, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, which is text since it was opened.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The body as a wire type. What `serde_json` complains of may quote the body, so only the place is kept.
    pub(crate) fn read<'b, T: Deserialize<'b> + Answer>(&'b self) -> Result<T, BankError> {
        let answer: T = serde_json::from_str(self.text()).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.broken(if error.is_data() { Breach::Form { line, column } } else { Breach::Damaged { line, column } })
        })?;
        match answer.messages().and_then(|raw| serde_json::from_str::<Vec<Value>>(raw.get()).ok()) {
            Some(messages) if messages.iter().any(is_error) => Err(self.refusal(problem(self.status, &self.body))),
            _ => Ok(answer),
        }
    }

    /// The error of a success that is not what was asked: the bank's own word, where the body is an error in disguise.
    pub(crate) fn broken(&self, breach: Breach) -> BankError {
        let problem = problem(self.status, &self.body);
        if problem.code.is_some() { self.refusal(problem) } else { BankError::Contract(breach) }
    }

    /// A part of the body as bytes of its own, without a copy.
    pub(crate) fn raw(&self, part: &str) -> RawRow {
        RawRow(self.body.slice_ref(part.as_bytes()))
    }

    /// Doubts about the answer as a whole.
    pub(crate) fn issues(&self) -> Vec<Issue> {
        self.issues.clone()
    }

    fn refusal(&self, problem: BankProblem) -> BankError {
        refusal(&self.profile, problem, &self.headers, self.now)
    }
}

/// What is kept of an error.
pub(crate) fn problem(status: StatusCode, body: &[u8]) -> BankProblem {
    let bare = BankProblem { status: status.as_u16(), code: None, shape: shape(body) };
    if bare.shape != Shape::Json || body.len() > PROBLEM_BYTES_MAX {
        return bare;
    }
    let Ok(json) = serde_json::from_slice::<Value>(without_mark(body)) else {
        return BankProblem { shape: Shape::Other, ..bare };
    };
    let word = |value: &Value, name: &str| match value.get(name)? {
        Value::String(text) => BankCode::new(text),
        Value::Number(number) => BankCode::new(&number.to_string()),
        _ => None,
    };
    let code = |value: &Value| word(value, "code");
    if let Some(messages) = json.get("tppMessages").and_then(Value::as_array) {
        let error = messages.iter().filter(|message| is_error(message)).find_map(code);
        return BankProblem { code: error, shape: Shape::TppMessages, ..bare };
    }
    // Brazil and Australia: {"errors": [{"code": …}]}; UK Open Banking: {"Code": …, "Errors": [{"ErrorCode": …}]}.
    if let Some(errors) = ["errors", "Errors"].iter().find_map(|name| json.get(name)?.as_array()) {
        let listed = errors.iter().find_map(|error| code(error).or_else(|| word(error, "ErrorCode")));
        let found = listed.or_else(|| word(&json, "Code"));
        if !errors.is_empty() || found.is_some() {
            return BankProblem { code: found, shape: Shape::Errors, ..bare };
        }
    }
    let further = || json.get("additionalErrors")?.as_array()?.iter().find_map(code);
    // {"code": 401, "error": "EXPIRED_SESSION"}: a code that repeats the status says less than the word beside it.
    let repeated = json.get("code").and_then(Value::as_u64) == Some(status.as_u16().into());
    if let Some(found) = word(&json, "error").filter(|_| repeated) {
        return BankProblem { code: Some(found), shape: Shape::Problem, ..bare };
    }
    if let Some(found) = code(&json).or_else(further) {
        return BankProblem { code: Some(found), shape: Shape::Problem, ..bare };
    }
    // RFC 6750 and gateways: {"error": "invalid_token"}.
    let oauth = json.get("error").and_then(Value::as_str).and_then(BankCode::new);
    BankProblem { code: oauth, ..bare }
}

/// The error that a problem means: the profile's word first, then the standard's.
pub(crate) fn refusal(profile: &Profile, problem: BankProblem, headers: &HeaderMap, now: Timestamp) -> BankError {
    let means = profile.meaning(&problem).unwrap_or_else(|| error::meaning(profile.bank.standard, &problem));
    let until = retry_after(headers, now).or_else(|| match means {
        Means::WaitForTomorrow => tomorrow(profile, now),
        _ => None,
    });
    error::error(means, problem, until)
}

/// The moment of a `Retry-After` (RFC 9110 §10.2.3), in seconds or as a date, never more than a day away.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let until = match text.parse::<u32>() {
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok()?,
        Err(_) => jiff::fmt::rfc2822::parse(text).ok()?.timestamp(),
    };
    let latest = now.checked_add(WAIT_MAX).unwrap_or(Timestamp::MAX);
    Some(until.clamp(now, latest))
}

/// The first moment of the bank's next calendar day, when daily counts begin again.
fn tomorrow(profile: &Profile, now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(profile.zone());
    Some(today.tomorrow().ok()?.start_of_day().ok()?.timestamp())
}

/// Whether an entry of `tppMessages` is an error: all that is not called a warning.
fn is_error(message: &Value) -> bool {
    message.get("category").and_then(Value::as_str).is_none_or(|category| !category.eq_ignore_ascii_case("WARNING"))
}

/// The kind of a body, by its first character: content types are wrong too often.
fn shape(body: &[u8]) -> Shape {
    match without_mark(body).trim_ascii_start().first() {
        None => Shape::Empty,
        Some(b'{' | b'[') => Shape::Json,
        Some(b'<') => Shape::Html,
        Some(_) => Shape::Other,
    }
}

/// The byte order mark of UTF-8, which RFC 8259 §8.1 lets a reader ignore.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(MARK).unwrap_or(body)
}

/// What Windows-1252 has where ISO 8859-1 has control characters, 0x80 to 0x9F.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The body as UTF-8 without its mark. JSON is UTF-8 (RFC 8259 §8.1); a body that is not was written by a system of
/// Western Europe from before, and is read as such with an issue.
fn readable(body: Bytes) -> (Bytes, Vec<Issue>) {
    if std::str::from_utf8(&body).is_ok() {
        return (body.slice_ref(without_mark(&body)), Vec::new());
    }
    let character = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(*byte),
    };
    let text: String = body.iter().map(character).collect();
    let issue = Issue::new("answer.encoding", "the answer is not UTF-8 and was read as Windows-1252");
    (Bytes::from(text), vec![issue])
}

/// A list that is not longer than a limit.
pub(crate) fn bounded<T>(rows: Vec<T>, most: usize, name: &'static str) -> Result<Vec<T>, BankError> {
    if rows.len() > most { Err(BankError::Contract(Breach::TooLong(name))) } else { Ok(rows) }
}

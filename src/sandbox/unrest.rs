//! A bank on a bad day: answers spoilt by chance, and calls without the PSU counted in a way of its own.

use std::collections::HashMap;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::bank::Inner;
use crate::generate::Dice;
use crate::misbehaviour::Misbehaviour;

/// Answers about accounts that are spoilt by chance, the same for one seed and one order of requests.
#[derive(Debug, Clone)]
pub struct Unrest {
    /// Where chance begins.
    pub seed: u64,
    /// Of a thousand answers so many.
    pub per_mille: u32,
    /// How, each as often as the others.
    pub kinds: Vec<Misbehaviour>,
}

/// By what a bank counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// All calls of the TPP together.
    Client,
    /// Those under one consent.
    Consent,
    /// Those to one resource of one consent.
    Resource,
}

/// So many calls without the PSU in a window; the next one is answered with 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// What is counted together.
    pub per: Per,
    /// So many.
    pub calls: u32,
    /// In so many seconds. Windows begin at multiples of it.
    pub seconds: i64,
    /// Whether the refusal says for how long (`Retry-After`).
    pub tells: bool,
}

/// A refusal because too much was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Refusal {
    /// Start of the window in which it was counted.
    pub window: Timestamp,
    /// What was counted together: empty for all of the TPP, else a consent and perhaps a resource.
    pub bucket: String,
}

/// An answer that was spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoilt {
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: Misbehaviour,
    /// Under which consent, where the bank knows.
    pub consent: Option<String>,
}

/// What a bank on a bad day remembers.
#[derive(Debug, Default)]
pub(crate) struct Mood {
    pub(crate) unrest: Option<(Unrest, Dice)>,
    pub(crate) counting: Option<Counting>,
    counted: HashMap<Refusal, u32>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) spoilt: Vec<Spoilt>,
}

impl Mood {
    /// How the next answer is spoilt, if it is.
    pub(crate) fn roll(&mut self, is_list: bool) -> Option<Misbehaviour> {
        let (unrest, dice) = self.unrest.as_mut()?;
        if dice.below(1000) >= unrest.per_mille {
            return None;
        }
        let how = unrest.kinds.get(dice.index(unrest.kinds.len())).copied()?;
        (is_list || !how.is_of_lists()).then_some(how)
    }

    /// Counts a call without the PSU; the answer, where it is one too many.
    pub(crate) fn count(&mut self, consent: &str, path: &str, now: Timestamp) -> Option<Response> {
        let counting = self.counting?;
        let bucket = match counting.per {
            Per::Client => String::new(),
            Per::Consent => consent.to_owned(),
            Per::Resource => format!("{consent} {path}"),
        };
        let begun = now.as_second() - now.as_second().rem_euclid(counting.seconds.max(1));
        let window = Timestamp::from_second(begun).unwrap_or(now);
        self.counted.retain(|counted, _| counted.window >= window);
        let refusal = Refusal { window, bucket };
        let calls = self.counted.entry(refusal.clone()).or_default();
        *calls += 1;
        if *calls <= counting.calls {
            return None;
        }
        self.refusals.push(refusal);
        let mut answer = StatusCode::TOO_MANY_REQUESTS.into_response();
        if counting.tells {
            let rest = begun + counting.seconds - now.as_second();
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(rest.max(1)));
        }
        Some(answer)
    }
}

/// Whether a request asks for accounts or for what is on them, in any standard.
pub(crate) fn is_about_accounts(uri: &Uri) -> bool {
    uri.path().contains("/accounts") && !uri.path().ends_with("/deleteConsent")
}

/// Whether a request asks for a list of transactions.
pub(crate) fn is_list(uri: &Uri) -> bool {
    uri.path().ends_with("/transactions")
        || uri.path().contains("/getTransactions")
        || uri.path().ends_with("/getHolds")
}

/// Whether a request says that the PSU is there, in the way of any standard; `body` is that of an interface that is asked by
/// POST.
pub(crate) fn is_attended(headers: &HeaderMap, body: Option<&[u8]>) -> bool {
    let in_body = || {
        let body = serde_json::from_slice::<Value>(body?).ok()?;
        Some(body["requestHeader"]["ipAddress"].is_string() || body["requestHeader"]["isDirectPsu"] == true)
    };
    let any = |name: &str| name == "x-fapi-customer-ip-address" || name.starts_with("psu-");
    headers.keys().any(|name| any(name.as_str())) || in_body().unwrap_or(false)
}

/// The consent that the token of a request opens.
pub(crate) fn consent_behind(bank: &Inner, headers: &HeaderMap) -> Option<String> {
    let (_, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    bank.books().access.get(token)?.consent_id.clone()
}

//! The product of the story: a program that asks for a consent, reads what it may, and knows nothing but the HTTP API and
//! its key.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

/// Rows of a page that it asks for.
const PAGE_ROWS: u32 = 200;

/// An API client.
pub(super) struct Product {
    http: net::Client,
    base: Url,
    key: SecretString,
}

/// What the API answered, unread.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The body.
    pub(super) body: Bytes,
}

/// A consent, as far as the story needs it.
#[derive(Deserialize)]
pub(super) struct Consent {
    /// `cns_…`
    pub(super) id: String,
    /// The state's word.
    pub(super) state: String,
    /// Why, where the state has a reason.
    pub(super) reason: Option<String>,
    /// When the person must sign in again.
    pub(super) sca_due_at: Option<Timestamp>,
    link: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    url: Url,
}

/// An account.
#[derive(Deserialize)]
pub(super) struct Account {
    /// `acc_…`
    pub(super) id: String,
    /// Its number.
    pub(super) iban: Option<String>,
    /// How fresh.
    pub(super) freshness: Freshness,
}

/// How fresh, and why not fresher.
#[derive(Deserialize)]
pub(super) struct Freshness {
    /// Last day of which every booked transaction is there.
    pub(super) complete_until: Option<Date>,
    /// State of the consent behind the account.
    pub(super) consent_state: String,
    /// Why it is not fresher.
    pub(super) stale_because: Option<String>,
}

/// An amount with its currency.
#[derive(Deserialize, Clone)]
pub(super) struct Money {
    /// Signed decimal.
    pub(super) amount: String,
    /// ISO 4217.
    pub(super) currency: String,
}

/// A balance.
#[derive(Deserialize)]
pub(super) struct Balance {
    /// `closingBooked`, `interimAvailable` …
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The figure.
    pub(super) balance: Money,
}

/// A transaction.
#[derive(Deserialize)]
pub(super) struct Transaction {
    /// Signed: money out is negative.
    pub(super) amount: Money,
    /// `booked` or `pending`.
    pub(super) status: String,
    /// The bank's day of booking.
    pub(super) booking_date: Option<Date>,
    /// The other side.
    pub(super) counterparty: Option<String>,
    /// Remittance text.
    pub(super) description: Option<String>,
    /// Where each field came from.
    pub(super) provenance: serde_json::Map<String, serde_json::Value>,
    /// Doubts.
    pub(super) issues: Vec<String>,
}

/// The answer to a revocation.
#[derive(Deserialize)]
pub(super) struct Revocation {
    /// What the bank has said so far.
    pub(super) bank: String,
    /// `del_…`
    pub(super) erasure: String,
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

impl Product {
    /// A client of the API below `base` with its key.
    pub(super) const fn new(http: net::Client, base: Url, key: SecretString) -> Self {
        Self { http, base, key }
    }

    /// Its key, to hand to the person who looks on.
    pub(super) const fn key(&self) -> &SecretString {
        &self.key
    }

    /// Asks for a consent at a bank; gives it with the person's link.
    pub(super) async fn ask(
        &self,
        psu_ref: &str,
        institution: &str,
        purpose: &str,
        return_url: &str,
    ) -> anyhow::Result<(Consent, Url)> {
        let body = json!({
            "psu_ref": psu_ref, "institution_id": institution, "purposes": [purpose], "return_url": return_url,
        });
        let answer = self.call(Method::POST, "/v1/consents", Bytes::from(body.to_string())).await?;
        let mut consent: Consent = answer.read(StatusCode::CREATED)?;
        let link = consent.link.take().context("the consent came without a link")?.url;
        Ok((consent, link))
    }

    /// Reads a consent.
    pub(super) async fn consent(&self, id: &str) -> anyhow::Result<Consent> {
        self.get(&format!("/v1/consents/{id}")).await?.read(StatusCode::OK)
    }

    /// Withdraws a consent, or learns how the withdrawal of one that is withdrawn already is getting on.
    pub(super) async fn withdraw(&self, id: &str) -> anyhow::Result<Revocation> {
        let answer = self.call(Method::DELETE, &format!("/v1/consents/{id}"), Bytes::new()).await?;
        answer.read(StatusCode::ACCEPTED)
    }

    /// The accounts under a consent that may be read now.
    pub(super) async fn accounts(&self, consent: &str) -> anyhow::Result<Vec<Account>> {
        let answer = self.get(&format!("/v1/accounts?consent_id={consent}")).await?;
        Ok(answer.read::<Page<Account>>(StatusCode::OK)?.data)
    }

    /// The balances of an account.
    pub(super) async fn balances(&self, account: &str) -> anyhow::Result<Vec<Balance>> {
        let answer = self.get(&format!("/v1/accounts/{account}/balances")).await?;
        Ok(answer.read::<Page<Balance>>(StatusCode::OK)?.data)
    }

    /// Every transaction of an account, newest first, page by page; also how many pages it took.
    pub(super) async fn transactions(&self, account: &str) -> anyhow::Result<(Vec<Transaction>, usize)> {
        let (mut rows, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
        loop {
            let after = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
            let path = format!("/v1/accounts/{account}/transactions?limit={PAGE_ROWS}{after}");
            let page: Page<Transaction> = self.get(&path).await?.read(StatusCode::OK)?;
            pages += 1;
            rows.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok((rows, pages));
            }
        }
    }

    /// Reads anything below the API's base, whatever the answer.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let url = self.base.join(path).context("a path that is none")?;
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose_secret()));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let answer = self.http.send(request.body(body)?).await.with_context(|| format!("no answer to {path}"))?;
        Ok(Answer { status: answer.status(), body: answer.into_body() })
    }
}

impl Answer {
    /// The body, once the status is as it should be. A problem's code and sentence go into the error; data never do.
    fn read<T: DeserializeOwned>(&self, wanted: StatusCode) -> anyhow::Result<T> {
        #[derive(Deserialize)]
        struct Problem {
            code: String,
            detail: String,
        }
        let status = self.status;
        if status != wanted {
            let problem: Option<Problem> = serde_json::from_slice(&self.body).ok();
            let why = problem.map(|problem| format!(": {} ({})", problem.detail, problem.code)).unwrap_or_default();
            ensure!(status == wanted, "the API answered {status}{why}");
        }
        serde_json::from_slice(&self.body).context("an answer of another shape than documented")
    }
}

//! Every recorded exchange of `fixtures/`: the adapter sends exactly the recorded request, and reads the recorded answer
//! as `expected.json` says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bank_adapters::answer::{AccountRow, Continuation, Ended, Granted, GrantedAccess, Opened, Transactions};
use bank_adapters::ask::{
    Access, AccessToken, AccountReference, BankConsentId, BookingStatus, CallContext, Clusters, ConsentAsk, LoginName,
    NextLink, PageAsk, PsuPresent, ResourceId, Window,
};
use bank_adapters::directory::{Directory, Filter};
use bank_adapters::endpoints::{Endpoints, Environment};
use bank_adapters::error::BankError;
use bank_adapters::profile::Standard;
use bank_adapters::{Bank, Call, reread};
use bytes::Bytes;
use domain::records::{Parsed, Text};
use http::{Request, Response};
use serde_json::{Value, json};

const NOW: &str = "2026-11-21T09:30:00Z";
const REQUEST_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn expected(folder: &Path) -> Value {
    serde_json::from_str(&read(&folder.join("expected.json"))).unwrap()
}

/// The start line, headers and body of one half of an exchange. Repeated header names are joined.
struct Half {
    start: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn half(text: &str) -> Half {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let start = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Half { start, headers: lines.map(header).collect(), body: body.trim_end().to_owned() }
}

fn exchange(path: &Path) -> (Half, Response<Bytes>) {
    let text = read(path);
    let at = text.find("\nHTTP/1.1 ").expect("an answer");
    (half(&text[..=at]), response(&text[at + 1..]))
}

fn response(text: &str) -> Response<Bytes> {
    let Half { start, headers, body } = half(text);
    let mut builder = Response::builder().status(start.split(' ').nth(1).unwrap());
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::from(body)).unwrap()
}

/// Headers that are never shown.
const SECRET: [&str; 6] =
    ["authorization", "consent-id", "psu-id", "psu-ip-address", "x-fapi-customer-ip-address", "x-cds-client-headers"];

fn assert_sent(sent: &Request<Bytes>, recorded: &Half, step: &str) {
    let uri = sent.uri();
    let start = format!("{} {} HTTP/1.1", sent.method(), uri.path_and_query().unwrap());
    assert_eq!(start, recorded.start, "{step}");
    let mut headers: BTreeMap<String, String> =
        sent.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    for (name, value) in sent.headers() {
        let secret = SECRET.contains(&name.as_str());
        assert_eq!(value.is_sensitive(), secret, "{step}: {name}");
    }
    headers.insert("host".to_owned(), uri.authority().unwrap().to_string());
    assert_eq!(headers, recorded.headers, "{step}");
    let json = |text: &str| (!text.is_empty()).then(|| serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(json(std::str::from_utf8(sent.body()).unwrap()), json(&recorded.body), "{step}");
}

/// One step of a case: what it is asked with and what came before.
struct Step<'a> {
    with: &'a Value,
    bank: &'a dyn Bank,
    recorded: &'a Half,
    answer: Response<Bytes>,
    name: String,
}

impl Step<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.with.get(key)?.as_str()
    }

    fn context(&self) -> CallContext {
        let token = self.text("token").map(|token| AccessToken::new(token.to_owned().into()).unwrap());
        let psu =
            self.text("psu").map(|ip| PsuPresent { ip: ip.parse().unwrap(), user_agent: Some(USER_AGENT.into()) });
        let authenticated_at = self.text("authenticated_at").map(|at| at.parse().unwrap());
        CallContext { token, psu, authenticated_at, request_id: REQUEST_ID.parse().unwrap() }
    }

    fn consent(&self) -> BankConsentId {
        BankConsentId::new(self.text("consent").expect("a consent")).unwrap()
    }

    fn account(&self) -> ResourceId {
        ResourceId::new(self.text("account").expect("an account")).unwrap()
    }

    fn consent_ask(&self) -> ConsentAsk {
        let reference = |iban: &Value| AccountReference {
            iban: Some(iban.as_str().unwrap().to_owned()),
            currency: Some("EUR".to_owned()),
            ..AccountReference::default()
        };
        ConsentAsk {
            access: match self.with.get("accounts") {
                Some(list) => Access::Accounts(list.as_array().unwrap().iter().map(reference).collect()),
                None => Access::AllAccounts,
            },
            clusters: Clusters { balances: true, transactions: self.with["transactions"].as_bool().unwrap() },
            valid_until: self.text("valid_until").unwrap().parse().unwrap(),
            recurring: self.with["recurring"].as_bool().unwrap(),
            user_document: self.text("user_document").map(|number| number.to_owned().into()),
            frequency_per_day: u8::try_from(self.with["frequency_per_day"].as_u64().unwrap()).unwrap(),
            login_name: self.text("login_name").map(|name| LoginName::new(name).unwrap()),
            state: self.text("state").map(str::to_owned),
            redirect_uri: "https://tributary.example/callback/musterbank".parse().unwrap(),
            nok_redirect_uri: self.text("nok_redirect_uri").map(|uri| uri.parse().unwrap()),
            notification_uri: self.text("notification_uri").map(|uri| uri.parse().unwrap()),
        }
    }

    fn window(&self) -> Window {
        Window {
            from: self.text("from").unwrap().parse().unwrap(),
            to: self.text("to").map(|to| to.parse().unwrap()),
            status: match self.text("status") {
                None => BookingStatus::Both,
                Some("booked") => BookingStatus::Booked,
                Some("pending") => BookingStatus::Pending,
                Some(other) => panic!("{other} is no list"),
            },
        }
    }

    /// Sends, reads, and tells the outcome in the words of `expected.json`.
    fn run<T>(self, call: Call<T, BankError>, tell: impl FnOnce(T) -> Value) -> Value {
        assert_sent(&call.request, self.recorded, &self.name);
        match call.read(self.answer, NOW.parse().unwrap()) {
            Ok(value) => json!({"ok": tell(value)}),
            Err(error) => {
                let mut told = json!({"code": error.code(), "text": error.to_string()});
                if let BankError::Wait { until: Some(until), .. } = &error {
                    told["until"] = until.to_string().into();
                }
                json!({"error": told})
            }
        }
    }
}

fn tell_opened(bank: &dyn Bank, opened: &Opened) -> Value {
    json!({
        "consent": opened.consent.expose(),
        "state": format!("{:?}", opened.state),
        "valid_until": opened.valid_until.map(|day| day.to_string()),
        "approach": opened.approach.map(|approach| format!("{approach:?}")),
        "sca_redirect": opened.links.sca_redirect.as_ref().map(url::Url::as_str),
        "sca_oauth": opened.links.sca_oauth.as_ref().map(url::Url::as_str),
        "scope": bank.profile().authorization(&opened.consent).scope,
    })
}

fn tell_granted(granted: &Granted) -> Value {
    let names = |list: &[AccountReference]| -> Vec<String> {
        list.iter().map(|one| format!("{} {}", one.iban.as_ref().unwrap(), one.currency.as_ref().unwrap())).collect()
    };
    let access = match &granted.access {
        GrantedAccess::All => json!("all"),
        GrantedAccess::ListOnly => json!("list only"),
        GrantedAccess::Listed { accounts, balances, transactions } => {
            json!({"accounts": names(accounts), "balances": names(balances), "transactions": names(transactions)})
        }
    };
    json!({
        "state": format!("{:?}", granted.state),
        "access": access,
        "valid_until": granted.valid_until.map(|day| day.to_string()),
        "frequency_per_day": granted.frequency_per_day,
        "recurring": granted.recurring,
        "last_action": granted.last_action.map(|day| day.to_string()),
    })
}

fn text(field: Option<&Text>) -> Option<&str> {
    field.map(|field| field.value.as_str())
}

/// What is there beside what every bank has.
fn beside(mut told: Value, more: &[(&str, Option<&Text>)]) -> Value {
    for (name, field) in more {
        if let Some(field) = field {
            told[name] = field.value.as_str().into();
        }
    }
    told
}

fn tell_account(account: &AccountRow) -> Value {
    let parsed = &account.row.parsed;
    let told = json!({
        "resource": account.resource.as_ref().map(ResourceId::as_str),
        "offers": account.offers.map(|offers| json!({"balances": offers.balances, "transactions": offers.transactions})),
        "iban": text(parsed.iban.as_ref()),
        "masked_pan": text(parsed.masked_pan.as_ref()),
        "currency": text(parsed.currency.as_ref()),
        "name": text(parsed.name.as_ref()),
        "owner_name": text(parsed.owner_name.as_ref()),
    });
    beside(
        told,
        &[("bban", parsed.bban.as_ref()), ("other", parsed.other.as_ref()), ("product", parsed.product.as_ref())],
    )
}

fn tell_row(row: &Parsed) -> Value {
    let told = json!({
        "list": format!("{:?}", row.list),
        "id": text(row.references.transaction_id.as_ref()),
        "booking_date": text(row.booking_date.as_ref()),
        "amount": text(row.amount.as_ref()),
        "currency": text(row.currency.as_ref()),
        "creditor": text(row.creditor.name.as_ref()),
        "debtor": text(row.debtor.name.as_ref()),
        "remittance": row.remittance.iter().map(|line| line.value.as_str()).collect::<Vec<_>>(),
    });
    let more = [
        ("status", row.status.as_ref()),
        ("indicator", row.indicator.as_ref()),
        ("transaction_date", row.transaction_date.as_ref()),
        ("merchant", row.merchant_name.as_ref()),
        ("mcc", row.mcc.as_ref()),
        ("counterparty", row.counterparty.name.as_ref()),
        ("balance_after", row.balance_after.as_ref()),
        ("balance_after_indicator", row.balance_after_indicator.as_ref()),
        ("balance_after_currency", row.balance_after_currency.as_ref()),
    ];
    beside(told, &more)
}

/// Tells a page, and proves that its raw rows alone give the parsed rows again.
fn tell_page(standard: Standard, page: &Transactions, next: &mut Option<NextLink>) -> Value {
    for row in &page.rows {
        let raw: &serde_json::value::RawValue = serde_json::from_slice(row.raw.as_bytes()).unwrap();
        assert!(reread(standard, raw, row.parsed.list) == *row.parsed, "a raw row is read differently alone");
    }
    let rows: Vec<_> = page.rows.iter().map(|row| tell_row(&row.parsed)).collect();
    json!({"rows": rows, "next": tell_next(&page.next, next)})
}

fn tell_next(continuation: &Continuation, next: &mut Option<NextLink>) -> String {
    match continuation {
        Continuation::End => "end".to_owned(),
        Continuation::Broken(breach) => breach.to_string(),
        Continuation::Next(link) => {
            *next = Some(link.clone());
            "followed".to_owned()
        }
    }
}

fn run_step(step: Step<'_>, call: &str, next: &mut Option<NextLink>) -> Value {
    let (bank, context) = (step.bank, step.context());
    match call {
        "open_consent" => {
            let call = bank.consents().unwrap().open(&step.consent_ask(), &context);
            step.run(call, |opened| tell_opened(bank, &opened))
        }
        "redeem" => {
            let code = step.text("code").expect("a code").to_owned().into();
            let call = bank.consents().unwrap().redeem(&code, &context).expect("codes are redeemed");
            step.run(call, |opened| tell_opened(bank, &opened))
        }
        "consent_status" => {
            let call = bank.consents().unwrap().status(&step.consent(), &context);
            step.run(call, |state| format!("{state:?}").into())
        }
        "read_consent" => {
            let call = bank.consents().unwrap().read(&step.consent(), &context);
            step.run(call, |granted| tell_granted(&granted))
        }
        "end_consent" => {
            let consent = step.consent();
            let call = match bank.consents() {
                Some(consents) => consents.end(&consent, &context),
                None => bank.end(&consent, &context).unwrap(),
            };
            step.run(call, |ended| match ended {
                Ended::Gone => "gone".into(),
                Ended::Accepted => "accepted".into(),
                Ended::Unproven(problem) => format!("unproven: {problem}").into(),
            })
        }
        "accounts" => {
            let link = next.take().filter(|_| step.with.get("next").is_some());
            let call = bank.accounts(&step.consent(), link.as_ref(), &context);
            step.run(call, |accounts| {
                let told: Value = accounts.rows.iter().map(tell_account).collect();
                match tell_next(&accounts.next, next).as_str() {
                    "end" => told,
                    more => json!({"rows": told, "next": more}),
                }
            })
        }
        "balances" => {
            let call = bank.balances(&step.consent(), &step.account(), &context);
            step.run(call, |balances| {
                let tell = |row: &domain::records::ParsedBalance| {
                    let mut told = json!({
                        "kind": text(row.kind.as_ref()),
                        "amount": text(row.amount.as_ref()),
                        "currency": text(row.currency.as_ref()),
                        "reference_date": text(row.reference_date.as_ref()),
                    });
                    if let Some(credit) = row.credit_limit_included {
                        told["credit"] = credit.into();
                    }
                    beside(told, &[("indicator", row.indicator.as_ref())])
                };
                balances.rows.iter().map(|row| tell(&row.parsed)).collect()
            })
        }
        "transactions" => {
            let link = next.take();
            let page = match (&link, step.with.get("next")) {
                (Some(link), Some(_)) => PageAsk::Next(link),
                _ => PageAsk::First(step.window()),
            };
            let call = bank.transactions(&step.consent(), &step.account(), page, &context);
            step.run(call, |page| tell_page(bank.profile().bank.standard, &page, next))
        }
        other => panic!("no call is named {other}"),
    }
}

fn bank_of(id: &str) -> Arc<dyn Bank> {
    let directory = Directory::embedded().unwrap();
    let profile = directory.get(&domain::ids::InstitutionId::new(id).unwrap()).expect("a profile").clone();
    // A bank that is known from documents alone may be anywhere.
    let anywhere = || Endpoints { api: "https://api.bank.example".to_owned().try_into().ok(), ..Endpoints::default() };
    let endpoints = profile.endpoints.get(&Environment::Sandbox).cloned().unwrap_or_else(anywhere);
    bank_adapters::open(profile, &endpoints).unwrap()
}

/// The folders of a folder.
fn folders(of: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The names of the exchanges in a folder.
fn exchanges(of: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".http")).collect()
}

fn run_case(bank: &dyn Bank, case: &Path) {
    let steps = expected(case)["steps"].as_array().unwrap().clone();
    let (mut next, mut used) = (None, BTreeSet::new());
    for step in &steps {
        let file = step["exchange"].as_str().unwrap();
        used.insert(file.to_owned());
        let (recorded, answer) = exchange(&case.join(file));
        let name = format!("{}/{file}", case.display());
        let running = Step { with: &step["with"], bank, recorded: &recorded, answer, name: name.clone() };
        let outcome = run_step(running, step["call"].as_str().unwrap(), &mut next);
        let wanted = match (step.get("ok"), step.get("error")) {
            (Some(ok), None) => json!({"ok": ok}),
            (None, Some(error)) => json!({"error": error}),
            _ => panic!("{name}: either ok or error"),
        };
        assert_eq!(outcome, wanted, "{name}");
    }
    assert_eq!(used, exchanges(case), "every exchange of {} is asked for", case.display());
}

#[test]
fn every_recorded_exchange_is_sent_and_read_as_expected() {
    let directory = Directory::embedded().unwrap();
    let mut cases = 0;
    for profile in directory.list(&Filter::default()) {
        let id = profile.bank.id.as_str();
        let bank = bank_of(id);
        for case in folders(&fixtures().join(id)).into_iter().filter(|case| case.join("expected.json").exists()) {
            run_case(&*bank, &case);
            cases += 1;
        }
    }
    assert!(cases >= 5, "the cases of de_musterbank at least");
}

fn told<T>(result: Result<T, BankError>, count: impl FnOnce(T) -> usize) -> Value {
    match result {
        Ok(value) => format!("ok, {} rows", count(value)).into(),
        Err(error) => {
            assert!(!format!("{error:?}").contains("Heike"), "Debug tells what the bank wrote");
            error.to_string().into()
        }
    }
}

/// Reads one answer as every kind of answer.
fn read_as_everything(bank: &dyn Bank, answer: &Response<Bytes>) -> Value {
    let consent = BankConsentId::new("c").unwrap();
    let account = ResourceId::new("a").unwrap();
    let context = CallContext { token: None, psu: None, authenticated_at: None, request_id: uuid::Uuid::nil() };
    let window = Window { from: "2026-01-01".parse().unwrap(), to: None, status: BookingStatus::Both };
    let now = NOW.parse().unwrap();
    json!({
        "accounts": told(bank.accounts(&consent, None, &context).read(answer.clone(), now), |list| list.rows.len()),
        "balances": told(bank.balances(&consent, &account, &context).read(answer.clone(), now), |list| list.rows.len()),
        "transactions": told(
            bank.transactions(&consent, &account, PageAsk::First(window), &context).read(answer.clone(), now),
            |page| page.rows.len(),
        ),
        "consent_status": told(bank.consents().unwrap().status(&consent, &context).read(answer.clone(), now), |_| 0),
        "read_consent": told(bank.consents().unwrap().read(&consent, &context).read(answer.clone(), now), |_| 0),
    })
}

#[test]
fn a_hostile_answer_is_an_error_that_says_what_is_wrong() {
    let folder = fixtures().join("_hostile");
    let bank = bank_of("de_musterbank");
    let read: BTreeMap<String, Value> = exchanges(&folder)
        .into_iter()
        .map(|name| {
            let answer = response(&read(&folder.join(&name)));
            (name, read_as_everything(&*bank, &answer))
        })
        .collect();
    let outcome = serde_json::to_value(read).unwrap();
    assert_eq!(outcome, expected(&folder), "{outcome:#}");
}

#[test]
fn a_list_that_no_honest_page_holds_is_refused() {
    let bank = bank_of("de_musterbank");
    let answer = |name: &str, rows: usize| {
        let list = format!("[{}]", vec!["{}"; rows].join(","));
        let body = match name {
            "transactions" => format!(r#"{{"transactions":{{"booked":{list}}}}}"#),
            _ => format!(r#"{{"{name}":{list}}}"#),
        };
        Response::new(Bytes::from(body))
    };
    for (name, most) in [
        ("accounts", domain::limits::ACCOUNTS_PER_CONSENT_MAX),
        ("balances", domain::limits::ROWS_PER_BANK_PAGE_MAX),
        ("transactions", domain::limits::ROWS_PER_BANK_PAGE_MAX),
    ] {
        let full = read_as_everything(&*bank, &answer(name, most));
        assert_eq!(full[name], format!("ok, {most} rows"));
        let over = read_as_everything(&*bank, &answer(name, most + 1));
        assert_eq!(over[name], format!("the bank breaks its contract: `{name}` is longer than the limit"));
    }
}

#[test]
fn a_body_of_deep_nesting_is_read_or_refused_but_never_overflows() {
    let bank = bank_of("de_musterbank");
    for body in ["[".repeat(500_000), format!(r#"{{"accounts":[{}"#, "[".repeat(500_000)), "{\"a\":".repeat(200_000)] {
        let told = read_as_everything(&*bank, &Response::new(Bytes::from(body)));
        assert!(told["accounts"].as_str().unwrap().starts_with("the bank breaks its contract"), "{told}");
    }
    let closed = format!(r#"{{"accounts":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read_as_everything(&*bank, &Response::new(Bytes::from(closed)))["accounts"], "ok, 1 rows");
}

#[test]
fn an_answer_of_an_older_encoding_is_read_with_an_issue() {
    let bank = bank_of("de_musterbank");
    let mut body = br#"{"accounts":[{"resourceId":"1","name":"B"#.to_vec();
    body.extend([0xe4, b'c', b'k', b'e', b'r', b' ', 0x80]);
    body.extend(br#""}]}"#);
    let context = CallContext { token: None, psu: None, authenticated_at: None, request_id: uuid::Uuid::nil() };
    let call = bank.accounts(&BankConsentId::new("c").unwrap(), None, &context);
    let accounts = call.read(Response::new(Bytes::from(body)), NOW.parse().unwrap()).unwrap();
    assert_eq!(text(accounts.rows[0].row.parsed.name.as_ref()), Some("Bäcker €"));
    assert_eq!(accounts.issues[0].code, "answer.encoding");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// What no error may tell: a name, an account number, a link.
    const PRIVATE: [&str; 3] = ["Heike Beispiel", "DE03990123454711000815", "https://x.example/?iban=1"];

    /// JSON with the keys that readers look at and private values anywhere.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            proptest::sample::select(&PRIVATE[..]).prop_map(Value::from),
            proptest::sample::select(&["ERROR", "WARNING", "valid", "TOKEN_EXPIRED", "CONSENT_INVALID"][..])
                .prop_map(Value::from),
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
        ];
        let keys = [
            "accounts",
            "balances",
            "transactions",
            "booked",
            "_links",
            "next",
            "href",
            "download",
            "tppMessages",
            "category",
            "code",
            "text",
            "path",
            "title",
            "detail",
            "error",
            "additionalErrors",
            "access",
            "consentStatus",
            "validUntil",
            "iban",
            "resourceId",
        ];
        leaf.prop_recursive(5, 48, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(proptest::sample::select(keys.to_vec()), inner, 0..6)
                    .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn no_bytes_make_a_reader_panic(status in 100_u16..1000, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let answer = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            read_as_everything(&**BANK, &answer);
        }

        #[test]
        fn no_error_tells_what_stood_in_the_answer(
            status in proptest::sample::select(&[200_u16, 201, 400, 401, 403, 404, 429, 500][..]),
            body in json(),
        ) {
            let answer = Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap();
            let told = read_as_everything(&**BANK, &answer).to_string();
            prop_assert!(PRIVATE.iter().all(|private| !told.contains(private)), "{told}");
        }
    }

    static BANK: std::sync::LazyLock<Arc<dyn Bank>> = std::sync::LazyLock::new(|| bank_of("de_musterbank"));
}

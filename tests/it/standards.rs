//! The server at a bank of every standard: from the accepted text to the end of the consent, over mutual TLS, with every
//! row as it stands in the bank's books (its sign, its day where the bank is, its status) and nothing refused by the bank.

use std::collections::BTreeMap;

use domain::consent::RevokedBy;
use domain::ids::ConsentId;
use jiff::civil::Date;
use jiff::{SignedDuration, Span};
use sandbox::{Account, BankData, ListForm};
use serde_json::Value;
use server::services::{consents as service, fetch, revocation};
use store::capsules;
use tests::places;
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, Options, Place, World};

/// A standard: its bank, how many days of history its profile lets us see, what the bank writes down at the end.
struct Case {
    name: &'static str,
    place: Place,
    days: i64,
    ended: &'static str,
    /// The form of its lists of transactions, where it is not JSON.
    form: Option<ListForm>,
}

const CASES: [Case; 9] = [
    Case {
        name: "Berlin Group, camt.052",
        place: places::GERMANY,
        days: 730,
        ended: "consent.terminated",
        form: Some(ListForm::Camt),
    },
    Case {
        name: "Berlin Group, MT940",
        place: places::GERMANY,
        days: 730,
        ended: "consent.terminated",
        form: Some(ListForm::Mt940),
    },
    Case {
        name: "UK Open Banking 3.1",
        place: places::UNITED_KINGDOM,
        days: 730,
        ended: "consent.terminated",
        form: None,
    },
    Case {
        name: "UK Open Banking 4.0",
        place: places::UNITED_KINGDOM_4,
        days: 730,
        ended: "consent.terminated",
        form: None,
    },
    Case { name: "Consumer Data Right", place: places::AUSTRALIA, days: 730, ended: "consent.terminated", form: None },
    Case { name: "Open Finance Brasil", place: places::BRAZIL, days: 365, ended: "consent.terminated", form: None },
    Case { name: "STET", place: places::FRANCE, days: 90, ended: "token.revoked", form: None },
    Case { name: "FDX", place: places::NORTH_AMERICA, days: 730, ended: "token.revoked", form: None },
    Case { name: "Polish API", place: places::POLAND, days: 730, ended: "consent.terminated", form: None },
];

#[tokio::test(flavor = "multi_thread")]
async fn every_standard_goes_the_whole_way_with_every_row_as_it_is() {
    for case in CASES {
        let mut books = None;
        let options = Options { place: Some(case.place), form: case.form, ..Options::default() };
        let world = World::made(options, |data| books = Some(data.clone())).await;
        walk(&world, &case, &books.expect("the bank's books")).await;
        world.end().await;
    }
}

async fn walk(world: &World, case: &Case, books: &BankData) {
    let consent = world.connect(CUSTOMER).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(world, Some(&world.api_key));
    for minutes in [0, 6] {
        // After six minutes the access token is over, and a new one is fetched first.
        world.clock.advance(SignedDuration::from_mins(minutes));
        let fetched = fetch::run(&world.app, world.about(consent)).await.expect(case.name);
        assert!(matches!(fetched, fetch::Verdict::Next(_)), "{}: {fetched:?} {:#?}", case.name, world.bank.log());
        compare(world, case, &product, consent, books).await;
    }
    end(world, case, consent).await;
    let refused: Vec<_> = world.bank.log().into_iter().filter(|line| line.refused).collect();
    assert!(refused.is_empty(), "{}: {refused:#?}", case.name);
    site.end().await;
}

/// What a product reads is what stands in the books.
async fn compare(world: &World, case: &Case, product: &Caller, consent: ConsentId, books: &BankData) {
    let zone = jiff::tz::TimeZone::get(case.place.zone).expect("a zone");
    let today = domain::world::Clock::now(&*world.clock).to_zoned(zone).date();
    let first = today.saturating_sub(Span::new().days(case.days - 1));
    let listed = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    let accounts = listed["data"].as_array().expect("accounts");
    let mara = &books.psus[0];
    assert_eq!(accounts.len(), mara.accounts.len(), "{}: {listed}", case.name);
    for shown in accounts {
        // Poland's list of accounts tells no currency; rows and balances do.
        let untold = shown["currency"].is_null() && case.place.ecosystem.posted.is_some();
        assert!(untold || shown["currency"] == case.place.currency, "{}: {shown}", case.name);
        let id = shown["id"].as_str().expect("an id");
        // Brazil knows no name of the customer's own.
        let named = |account: &&Account| shown["name"] == account.name || shown["name"] == account.product;
        let account = mara.accounts.iter().find(named);
        let account = account.unwrap_or_else(|| panic!("{}: no account is {shown}", case.name));
        let found = rows(product, id).await;
        assert_eq!(found, expected(account, first, today, case.form), "{}: {}", case.name, account.name);
        let balances = product.get(&format!("/v1/accounts/{id}/balances")).await.json();
        let amounts: Vec<_> =
            balances["data"].as_array().expect("balances").iter().map(|one| &one["balance"]["amount"]).collect();
        let available = account.balances(today).available.to_plain_string();
        assert!(amounts.iter().any(|amount| **amount == available), "{}: {balances} {available}", case.name);
    }
}

/// Rows by status, day and amount, with how often each occurs.
type Rows = BTreeMap<(String, Option<String>, String), usize>;

async fn rows(product: &Caller, account: &str) -> Rows {
    let (mut found, mut cursor) = (Rows::new(), String::new());
    loop {
        let page = product.get(&format!("/v1/accounts/{account}/transactions?limit=500{cursor}")).await.json();
        for row in page["data"].as_array().expect("rows") {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let status = text(&row["status"]).expect("a status");
            let day = text(&row["booking_date"]).filter(|_| status == "booked");
            *found.entry((status, day, text(&row["amount"]["amount"]).expect("an amount"))).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn expected(account: &Account, first: Date, today: Date, form: Option<ListForm>) -> Rows {
    let mut rows = Rows::new();
    let amount = |row: &sandbox::Row| row.money.to_plain_string();
    for row in account.booked(today, first, today) {
        *rows.entry(("booked".to_owned(), Some(row.booked.to_string()), amount(row))).or_default() += 1;
    }
    // MT940 knows nothing of what is pending.
    let pending = if form == Some(ListForm::Mt940) { Vec::new() } else { account.pending(today) };
    for row in pending {
        *rows.entry(("pending".to_owned(), None, amount(row))).or_default() += 1;
    }
    rows
}

/// The product withdraws, and the bank is told in the way of its standard.
async fn end(world: &World, case: &Case, consent: ConsentId) {
    let tenant = world.app.tenant.id;
    service::revoke(&world.app, tenant, consent, RevokedBy::Product, "product").await.expect("a revocation");
    let mut tx = world.app.store.tenant_tx(tenant).await.expect("a transaction");
    let open = capsules::open(&mut tx, 10).await.expect("capsules");
    tx.commit().await.expect("a commit");
    assert_eq!(open.len(), 1, "{}", case.name);
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, tenant, capsule).await.expect("an end"), fetch::Verdict::Done);
    }
    let told = world.bank.log().iter().any(|line| line.code == case.ended);
    assert!(told, "{}: {:#?}", case.name, world.bank.log());
}

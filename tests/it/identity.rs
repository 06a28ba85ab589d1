//! One id for the life of a payment, whatever its bank does: through a bank, the database and the interface for products.

use std::collections::BTreeMap;

use domain::ids::ConsentId;
use jiff::SignedDuration;
use sandbox::{BankData, Row};
use serde_json::Value;
use server::services::{events, fetch};
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, World, day};

/// The customer's account at a bank that numbers its rows anew in every answer, and the one where ids stay.
const RENUMBERED: usize = 0;
const STEADY: usize = 1;
/// Rows that nothing happens to.
const PLAIN: usize = 14;

/// A card payment that is booked on a day.
fn payment(like: &Row, id: &str, text: &str, amount: &str, booked: i32) -> Row {
    Row {
        transaction_id: id.to_owned(),
        entered: day(booked.min(0) - 1),
        booked: day(booked),
        money: domain::money::Money::new(amount.parse().unwrap(), like.money.currency()),
        counterparty: Some(text.to_owned()),
        counterparty_iban: None,
        remittance: format!("{text} thanks you"),
        end_to_end_id: None,
        mandate_id: None,
        creditor_id: None,
        purpose_code: None,
        bank_transaction_code: "PMNT-CCRD-POSD",
        proprietary_code: "NDDT+106",
        exchange: None,
    }
}

/// Fourteen shops, two equal coffees, a hotel that has reserved an amount.
fn plant(data: &mut BankData) {
    for account in [RENUMBERED, STEADY] {
        let rows = &mut data.psus[0].accounts[account].rows;
        let like = rows[0].clone();
        let shop = |n: usize| {
            let (name, back) = (SHOPS[n], i32::try_from(n % 5).unwrap());
            payment(&like, &format!("SHOP-{n}"), name, &format!("-{}.17", 10 + n), -1 - back)
        };
        *rows = (0..PLAIN).map(shop).collect();
        rows.extend(["1", "2"].map(|n| payment(&like, &format!("COFFEE-{n}"), "Coffee House", "-3.20", -2)));
        rows.push(payment(&like, "HOTEL", "HOTEL SEEBLICK", "-120.00", 6));
    }
}

const SHOPS: [&str; PLAIN] = [
    "Bakery",
    "Cinema",
    "Books",
    "Pharmacy",
    "Florist",
    "Garage",
    "Museum",
    "Butcher",
    "Optician",
    "Tailor",
    "Ironmonger",
    "Theatre",
    "Laundry",
    "Stationer",
];

/// A product that looks at one account.
struct Reader<'a> {
    world: &'a World,
    caller: &'a Caller,
    iban: String,
    account: String,
    cursor: String,
    told: u64,
}

impl<'a> Reader<'a> {
    async fn new(world: &'a World, caller: &'a Caller, consent: ConsentId, iban: &str) -> Self {
        let accounts = caller.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
        let accounts = accounts["data"].as_array().unwrap().clone();
        let account = accounts.iter().find(|account| account["iban"] == iban).unwrap();
        let account = account["id"].as_str().unwrap().to_owned();
        let mut reader = Self { world, caller, iban: iban.to_owned(), account, cursor: String::new(), told: 0 };
        reader.changes().await;
        reader.told().await;
        reader
    }

    /// Everything that is listed, as id to (the other side, amount, status).
    async fn rows(&self) -> BTreeMap<String, (String, String, String)> {
        let page = self.caller.get(&format!("/v1/accounts/{}/transactions?limit=500", self.account)).await.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| {
            (text(&row["id"]), (text(&row["counterparty"]), text(&row["amount"]["amount"]), text(&row["status"])))
        };
        page["data"].as_array().unwrap_or_else(|| panic!("{page}")).iter().map(row).collect()
    }

    async fn row(&self, id: &str) -> Value {
        let page = self.caller.get(&format!("/v1/accounts/{}/transactions?limit=500", self.account)).await.json();
        page["data"].as_array().unwrap().iter().find(|row| row["id"] == id).cloned().unwrap_or_default()
    }

    /// Ids of what is listed for a name.
    async fn of(&self, name: &str) -> Vec<String> {
        let rows = self.rows().await;
        rows.into_iter().filter(|(_, (party, ..))| party.contains(name)).map(|(id, _)| id).collect()
    }

    /// What has changed since the last look: kind and id.
    async fn changes(&mut self) -> Vec<(String, String)> {
        let mut told = Vec::new();
        loop {
            let cursor = if self.cursor.is_empty() { String::new() } else { format!("&cursor={}", self.cursor) };
            let path = format!("/v1/accounts/{}/transactions/changes?limit=7{cursor}", self.account);
            let page = self.caller.get(&path).await.json();
            let word = |change: &Value, member: &str| change[member].as_str().unwrap().to_owned();
            let changes = page["data"].as_array().unwrap_or_else(|| panic!("{page}"));
            for change in changes {
                assert_eq!(change["transaction"].is_object(), change["kind"] != "removed");
                told.push((word(change, "kind"), word(change, "id")));
            }
            self.cursor = page["next_cursor"].as_str().unwrap().to_owned();
            if page["has_more"] == false {
                return told;
            }
        }
    }

    /// What products were told of the account's rows since the last look: type and how many rows.
    async fn told(&mut self) -> Vec<(String, u64)> {
        events::number(&self.world.app, self.world.app.tenant.id).await.unwrap();
        let mut told = Vec::new();
        loop {
            let page = self.caller.get(&format!("/v1/events?limit=500&after={}", self.told)).await.json();
            let events = page["data"].as_array().unwrap();
            let Some(last) = events.last() else { return told };
            self.told = last["seq"].as_u64().unwrap();
            for event in events.iter().filter(|event| event["data"]["account_id"] == self.account.as_str()) {
                let kind = event["type"].as_str().unwrap();
                if kind.starts_with("transaction.") {
                    told.push((kind.to_owned(), event["data"]["count"].as_u64().unwrap()));
                }
            }
        }
    }

    /// Changes what the bank lists.
    fn amend(&self, change: impl FnOnce(&mut Vec<Row>)) {
        assert!(self.world.bank.amend(&self.iban, change));
    }

    /// Gives every row another id, as the bank does in every answer.
    fn renumber(&self, round: u32) {
        self.amend(|rows| {
            for (n, row) in rows.iter_mut().enumerate() {
                row.transaction_id = format!("R{round}-{}", n * 7919 % 1009);
            }
        });
    }
}

/// A day later, the bank is asked again.
async fn next_day(world: &World, consent: ConsentId) {
    world.clock.advance(SignedDuration::from_hours(24));
    let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_keeps_its_id_whatever_its_bank_does() {
    let mut ibans = Vec::new();
    let world = World::with(|data| {
        plant(data);
        ibans.extend(data.psus[0].accounts.iter().map(|account| account.iban.clone()));
    })
    .await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    next_day(&world, consent).await;
    let mut reader = Reader::new(&world, &caller, consent, &ibans[RENUMBERED]).await;
    let first = reader.rows().await;
    assert_eq!((first.len(), reader.of("Coffee").await.len()), (PLAIN + 3, 2), "two equal purchases are two");

    for round in 0..3 {
        reader.renumber(round);
        next_day(&world, consent).await;
        assert_eq!(reader.rows().await, first, "new ids in every answer");
    }
    assert_eq!((reader.changes().await, reader.told().await), (vec![], vec![]), "and nobody is told of them");

    hotel_books(&mut reader, consent).await;
    let third = |rows: &mut Vec<Row>| {
        let coffee = rows.iter().find(|row| row.remittance.starts_with("Coffee")).unwrap().clone();
        rows.push(coffee);
    };
    reader.amend(third);
    reader.renumber(5);
    next_day(&world, consent).await;
    let coffees = reader.of("Coffee").await;
    let new: Vec<_> = coffees.iter().filter(|id| !first.contains_key(*id)).collect();
    assert_eq!((coffees.len(), new.len()), (3, 1), "a third one is one more");
    assert_eq!(reader.changes().await, [("added".to_owned(), new[0].clone())]);

    bakery_goes_and_comes_back(&mut reader, consent).await;

    let before = reader.rows().await;
    let again = world.connect(CUSTOMER).await;
    reader.renumber(10);
    next_day(&world, again).await;
    assert_eq!(reader.rows().await, before, "a new consent");
    assert_eq!(reader.changes().await, []);
    let other = Reader::new(&world, &caller, again, &ibans[RENUMBERED]).await;
    assert_eq!(other.account, reader.account);
    site.end().await;
    world.end().await;
}

/// A reservation becomes a booking with another text.
async fn hotel_books(reader: &mut Reader<'_>, consent: ConsentId) {
    let held = reader.of("HOTEL").await.remove(0);
    assert_eq!(reader.row(&held).await["status"], "pending");
    reader.amend(|rows| {
        let hotel = rows.iter_mut().find(|row| row.counterparty.as_deref() == Some("HOTEL SEEBLICK")).unwrap();
        hotel.counterparty = Some("Seeblick Hotel GmbH".to_owned());
        hotel.remittance = "Invoice Seeblick 0815".to_owned();
        hotel.booked = day(5);
    });
    reader.renumber(4);
    next_day(reader.world, consent).await;
    let booked = reader.row(&held).await;
    assert_eq!((&booked["status"], &booked["counterparty"]), (&"booked".into(), &"Seeblick Hotel GmbH".into()));
    assert_eq!(booked["settled"]["evidence"], "amount_and_text");
    assert!(booked.get("possible_duplicate_of").is_none());
    assert_eq!(reader.changes().await, [("modified".to_owned(), held)]);
    assert_eq!(reader.told().await, [("transaction.booked".to_owned(), 1)]);
}

/// A row that is missing once may have been lost between two pages; one that is missing twice is gone.
async fn bakery_goes_and_comes_back(reader: &mut Reader<'_>, consent: ConsentId) {
    let bakery = reader.of("Bakery").await.remove(0);
    let mut gone = Vec::new();
    reader.amend(|rows| gone.extend(rows.extract_if(.., |row| row.counterparty.as_deref() == Some("Bakery"))));
    reader.renumber(6);
    next_day(reader.world, consent).await;
    assert_eq!((reader.of("Bakery").await.len(), reader.changes().await), (1, vec![]));
    reader.renumber(7);
    next_day(reader.world, consent).await;
    assert_eq!(reader.of("Bakery").await.len(), 0);
    assert_eq!(reader.changes().await, [("removed".to_owned(), bakery.clone())]);
    assert_eq!(reader.told().await.pop(), Some(("transaction.removed".to_owned(), 1)));
    reader.amend(|rows| rows.append(&mut gone));
    reader.renumber(8);
    next_day(reader.world, consent).await;
    assert_eq!(reader.of("Bakery").await, std::slice::from_ref(&bakery));
    assert_eq!(reader.changes().await, [("modified".to_owned(), bakery)]);
    assert_eq!(reader.told().await, [("transaction.modified".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_bank_lists_twice_under_an_id_that_has_proven_itself_is_flagged() {
    let mut iban = String::new();
    let world = World::with(|data| {
        plant(data);
        iban.clone_from(&data.psus[0].accounts[STEADY].iban);
    })
    .await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    next_day(&world, consent).await;
    next_day(&world, consent).await;
    let mut reader = Reader::new(&world, &caller, consent, &iban).await;
    let cinema = reader.of("Cinema").await.remove(0);
    reader.amend(|rows| {
        let mut again = rows.iter().find(|row| row.counterparty.as_deref() == Some("Cinema")).unwrap().clone();
        again.booked = day(0);
        rows.push(again);
    });
    next_day(&world, consent).await;
    let both = reader.of("Cinema").await;
    assert_eq!(both.len(), 2, "neither is hidden");
    let second = both.iter().find(|id| **id != cinema).unwrap();
    assert_eq!(reader.row(second).await["possible_duplicate_of"], cinema.as_str());
    assert_eq!(reader.changes().await, [("added".to_owned(), second.clone())]);
    let told = ["transaction.added", "transaction.review_required"].map(|kind| (kind.to_owned(), 1));
    assert_eq!(reader.told().await, told);
    // The bank notices.
    reader.amend(|rows| rows.truncate(rows.len() - 1));
    next_day(&world, consent).await;
    next_day(&world, consent).await;
    assert_eq!(reader.of("Cinema").await, [cinema]);
    assert_eq!(reader.changes().await, [("removed".to_owned(), second.clone())]);
    site.end().await;
    world.end().await;
}

/// Every change behind a cursor: (account, kind, id), with the cursor for the next time.
async fn all_changes(caller: &Caller, narrowed: &str, cursor: &mut String) -> Vec<[String; 3]> {
    let mut told = Vec::new();
    loop {
        let from = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
        let page = caller.get(&format!("/v1/transactions/changes?limit=7{narrowed}{from}")).await.json();
        let changes = page["data"].as_array().unwrap_or_else(|| panic!("{page}"));
        assert!(changes.len() <= 7);
        for change in changes {
            let account = change["account_id"].as_str().unwrap();
            assert!(page["accounts"][account]["freshness"]["as_of"].is_string(), "{page}");
            assert_eq!(change["transaction"].is_object(), change["kind"] != "removed");
            told.push(["account_id", "kind", "id"].map(|member| change[member].as_str().unwrap().to_owned()));
        }
        page["next_cursor"].as_str().unwrap().clone_into(cursor);
        if page["has_more"] == false {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cursor_tells_what_changed_in_all_accounts() {
    let mut iban = String::new();
    let world = World::with(|data| {
        plant(data);
        iban.clone_from(&data.psus[0].accounts[STEADY].iban);
    })
    .await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    next_day(&world, consent).await;
    let reader = Reader::new(&world, &caller, consent, &iban).await;

    let (mut cursor, mut of_consent) = (String::new(), String::new());
    let all = all_changes(&caller, "", &mut cursor).await;
    let listed: Vec<&String> =
        all.iter().filter(|[account, ..]| *account == reader.account).map(|[_, _, id]| id).collect();
    assert!(all.iter().all(|[_, kind, _]| kind == "added") && all.len() > listed.len(), "several accounts");
    assert_eq!(listed.iter().copied().collect::<std::collections::BTreeSet<_>>(), reader.rows().await.keys().collect());
    let narrowed = format!("&consent_id={consent}");
    assert_eq!(all_changes(&caller, &narrowed, &mut of_consent).await, all);
    assert_eq!(all_changes(&caller, "", &mut cursor).await, [[""; 3]; 0], "nothing new");

    reader.amend(|rows| {
        let cinema = rows.iter().find(|row| row.counterparty.as_deref() == Some("Cinema")).unwrap().clone();
        rows.push(Row { transaction_id: "SECOND".to_owned(), booked: day(0), entered: day(-1), ..cinema });
    });
    next_day(&world, consent).await;
    let told = all_changes(&caller, "", &mut cursor).await;
    let [[account, kind, id]] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((account, kind.as_str()), (&reader.account, "added"));
    assert!(reader.of("Cinema").await.contains(id));

    let status = async |query: String| caller.get(&format!("/v1/transactions/changes?{query}")).await.status.as_u16();
    assert_eq!(status(format!("cursor={of_consent}")).await, 422, "a cursor belongs to its question");
    assert_eq!(status(format!("cursor={}", reader.cursor)).await, 422);
    assert_eq!(status("consent_id=mine".to_owned()).await, 422);
    let nobody = caller.get("/v1/transactions/changes?psu_ref=nobody").await.json();
    assert_eq!((nobody["data"].as_array().map(Vec::len), &nobody["has_more"]), (Some(0), &false.into()));
    caller.delete(&format!("/v1/consents/{consent}")).await;
    assert_eq!(all_changes(&caller, "", &mut cursor).await, [[""; 3]; 0], "after a revocation nothing is told");
    assert_eq!(all_changes(&caller, "", &mut String::new()).await, [[""; 3]; 0]);
    site.end().await;
    world.end().await;
}

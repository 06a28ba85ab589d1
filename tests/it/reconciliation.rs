//! Whether an account adds up: through a bank that gives balances and lists rows that contradict them.

use domain::ids::ConsentId;
use jiff::SignedDuration;
use jiff::civil::Date;
use sandbox::{BankData, Row};
use serde_json::{Value, json};
use server::evidence_log;
use server::services::fetch;
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, World, day};

/// Rows of one day.
const A_DAY: usize = 3;

/// Three different payments a day, for three weeks, in two accounts.
fn plant(data: &mut BankData) {
    for account in &mut data.psus[0].accounts[..2] {
        let like = account.rows[0].clone();
        let currency = like.money.currency();
        let row = |nth: i32| Row {
            transaction_id: format!("ROW-{nth:03}"),
            entered: day(nth / 3 - 10),
            booked: day(nth / 3 - 10),
            money: domain::money::Money::new(format!("-{}.{:02}", 10 + nth * 7, nth).parse().unwrap(), currency),
            counterparty: Some(format!("Shop {nth}")),
            remittance: format!("Purchase {nth}"),
            ..like.clone()
        };
        account.rows = (0..63).map(row).collect();
    }
}

/// One account as a product sees it.
struct Reader<'a> {
    caller: &'a Caller,
    account: String,
}

impl<'a> Reader<'a> {
    async fn new(caller: &'a Caller, consent: ConsentId, iban: &str) -> Self {
        let accounts = caller.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
        let accounts = accounts["data"].as_array().unwrap().clone();
        let account = accounts.into_iter().find(|account| account["iban"] == iban).unwrap();
        Self { caller, account: account["id"].as_str().unwrap().to_owned() }
    }

    /// The verdict with the account, which is also the one with every page of its transactions.
    async fn verdict(&self) -> Value {
        let account = self.caller.get(&format!("/v1/accounts/{}", self.account)).await.json();
        let page = self.page("limit=2").await;
        let next = self.page(&format!("limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
        assert_eq!(account["reconciliation"], page["reconciliation"]);
        assert_eq!(account["reconciliation"], next["reconciliation"]);
        let changes =
            self.caller.get(&format!("/v1/accounts/{}/transactions/changes?limit=1", self.account)).await.json();
        assert_eq!(account["reconciliation"], changes["reconciliation"]);
        let all = self.caller.get("/v1/transactions/changes?limit=500").await.json();
        assert_eq!(account["reconciliation"], all["accounts"][&self.account]["reconciliation"]);
        account["reconciliation"].clone()
    }

    async fn page(&self, query: &str) -> Value {
        self.caller.get(&format!("/v1/accounts/{}/transactions?{query}", self.account)).await.json()
    }

    /// Ids of the rows with this remittance text.
    async fn of(&self, text: &str) -> Vec<String> {
        let page = self.page("limit=500").await;
        let rows = page["data"].as_array().unwrap().iter().filter(|row| row["description"] == text);
        rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }
}

async fn next_day(world: &World, consent: ConsentId) {
    world.clock.advance(SignedDuration::from_hours(24));
    let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
}

/// How often something stands in the evidence of a consent.
async fn told(world: &World, consent: ConsentId, kind: &str) -> usize {
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(&world.app, world.about(consent), None).await.unwrap().unwrap();
    bundle.matches(&format!("\\\"kind\\\":\\\"{kind}\\\"")).count()
}

fn turn(rows: &mut [Row], from: Date) {
    for row in rows.iter_mut().filter(|row| row.booked >= from) {
        row.money = domain::money::Money::new(-row.money.amount(), row.money.currency());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_contradict_the_balance_say_so_wherever_they_are_read() {
    let mut ibans = Vec::new();
    let world = World::with(|data| {
        plant(data);
        ibans.extend(data.psus[0].accounts[..2].iter().map(|account| account.iban.clone()));
    })
    .await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let doubled = Reader::new(&caller, consent, &ibans[0]).await;
    let turned = Reader::new(&caller, consent, &ibans[1]).await;
    for reader in [&doubled, &turned] {
        let verdict = reader.verdict().await;
        assert_eq!((&verdict["verdict"], &verdict["undecided"]), (&json!("unknown"), &json!("first_balance")));
    }
    next_day(&world, consent).await;
    for reader in [&doubled, &turned] {
        let verdict = reader.verdict().await;
        assert_eq!((&verdict["verdict"], &verdict["hypotheses"]), (&json!("reconciled"), &json!([])));
        let evidence = &verdict["evidence"];
        assert_eq!((&evidence["rows"], &evidence["residual"]["amount"]), (&json!(A_DAY), &json!("0.00")), "{evidence}");
    }

    // The bank lists a row of the next day twice, and turns the signs of the other account.
    world.bank.amend(&ibans[0], |rows| {
        let mut again = rows.iter().find(|row| row.booked == day(2)).unwrap().clone();
        again.transaction_id = "ROW-AGAIN".to_owned();
        rows.push(again);
    });
    world.bank.amend(&ibans[1], |rows| turn(rows, day(2)));
    next_day(&world, consent).await;
    let verdict = doubled.verdict().await;
    assert_eq!((&verdict["verdict"], &verdict["hypotheses"]), (&json!("contradicted"), &json!(["doubled_row"])));
    let finding = &verdict["evidence"]["findings"][0];
    let twins = doubled.of("Purchase 36").await;
    assert_eq!(twins.len(), 2);
    assert!(twins.iter().any(|id| finding["transaction_id"] == id.as_str()), "{finding}");
    let verdict = turned.verdict().await;
    assert_eq!((&verdict["verdict"], &verdict["hypotheses"]), (&json!("contradicted"), &json!(["signs_inverted"])));
    assert_eq!(told(&world, consent, "data.contradicted").await, 2);

    // It stays so while the rows do, and nobody is told twice.
    next_day(&world, consent).await;
    assert_eq!(doubled.verdict().await["hypotheses"], json!(["doubled_row"]));
    assert_eq!(told(&world, consent, "data.contradicted").await, 2);
    let metrics = caller.get("/metrics").await.text();
    let counted = |line: &&str| line.contains("contradicted") && line.contains("signs_inverted");
    assert!(metrics.lines().any(|line| counted(&line)), "{metrics}");
    assert!(!metrics.contains("acc_") && !metrics.contains(&ibans[0]));

    // The bank mends its lists: missed twice, the second row is gone.
    world.bank.amend(&ibans[0], |rows| rows.truncate(63));
    world.bank.amend(&ibans[1], |rows| turn(rows, day(2)));
    next_day(&world, consent).await;
    next_day(&world, consent).await;
    for reader in [&doubled, &turned] {
        let verdict = reader.verdict().await;
        assert_eq!(verdict["verdict"], "reconciled", "{verdict}");
    }
    assert_eq!(told(&world, consent, "data.no_longer_contradicted").await, 2);
    site.end().await;
    world.end().await;
}

//! Pages of transactions: order, cursors, and the plan behind them.

use domain::consent::{DataState, ExpiryReason, ReauthReason, RevokedBy, State};
use domain::ids::{LineId, TransactionId};
use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use sqlx::Row;

use super::fixture::{Account, Fixture, record};
use crate::aligned::Standing;
use crate::consents::Consent;
use crate::lines::Filter;
use crate::transactions::{Cursor, Query};
use crate::{StoreError, lines, transactions};

/// Days with many ties, in no order.
fn days(count: i32, seed: i32) -> Vec<Date> {
    let first: Date = "2026-01-01".parse().unwrap();
    (0..count).map(|n| first.checked_add(((n * 7 + seed) % 5).days()).unwrap()).collect()
}

async fn three_lines(fixture: &Fixture) -> (Consent, Vec<Account>) {
    let consent = fixture.active().await;
    let mut accounts = Vec::new();
    for tag in 1..=3_u8 {
        let account = fixture.line(&consent, tag).await;
        fixture.put(&consent, &account, &days(11, i32::from(tag))).await;
        accounts.push(account);
    }
    (consent, accounts)
}

#[tokio::test]
async fn pages_of_every_size_are_the_same_list() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = three_lines(&fixture).await;
    let key = |page: &transactions::Page| {
        page.rows.iter().map(|row| (row.booking_date, row.line, row.seq)).collect::<Vec<_>>()
    };
    for line in [None, Some(accounts[1].id)] {
        let whole = fixture.pages(consent.id, line, 500).await;
        assert_eq!(whole.len(), 1);
        let whole = key(&whole[0]);
        assert_eq!(whole.len(), if line.is_some() { 11 } else { 33 });
        let mut sorted = whole.clone();
        sorted.sort_by(|a, b| b.cmp(a));
        assert_eq!(whole, sorted, "newest first, ties by line and number");
        for limit in 1..=34 {
            let pages = fixture.pages(consent.id, line, limit).await;
            assert_eq!(pages.iter().flat_map(key).collect::<Vec<_>>(), whole, "in pages of {limit}");
            let (last, full) = pages.split_last().unwrap();
            assert!(full.iter().all(|page| page.rows.len() == limit as usize) && !last.rows.is_empty());
        }
    }
}

#[tokio::test]
async fn a_cursor_survives_new_rows() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = three_lines(&fixture).await;
    let before = fixture.pages(consent.id, None, 500).await.remove(0);
    let first = fixture.pages(consent.id, None, 10).await.remove(0);
    // Some sort before the cursor, some behind it.
    fixture.put(&consent, &accounts[0], &days(10, 3)).await;
    let mut tx = fixture.tx().await;
    let query = Query { consent: consent.id, line: None, from: None, until: None, after: first.next, limit: 500 };
    let rest = transactions::page(&mut tx, query).await.unwrap();
    let rest: Vec<_> = rest.rows.iter().map(|row| row.id).collect();
    for row in &before.rows[10..] {
        assert!(rest.contains(&row.id), "a row that was behind the cursor is still there");
    }
    for row in &first.rows {
        assert!(!rest.contains(&row.id), "a row that was shown is not shown again");
    }
}

#[tokio::test]
async fn a_range_of_days_is_inclusive() {
    let fixture = Fixture::new().await;
    let (consent, _) = three_lines(&fixture).await;
    let (from, until): (Date, Date) = ("2026-01-02".parse().unwrap(), "2026-01-04".parse().unwrap());
    let all = fixture.pages(consent.id, None, 500).await.remove(0);
    let expected = all.rows.iter().filter(|row| (from..=until).contains(&row.booking_date)).count();
    let query =
        |after| Query { consent: consent.id, line: None, from: Some(from), until: Some(until), after, limit: 4 };
    let (mut tx, mut seen, mut after) = (fixture.tx().await, 0, None);
    for _ in 0..33 {
        let page = transactions::page(&mut tx, query(after)).await.unwrap();
        assert!(page.rows.iter().all(|row| (from..=until).contains(&row.booking_date)));
        seen += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(expected > 4 && seen == expected);
}

#[tokio::test]
async fn reading_needs_the_consent_and_the_product() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = three_lines(&fixture).await;
    let other = fixture.active().await;
    let mut tx = fixture.tx().await;
    let query = |consent, line| Query { consent, line, from: None, until: None, after: None, limit: 10 };
    let page = transactions::page(&mut tx, query(other.id, Some(accounts[0].id))).await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none(), "a line of another consent");
    let unknown = domain::ids::ConsentId::from_uuid(uuid::Uuid::nil());
    assert!(transactions::page(&mut tx, query(unknown, None)).await == Err(StoreError::NotFound("consent")));
    let stranger = domain::ids::ProductId::from_uuid(uuid::Uuid::nil());
    assert!(lines::held(&mut tx, stranger, Filter::default()).await.unwrap().is_empty());
    let one = Filter { line: Some(accounts[0].id), ..Filter::default() };
    let held = lines::held(&mut tx, fixture.product, one).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].consent, held[0].line.id), (consent.id, accounts[0].id));
    let details = held[0].line.details(fixture.tenant, &accounts[0].key).unwrap();
    assert_eq!(details.iban.as_deref(), Some("DE02120300000000202051"));
    let resources = lines::resources(&mut tx, consent.id).await.unwrap();
    let first = resources.iter().find(|resource| resource.line.id == accounts[0].id).unwrap();
    assert_eq!(first.resource_id(fixture.tenant, &accounts[0].key).unwrap().as_slice(), b"resource");
}

/// One account is looked for by a statement of its own, which must find what the one for all of them finds.
#[tokio::test]
async fn one_account_is_read_in_the_states_in_which_all_are() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = three_lines(&fixture).await;
    let states = [
        (State::Authorized, DataState::Present),
        (State::Active, DataState::Present),
        (State::ReauthPending(ReauthReason::TokenLost), DataState::Present),
        (State::Active, DataState::Restricted),
        (State::Expired(ExpiryReason::Term), DataState::Readable),
        (State::Expired(ExpiryReason::Term), DataState::Present),
        (State::Revoked(RevokedBy::Psu), DataState::Erasing),
    ];
    for (state, data) in states {
        let now = fixture.set(&consent, state, data).await;
        let mut tx = fixture.tx().await;
        let whose = Filter { consent: Some(consent.id), ..Filter::default() };
        let all = lines::held(&mut tx, fixture.product, whose).await.unwrap();
        let of = |line| Query { consent: consent.id, line, from: None, until: None, after: None, limit: 500 };
        let rows = transactions::page(&mut tx, of(None)).await.map(|page| page.rows);
        assert_eq!(rows.is_ok(), now.machine.may_read(), "{state:?} {data:?}");
        assert_eq!(all.len(), if now.machine.may_read() { 3 } else { 0 }, "{state:?} {data:?}");
        for account in &accounts {
            let one = lines::held(&mut tx, fixture.product, Filter { line: Some(account.id), ..whose }).await.unwrap();
            assert!(one.iter().eq(all.iter().filter(|held| held.line.id == account.id)), "{state:?} {data:?}");
            let its = transactions::page(&mut tx, of(Some(account.id))).await.map(|page| page.rows);
            let of_all =
                rows.clone().map(|rows| rows.into_iter().filter(|row| row.line == account.id).collect::<Vec<_>>());
            assert!(its == of_all, "{state:?} {data:?}");
        }
    }
}

#[tokio::test]
async fn a_row_opens_in_its_place_alone() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = three_lines(&fixture).await;
    let page = fixture.pages(consent.id, Some(accounts[0].id), 5).await.remove(0);
    let row = &page.rows[0];
    let opened = row.open(fixture.tenant, &accounts[0].key).unwrap();
    assert!(opened == record(opened.booking_date, "1.00"));
    let corrupt = Some(StoreError::Corrupt { table: "transaction", column: "sealed" });
    assert_eq!(row.open(fixture.tenant, &accounts[1].key).err(), corrupt, "another line's key");
    let stranger = domain::ids::TenantId::from_uuid(uuid::Uuid::nil());
    assert_eq!(row.open(stranger, &accounts[0].key).err(), corrupt, "another tenant");
    let mut swapped = page.rows[1].clone();
    swapped.id = row.id;
    assert_eq!(swapped.open(fixture.tenant, &accounts[0].key).err(), corrupt, "another row's id");
    let mut moved = row.clone();
    moved.line = LineId::from_uuid(uuid::Uuid::nil());
    assert_eq!(moved.open(fixture.tenant, &accounts[0].key).err(), corrupt, "another line");
}

/// With many rows a page is a short range of one index: the rows that are read are counted, not the time.
#[tokio::test]
async fn a_page_reads_no_more_rows_than_it_shows() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let first: Date = "2020-01-01".parse().unwrap();
    let day = |n: i64| first.checked_add(SignedDuration::from_hours(n * 3)).unwrap();
    let new = |n| (TransactionId::new(&fixture.world()), Standing::New, record(Some(day(n)), "1"));
    let rows: Vec<_> = (0..4000).map(new).collect();
    fixture.align(&consent, &account, &rows, [&[], &[]], 0).await;

    let middle = Cursor { booking_date: "2020-09-01".parse().unwrap(), line: account.id, seq: 2000 };
    let mut tx = fixture.tx().await;
    let fetched = "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_all_tables
        where relname = 'transaction'";
    // More than five times each: from then on PostgreSQL may keep one plan for all parameters.
    let asked = [(None, None), (None, Some(middle)), (Some(account.id), None), (Some(account.id), Some(middle))];
    for (line, after) in asked.into_iter().cycle().take(32) {
        let before: i64 = sqlx::query(fetched).fetch_one(tx.db()).await.unwrap().get(0);
        let query = Query { consent: consent.id, line, from: None, until: None, after, limit: 100 };
        let page = transactions::page(&mut tx, query).await.unwrap();
        assert_eq!(page.rows.len(), 100);
        let after: i64 = sqlx::query(fetched).fetch_one(tx.db()).await.unwrap().get(0);
        assert!(after - before <= 101, "{} rows were read for 100", after - before);
    }
}

//! Writing bank data: idempotence, and the race with a revocation.

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::LineId;
use domain::records::{BalanceKind, Normalized, NormalizedBalance, Status};
use jiff::civil::Date;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use vault::{DataKey, Wrapped};

use super::fixture::{Account, CAUSE, Fixture, NOW, record, until_somebody_waits};
use crate::consents::Consent;
use crate::fetches::{PageRead, Run, RunState};
use crate::lines::{Details, Known, NewLine, Writer};
use crate::raw_pages::Answer;
use crate::transactions::{Seen, Stored};
use crate::{StoreError, balances, consents, fetches, lines, raw_pages, transactions};

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

async fn put(fixture: &Fixture, consent: &Consent, account: &Account, rows: &[(&str, Normalized)], at: i64) -> Stored {
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|(identity, record)| Seen { identity: identity.as_bytes(), record }).collect();
    let mut line = writer.line(account.id).await.unwrap();
    let stored = line.put_transactions(&account.key, &seen, &fixture.later(at)).await.unwrap();
    tx.commit().await.unwrap();
    stored
}

#[tokio::test]
async fn a_fetch_that_is_repeated_changes_nothing() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let rows = [("a", record(Some(day("2026-01-01")), "1")), ("b", record(Some(day("2026-01-02")), "2"))];
    assert_eq!(put(&fixture, &consent, &account, &rows, 0).await, Stored { new: 2, ..Stored::default() });
    let first = fixture.pages(consent.id, None, 10).await.remove(0);
    assert_eq!(put(&fixture, &consent, &account, &rows, 5).await, Stored { unchanged: 2, ..Stored::default() });
    let second = fixture.pages(consent.id, None, 10).await.remove(0);
    for (before, after) in first.rows.iter().zip(&second.rows) {
        assert_eq!((before.id, before.seq, before.first_seen_at), (after.id, after.seq, after.first_seen_at));
        assert_eq!((before.last_seen_at, after.last_seen_at), (NOW, fixture.later(5).now));
    }
    assert_eq!(first.rows.len(), second.rows.len());
}

#[tokio::test]
async fn a_row_that_changes_keeps_its_id_and_its_number() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let pending = Normalized { status: Status::Pending, ..record(None, "-9.99") };
    put(&fixture, &consent, &account, &[("a", pending)], 0).await;
    let before = fixture.pages(consent.id, None, 10).await.remove(0).rows.remove(0);
    assert_eq!(before.booking_date, jiff::tz::TimeZone::UTC.to_datetime(NOW).date(), "no day: the day of first sight");
    let booked = record(Some(day("2026-01-01")), "-9.99");
    let rows = [("a", booked.clone()), ("a", record(Some(day("2025-01-01")), "5"))];
    let stored = put(&fixture, &consent, &account, &rows, 1).await;
    assert_eq!(stored, Stored { changed: 1, repeated: 1, ..Stored::default() });
    let after = fixture.pages(consent.id, None, 10).await.remove(0).rows.remove(0);
    assert_eq!((after.id, after.seq, after.first_seen_at), (before.id, before.seq, before.first_seen_at));
    assert_eq!((after.status, after.booking_date), (Status::Booked, day("2026-01-01")));
    assert!(after.open(fixture.tenant, &account.key).unwrap() == booked);
    assert!(put(&fixture, &consent, &account, &[("b", booked)], 2).await.new == 1);
    let page = fixture.pages(consent.id, None, 10).await.remove(0);
    assert_eq!(page.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 1], "numbers go on without gaps");
}

#[tokio::test]
async fn a_pending_row_that_the_bank_no_longer_lists_leaves_the_list() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let pending = |amount| Normalized { status: Status::Pending, ..record(Some(day("2026-01-01")), amount) };
    let booked = record(Some(day("2026-01-01")), "3");
    put(&fixture, &consent, &account, &[("a", pending("1")), ("b", pending("2")), ("c", booked)], 0).await;
    put(&fixture, &consent, &account, &[("b", pending("2"))], 10).await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let mut line = writer.line(account.id).await.unwrap();
    let later = fixture.later(10).now;
    assert_eq!(line.withdraw_pending(later, later).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(fixture.pages(consent.id, None, 10).await[0].rows.len(), 2);
    put(&fixture, &consent, &account, &[("a", pending("1"))], 20).await;
    assert_eq!(fixture.pages(consent.id, None, 10).await[0].rows.len(), 3, "one that comes back is the same row");
}

#[tokio::test]
async fn no_plain_text_reaches_the_database() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    put(&fixture, &consent, &account, &[("a", record(Some(day("2026-01-01")), "1234.56"))], 0).await;
    let mut connection = PgConnection::connect_with(&fixture.database.options).await.unwrap();
    let dump: Vec<String> = connection
        .fetch_all(
            "select encode(sealed, 'escape') || t::text from transaction t
            union all select encode(sealed, 'escape') || l::text from line l
            union all select encode(sealed_resource_id, 'escape') || c::text from consent_line c",
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(dump.len(), 3);
    for plain in ["Erika", "1234", "Mustermann", "DE02", "DE89", "food", "resource"] {
        assert!(!dump.iter().any(|row| row.contains(plain)), "{plain}");
    }
}

#[tokio::test]
async fn balances_and_raw_answers_come_back() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let balance = |amount: &str| NormalizedBalance {
        money: record(None, amount).money,
        kind: BalanceKind::InterimAvailable,
        credit_limit_included: Some(false),
        reference_date: Some(day("2026-01-01")),
        last_change: Some(NOW),
    };
    let run = uuid::Uuid::from_u128;
    for (fetch, at, amount) in [(run(1), 0, "1.00"), (run(1), 0, "2.00"), (run(2), 9, "3.00")] {
        let mut tx = fixture.tx().await;
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        let set = [balance(amount), balance("7.00")];
        line.put_balances(fetch, &account.key, &set, &fixture.later(at)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = fixture.tx().await;
    let latest = balances::latest(&mut tx, consent.id, account.id).await.unwrap();
    let mut opened: Vec<_> = latest.iter().map(|row| row.open(fixture.tenant, &account.key).unwrap()).collect();
    opened.sort_by_key(|balance| balance.money.amount());
    assert!(opened == [balance("3.00"), balance("7.00")]);
    let held = lines::held(&mut tx, fixture.product, lines::Filter::default()).await.unwrap();
    assert_eq!(held[0].line.freshness.balances_as_of, Some(fixture.later(9).now));

    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let mut line = writer.line(account.id).await.unwrap();
    let end = fixture.later(90).now;
    let answer = Answer { fetch: run(2), kind: "transactions", body: b"{\"raw\":1}", expires_at: end };
    line.put_raw_page(&account.key, answer, &fixture.world()).await.unwrap();
    let pages = raw_pages::of_line(&mut tx, account.id, None, 10).await.unwrap();
    assert_eq!(pages[0].open(fixture.tenant, &account.key).unwrap().as_slice(), b"{\"raw\":1}");
    assert_eq!(raw_pages::expire(&mut tx, NOW, 10).await.unwrap(), 0);
    assert_eq!(raw_pages::expire(&mut tx, end, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reading_that_was_killed_begins_anew_and_counts_nothing_twice() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let grant = consent.grant.unwrap();
    let run = Run {
        id: uuid::Uuid::from_u128(9),
        consent: consent.id,
        grant,
        attended: true,
        basis: "login".to_owned(),
        state: RunState::Running,
        error_code: None,
        started_at: NOW,
        finished_at: None,
    };
    let mut tx = fixture.tx().await;
    fetches::begin(&mut tx, &run).await.unwrap();
    let world = fixture.world();
    let page = PageRead { fetch: run.id, rows_seen: 10, rows_new: 4 };
    let other = uuid::Uuid::from_u128(8);
    for fetch in [other, run.id] {
        let mut writer = Writer::open(&mut tx, consent.id, grant).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        if fetch == run.id {
            line.begin(fetch, consent.id).await.unwrap();
            line.page_read(page).await.unwrap();
        }
        let answer = Answer { fetch, kind: "transactions", body: b"[]", expires_at: NOW };
        line.put_raw_page(&account.key, answer, &world).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut tx = fixture.tx().await;
    assert_eq!(fetches::latest(&mut tx, consent.id).await.unwrap(), Some(run.clone()));
    assert!(!fetches::progress(&mut tx, run.id).await.unwrap().remove(0).done);
    let mut writer = Writer::open(&mut tx, consent.id, grant).await.unwrap();
    let mut line = writer.line(account.id).await.unwrap();
    line.begin(run.id, consent.id).await.unwrap();
    let again = PageRead { rows_new: 0, ..page };
    line.page_read(again).await.unwrap();
    line.page_read(PageRead { rows_new: 3, ..page }).await.unwrap();
    line.done(run.id).await.unwrap();
    assert_eq!(
        line.page_read(PageRead { fetch: other, ..page }).await,
        Err(StoreError::NotFound("fetch of this line"))
    );
    let progress = fetches::progress(&mut tx, run.id).await.unwrap().remove(0);
    assert_eq!((progress.done, progress.pages, progress.rows_seen, progress.rows_new), (true, 2, 20, 7));
    let kept = raw_pages::of_line(&mut tx, account.id, None, 10).await.unwrap();
    assert_eq!(kept.len(), 1, "what the interrupted reading kept is gone, another run's answer is not");
    fetches::finish(&mut tx, run.id, RunState::Done, None, NOW).await.unwrap();
    assert_eq!(fetches::finish(&mut tx, run.id, RunState::Done, None, NOW).await, Err(StoreError::Raced));
}

#[tokio::test]
async fn an_account_is_one_line_whatever_consents_come() {
    let fixture = Fixture::new().await;
    let first = fixture.active().await;
    let account = fixture.line(&first, 1).await;
    let second = fixture.active().await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, second.id, second.grant.unwrap()).await.unwrap();
    let wrapped = Wrapped { epoch: 10, bytes: account.id.uuid().as_bytes().to_vec() };
    assert!(writer.look_up(&[1; 32]).await.unwrap() == Known::Line(account.id, wrapped.clone()));
    assert!(writer.look_up(&[2; 32]).await.unwrap() == Known::New);
    assert!(matches!(writer.line(account.id).await, Err(StoreError::NotFound(_))), "not under this consent yet");
    let new = NewLine {
        id: LineId::new(&fixture.world()),
        account_tag: [1; 32],
        key: &DataKey::generate(&fixture.entropy),
        wrapped: &wrapped,
        details: &Details::default(),
    };
    assert!(matches!(writer.create(&new, &fixture.world()).await, Err(StoreError::Exists { .. })));
    drop(tx);
    fixture.share(&second, &account).await;
    let mut tx = fixture.tx().await;
    let held = lines::held(&mut tx, fixture.product, lines::Filter::default()).await.unwrap();
    assert_eq!(
        held.iter().map(|held| held.line.id).collect::<Vec<_>>(),
        [account.id],
        "once, though two consents hold it"
    );
}

#[tokio::test]
async fn an_account_that_was_taken_out_stays_out() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    fixture.put(&consent, &account, &[day("2026-01-01")]).await;
    let mut tx = fixture.tx().await;
    lines::remove(&mut tx, consent.id, account.id, NOW).await.unwrap();
    assert!(lines::remove(&mut tx, consent.id, account.id, NOW).await.is_err());
    tx.commit().await.unwrap();
    let mut tx = fixture.tx().await;
    let query = transactions::Query { consent: consent.id, line: None, from: None, until: None, after: None, limit: 9 };
    assert!(transactions::page(&mut tx, query).await.unwrap().rows.is_empty());
    assert!(balances::latest(&mut tx, consent.id, account.id).await == Err(StoreError::NotAllowed));
    assert_eq!(lines::without_ground(&mut tx, consent.id).await.unwrap(), [account.id]);
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    assert!(writer.look_up(&[1; 32]).await.unwrap() == Known::Removed);
    assert!(matches!(writer.line(account.id).await, Err(StoreError::NotFound(_))));
    let again = writer.grant(account.id, &account.key, b"resource", &fixture.world()).await;
    assert_eq!(again, Err(StoreError::NotAllowed));
}

async fn revoke(fixture: &Fixture, consent: &Consent) {
    fixture.set(consent, State::Revoked(RevokedBy::Psu), DataState::Erasing).await;
}

#[tokio::test]
async fn a_revocation_waits_for_the_writer_that_was_faster() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let record = record(Some(day("2026-01-01")), "1");
    let seen = [Seen { identity: b"a", record: &record }];
    writer.line(account.id).await.unwrap().put_transactions(&account.key, &seen, &fixture.world()).await.unwrap();
    let committed = async {
        until_somebody_waits(&fixture).await;
        tx.commit().await.unwrap();
    };
    tokio::join!(revoke(&fixture, &consent), committed);
    let mut tx = fixture.tx().await;
    assert_eq!(
        transactions::extent(&mut tx, account.id).await.unwrap().rows,
        1,
        "written before the stop, erased after"
    );
}

#[tokio::test]
async fn a_writer_that_was_slower_than_the_revocation_writes_nothing() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let mut tx = fixture.tx().await;
    let before = consents::lock(&mut tx, consent.id).await.unwrap();
    let mut after = before.clone();
    after.machine.state = State::Revoked(RevokedBy::Product);
    after.machine.data = DataState::Erasing;
    consents::save(&mut tx, &before, &after, CAUSE).await.unwrap();
    let slower = async {
        let mut tx = fixture.tx().await;
        Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.err()
    };
    let committed = async {
        until_somebody_waits(&fixture).await;
        tx.commit().await.unwrap();
    };
    let (error, ()) = tokio::join!(slower, committed);
    assert_eq!(error, Some(StoreError::NotAllowed));
}

#[tokio::test]
async fn a_storm_of_writers_leaves_nothing_behind_the_revocation() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let record = record(Some(day("2026-01-01")), "1");
    let storm = |name: &'static str| {
        let (fixture, consent, account, record) = (&fixture, &consent, &account, &record);
        async move {
            for n in 0_u32.. {
                let mut tx = fixture.tx().await;
                let Ok(mut writer) = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await else { return n };
                let identity = format!("{name} {n}");
                let seen = [Seen { identity: identity.as_bytes(), record }];
                let mut line = writer.line(account.id).await.unwrap();
                line.put_transactions(&account.key, &seen, &fixture.world()).await.unwrap();
                tx.commit().await.unwrap();
            }
            0
        }
    };
    let revocation = async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        revoke(&fixture, &consent).await;
        let mut tx = fixture.tx().await;
        transactions::extent(&mut tx, account.id).await.unwrap().rows
    };
    let (a, b, c, at_stop) = tokio::join!(storm("a"), storm("b"), storm("c"), revocation);
    let mut tx = fixture.tx().await;
    let at_end = transactions::extent(&mut tx, account.id).await.unwrap().rows;
    assert_eq!(at_stop, at_end, "no row was written after the revocation had committed");
    assert_eq!(at_end, i64::from(a + b + c));
}

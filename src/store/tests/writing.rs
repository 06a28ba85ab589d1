//! Writing bank data: idempotence, and the race with a revocation.

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{LineId, TransactionId};
use domain::money::{Currency, Money};
use domain::reconciliation::{Anchor, Found, Hypothesis, Mark, Reconciliation, Undecided, Verdict};
use domain::records::{BalanceKind, Normalized, NormalizedBalance, Status};
use jiff::civil::Date;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use vault::{DataKey, Wrapped};

use super::fixture::{CAUSE, Fixture, NOW, record, source, until_so_many_wait, until_somebody_waits};
use crate::aligned::{Aligned, Listed, Standing, Stored};
use crate::consents::Consent;
use crate::fetches::{Run, RunState};
use crate::lines::{Details, Filter, Known, NewLine, Writer};
use crate::raw_pages::Answer;
use crate::transactions::Change;
use crate::{StoreError, balances, consents, fetches, lines, raw_pages, transactions};

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

/// A row that nobody has seen.
fn new(fixture: &Fixture, record: Normalized) -> (TransactionId, Standing, Normalized) {
    (TransactionId::new(&fixture.world()), Standing::New, record)
}

#[tokio::test]
async fn a_fetch_that_is_repeated_changes_nothing() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let mut rows = ["1", "2"].map(|amount| new(&fixture, record(Some(day("2026-01-01")), amount)));
    let stored = fixture.align(&consent, &account, &rows, [&[], &[]], 0).await;
    assert_eq!(stored, Stored { new: 2, ..Stored::default() });
    let first = fixture.pages(consent.id, None, 10).await.remove(0);
    rows.iter_mut().for_each(|row| row.1 = Standing::Same);
    // At some banks every answer has another reference for every row.
    rows[0].2.bank_reference = Some("another".to_owned());
    let stored = fixture.align(&consent, &account, &rows, [&[], &[]], 5).await;
    assert_eq!(stored, Stored { unchanged: 2, ..Stored::default() });
    let second = fixture.pages(consent.id, None, 10).await.remove(0);
    for (before, after) in first.rows.iter().zip(&second.rows) {
        assert_eq!((before.id, before.seq, before.first_seen_at), (after.id, after.seq, after.first_seen_at));
        assert_eq!((before.last_seen_at, after.last_seen_at), (NOW, fixture.later(5).now));
    }
    assert_eq!(first.rows.len(), second.rows.len());
}

#[tokio::test]
async fn days_are_known_back_to_a_gap_and_no_further() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    for (from, until, known) in [
        ("2026-01-10", "2026-01-20", "2026-01-10"),
        ("2026-01-01", "2026-01-22", "2026-01-01"),
        ("2026-01-15", "2026-01-25", "2026-01-01"),
        ("2026-01-26", "2026-01-30", "2026-01-01"),
        ("2026-02-10", "2026-02-20", "2026-02-10"),
    ] {
        let mut tx = fixture.tx().await;
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        line.transactions_complete(NOW, Some(day(from)), Some(day(until))).await.unwrap();
        let resources = lines::resources(&mut tx, consent.id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(resources[0].line.freshness.complete_from, Some(day(known)), "{from}");
        assert_eq!(resources[0].line.freshness.complete_until, Some(day(until)));
    }
}

#[tokio::test]
async fn a_row_that_is_booked_keeps_its_id_and_its_number() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let pending = new(&fixture, Normalized { status: Status::Pending, ..record(None, "-9.99") });
    let id = pending.0;
    fixture.align(&consent, &account, &[pending], [&[], &[]], 0).await;
    let before = fixture.pages(consent.id, None, 10).await.remove(0).rows.remove(0);
    assert_eq!(before.booking_date, jiff::tz::TimeZone::UTC.to_datetime(NOW).date(), "no day: the day of first sight");
    assert_eq!((before.settled, before.doubtful_of), (None, None));
    let booked = record(Some(day("2026-01-01")), "-9.99");
    let rows = [(id, Standing::Settled("text"), booked.clone())];
    let stored = fixture.align(&consent, &account, &rows, [&[], &[]], 1).await;
    assert_eq!(stored, Stored { settled: 1, ..Stored::default() });
    let after = fixture.pages(consent.id, None, 10).await.remove(0).rows.remove(0);
    assert_eq!((after.id, after.seq, after.first_seen_at), (id, before.seq, before.first_seen_at));
    assert_eq!((after.status, after.booking_date), (Status::Booked, day("2026-01-01")));
    assert_eq!(after.settled, Some((fixture.later(1).now, "text".to_owned())));
    assert!(after.open(fixture.tenant, &account.key).unwrap() == booked);
    // Seen again, it stays settled; another that may be the same payment is beside it.
    let like = TransactionId::new(&fixture.world());
    let rows = [(id, Standing::Same, booked.clone()), (like, Standing::Doubtful(id), booked)];
    assert_eq!(fixture.align(&consent, &account, &rows, [&[], &[]], 2).await.new, 1);
    let page = fixture.pages(consent.id, None, 10).await.remove(0);
    assert_eq!(
        page.rows.iter().map(|row| (row.id, row.doubtful_of)).collect::<Vec<_>>(),
        [(like, Some(id)), (id, None)]
    );
    assert_eq!(page.rows[1].settled, Some((fixture.later(1).now, "text".to_owned())));
}

#[tokio::test]
async fn a_row_that_is_withdrawn_leaves_a_tombstone_without_content_and_may_come_back() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let mut rows = ["1", "2"].map(|amount| new(&fixture, record(Some(day("2026-01-01")), amount)));
    let (gone, kept) = (rows[0].0, rows[1].0);
    fixture.align(&consent, &account, &rows, [&[], &[]], 0).await;
    rows.iter_mut().for_each(|row| row.1 = Standing::Same);
    fixture.align(&consent, &account, &rows[1..], [&[gone], &[]], 1).await;
    assert_eq!(fixture.pages(consent.id, None, 10).await[0].rows.len(), 2, "missed once, it stays");
    let stored = fixture.align(&consent, &account, &rows[1..], [&[], &[gone]], 2).await;
    assert_eq!(stored, Stored { unchanged: 1, withdrawn: 1, ..Stored::default() });
    let ids = |page: &transactions::Page| page.rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(&fixture.pages(consent.id, None, 10).await[0]), [kept]);
    let mut connection = PgConnection::connect_with(&fixture.database.options).await.unwrap();
    let empty = "select count(*) from transaction where sealed is null and sealed_identity is not null";
    assert_eq!(connection.fetch_one(empty).await.unwrap().get::<i64, _>(0), 1);
    fixture.align(&consent, &account, &rows, [&[], &[]], 3).await;
    let page = fixture.pages(consent.id, None, 10).await.remove(0);
    assert_eq!(ids(&page), [kept, gone], "one that comes back is the same row");
    assert!(page.rows[1].open(fixture.tenant, &account.key).unwrap() == rows[0].2);
}

#[tokio::test]
async fn what_is_known_opens_for_the_next_alignment() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    assert!(writer.line(account.id).await.unwrap().trust(&account.key).await.unwrap().is_none());
    drop(tx);
    let mut rows: Vec<_> = (1..=4).map(|n| new(&fixture, record(Some(day(&format!("2026-01-0{n}"))), "1"))).collect();
    rows.push(new(&fixture, Normalized { status: Status::Pending, ..record(Some(day("2025-01-01")), "9") }));
    let ids: Vec<TransactionId> = rows.iter().map(|row| row.0).collect();
    fixture.align(&consent, &account, &rows, [&[], &[]], 0).await;
    fixture.align(&consent, &account, &[], [&[ids[2]], &[ids[3]]], 1).await;

    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let mut line = writer.line(account.id).await.unwrap();
    let known = line.known(&account.key, day("2026-01-02")).await.unwrap();
    let flags: Vec<_> = known.iter().map(|row| (row.id, row.missed, row.removed)).collect();
    let expected = [(ids[4], false, false), (ids[1], false, false), (ids[2], true, false), (ids[3], false, true)];
    assert_eq!(flags, expected, "pending rows of any day, others of the window");
    assert!(known.iter().all(|row| row.identity.as_slice() == format!("identity of {}", row.id).as_bytes()));
    assert_eq!(line.trust(&account.key).await.unwrap().unwrap().as_slice(), b"trust");
    let another = DataKey::generate(&fixture.entropy);
    let corrupt = Some(StoreError::Corrupt { table: "transaction", column: "sealed_identity" });
    assert_eq!(line.known(&another, day("2026-01-02")).await.err(), corrupt);
}

#[tokio::test]
async fn changes_are_told_once_each_and_in_their_order_whenever_a_reader_comes() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let mut rows: Vec<_> = (1..=4).map(|n| new(&fixture, record(Some(day("2026-01-01")), &n.to_string()))).collect();
    let ids: Vec<TransactionId> = rows.iter().map(|row| row.0).collect();
    let place = |id: TransactionId| ids.iter().position(|other| *other == id).unwrap();
    let told = async |after: i64, limit: u32| {
        let mut tx = fixture.tx().await;
        let changes = transactions::changes(&mut tx, (consent.id, account.id), after, limit).await.unwrap();
        let words = changes.changes.iter().map(|change| match change {
            Change::Added(row) => format!("+{}", place(row.id)),
            Change::Modified(row) => format!("~{}", place(row.id)),
            Change::Removed(id) => format!("-{}", place(*id)),
        });
        (words.collect::<Vec<_>>().join(" "), changes.until, changes.more)
    };
    assert_eq!(told(0, 10).await, (String::new(), 0, false));
    fixture.align(&consent, &account, &rows[..3], [&[], &[]], 0).await;
    assert_eq!(told(0, 2).await, ("+0 +1".to_owned(), 2, true));
    let (rest, early, _) = told(2, 2).await;
    assert_eq!((rest.as_str(), early), ("+2", 3));
    rows[..3].iter_mut().for_each(|row| row.1 = Standing::Same);
    rows[1].2.description = Some("completed".to_owned());
    fixture.align(&consent, &account, &rows[1..], [&[], &ids[..1]], 1).await;
    let (words, latest, _) = told(early, 10).await;
    assert_eq!(words, "+3 ~1 -0");
    assert_eq!(told(latest, 10).await, (String::new(), latest, false));
    assert_eq!(told(0, 10).await.0, "+2 +3 +1", "what came and went is nothing to somebody new");
    let mut tx = fixture.tx().await;
    let other = fixture.active().await;
    let changes = transactions::changes(&mut tx, (other.id, account.id), 0, 10).await.unwrap();
    assert!(changes.changes.is_empty(), "a line of another consent");
    drop(tx);
    revoke(&fixture, &consent).await;
    let mut tx = fixture.tx().await;
    let refused = transactions::changes(&mut tx, (consent.id, account.id), 0, 10).await.err();
    assert_eq!(refused, Some(StoreError::NotAllowed));
}

#[tokio::test]
async fn rows_of_a_build_that_stored_no_identity_are_retired_where_a_fetch_brings_them_anew() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    fixture.put(&consent, &account, &[day("2025-12-01"), day("2026-01-01")]).await;
    let mut connection = PgConnection::connect_with(&fixture.database.options).await.unwrap();
    connection.execute("update transaction set sealed_identity = null").await.unwrap();
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
    let mut line = writer.line(account.id).await.unwrap();
    assert_eq!(line.retire_unidentified(day("2026-01-01"), NOW).await.unwrap(), 1);
    assert_eq!(line.retire_unidentified(day("2026-01-01"), NOW).await.unwrap(), 0);
    assert!(line.known(&account.key, day("2025-01-01")).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    let page = fixture.pages(consent.id, None, 10).await.remove(0);
    assert_eq!(page.rows.iter().map(|row| row.booking_date).collect::<Vec<_>>(), [day("2025-12-01")]);
}

#[tokio::test]
async fn no_plain_text_reaches_the_database() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let rows = [new(&fixture, record(Some(day("2026-01-01")), "1234.56"))];
    fixture.align(&consent, &account, &rows, [&[], &[]], 0).await;
    let mut connection = PgConnection::connect_with(&fixture.database.options).await.unwrap();
    let dump: Vec<String> = connection
        .fetch_all(
            "select encode(sealed, 'escape') || encode(sealed_identity, 'escape') || t::text from transaction t
            union all select encode(sealed, 'escape') || encode(sealed_trust, 'escape') || l::text from line l
            union all select encode(sealed_resource_id, 'escape') || c::text from consent_line c",
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(dump.len(), 3);
    for plain in ["Erika", "1234", "Mustermann", "DE02", "DE89", "food", "resource", "identity", "trust"] {
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
    let other = uuid::Uuid::from_u128(8);
    for fetch in [other, run.id] {
        let mut writer = Writer::open(&mut tx, consent.id, grant).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        if fetch == run.id {
            line.begin(fetch, consent.id).await.unwrap();
            line.page_read(run.id, 10).await.unwrap();
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
    line.page_read(run.id, 10).await.unwrap();
    line.page_read(run.id, 7).await.unwrap();
    let stored = Stored { new: 5, changed: 4, settled: 3, withdrawn: 2, doubtful: 1, unchanged: 2 };
    line.done(run.id, &stored).await.unwrap();
    assert_eq!(line.page_read(other, 1).await, Err(StoreError::NotFound("fetch of this line")));
    let progress = fetches::progress(&mut tx, run.id).await.unwrap().remove(0);
    assert_eq!((progress.done, progress.pages, progress.rows_seen, progress.rows_new), (true, 2, 17, 5));
    let others = (progress.rows_changed, progress.rows_settled, progress.rows_withdrawn, progress.rows_doubtful);
    assert_eq!(others, (4, 3, 2, 1));
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
    let id = TransactionId::new(&fixture.world());
    let listed = [Listed { id, standing: Standing::New, record: &record, identity: Some(b"a"), source: source() }];
    let aligned = Aligned { listed: &listed, identities: &[], missed: &[], withdrawn: &[], trust: b"" };
    writer.line(account.id).await.unwrap().put_aligned(&account.key, &aligned, &fixture.world()).await.unwrap();
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
async fn a_writer_that_comes_while_a_withdrawal_waits_stands_behind_it() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let grant = consent.grant.unwrap();
    let mut first = fixture.tx().await;
    Writer::open(&mut first, consent.id, grant).await.unwrap();
    let withdraw = async {
        let mut tx = fixture.tx().await;
        let before = consents::lock(&mut tx, consent.id).await.unwrap();
        let mut after = before.clone();
        (after.machine.state, after.machine.data) = (State::Revoked(RevokedBy::Psu), DataState::Erasing);
        consents::save(&mut tx, &before, &after, CAUSE).await.unwrap();
        tx.commit().await.unwrap();
    };
    let second = async {
        until_somebody_waits(&fixture).await;
        let mut tx = fixture.tx().await;
        Writer::open(&mut tx, consent.id, grant).await.err()
    };
    let release = async {
        until_so_many_wait(&fixture, 2).await;
        first.commit().await.unwrap();
    };
    let ((), refused, ()) = tokio::join!(withdraw, second, release);
    assert_eq!(refused, Some(StoreError::NotAllowed), "it could have gone on so for ever");
}

#[tokio::test]
async fn a_storm_of_writers_leaves_nothing_behind_the_revocation() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let record = record(Some(day("2026-01-01")), "1");
    let storm = || {
        let (fixture, consent, account, record) = (&fixture, &consent, &account, &record);
        async move {
            for n in 0_u32.. {
                let mut tx = fixture.tx().await;
                let Ok(mut writer) = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await else { return n };
                let id = TransactionId::new(&fixture.world());
                let listed = [Listed { id, standing: Standing::New, record, identity: Some(b"a"), source: source() }];
                let aligned = Aligned { listed: &listed, identities: &[], missed: &[], withdrawn: &[], trust: b"" };
                let mut line = writer.line(account.id).await.unwrap();
                line.put_aligned(&account.key, &aligned, &fixture.world()).await.unwrap();
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
    let (a, b, c, at_stop) = tokio::join!(storm(), storm(), storm(), revocation);
    let mut tx = fixture.tx().await;
    let at_end = transactions::extent(&mut tx, account.id).await.unwrap().rows;
    assert_eq!(at_stop, at_end, "no row was written after the revocation had committed");
    assert_eq!(at_end, i64::from(a + b + c));
}

#[tokio::test]
async fn a_verdict_comes_back_as_it_was_and_is_read_under_a_live_consent_alone() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    let money = |text: &str| Money::new(text.parse().unwrap(), Currency::EUR);
    let anchor = |amount| Anchor {
        money: money(amount),
        kind: BalanceKind::ClosingBooked,
        credit_limit_included: Some(false),
        day: Some(day("2026-01-02")),
        at: NOW,
    };
    let id = TransactionId::new(&fixture.world());
    let mark = Mark {
        anchor: anchor("10.00"),
        last_seq: 7,
        pending: vec![id],
        pending_sum: "-3.20".parse().unwrap(),
        complete_from: Some(day("2025-10-01")),
    };
    let found = Found {
        hypothesis: Hypothesis::DoubledRow,
        transaction: Some(id),
        amount: Some(money("5")),
        day: None,
        after: NOW,
    };
    let record = Reconciliation {
        verdict: Verdict::Contradicted,
        undecided: None,
        found: vec![found],
        residual: Some(money("-5.00")),
        opening: Some(anchor("10.00")),
        closing: Some(anchor("5.00")),
        rows: 2,
        moved: Some(money("0.00")),
        marks: vec![mark],
    };
    let mut tx = fixture.tx().await;
    let of_line = Filter { line: Some(account.id), ..Filter::default() };
    let held = lines::held(&mut tx, fixture.product, of_line).await.unwrap();
    assert!(held[0].judged.is_none());
    for verdict in [Reconciliation::undecided(Undecided::Gap, Vec::new()), record.clone()] {
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        line.put_reconciliation(&account.key, &verdict, &fixture.world()).await.unwrap();
        assert!(line.reconciliation(&account.key).await.unwrap() == Some(verdict));
    }
    let held = lines::held(&mut tx, fixture.product, of_line).await.unwrap().pop().unwrap();
    let judged = held.judged.unwrap();
    assert!(judged.open(fixture.tenant, &account.key).unwrap() == record);
    assert_eq!((judged.judged_at, held.clusters), (NOW, vec!["transactions".to_owned()]));
    tx.commit().await.unwrap();
    fixture.set(&consent, State::Revoked(RevokedBy::Psu), DataState::Erasing).await;
    let mut tx = fixture.tx().await;
    assert!(lines::held(&mut tx, fixture.product, of_line).await.unwrap().is_empty());
}

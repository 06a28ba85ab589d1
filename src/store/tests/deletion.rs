//! Erasure: complete, counted, resumable, and no wider than it should be.

use std::collections::BTreeMap;

use domain::consent::{DataState, ExpiryReason, RevokedBy, State};
use domain::ids::{ConsentId, DeletionId, LinkId, LoginId};
use domain::reconciliation::{Reconciliation, Undecided};
use domain::records::NormalizedBalance;
use jiff::civil::Date;
use uuid::Uuid;
use vault::Wrapped;

use super::fixture::{Account, CAUSE, Fixture, NOW, record, until_somebody_waits};
use crate::capsules::Capsule;
use crate::consents::Consent;
use crate::data_map::{Subject, not_gone, scan, steps};
use crate::deletions::{Addendum, Bank, NewDeletion, State as Step};
use crate::fetches::{Run, RunState};
use crate::grants::Grant;
use crate::keys::Holder;
use crate::lines::{Known, Writer};
use crate::links::Link;
use crate::logins::Login;
use crate::page_sessions::PageSession;
use crate::raw_pages::Answer;
use crate::transactions::Extent;
use crate::{StoreError, capsules, consents, deletions, fetches, grants, keys, lines, links, logins, page_sessions};

/// A consent with two lines and something in every table that an erasure goes through.
async fn full(fixture: &Fixture) -> (Consent, [Account; 2]) {
    let consent = fixture.active().await;
    let accounts = [fixture.line(&consent, 1).await, fixture.line(&consent, 2).await];
    let (grant, world) = (consent.grant.unwrap(), fixture.world());
    let days: Vec<Date> = (1..=9).map(|n| Date::constant(2026, 1, n)).collect();
    let mut tx = fixture.tx().await;
    let before = grants::get(&mut tx, grant).await.unwrap();
    let secrets = Grant { sealed_tokens: Some(vec![1]), sealed_bank_consent: Some(vec![2]), ..before.clone() };
    grants::save(&mut tx, &before, &secrets).await.unwrap();
    let link = Link { id: LinkId::new(&world), consent: consent.id, created_at: NOW, expires_at: NOW, used_at: None };
    links::insert(&mut tx, &link, &[1; 32]).await.unwrap();
    let login = Login {
        id: LoginId::new(&world),
        consent: consent.id,
        grant,
        registration: Fixture::registration(),
        state_tag: own_tag(&consent),
        browser_hash: [5; 32],
        sealed_pending: vec![1],
        created_at: NOW,
        expires_at: NOW,
        finished: None,
    };
    logins::insert(&mut tx, &login).await.unwrap();
    let session =
        PageSession { id: world.uuid(), consent: consent.id, login: Some(login.id), created_at: NOW, expires_at: NOW };
    page_sessions::insert(&mut tx, &session, &[3; 32]).await.unwrap();
    let run = Run {
        id: world.uuid(),
        consent: consent.id,
        grant,
        attended: true,
        basis: "login".to_owned(),
        state: RunState::Running,
        error_code: None,
        started_at: NOW,
        finished_at: None,
    };
    fetches::begin(&mut tx, &run).await.unwrap();
    let mut writer = Writer::open(&mut tx, consent.id, grant).await.unwrap();
    for account in &accounts {
        let mut line = writer.line(account.id).await.unwrap();
        let balance = NormalizedBalance {
            money: record(None, "1").money,
            kind: domain::records::BalanceKind::Expected,
            credit_limit_included: None,
            reference_date: None,
            last_change: None,
        };
        line.begin(run.id, consent.id).await.unwrap();
        line.put_balances(run.id, &account.key, &[balance], &world).await.unwrap();
        let answer = Answer { fetch: run.id, kind: "transactions", body: b"raw", expires_at: NOW };
        line.put_raw_page(&account.key, answer, &world).await.unwrap();
        let verdict = Reconciliation::undecided(Undecided::NoBalance, Vec::new());
        line.put_reconciliation(&account.key, &verdict, &world).await.unwrap();
        line.page_read(run.id, 9).await.unwrap();
    }
    tx.commit().await.unwrap();
    for account in &accounts {
        fixture.put(&consent, account, &days).await;
    }
    (consent, accounts)
}

/// A tag that differs per consent.
fn own_tag(consent: &Consent) -> [u8; 32] {
    let mut tag = [0; 32];
    tag[..16].copy_from_slice(consent.id.uuid().as_bytes());
    tag
}

async fn begin(fixture: &Fixture, consent: &Consent) -> (DeletionId, Vec<domain::ids::LineId>) {
    fixture.set(consent, State::Revoked(RevokedBy::Psu), DataState::Erasing).await;
    let id = DeletionId::new(&fixture.world());
    let mut tx = fixture.tx().await;
    let lines = lines::without_ground(&mut tx, consent.id).await.unwrap();
    let new = NewDeletion {
        id,
        consent: consent.id,
        line: None,
        trigger: "psu",
        bank: Bank::Pending,
        blocked: false,
        stopped_at: NOW,
        lines: &lines,
        kept: &[],
    };
    deletions::begin(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    (id, lines)
}

/// Erases a subject in small batches, each in a transaction of its own, as often as it takes.
async fn erase(fixture: &Fixture, id: DeletionId, subject: Subject) -> i64 {
    let mut gone = 0;
    loop {
        let mut tx = fixture.tx().await;
        let rows = deletions::erase_rows(&mut tx, id, subject, Some(4)).await.unwrap();
        tx.commit().await.unwrap();
        gone += rows;
        if rows < 4 {
            return gone;
        }
    }
}

#[tokio::test]
async fn a_consent_is_erased_from_every_table_of_the_map() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = full(&fixture).await;
    let grant = consent.grant.unwrap();
    let neighbour = fixture.neighbour(2).await;
    let survivor = full(&neighbour).await;
    let (id, lines) = begin(&fixture, &consent).await;
    assert_eq!(lines.len(), 2);
    let mut tx = fixture.tx().await;
    let nothing = Extent { rows: 0, first: None, last: None };
    let notes = deletions::lines(&mut tx, id).await.unwrap();
    assert!(notes.iter().all(|line| line.visible == nothing && line.written == 9), "{notes:?}");
    for line in &lines {
        let before = scan(&mut tx, Subject::Line(*line)).await.unwrap();
        assert!(before.values().all(|rows| *rows > 0), "the fixture fills every table: {before:?}");
    }
    let refused = deletions::shred_line(&mut tx, id, lines[0], NOW).await;
    assert!(matches!(refused, Err(StoreError::Refused { code, .. }) if code == "23503"), "rows first");
    drop(tx);

    for line in &lines {
        assert_eq!(erase(&fixture, id, Subject::Line(*line)).await, 9 + 1 + 1 + 1 + 1 + 1);
        // Killed and begun again: nothing is left to do and nothing is counted twice.
        assert_eq!(erase(&fixture, id, Subject::Line(*line)).await, 0);
        let mut tx = fixture.tx().await;
        assert_eq!(not_gone(&mut tx, Subject::Line(*line)).await.unwrap().as_deref(), Some("line"), "the key is there");
    }
    let mut tx = fixture.tx().await;
    let left = not_gone(&mut tx, Subject::Consent(consent.id)).await.unwrap();
    assert_eq!(left.as_deref(), Some("fetch_run"), "the first that is not empty");
    drop(tx);
    assert_eq!(erase(&fixture, id, Subject::Consent(consent.id)).await, 4);
    let mut tx = fixture.tx().await;
    deletions::erased(&mut tx, id, NOW).await.unwrap();
    for line in &lines {
        deletions::shred_line(&mut tx, id, *line, NOW).await.unwrap();
        deletions::shred_line(&mut tx, id, *line, NOW).await.unwrap();
    }
    grants::forget(&mut tx, grant).await.unwrap();
    deletions::shredded(&mut tx, id, NOW, NOW).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = fixture.tx().await;
    for subject in [
        Subject::Line(accounts[0].id),
        Subject::Line(accounts[1].id),
        Subject::Consent(consent.id),
        Subject::Grant(grant),
    ] {
        let left = scan(&mut tx, subject).await.unwrap();
        assert!(left.values().all(|rows| *rows == 0), "{subject:?}: {left:?}");
        assert_eq!(not_gone(&mut tx, subject).await.unwrap(), None, "{subject:?}");
    }
    let notes = deletions::lines(&mut tx, id).await.unwrap();
    let expected: BTreeMap<String, i64> =
        ["balance", "raw_page", "fetch_line", "consent_line", "reconciliation", "line"]
            .map(|table| (table, 1))
            .into_iter()
            .chain([("transaction", 9)])
            .map(|(table, rows)| (table.to_owned(), rows))
            .collect();
    let (first, last) = (Date::constant(2026, 1, 1), Date::constant(2026, 1, 9));
    for line in &notes {
        assert_eq!(line.counts, expected);
        assert_eq!(line.visible, Extent { rows: 9, first: Some(first), last: Some(last) }, "of all batches");
        assert_eq!((line.key_epoch, line.key_deleted_at), (Some(10), Some(NOW)));
    }
    let deletion = deletions::get(&mut tx, id).await.unwrap();
    let beside = [("fetch_run", 1), ("link", 1), ("login", 1), ("page_session", 1)];
    assert_eq!(deletion.counts, beside.map(|(table, rows)| (table.to_owned(), rows)).into());
    assert_eq!(deletion.state, Step::Shredded);
    assert_eq!(deletions::resting_on(&mut tx, 10).await.unwrap(), [id]);
    assert_eq!(consents::get(&mut tx, consent.id).await.unwrap().id, consent.id, "the legal record stays");
    let forgotten = grants::get(&mut tx, grant).await.unwrap();
    assert!(forgotten.key.is_none() && forgotten.sealed_tokens.is_none() && forgotten.sealed_bank_consent.is_none());
    assert_eq!(forgotten.state, domain::grant::State::Granted, "and the rest of the grant stays");

    let mut tx = neighbour.tx().await;
    let untouched = scan(&mut tx, Subject::Line(survivor.1[0].id)).await.unwrap();
    assert!(untouched.values().all(|rows| *rows > 0), "{untouched:?}");
}

#[tokio::test]
async fn a_line_lives_while_a_ground_holds_it() {
    let fixture = Fixture::new().await;
    let first = fixture.active().await;
    let (own, shared) = (fixture.line(&first, 1).await, fixture.line(&first, 2).await);
    let second = fixture.active().await;
    fixture.share(&second, &shared).await;
    let fates = |consent: ConsentId| {
        let fixture = &fixture;
        async move {
            let mut tx = fixture.tx().await;
            let going = lines::without_ground(&mut tx, consent).await.unwrap();
            (going, lines::with_ground(&mut tx, consent).await.unwrap())
        }
    };
    let mut both = vec![own.id, shared.id];
    both.sort_unstable();
    assert_eq!(fates(first.id).await, (vec![], both.clone()));
    fixture.set(&first, State::Expired(ExpiryReason::Term), DataState::Present).await;
    assert_eq!(fates(first.id).await, (vec![], both), "retention of an expired consent is a ground");
    fixture.set(&first, State::Revoked(RevokedBy::Psu), DataState::Erasing).await;
    assert_eq!(fates(first.id).await, (vec![own.id], vec![shared.id]));
    let (id, lines) = begin(&fixture, &first).await;
    assert_eq!(lines, [own.id]);
    assert_eq!(fates(first.id).await, (vec![], vec![shared.id]), "a deletion erases it already");
    erase(&fixture, id, Subject::Line(own.id)).await;
    erase(&fixture, id, Subject::Consent(first.id)).await;
    let mut tx = fixture.tx().await;
    assert_eq!(lines::resources(&mut tx, second.id).await.unwrap().len(), 1);
    drop(tx);
    fixture.set(&second, State::Expired(ExpiryReason::Superseded), DataState::Present).await;
    assert_eq!(
        fates(second.id).await,
        (vec![shared.id], vec![]),
        "a superseded consent is no ground: its successor is"
    );
}

/// Two consents hold one line and end at the same time: exactly one of the two deletions erases it.
#[tokio::test]
async fn the_last_of_two_grounds_that_end_together_takes_the_line() {
    let fixture = Fixture::new().await;
    for tag in 1..=8 {
        let first = fixture.active().await;
        let account = fixture.line(&first, tag).await;
        let second = fixture.active().await;
        fixture.share(&second, &account).await;
        let end = |consent: Consent| {
            let fixture = &fixture;
            async move {
                let mut tx = fixture.tx().await;
                let before = consents::lock(&mut tx, consent.id).await.unwrap();
                let mut after = before.clone();
                (after.machine.state, after.machine.data) = (State::Revoked(RevokedBy::Psu), DataState::Erasing);
                consents::save(&mut tx, &before, &after, CAUSE).await.unwrap();
                let going = lines::without_ground(&mut tx, consent.id).await.unwrap();
                tx.commit().await.unwrap();
                going
            }
        };
        let (a, b) = tokio::join!(end(first), end(second));
        assert_eq!([a, b].concat(), [account.id]);
    }
}

#[tokio::test]
async fn an_account_that_is_being_erased_comes_back_as_another_line() {
    let fixture = Fixture::new().await;
    let first = fixture.active().await;
    let account = fixture.line(&first, 1).await;
    begin(&fixture, &first).await;
    let second = fixture.active().await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, second.id, second.grant.unwrap()).await.unwrap();
    assert!(writer.look_up(&[1; 32]).await.unwrap() == Known::New);
    drop(tx);
    let again = fixture.line(&second, 1).await;
    assert_ne!(again.id, account.id);
}

/// A fetch has found the line and is about to put it under its consent while the last other ground ends.
#[tokio::test]
async fn a_line_that_a_fetch_has_found_is_kept_for_it() {
    let fixture = Fixture::new().await;
    let first = fixture.active().await;
    let account = fixture.line(&first, 1).await;
    let second = fixture.active().await;
    let mut tx = fixture.tx().await;
    let mut writer = Writer::open(&mut tx, second.id, second.grant.unwrap()).await.unwrap();
    assert!(matches!(writer.look_up(&[1; 32]).await.unwrap(), Known::Line(id, _) if id == account.id));
    let fetch = async {
        until_somebody_waits(&fixture).await;
        let mut writer = Writer::open(&mut tx, second.id, second.grant.unwrap()).await.unwrap();
        writer.grant(account.id, &account.key, b"resource", &fixture.world()).await.unwrap();
        tx.commit().await.unwrap();
    };
    let ((_, going), ()) = tokio::join!(begin(&fixture, &first), fetch);
    assert_eq!(going, []);
    let mut tx = fixture.tx().await;
    assert_eq!(lines::with_ground(&mut tx, first.id).await.unwrap(), [account.id]);
}

#[tokio::test]
async fn an_account_taken_out_of_one_consent_stays_with_the_other() {
    let fixture = Fixture::new().await;
    let (first, accounts) = full(&fixture).await;
    let shared = &accounts[0];
    let second = fixture.active().await;
    fixture.share(&second, shared).await;
    let mut tx = fixture.tx().await;
    lines::remove(&mut tx, first.id, shared.id, NOW).await.unwrap();
    assert_eq!(lines::without_ground(&mut tx, first.id).await.unwrap(), []);
    let tie = scan(&mut tx, Subject::Share(first.id, shared.id)).await.unwrap();
    assert_eq!(tie, [("consent_line", 0), ("fetch_line", 0)].map(|(table, rows)| (table.to_owned(), rows)).into());
    let line = scan(&mut tx, Subject::Line(shared.id)).await.unwrap();
    assert_eq!((line["transaction"], line["consent_line"], line["line"]), (9, 1, 1), "the other's rows stay");
    let other = scan(&mut tx, Subject::Share(first.id, accounts[1].id)).await.unwrap();
    assert_eq!(other["consent_line"], 1, "and so does the other account");
    lines::remove(&mut tx, first.id, accounts[1].id, NOW).await.unwrap();
    assert_eq!(lines::without_ground(&mut tx, first.id).await.unwrap(), [accounts[1].id]);
}

#[tokio::test]
async fn the_steps_follow_the_references_and_end_with_the_key() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    let names = |steps: Vec<crate::data_map::Step>| steps.into_iter().map(|step| step.table).collect::<Vec<_>>();
    let line = names(steps(&mut tx, Subject::Line(domain::ids::LineId::from_uuid(Uuid::nil()))).await.unwrap());
    assert_eq!(line, ["balance", "consent_line", "fetch_line", "raw_page", "reconciliation", "transaction", "line"]);
    let consent = domain::ids::ConsentId::from_uuid(Uuid::nil());
    let consent = names(steps(&mut tx, Subject::Consent(consent)).await.unwrap());
    let session_first = ["consent_line", "fetch_line", "fetch_run", "link", "page_session", "login", "removed_account"];
    assert_eq!(consent, [&session_first[..], &["renewal", "requisition"]].concat());
    let grant = names(steps(&mut tx, Subject::Grant(domain::ids::GrantId::from_uuid(Uuid::nil()))).await.unwrap());
    assert_eq!(grant, ["browser_grant", "bank_grant"]);
}

#[tokio::test]
async fn a_deletion_moves_forward_only_and_keeps_one_receipt() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let (id, _) = begin(&fixture, &consent).await;
    let mut tx = fixture.tx().await;
    assert_eq!(deletions::unfinished(&mut tx).await.unwrap(), [id]);
    assert_eq!(deletions::owed(&mut tx, 5).await.unwrap().len(), 1, "until there is a receipt");
    assert_eq!(deletions::shredded(&mut tx, id, NOW, NOW).await, Err(StoreError::Raced));
    assert_eq!(deletions::receipted(&mut tx, id, b"r", NOW).await, Err(StoreError::Raced));
    deletions::erased(&mut tx, id, NOW).await.unwrap();
    assert_eq!(deletions::erased(&mut tx, id, NOW).await, Err(StoreError::Raced));
    deletions::shredded(&mut tx, id, NOW, NOW).await.unwrap();
    deletions::receipted(&mut tx, id, b"receipt", NOW).await.unwrap();
    assert_eq!(deletions::receipted(&mut tx, id, b"forged", NOW).await, Err(StoreError::Raced));
    deletions::bank_settled(&mut tx, id, Bank::Unconfirmed, NOW).await.unwrap();
    assert_eq!(deletions::owed(&mut tx, 5).await.unwrap().len(), 1, "whatever its bank still owes");
    deletions::bank_settled(&mut tx, id, Bank::Confirmed, NOW).await.unwrap();
    assert_eq!(deletions::bank_settled(&mut tx, id, Bank::Unconfirmed, NOW).await, Err(StoreError::Raced));
    for kind in ["deletion.bank_answer", "epoch.destroyed"] {
        let addendum = Addendum { kind: kind.to_owned(), body: kind.as_bytes().to_vec(), recorded_at: NOW };
        deletions::add(&mut tx, id, &addendum).await.unwrap();
    }
    let addenda = deletions::addenda(&mut tx, id).await.unwrap();
    assert_eq!(
        addenda.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(),
        ["deletion.bank_answer", "epoch.destroyed"]
    );
    let deletion = deletions::get(&mut tx, id).await.unwrap();
    assert_eq!(deletion.receipt.as_deref(), Some(b"receipt".as_slice()));
    assert_eq!((deletion.state, deletion.bank), (Step::Receipted, Bank::Confirmed));
    assert_eq!(deletions::unfinished(&mut tx).await.unwrap(), []);
    assert_eq!(deletions::of_consent(&mut tx, consent.id).await.unwrap(), std::slice::from_ref(&deletion));
    assert_eq!(deletions::list(&mut tx, None, 5).await.unwrap(), [deletion]);
    assert_eq!(deletions::owed(&mut tx, 5).await.unwrap(), []);
    assert_eq!(deletions::list(&mut tx, Some(id), 5).await.unwrap(), []);
}

#[tokio::test]
async fn a_capsule_is_destroyed_once_and_for_good() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let (deletion, _) = begin(&fixture, &consent).await;
    let capsule = Capsule {
        id: Uuid::from_u128(3),
        deletion: Some(deletion),
        consent: consent.id,
        grant: consent.grant.unwrap(),
        registration: Fixture::registration(),
        key: Wrapped { epoch: 4, bytes: vec![1] },
        sealed: vec![2],
        of_grant: false,
        created_at: NOW,
        expires_at: fixture.later(9).now,
    };
    let mut tx = fixture.tx().await;
    capsules::insert(&mut tx, &capsule).await.unwrap();
    assert!(capsules::get(&mut tx, capsule.id).await.unwrap() == Some(capsule.clone()));
    assert_eq!(capsules::open(&mut tx, 5).await.unwrap(), [(capsule.id, capsule.expires_at)]);
    assert_eq!(capsules::destroy(&mut tx, capsule.id, NOW).await.unwrap(), Some(4));
    assert_eq!(capsules::destroy(&mut tx, capsule.id, NOW).await.unwrap(), None);
    assert!(capsules::get(&mut tx, capsule.id).await.unwrap().is_none());
    assert_eq!(capsules::open(&mut tx, 5).await.unwrap(), []);
}

#[tokio::test]
async fn survivors_are_rewrapped_and_what_was_erased_stays_gone() {
    let fixture = Fixture::new().await;
    let (consent, accounts) = full(&fixture).await;
    let mut tx = fixture.tx().await;
    let old = |epoch| Wrapped { epoch, bytes: vec![7; 40] };
    keys::keep_purpose(&mut tx, "lookup", &old(10), NOW).await.unwrap();
    assert!(keys::keep_purpose(&mut tx, "lookup", &old(11), NOW).await.unwrap() == old(10), "the first stays");
    keys::keep_evidence(&mut tx, consent.id.uuid(), &old(10), NOW).await.unwrap();
    let capsule = Capsule {
        id: Uuid::from_u128(3),
        deletion: None,
        consent: consent.id,
        grant: consent.grant.unwrap(),
        registration: Fixture::registration(),
        key: old(10),
        sealed: vec![2],
        of_grant: false,
        created_at: NOW,
        expires_at: NOW,
    };
    capsules::insert(&mut tx, &capsule).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = fixture.tx().await;
    assert!(keys::older_than(&mut tx, 10, 100).await.unwrap().is_empty());
    let found = keys::older_than(&mut tx, 11, 100).await.unwrap();
    for holder in Holder::ALL {
        let many = if holder == Holder::Line { 2 } else { 1 };
        assert_eq!(found.iter().filter(|kept| kept.holder == holder).count(), many, "{holder:?}");
    }
    // One of the lines is erased between reading and writing back.
    let (id, _) = begin(&fixture, &consent).await;
    erase(&fixture, id, Subject::Line(accounts[0].id)).await;
    deletions::shred_line(&mut tx, id, accounts[0].id, NOW).await.unwrap();
    let mut replaced = 0;
    for kept in &found {
        let fresh = Wrapped { epoch: 11, bytes: [kept.wrapped.bytes.as_slice(), b"!"].concat() };
        replaced += usize::from(keys::replace(&mut tx, kept, &fresh).await.unwrap());
        assert!(!keys::replace(&mut tx, kept, &fresh).await.unwrap(), "it does not stand as it was read");
    }
    assert_eq!(replaced, found.len() - 1);
    assert!(keys::older_than(&mut tx, 11, 100).await.unwrap().is_empty());
    keys::record_epoch(&mut tx, 10, NOW, None).await.unwrap();
    keys::record_epoch(&mut tx, 10, NOW, Some(NOW)).await.unwrap();
    keys::record_epoch(&mut tx, 10, NOW, Some(fixture.later(5).now)).await.unwrap();
    assert_eq!(keys::epochs(&mut tx).await.unwrap(), [(10, Some(NOW))]);
}

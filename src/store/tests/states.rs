//! Compare-and-swap, single use, and what each state of a consent allows.

use domain::consent::{DataState, ExpiryReason, FailureReason, ReauthReason, RevokedBy, State};
use domain::grant;
use domain::ids::{LinkId, LoginId};
use jiff::Timestamp;

use super::fixture::{CAUSE, Fixture, NOW};
use crate::consents::Consent;
use crate::grants::{Grant, Intent, IntentKind};
use crate::lines::{Filter, Writer};
use crate::links::Link;
use crate::logins::Login;
use crate::transactions::Query;
use crate::{StoreError, TenantTx, balances, consents, grants, lines, links, logins, transactions};

const STATES: [State; 7] = [
    State::Initiated,
    State::Authorized,
    State::Active,
    State::ReauthPending(ReauthReason::ScaExpired),
    State::Expired(ExpiryReason::Term),
    State::Revoked(RevokedBy::Psu),
    State::Failed(FailureReason::Declined),
];

#[tokio::test]
async fn a_consent_comes_back_as_it_was_saved() {
    let fixture = Fixture::new().await;
    let saved = fixture.active().await;
    let mut tx = fixture.tx().await;
    assert_eq!(consents::get(&mut tx, saved.id).await.unwrap(), saved);
    let history = consents::history(&mut tx, saved.id).await.unwrap();
    let moves: Vec<_> = history.iter().map(|one| (one.seq, one.from, one.to)).collect();
    assert_eq!(moves, [(0, None, State::Initiated), (1, Some(State::Initiated), State::Active)]);
    let listed = consents::of_product(&mut tx, fixture.product, Some(fixture.psu), None, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&saved));
    assert_eq!(consents::of_product(&mut tx, fixture.product, None, Some(saved.id), 10).await.unwrap(), []);
    assert_eq!(consents::standing_on(&mut tx, saved.grant.unwrap()).await.unwrap(), [saved]);
}

#[tokio::test]
async fn of_two_moves_from_the_same_state_one_is_raced() {
    let fixture = Fixture::new().await;
    let before = fixture.active().await;
    let attempt = || async {
        let mut tx = fixture.tx().await;
        let saved = consents::save(&mut tx, &before, &before, CAUSE).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(saved)
    };
    let outcomes = tokio::join!(attempt(), attempt(), attempt());
    let outcomes = [outcomes.0, outcomes.1, outcomes.2];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Raced)).count(), 2);
    let mut tx = fixture.tx().await;
    assert_eq!(consents::history(&mut tx, before.id).await.unwrap().len(), 3, "who was raced left no trace");
}

#[tokio::test]
async fn who_locks_before_moving_is_never_raced() {
    let fixture = Fixture::new().await;
    let id = fixture.active().await.id;
    let advance = |mut tx: TenantTx| async move {
        let before = consents::lock(&mut tx, id).await.unwrap();
        let saved = consents::save(&mut tx, &before, &before, CAUSE).await;
        tx.commit().await.unwrap();
        saved.map(|saved| saved.seq)
    };
    // Opened first, so that all three are under way at the same time.
    let (a, b, c) = (fixture.tx().await, fixture.tx().await, fixture.tx().await);
    let (a, b, c) = tokio::join!(advance(a), advance(b), advance(c));
    let mut seqs = [a, b, c].map(Result::unwrap);
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 3, 4]);
}

#[tokio::test]
async fn a_grant_is_saved_once_and_keeps_its_key() {
    let fixture = Fixture::new().await;
    let id = fixture.grant().await;
    let mut tx = fixture.tx().await;
    let before = grants::get(&mut tx, id).await.unwrap();
    let intent = Intent { kind: IntentKind::Redeem, id: uuid::Uuid::from_u128(5), at: NOW };
    let after = Grant {
        state: grant::State::Suspended,
        intent: Some(intent),
        sealed_tokens: Some(vec![1, 2, 3]),
        bank_tag: Some([7; 32]),
        subject_tag: Some([8; 32]),
        token_expires_at: Some(NOW),
        key: None,
        ..before.clone()
    };
    let saved = grants::save(&mut tx, &before, &after).await.unwrap();
    assert!(grants::save(&mut tx, &before, &after).await == Err(StoreError::Raced));
    let read = grants::get(&mut tx, id).await.unwrap();
    assert!(read == Grant { key: before.key.clone(), ..saved });
    let named = async |tx: &mut _, registration: &str, tag: u8| {
        let registration = domain::ids::RegistrationId::new(registration).unwrap();
        grants::named(tx, &registration, &[tag; 32]).await.unwrap().len()
    };
    let here = Fixture::registration();
    assert_eq!(named(&mut tx, here.as_str(), 7).await, 1);
    assert_eq!(named(&mut tx, here.as_str(), 8).await, 0);
    assert_eq!(named(&mut tx, "elsewhere", 7).await, 0);
    let second = |n: i64| Timestamp::from_second(NOW.as_second() + n).unwrap();
    assert_eq!(grants::open_intents(&mut tx, second(1), 10).await.unwrap().len(), 1);
    assert_eq!(grants::open_intents(&mut tx, second(0), 10).await.unwrap().len(), 0);
    assert_eq!(grants::of_psu(&mut tx, fixture.psu, &Fixture::registration()).await.unwrap().len(), 1);
}

/// The words in the SQL of readers and writers, against the machine's own judgement.
#[tokio::test]
async fn readers_and_writers_obey_the_state() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let account = fixture.line(&consent, 1).await;
    fixture.put(&consent, &account, &["2026-01-01".parse().unwrap()]).await;
    for state in STATES {
        for data in DataState::ALL {
            let now = fixture.set(&consent, state, *data).await;
            let may_read = now.machine.may_read();
            let mut tx = fixture.tx().await;
            let what = format!("{state:?} {data:?}");
            assert_eq!(consents::readable(&mut tx, consent.id).await.is_ok(), may_read, "{what}");
            let held = lines::held(&mut tx, fixture.product, Filter::default()).await.unwrap();
            assert_eq!(held.len(), usize::from(may_read), "{what}");
            let query = Query { consent: consent.id, line: None, from: None, until: None, after: None, limit: 10 };
            match transactions::page(&mut tx, query).await {
                Ok(page) => assert!(may_read && page.rows.len() == 1, "{what}"),
                Err(error) => assert!(!may_read && error == StoreError::NotAllowed, "{what}"),
            }
            assert_eq!(balances::latest(&mut tx, consent.id, account.id).await.is_ok(), may_read, "{what}");
            let writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await;
            let alive = now.machine.may_renew();
            assert_eq!(writer.is_ok(), alive, "{what}");
        }
    }
}

#[tokio::test]
async fn timers_find_what_is_due_and_nothing_else() {
    let fixture = Fixture::new().await;
    let grant = fixture.grant().await;
    let at = |day: i64| Timestamp::from_second(NOW.as_second() + day * 86_400).unwrap();
    let clocks =
        domain::policy::Clocks { sca_due: Some(at(10)), reconfirm_due: None, notice_due: None, term_ends: at(20) };
    let mut found = Vec::new();
    for state in STATES {
        let consent = fixture.consent(grant, state, DataState::Present).await;
        let machine =
            domain::consent::Consent { clocks: Some(clocks), authorise_by: at(1), warned: at(20), ..consent.machine };
        let mut tx = fixture.tx().await;
        consents::save(&mut tx, &consent, &Consent { machine, ..consent.clone() }, CAUSE).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = fixture.tx().await;
        for day in [0, 1, 10, 20] {
            if consents::due(&mut tx, at(day), 100).await.unwrap().contains(&consent.id) {
                found.push((state.word(), day));
                break;
            }
        }
    }
    assert_eq!(found, [("initiated", 1), ("authorized", 10), ("active", 10), ("reauth_pending", 20)]);
}

#[tokio::test]
async fn a_link_works_once_and_before_its_end() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let end = fixture.later(60).now;
    let link = |n: u128| Link {
        id: LinkId::from_uuid(uuid::Uuid::from_u128(n)),
        consent: consent.id,
        created_at: NOW,
        expires_at: end,
        used_at: None,
    };
    let mut tx = fixture.tx().await;
    links::insert(&mut tx, &link(1), &[1; 32]).await.unwrap();
    links::insert(&mut tx, &link(2), &[2; 32]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = fixture.tx().await;
    assert_eq!(links::find(&mut tx, &[1; 32]).await.unwrap(), Some(link(1)));
    assert_eq!(links::take(&mut tx, link(1).id, NOW).await, Ok(()));
    assert_eq!(links::take(&mut tx, link(1).id, NOW).await, Err(StoreError::NotAllowed));
    assert_eq!(links::take(&mut tx, link(2).id, end).await, Err(StoreError::NotAllowed));
}

#[tokio::test]
async fn a_login_ends_once_and_forgets_what_it_waited_for() {
    let fixture = Fixture::new().await;
    let consent = fixture.active().await;
    let login = Login {
        id: LoginId::new(&fixture.world()),
        consent: consent.id,
        grant: consent.grant.unwrap(),
        registration: Fixture::registration(),
        state_tag: [4; 32],
        browser_hash: [5; 32],
        sealed_pending: vec![1, 2, 3],
        created_at: NOW,
        expires_at: fixture.later(60).now,
        finished: None,
    };
    let mut tx = fixture.tx().await;
    logins::insert(&mut tx, &login).await.unwrap();
    assert!(logins::find(&mut tx, &[4; 32]).await.unwrap() == Some(login.clone()));
    assert!(logins::find(&mut tx, &[5; 32]).await.unwrap().is_none());
    assert_eq!(logins::overdue(&mut tx, NOW, 9).await.unwrap(), []);
    assert_eq!(logins::overdue(&mut tx, login.expires_at, 9).await.unwrap(), [(login.id, consent.id)]);
    tx.commit().await.unwrap();
    let finish = || async {
        let mut tx = fixture.tx().await;
        logins::finish(&mut tx, login.id, "redeemed", NOW).await?;
        tx.commit().await
    };
    let (one, two) = tokio::join!(finish(), finish());
    assert!(matches!((one, two), (Ok(()), Err(StoreError::Raced)) | (Err(StoreError::Raced), Ok(()))));
    let mut tx = fixture.tx().await;
    let read = logins::find(&mut tx, &[4; 32]).await.unwrap().unwrap();
    assert!(read.finished == Some(("redeemed".to_owned(), NOW)) && read.sealed_pending.is_empty());
    assert_eq!(logins::overdue(&mut tx, login.expires_at, 9).await.unwrap(), []);
}

//! Jobs, events, idempotency, budgets: many at the same time.

use std::collections::BTreeSet;

use domain::ids::{EventId, JobId, ProductId};
use jiff::Timestamp;
use uuid::Uuid;

use super::fixture::{Fixture, NOW};
use crate::bank_limits::{self, Limit};
use crate::budgets::Budget;
use crate::events::Event;
use crate::idempotency::{Request, Seen};
use crate::jobs::{Job, Offer};
use crate::{StoreError, budgets, events, idempotency, jobs, products};

async fn request(fixture: &Fixture, subject: u128, lane: &str) {
    let mut tx = fixture.tx().await;
    let id = JobId::new(&fixture.world());
    jobs::request(&mut tx, id, "fetch", Uuid::from_u128(subject), lane, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn claim(fixture: &Fixture, lane_cap: i64, lease_seconds: i32, now: Timestamp) -> Vec<Job> {
    let kinds = ["fetch".to_owned()];
    let claim = fixture.world().uuid();
    let mut tx = fixture.store().system_tx().await.unwrap();
    let offer = Offer { kinds: &kinds, limit: 50, lane_cap, lease_seconds, now, claim };
    let claimed = jobs::claim(&mut tx, offer).await.unwrap();
    tx.commit().await.unwrap();
    claimed
}

#[tokio::test]
async fn no_lane_ever_exceeds_its_cap() {
    let fixture = Fixture::new().await;
    for subject in 0..20 {
        request(&fixture, subject, "bank a").await;
        request(&fixture, 100 + subject, "bank b").await;
    }
    let mut claimed = Vec::new();
    for _ in 0..5 {
        let claim = || claim(&fixture, 3, 60, NOW);
        let (a, b, c, d, e) = tokio::join!(claim(), claim(), claim(), claim(), claim());
        claimed.extend([a, b, c, d, e].into_iter().flatten());
    }
    for lane in ["bank a", "bank b"] {
        assert_eq!(claimed.iter().filter(|job| job.lane == lane).count(), 3, "{lane}");
    }
    let ids: BTreeSet<_> = claimed.iter().map(|job| job.id).collect();
    assert_eq!(ids.len(), claimed.len(), "no job went to two claimers");
    let mut tx = fixture.tx().await;
    jobs::finish(&mut tx, &claimed[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(&fixture, 3, 60, NOW).await.len(), 1, "what ended makes room");
}

#[tokio::test]
async fn a_limit_is_forgotten_unless_the_bank_shows_it_again() {
    let fixture = Fixture::new().await;
    let (bank, days) = (Fixture::registration(), Limit::HistoryDays);
    let later = fixture.later(60).now;
    let mut tx = fixture.tx().await;
    bank_limits::learn(&mut tx, &bank, days, 30, NOW).await.unwrap();
    bank_limits::learn(&mut tx, &bank, days, 89, later).await.unwrap();
    assert_eq!(bank_limits::learned(&mut tx, &bank, days, NOW).await.unwrap(), Some(30));
    assert_eq!(bank_limits::learned(&mut tx, &bank, days, later).await.unwrap(), None, "89 is no sign of 30");
    bank_limits::learn(&mut tx, &bank, days, 30, later).await.unwrap();
    assert_eq!(bank_limits::learned(&mut tx, &bank, days, later).await.unwrap(), Some(30));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn every_job_is_done_once_by_many_workers() {
    let fixture = Fixture::new().await;
    for subject in 0..30 {
        request(&fixture, subject, if subject % 2 == 0 { "even" } else { "odd" }).await;
    }
    let worker = || async {
        let mut done = Vec::new();
        loop {
            let jobs = claim(&fixture, 4, 60, NOW).await;
            let mut system = fixture.store().system_tx().await.unwrap();
            let left = jobs::backlog(&mut system, NOW).await.unwrap();
            drop(system);
            if jobs.is_empty() && left.is_empty() {
                return done;
            }
            for job in jobs {
                let mut tx = fixture.tx().await;
                jobs::finish(&mut tx, &job).await.unwrap();
                tx.commit().await.unwrap();
                done.push(job.subject);
            }
        }
    };
    let (a, b, c) = tokio::join!(worker(), worker(), worker());
    let all: Vec<_> = [a, b, c].concat();
    assert_eq!(all.len(), 30);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 30);
}

#[tokio::test]
async fn who_lost_the_lease_cannot_end_the_job() {
    let fixture = Fixture::new().await;
    request(&fixture, 1, "bank").await;
    let lost = claim(&fixture, 1, 0, NOW).await.remove(0);
    // The lease of no length is over by the database's clock as soon as another statement looks.
    let taken = claim(&fixture, 1, 60, NOW).await.remove(0);
    assert_eq!((lost.id, lost.attempts, taken.attempts), (taken.id, 1, 2));
    let mut tx = fixture.tx().await;
    assert_eq!(jobs::finish(&mut tx, &lost).await, Err(StoreError::Raced));
    assert_eq!(jobs::renew(&mut tx, &lost, 60).await, Err(StoreError::Raced));
    assert_eq!(jobs::retry(&mut tx, &lost, NOW, "x").await, Err(StoreError::Raced));
    assert_eq!(jobs::finish(&mut tx, &taken).await, Ok(()));
}

#[tokio::test]
async fn a_request_during_the_work_makes_it_run_again() {
    let fixture = Fixture::new().await;
    request(&fixture, 1, "bank").await;
    request(&fixture, 1, "bank").await;
    let first = claim(&fixture, 5, 60, NOW).await;
    assert_eq!(first.len(), 1, "two requests before the work are one");
    request(&fixture, 1, "bank").await;
    assert!(claim(&fixture, 5, 60, NOW).await.is_empty(), "it runs; nobody else may");
    let mut tx = fixture.tx().await;
    jobs::finish(&mut tx, &first[0]).await.unwrap();
    tx.commit().await.unwrap();
    let second = claim(&fixture, 5, 60, NOW).await;
    assert_eq!((second.len(), second[0].attempts), (1, 1));
    let mut tx = fixture.tx().await;
    jobs::finish(&mut tx, &second[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(claim(&fixture, 5, 60, NOW).await.is_empty());
}

#[tokio::test]
async fn a_failed_job_waits_and_a_parked_one_waits_for_somebody() {
    let fixture = Fixture::new().await;
    request(&fixture, 1, "bank").await;
    let job = claim(&fixture, 1, 60, NOW).await.remove(0);
    let later = fixture.later(30).now;
    let mut tx = fixture.tx().await;
    jobs::retry(&mut tx, &job, later, "bank.unavailable").await.unwrap();
    tx.commit().await.unwrap();
    assert!(claim(&fixture, 1, 60, NOW).await.is_empty());
    let job = claim(&fixture, 1, 60, later).await.remove(0);
    assert_eq!(job.attempts, 2);
    let mut tx = fixture.tx().await;
    jobs::park(&mut tx, &job, "bank.unavailable", later).await.unwrap();
    tx.commit().await.unwrap();
    assert!(claim(&fixture, 1, 60, later).await.is_empty());
    request(&fixture, 1, "bank").await;
    assert_eq!(claim(&fixture, 1, 60, later).await.len(), 1);
}

#[tokio::test]
async fn a_job_of_a_change_that_was_rolled_back_does_not_exist() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    let id = JobId::new(&fixture.world());
    jobs::request(&mut tx, id, "fetch", Uuid::nil(), "bank", NOW).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(claim(&fixture, 1, 60, NOW).await.is_empty());
}

#[tokio::test]
async fn events_are_numbered_without_gaps_in_the_order_they_happened() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    let mut other = products::get(&mut tx, fixture.product).await.unwrap();
    other.id = ProductId::new(&fixture.world());
    products::create(&mut tx, &other).await.unwrap();
    tx.commit().await.unwrap();
    let write = |n: usize| {
        let (fixture, product) = (&fixture, if n.is_multiple_of(3) { other.id } else { fixture.product });
        async move {
            let mut tx = fixture.tx().await;
            let event = Event {
                id: EventId::new(&fixture.world()),
                product,
                kind: format!("test.{n}"),
                consent: None,
                payload: serde_json::json!({ "n": n }),
                recorded_at: NOW,
            };
            events::append(&mut tx, &event).await.unwrap();
            // Some never happened.
            if n % 5 == 4 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
        }
    };
    let number = || async {
        let mut tx = fixture.tx().await;
        let done = events::number(&mut tx).await.unwrap().events;
        tx.commit().await.unwrap();
        done
    };
    let mut numbered = 0;
    for n in (0..30).step_by(3) {
        write(n).await;
        let ((), (), a, b) = tokio::join!(write(n + 1), write(n + 2), number(), number());
        numbered += a + b;
    }
    numbered += number().await;
    assert_eq!((numbered, number().await), (24, 0));
    let mut system = fixture.store().system_tx().await.unwrap();
    assert_eq!(events::waiting(&mut system).await.unwrap(), []);
    let mut tx = fixture.tx().await;
    for (product, many) in [(fixture.product, 16), (other.id, 8)] {
        let stream = events::after(&mut tx, product, 0, 100).await.unwrap();
        assert_eq!(stream.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=many).collect::<Vec<_>>());
        let written: Vec<i64> = stream.iter().map(|(_, event)| event.payload["n"].as_i64().unwrap() / 3).collect();
        assert!(written.is_sorted(), "{written:?}");
    }
    assert_eq!(events::after(&mut tx, fixture.product, 14, 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn events_of_one_instant_keep_their_order() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    for n in 0..12 {
        let event = Event {
            id: EventId::new(&fixture.world()),
            product: fixture.product,
            kind: format!("test.{n}"),
            consent: None,
            payload: serde_json::Value::Null,
            recorded_at: NOW,
        };
        events::append(&mut tx, &event).await.unwrap();
    }
    assert_eq!(events::number(&mut tx).await.unwrap().events, 12);
    let stream = events::after(&mut tx, fixture.product, 0, 100).await.unwrap();
    let kinds: Vec<String> = stream.into_iter().map(|(_, event)| event.kind).collect();
    assert_eq!(kinds, (0..12).map(|n| format!("test.{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_with_a_key_is_carried_out_once() {
    let fixture = Fixture::new().await;
    let request = Request { product: fixture.product, key_hash: [1; 32], request_hash: [2; 32] };
    let end = fixture.later(60).now;
    let carry_out = || async {
        let mut tx = fixture.tx().await;
        let seen = idempotency::begin(&mut tx, &request, NOW, end).await.unwrap();
        if seen == Seen::New {
            idempotency::answer(&mut tx, &request, b"sealed").await.unwrap();
        }
        tx.commit().await.unwrap();
        seen
    };
    let (a, b, c) = tokio::join!(carry_out(), carry_out(), carry_out());
    let seen = [a, b, c];
    assert_eq!(seen.iter().filter(|seen| **seen == Seen::New).count(), 1);
    assert_eq!(seen.iter().filter(|seen| **seen == Seen::Answered(b"sealed".to_vec())).count(), 2);
    let mut tx = fixture.tx().await;
    let other = Request { request_hash: [3; 32], ..request };
    assert!(idempotency::begin(&mut tx, &other, NOW, end).await.unwrap() == Seen::Misused);
    assert!(idempotency::begin(&mut tx, &other, end, fixture.later(120).now).await.unwrap() == Seen::New, "over");
    assert_eq!(idempotency::expire(&mut tx, end).await.unwrap(), 0);
    assert_eq!(idempotency::expire(&mut tx, fixture.later(120).now).await.unwrap(), 1);
}

#[tokio::test]
async fn a_budget_is_never_exceeded() {
    let fixture = Fixture::new().await;
    let registration = Fixture::registration();
    let day: jiff::civil::Date = "2026-11-21".parse().unwrap();
    let budget = Budget { registration: &registration, subject: Uuid::nil(), operation: "transactions", day };
    let take = || async {
        let mut tx = fixture.tx().await;
        let used = budgets::take(&mut tx, budget, 4).await.unwrap();
        tx.commit().await.unwrap();
        used
    };
    let mut taken = Vec::new();
    for _ in 0..3 {
        let (a, b, c) = tokio::join!(take(), take(), take());
        taken.extend([a, b, c].into_iter().flatten());
    }
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 3, 4]);
    let mut tx = fixture.tx().await;
    assert_eq!(budgets::used(&mut tx, budget).await.unwrap(), 4);
    let tomorrow = Budget { day: "2026-11-22".parse().unwrap(), ..budget };
    assert_eq!(budgets::take(&mut tx, tomorrow, 4).await.unwrap(), Some(1));
    assert_eq!(budgets::take(&mut tx, tomorrow, 0).await.unwrap(), None);
    assert_eq!(budgets::expire(&mut tx, tomorrow.day).await.unwrap(), 1);
}

//! The evidence log's tables.

use domain::ids::EntryId;
use uuid::Uuid;
use vault::DataKey;
use vault::testing::SeededEntropy;

use super::fixture::{Fixture, NOW};
use crate::evidence_log::{Checkpoint, NewEntry, Node, Payload, Placed};
use crate::{StoreError, evidence_log as log};

const SUBJECT: Uuid = Uuid::from_u128(77);

fn key() -> DataKey {
    DataKey::generate(&SeededEntropy::new(99))
}

async fn append(fixture: &Fixture, n: u8) -> EntryId {
    let id = EntryId::new(&fixture.world());
    let payload = Payload { statement: format!("{{\"n\":{n}}}"), salt: [n; 32], signature: String::new() };
    let entry =
        NewEntry { id, subject: SUBJECT, kind: "test", recorded_at: NOW, commitment: [n; 32], payload: &payload };
    let mut tx = fixture.tx().await;
    log::append(&mut tx, entry, &key(), &fixture.entropy).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// Places whatever waits, as a sequencer does; gives how many.
async fn sequence(fixture: &Fixture) -> i64 {
    let mut tx = fixture.tx().await;
    let size = log::lock(&mut tx).await.unwrap();
    let waiting = log::unplaced(&mut tx, 100).await.unwrap();
    let mut previous = log::heads(&mut tx, &[SUBJECT]).await.unwrap().first().map_or([0; 32], |head| head.1);
    let (mut placed, mut nodes, mut index) = (Vec::new(), Vec::new(), size);
    for entry in &waiting {
        let leaf = entry.commitment.map(|byte| byte ^ 0xff);
        placed.push(Placed { id: entry.id, index, previous, leaf });
        nodes.push(Node { level: 0, index, hash: leaf });
        previous = leaf;
        index += 1;
    }
    log::place(&mut tx, &placed, &nodes).await.unwrap();
    tx.commit().await.unwrap();
    index - size
}

#[tokio::test]
async fn entries_get_places_without_gaps_in_the_order_they_came() {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(append(&fixture, n).await);
        if n % 2 == 1 {
            // All entries have the same instant; two sequencers run at the same time.
            let (a, b) = tokio::join!(sequence(&fixture), sequence(&fixture));
            assert_eq!(a + b, 2);
        }
    }
    let mut system = fixture.store().system_tx().await.unwrap();
    assert_eq!(log::waiting(&mut system).await.unwrap(), []);
    let mut tx = fixture.tx().await;
    let entries = log::of_subject(&mut tx, SUBJECT, 0, 100).await.unwrap();
    assert_eq!(
        entries.iter().map(|entry| (entry.index, entry.id)).collect::<Vec<_>>(),
        (0..).zip(ids).collect::<Vec<_>>()
    );
    assert_eq!(entries[0].previous, [0; 32]);
    assert_eq!(entries[3].previous, [2 ^ 0xff; 32]);
    let payload = entries[4].payload(fixture.tenant, &key()).unwrap().unwrap();
    assert_eq!((payload.statement.as_str(), payload.salt), ("{\"n\":4}", [4; 32]));
    let nodes = log::nodes(&mut tx, &[(0, 5), (0, 0), (0, 9), (1, 0)]).await.unwrap();
    let mut found: Vec<_> = nodes.iter().map(|node| (node.level, node.index)).collect();
    found.sort_unstable();
    assert_eq!(found, [(0, 0), (0, 5)]);
}

#[tokio::test]
async fn a_place_is_given_once() {
    let fixture = Fixture::new().await;
    let (a, b) = (append(&fixture, 1).await, append(&fixture, 2).await);
    let place = |id, index| Placed { id, index, previous: [0; 32], leaf: [1; 32] };
    let mut tx = fixture.tx().await;
    log::place(&mut tx, &[place(a, 0)], &[]).await.unwrap();
    assert_eq!(log::place(&mut tx, &[place(a, 1)], &[]).await, Err(StoreError::Raced));
    assert!(matches!(log::place(&mut tx, &[place(b, 0)], &[]).await, Err(StoreError::Exists { .. })));
}

#[tokio::test]
async fn retention_takes_the_payload_and_leaves_the_proof() {
    let fixture = Fixture::new().await;
    append(&fixture, 1).await;
    let mut tx = fixture.tx().await;
    assert_eq!(log::expire(&mut tx, SUBJECT).await, Err(StoreError::NotAllowed), "not placed yet");
    drop(tx);
    sequence(&fixture).await;
    let mut tx = fixture.tx().await;
    assert_eq!(log::expire(&mut tx, SUBJECT).await, Ok(1));
    let entry = log::of_subject(&mut tx, SUBJECT, 0, 1).await.unwrap().remove(0);
    assert!(entry.payload(fixture.tenant, &key()).unwrap().is_none());
    assert_eq!(entry.commitment, [1; 32]);
}

#[tokio::test]
async fn a_checkpoint_stays_as_it_was_signed() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.tx().await;
    assert_eq!(log::checkpoint(&mut tx, None).await.unwrap(), None);
    let checkpoint = |size, note: &str| Checkpoint { size, root: [1; 32], note: note.to_owned(), signed_at: NOW };
    log::put_checkpoint(&mut tx, &checkpoint(3, "three")).await.unwrap();
    log::put_checkpoint(&mut tx, &checkpoint(5, "five")).await.unwrap();
    log::put_checkpoint(&mut tx, &checkpoint(5, "forged")).await.unwrap();
    assert_eq!(log::checkpoint(&mut tx, None).await.unwrap(), Some(checkpoint(5, "five")));
    assert_eq!(log::checkpoint(&mut tx, Some(4)).await.unwrap(), Some(checkpoint(3, "three")));
    assert_eq!(log::checkpoint(&mut tx, Some(2)).await.unwrap(), None);
}

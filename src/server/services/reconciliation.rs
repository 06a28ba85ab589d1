//! Whether an account adds up, judged in the transaction that ends its fetch: the verdict is there no later than the rows
//! that it is about.

use domain::event::EventType;
use domain::ids::{ConsentId, InstitutionId, LineId};
use domain::money::Currency;
use domain::reconciliation::{Reconciliation, Undecided, Verdict};
use domain::world::World;
use jiff::civil::Date;
use normalize::reconcile::account::{self, ENTRIES_MAX, Entry, Latest, choose};
use serde_json::json;
use store::lines::LineWriter;
use store::reconciliations::{Since, Weighed};
use store::{TenantTx, consents};
use uuid::Uuid;
use vault::DataKey;

use crate::app::App;
use crate::evidence_log;
use crate::services::{ServiceError, events};

/// What a complete fetch of a line was.
#[derive(Debug, Clone, Copy)]
pub struct Complete {
    /// The run.
    pub fetch: Uuid,
    /// The account's currency, where the bank tells it.
    pub currency: Option<Currency>,
    /// The first day that was asked for.
    pub asked_from: Date,
    /// From this day on every row is known.
    pub complete_from: Date,
}

/// What became of a verdict.
#[derive(Debug)]
pub struct Judged {
    before: Option<(Verdict, String)>,
    now: (Verdict, String),
}

fn gist(record: &Reconciliation) -> (Verdict, String) {
    let words: Vec<&str> = match record.undecided {
        Some(why) => vec![why.as_str()],
        None => record.hypotheses().into_iter().map(domain::reconciliation::Hypothesis::as_str).collect(),
    };
    (record.verdict, words.join("+"))
}

/// Judges a line whose rows have just been read to the end, and stores the verdict.
///
/// # Errors
/// The database's.
pub async fn judge(
    line: &mut LineWriter<'_>,
    key: &DataKey,
    complete: Complete,
    world: &World<'_>,
) -> Result<Judged, ServiceError> {
    let previous = line.reconciliation(key).await?;
    let before = previous.as_ref().map(gist);
    let marks = previous.map(|record| record.marks).unwrap_or_default();
    let balances = line.balances_of(complete.fetch, key).await?;
    let record = match choose(&balances, complete.currency) {
        None => Reconciliation::undecided(Undecided::NoBalance, marks),
        Some(balance) => {
            let first = marks.first();
            let since = Since {
                seq: first.map_or(0, |mark| mark.last_seq),
                pending: first.map_or(&[], |mark| &mark.pending),
                day: first.and_then(account::lacks_after),
            };
            let limit = u32::try_from(ENTRIES_MAX).unwrap_or(u32::MAX);
            let rows = line.weighed(key, since, limit).await?;
            let latest = Latest {
                anchor: domain::reconciliation::Anchor {
                    money: balance.money,
                    kind: balance.kind,
                    credit_limit_included: balance.credit_limit_included,
                    day: balance.reference_date,
                    at: world.now,
                },
                last_seq: line.last_seq().await?,
                complete_from: Some(complete.complete_from),
                asked_from: complete.asked_from,
            };
            account::judge(marks, &latest, &rows.iter().map(entry).collect::<Vec<_>>())
        }
    };
    line.put_reconciliation(key, &record, world).await?;
    Ok(Judged { before, now: gist(&record) })
}

/// Judges a line again whose rows other rules have read: the balances are the same ones. `None` for a line that was never
/// judged.
///
/// # Errors
/// The database's.
pub async fn judge_again(
    line: &mut LineWriter<'_>,
    key: &DataKey,
    world: &World<'_>,
) -> Result<Option<Judged>, ServiceError> {
    let Some(previous) = line.reconciliation(key).await? else { return Ok(None) };
    let Some((newest, marks)) = previous.marks.split_last() else { return Ok(None) };
    let first = marks.first();
    let since = Since {
        seq: first.map_or(0, |mark| mark.last_seq),
        pending: first.map_or(&[], |mark| &mark.pending),
        day: first.and_then(account::lacks_after),
    };
    let rows = line.weighed(key, since, u32::try_from(ENTRIES_MAX).unwrap_or(u32::MAX)).await?;
    let latest = Latest {
        anchor: newest.anchor,
        last_seq: newest.last_seq,
        complete_from: newest.complete_from,
        // The days between the balances were read, or the marks would not stand side by side.
        asked_from: Date::MIN,
    };
    let record = account::judge(marks.to_vec(), &latest, &rows.iter().map(entry).collect::<Vec<_>>());
    line.put_reconciliation(key, &record, world).await?;
    Ok(Some(Judged { before: Some(gist(&previous)), now: gist(&record) }))
}

const fn entry(row: &Weighed) -> Entry<'_> {
    Entry { id: row.id, seq: row.seq, day: row.day, record: &row.record }
}

impl Judged {
    /// Writes into the evidence where a contradiction first appears, and where it has gone, and tells the product.
    ///
    /// # Errors
    /// The database's or the key provider's.
    pub async fn record(
        &self,
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        consent: ConsentId,
        line: LineId,
    ) -> Result<(), ServiceError> {
        let contradicted = |gist: &(Verdict, String)| gist.0 == Verdict::Contradicted;
        let (kind, event) = match (self.before.as_ref().filter(|before| contradicted(before)), contradicted(&self.now))
        {
            (Some(before), true) if *before == self.now => return Ok(()),
            (_, true) => ("data.contradicted", EventType::ReconciliationFailed),
            (Some(_), false) => ("data.no_longer_contradicted", EventType::ReconciliationRecovered),
            (None, false) => return Ok(()),
        };
        let body = json!({ "account": line.to_string(), "verdict": self.now.0.as_str(), "because": self.now.1 });
        evidence_log::record(app, tx, world, consent, kind, &body).await?;
        let product = consents::get(tx, consent).await?.product;
        events::emit(tx, world, product, event, Some(consent), json!({ "account_id": line.to_string() })).await
    }

    /// Counts the verdict for the operator, after the commit. No account is named, so that a bank whose signs are all the
    /// wrong way round shows as such: its profile needs another rule.
    pub fn count(&self, institution: &InstitutionId) {
        let (verdict, because) = &self.now;
        metrics::counter!("tributary_reconciliations_total", "institution" => institution.to_string(),
            "verdict" => verdict.as_str(), "because" => because.clone())
        .increment(1);
        if *verdict == Verdict::Contradicted {
            tracing::warn!(bank.id = %institution, because, "an account does not add up");
        }
    }
}

//! The verdict on an account on the wire: with the account and with every page of its transactions.

use domain::ids::TenantId;
use domain::reconciliation::{Anchor, Found, Reconciliation};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use store::lines::Held;
use utoipa::ToSchema;
use vault::DataKey;

use super::body::MoneyBody;
use crate::problem::ApiError;

/// Whether an account adds up: opening balance and booked rows against the closing balance.
#[derive(Clone, Serialize, ToSchema)]
pub struct ReconciliationBody {
    /// `reconciled`; `contradicted`: do not rely on the rows or the balance before you have looked at `findings`;
    /// `unknown`: it cannot be decided, see `undecided`.
    #[schema(example = "reconciled")]
    pub verdict: String,
    /// Why nothing can be said: `no_balance`, `first_balance`, `gap`, `too_many_rows`, `unexplained`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// What explains the difference. Faults: `signs_inverted` (every row), `sign_inverted` (one), `missing_row`,
    /// `doubled_row`, `wrong_balance_type`. Harmless: `stale`, `pending_included`, `credit_line_included`. Else
    /// `unexplained`.
    pub hypotheses: Vec<String>,
    /// What it rests on; only where balances and transactions were consented to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceBody>,
    /// When it was judged.
    #[schema(value_type = String, format = DateTime)]
    pub judged_at: Timestamp,
}

/// What a verdict rests on.
#[derive(Clone, Serialize, ToSchema)]
pub struct EvidenceBody {
    /// Each thing that was found, faults first.
    pub findings: Vec<FindingBody>,
    /// What closing less opening less rows leaves, summed over the fetches that do not come out even.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<MoneyBody>,
    /// The balance that it begins at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<AnchorBody>,
    /// The balance that it ends at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closing: Option<AnchorBody>,
    /// Booked rows between the two.
    pub rows: u32,
    /// Their sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<MoneyBody>,
}

/// One thing that was found.
#[derive(Clone, Serialize, ToSchema)]
pub struct FindingBody {
    /// One of the hypotheses.
    pub hypothesis: String,
    /// `txn_…` of the row that it is about; of several alike the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The amount that is missing, or of the credit line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<MoneyBody>,
    /// The day up to which a late balance goes.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<Date>,
    /// It shows in what came after the balance of this moment.
    #[schema(value_type = String, format = DateTime)]
    pub after: Timestamp,
}

/// A balance that a verdict rests on.
#[derive(Clone, Serialize, ToSchema)]
pub struct AnchorBody {
    /// Berlin Group type; `openingBooked` where it was worked out from the balance after the first row.
    #[serde(rename = "type")]
    pub kind: String,
    /// Signed.
    pub balance: MoneyBody,
    /// Day that the bank says it is about.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_date: Option<Date>,
    /// When the bank gave it.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
}

impl From<&Anchor> for AnchorBody {
    fn from(anchor: &Anchor) -> Self {
        Self {
            kind: anchor.kind.as_str().to_owned(),
            balance: (&anchor.money).into(),
            reference_date: anchor.day,
            observed_at: anchor.at,
        }
    }
}

impl From<&Found> for FindingBody {
    fn from(found: &Found) -> Self {
        Self {
            hypothesis: found.hypothesis.as_str().to_owned(),
            transaction_id: found.transaction.map(|id| id.to_string()),
            amount: found.amount.as_ref().map(MoneyBody::from),
            day: found.day,
            after: found.after,
        }
    }
}

impl From<&Reconciliation> for EvidenceBody {
    fn from(record: &Reconciliation) -> Self {
        Self {
            findings: record.found.iter().map(FindingBody::from).collect(),
            residual: record.residual.as_ref().map(MoneyBody::from),
            opening: record.opening.as_ref().map(AnchorBody::from),
            closing: record.closing.as_ref().map(AnchorBody::from),
            rows: record.rows,
            moved: record.moved.as_ref().map(MoneyBody::from),
        }
    }
}

/// The verdict on an account that a product may read. Who may read neither balances nor transactions gets none; who may
/// read one of them gets the words without the amounts.
///
/// # Errors
/// The verdict cannot be opened.
pub fn of_account(tenant: TenantId, held: &Held, key: &DataKey) -> Result<Option<ReconciliationBody>, ApiError> {
    let Some(judged) = &held.judged else { return Ok(None) };
    let may = |cluster: &str| held.clusters.iter().any(|given| given == cluster);
    let (balances, transactions) = (may("balances"), may("transactions"));
    if !balances && !transactions {
        return Ok(None);
    }
    let record = judged.open(tenant, key)?;
    Ok(Some(ReconciliationBody {
        verdict: record.verdict.as_str().to_owned(),
        undecided: record.undecided.map(|why| why.as_str().to_owned()),
        hypotheses: record.hypotheses().into_iter().map(|hypothesis| hypothesis.as_str().to_owned()).collect(),
        evidence: (balances && transactions).then(|| (&record).into()),
        judged_at: judged.judged_at,
    }))
}

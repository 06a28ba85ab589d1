//! What a logged read of an account needs beside its rows, in one statement.

use domain::ids::{ConsentId, LineId};
use sqlx::query;
use vault::Wrapped;

use crate::reconciliations::Judged;
use crate::{StoreError, TenantTx};

/// The verdict on the account, and the keys under which the read goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Beside {
    /// The verdict, if there is one.
    pub judged: Option<Judged>,
    /// The tenant's key of the purpose `lookup`, which signs cursors; none before it was first needed.
    pub lookup: Option<Wrapped>,
    /// The evidence key of the consent; none before its first entry.
    pub evidence: Option<Wrapped>,
}

/// Verdict and keys, on the ground of a consent that may be read at this moment; else [`StoreError::NotAllowed`].
pub async fn beside(tx: &mut TenantTx, consent: ConsentId, line: LineId) -> Result<Beside, StoreError> {
    let row = query!(
        r#"select c.state, c.state_reason, c.data_state, c.clusters, r.judged_at as "judged_at?", r.sealed as "sealed?",
            s.key_epoch as "lookup_epoch?", s.wrapped_key as "lookup_key?",
            e.key_epoch as "evidence_epoch?", e.wrapped_key as "evidence_key?"
         from consent c
         join consent_line cl on cl.tenant_id = c.tenant_id and cl.consent_id = c.consent_id and cl.state = 'granted'
         left join reconciliation r on r.tenant_id = cl.tenant_id and r.line_id = cl.line_id
         left join secret_key s on s.tenant_id = c.tenant_id and s.purpose = 'lookup'
         left join evidence_key e on e.tenant_id = c.tenant_id and e.subject = c.consent_id
         where c.tenant_id = $1 and c.consent_id = $2 and cl.line_id = $3"#,
        tx.id(),
        consent.uuid(),
        line.uuid()
    )
    .fetch_optional(tx.db())
    .await?
    .ok_or(StoreError::NotAllowed)?;
    crate::consents::check_readable(&row.state, row.state_reason.as_deref(), &row.data_state)?;
    let wrapped = |epoch: Option<i64>, bytes| Some(Wrapped { epoch: epoch?, bytes: bytes? });
    Ok(Beside {
        judged: row.judged_at.zip(row.sealed).map(|(at, sealed)| Judged::new(at.to_jiff(), row.clusters, line, sealed)),
        lookup: wrapped(row.lookup_epoch, row.lookup_key),
        evidence: wrapped(row.evidence_epoch, row.evidence_key),
    })
}

//! What stands at the moment of a look. A recorder of its own for each look: what is gone is not shown any more.

use jiff::Timestamp;
use metrics::{gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use store::jobs::{self, Backlog};
use store::overview::{self, Count, Deletions, Evidence, Open};

use crate::app::App;
use crate::problem::ApiError;

/// What the database says, all at one moment.
struct Standing {
    jobs: Vec<Backlog>,
    consents: Vec<Count>,
    endpoints: Vec<Count>,
    deliveries: i64,
    deletions: Deletions,
    evidence: Evidence,
    breakers: Vec<Open>,
}

/// Everything that stands, as Prometheus text.
pub(super) async fn read(app: &App) -> Result<String, ApiError> {
    let standing = Standing::read(app, app.clock.now()).await?;
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        gauge!("tributary_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        standing.set();
        certificates(app);
    });
    Ok(recorder.handle().render())
}

impl Standing {
    async fn read(app: &App, now: Timestamp) -> Result<Self, ApiError> {
        let mut system = app.store.system_tx().await?;
        let jobs = jobs::backlog(&mut system, now).await?;
        system.commit().await?;
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let standing = Self {
            jobs,
            consents: overview::consents(&mut tx).await?,
            endpoints: overview::endpoints(&mut tx).await?,
            deliveries: overview::deliveries(&mut tx).await?,
            deletions: overview::deletions(&mut tx).await?,
            evidence: overview::evidence(&mut tx).await?,
            breakers: overview::breakers(&mut tx, now).await?,
        };
        tx.commit().await?;
        Ok(standing)
    }

    fn set(self) {
        for kind in self.jobs {
            let states = [("due", kind.due), ("leased", kind.leased), ("parked", kind.parked)];
            for (state, jobs) in states {
                gauge!("tributary_jobs", "kind" => kind.kind.clone(), "state" => state).set(number(jobs));
            }
        }
        for count in self.consents {
            gauge!("tributary_consents", "state" => count.state).set(number(count.number));
        }
        for count in self.endpoints {
            gauge!("tributary_webhook_endpoints", "state" => count.state).set(number(count.number));
        }
        gauge!("tributary_webhook_deliveries_waiting").set(number(self.deliveries));
        gauge!("tributary_deletions_open").set(number(self.deletions.open));
        gauge!("tributary_deletions_blocked").set(number(self.deletions.blocked));
        gauge!("tributary_deletions_unconfirmed_by_banks").set(number(self.deletions.unconfirmed));
        if let Some(oldest) = self.deletions.oldest {
            gauge!("tributary_deletion_oldest_open_timestamp_seconds").set(number(oldest.as_second()));
        }
        gauge!("tributary_evidence_entries").set(number(self.evidence.entries));
        gauge!("tributary_evidence_entries_waiting").set(number(self.evidence.waiting));
        if let Some(signed_at) = self.evidence.signed_at {
            gauge!("tributary_evidence_checkpoint_timestamp_seconds").set(number(signed_at.as_second()));
        }
        for open in self.breakers {
            gauge!("tributary_bank_breaker_open", "registration" => open.registration, "capability" => open.capability)
                .set(1);
        }
    }
}

/// When the certificate of each registration ends.
fn certificates(app: &App) {
    for connection in app.connections.all() {
        if let Some(until) = connection.certificate_until {
            let registration = connection.id.to_string();
            gauge!("tributary_certificate_expiry_timestamp_seconds", "registration" => registration)
                .set(number(until.as_second()));
        }
    }
}

/// A count or a second as a metric has it. Doubles hold every whole number up to 2⁵³ as it is.
#[expect(clippy::cast_precision_loss, reason = "metrics are doubles; no count of ours reaches 2^53")]
const fn number(whole: i64) -> f64 {
    whole as f64
}

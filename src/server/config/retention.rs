//! What becomes of data when a consent ends, and how they are erased.

use domain::policy::Regime;
use domain::retention::{AtEnd, Retention};
use serde::Deserialize;

use super::{ConfigError, table};

/// `[retention]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionOf {
    /// Policies of purposes; of any other purpose the regime's own policy counts.
    pub purposes: Vec<PurposeRetention>,
}

/// `[[retention.purposes]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeRetention {
    /// The purpose, in the words of the products.
    pub purpose: String,
    /// The regime that it counts in; without one, every one.
    pub regime: Option<String>,
    /// What may be done with the data: `readable_until_retention`, `blocked`, `restricted_hold`.
    pub at_end: String,
    /// Days from the end of the consent to the erasure.
    pub days: u16,
}

impl PurposeRetention {
    fn counts_in(&self, regime: Regime) -> bool {
        self.regime.as_deref().is_none_or(|word| word == regime.as_str())
    }

    fn policy(&self) -> Option<Retention> {
        AtEnd::parse(&self.at_end).map(|at_end| Retention { at_end, days: self.days })
    }
}

impl RetentionOf {
    /// The policy of a consent with these purposes.
    pub fn of(&self, regime: Regime, purposes: &[String]) -> Retention {
        let of_one = |purpose: &String| {
            let named = self.purposes.iter().filter(|one| one.purpose == *purpose && one.counts_in(regime));
            // Whoever names the regime knows better.
            let named = named.max_by_key(|one| one.regime.is_some());
            named.and_then(PurposeRetention::policy).unwrap_or(regime.retention())
        };
        Retention::of_all(purposes.iter().map(of_one)).unwrap_or(regime.retention())
    }

    pub(super) fn shown(&self) -> toml::Value {
        let one = |one: &PurposeRetention| {
            let regime = one.regime.as_deref().map(|regime| ("regime", regime.into()));
            let named = [
                ("purpose", one.purpose.as_str().into()),
                ("at_end", one.at_end.as_str().into()),
                ("days", i64::from(one.days).into()),
            ];
            table(named.into_iter().chain(regime))
        };
        table([("purposes", self.purposes.iter().map(one).collect::<Vec<toml::Value>>().into())])
    }

    pub(super) fn check(&self, ours: Regime) -> Result<(), ConfigError> {
        for one in &self.purposes {
            let refuse = |why: String| Err(ConfigError::Value { key: "retention.purposes", why });
            if one.regime.as_deref().is_some_and(|word| Regime::parse(word).is_none()) {
                return refuse(format!("{:?}: regime must be eu, uk, cdr, us or br", one.purpose));
            }
            let Some(policy) = one.policy() else {
                return refuse(format!(
                    "{:?}: at_end must be readable_until_retention, blocked or restricted_hold",
                    one.purpose
                ));
            };
            let regime = one.regime.as_deref().and_then(Regime::parse).unwrap_or(ours);
            if !policy.is_allowed(regime) {
                return refuse(format!("{:?}: the regime does not allow to keep data so, or so long", one.purpose));
            }
        }
        Ok(())
    }
}

/// `[erasure]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Transactions of one account that an erasure takes in one pass and one commit, with the account's key and the proof that
    /// nothing is left. Of more it takes batches first.
    pub whole_rows: u32,
    /// Rows of one batch.
    pub batch_rows: u32,
}

impl Erasure {
    /// How many rows one transaction takes of an account with so many, or `None`: all.
    pub fn batch(self, rows: i64) -> Option<i64> {
        (rows > i64::from(self.whole_rows)).then_some(i64::from(self.batch_rows))
    }

    pub(super) fn shown(self) -> toml::Value {
        table([("whole_rows", i64::from(self.whole_rows).into()), ("batch_rows", i64::from(self.batch_rows).into())])
    }

    pub(super) fn check(self) -> Result<(), ConfigError> {
        if self.batch_rows == 0 {
            return Err(ConfigError::Value { key: "erasure.batch_rows", why: "must be at least 1".to_owned() });
        }
        Ok(())
    }
}

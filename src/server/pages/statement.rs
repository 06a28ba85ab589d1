//! The consent text as data: the page and the evidence are made of the same sentences.

use domain::retention::AtEnd;

use super::language::Language;
use super::view::{Cluster, Collision, ConsentTextView, Elsewhere, Term};

/// What a person agrees to, in order. The page shows it, [`Statement::plain`] is what evidence keeps.
pub struct Statement {
    /// Version of the wording, with its language: `en-2`.
    pub version: String,
    /// Heading.
    pub title: String,
    /// Who wants what, in two sentences.
    pub intro: String,
    /// The parts.
    pub sections: Vec<Section>,
    /// The sentence beside the box that must be ticked.
    pub acknowledgement: String,
}

/// One part of the statement.
pub struct Section {
    /// Identifies the part on the page.
    pub id: &'static str,
    /// Heading.
    pub heading: String,
    /// A list, each entry with an optional explanation.
    pub points: Vec<(String, Option<String>)>,
    /// Sentences after the list.
    pub sentences: Vec<String>,
}

impl Statement {
    /// The statement in the language of the page.
    pub fn of(view: &ConsentTextView) -> Self {
        let t = view.brand.language;
        let (product, tpp, bank) = (&view.brand.product, &view.brand.tpp, &view.bank);
        let alone = |text: &String| (text.clone(), None);
        let section = |id, heading, points, sentences| Section { id, heading, points, sentences };
        Self {
            version: t.consent_version(),
            title: t.consent_title(bank),
            intro: t.consent_intro(product, tpp, bank),
            sections: vec![
                section(
                    "purpose",
                    t.consent_purpose(),
                    view.purposes.iter().map(alone).collect(),
                    vec![t.consent_purpose_limit(product)],
                ),
                section(
                    "data",
                    t.consent_data(),
                    view.clusters.iter().map(|cluster| t.cluster(cluster)).collect(),
                    vec![t.consent_data_limit()],
                ),
                section("term", t.consent_term(), Vec::new(), term_words(t, view)),
                section(
                    "recipients",
                    t.consent_who(),
                    [
                        Some(t.consent_who_product(product)),
                        Some(t.consent_who_tpp(tpp, &view.brand.authorisation)),
                        view.intermediary.as_ref().map(|name| t.consent_who_intermediary(name, bank, tpp)),
                    ]
                    .into_iter()
                    .flatten()
                    .map(|who| (who, None))
                    .collect(),
                    vec![t.consent_who_limit()],
                ),
                section("stop", t.consent_stop(), Vec::new(), stop_words(t, view)),
            ],
            acknowledgement: t.consent_acknowledge(tpp, bank, product),
        }
    }

    /// The statement as plain text, one sentence or point a line, in the order in which the page shows it.
    pub fn plain(&self) -> String {
        let mut lines = vec![format!("[{}]", self.version), self.title.clone(), self.intro.clone()];
        for section in &self.sections {
            lines.push(section.heading.clone());
            lines.extend(section.points.iter().map(|(name, detail)| match detail {
                Some(detail) => format!("- {name}: {detail}"),
                None => format!("- {name}"),
            }));
            lines.extend(section.sentences.iter().cloned());
        }
        lines.push(self.acknowledgement.clone());
        lines.join("\n")
    }
}

/// How the person stops it, and what becomes of the data then and at an end by itself.
fn stop_words(t: Language, view: &ConsentTextView) -> Vec<String> {
    let (product, tpp, days) = (&view.brand.product, &view.brand.tpp, view.retention.days);
    let mut words = vec![t.consent_stop_where(product, tpp)];
    words.push(match (view.retention.at_end, days) {
        (AtEnd::RestrictedHold, 1) => t.consent_stop_effect_held_day(),
        (AtEnd::RestrictedHold, _) => t.consent_stop_effect_held(days),
        (AtEnd::Blocked | AtEnd::ReadableUntilRetention, _) => t.consent_stop_effect(),
    });
    words.extend(match (view.retention.at_end, days) {
        (AtEnd::RestrictedHold, _) => None,
        (AtEnd::Blocked | AtEnd::ReadableUntilRetention, 0) => Some(t.consent_end_erased()),
        (AtEnd::Blocked, 1) => Some(t.consent_end_blocked_day()),
        (AtEnd::Blocked, _) => Some(t.consent_end_blocked(days)),
        (AtEnd::ReadableUntilRetention, 1) => Some(t.consent_end_readable_day(product)),
        (AtEnd::ReadableUntilRetention, _) => Some(t.consent_end_readable(product, days)),
    });
    words
}

impl Language {
    /// Name and explanation of a kind of data.
    pub(super) fn cluster(self, cluster: &Cluster) -> (String, Option<String>) {
        let (name, detail) = match *cluster {
            Cluster::Accounts => (self.consent_cluster_accounts(), self.consent_cluster_accounts_detail()),
            Cluster::Holder => (self.consent_cluster_holder(), self.consent_cluster_holder_detail()),
            Cluster::Balances => (self.consent_cluster_balances(), self.consent_cluster_balances_detail()),
            Cluster::Transactions { history_days: None } => {
                (self.consent_cluster_transactions(), self.consent_cluster_transactions_detail())
            }
            Cluster::Transactions { history_days: Some(days) } => {
                (self.consent_cluster_transactions(), self.consent_cluster_transactions_days(days))
            }
        };
        (name, Some(detail))
    }
}

impl ConsentTextView {
    /// What is said beside the text about another product's permission.
    pub fn elsewhere(&self) -> Option<String> {
        let t = self.brand.language;
        self.elsewhere.map(|elsewhere| match elsewhere {
            Elsewhere::Shared => t.elsewhere_shared(&self.bank),
            Elsewhere::Ends => t.elsewhere_ends(&self.bank),
        })
    }
}

fn term_words(t: Language, view: &ConsentTextView) -> Vec<String> {
    let mut words = match view.term {
        Term::Once => vec![t.consent_term_once()],
        Term::Recurring { until, confirm_every_days, unattended_reads_per_day } => {
            let mut words = vec![t.consent_term_until(t.date(&until))];
            words.extend(unattended_reads_per_day.map(|reads| t.consent_term_unattended(reads)));
            words.extend(confirm_every_days.map(|days| t.consent_term_confirm(days)));
            words
        }
    };
    words.extend(view.instead_of.map(|collision| match collision {
        Collision::Replaces => t.consent_instead_replaces(&view.bank),
        Collision::RenewsBoth => t.consent_instead_renews(&view.bank),
    }));
    words
}

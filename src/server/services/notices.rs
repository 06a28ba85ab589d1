//! Notices in writing: rendered from a template when they are owed, handed over by the product, and on record with their
//! template's version and with what became of them.
//!
//! We know nobody's address. The port to the person is the event `notice.requested`: the product that knows its user hands
//! the words over and says how that went. Words, hash and outcome are tied together in the evidence.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::Context as _;
use domain::consent::{ExpiryReason, Notice as Moved, State};
use domain::event::EventType;
use domain::ids::NoticeId;
use domain::notice::Kind;
use domain::world::World;
use serde::Deserialize;
use serde_json::json;
use store::consents::Consent;
use store::notices::Notice;
use store::{TenantTx, consent_texts, notices, products, tenants};

use crate::app::App;
use crate::services::events::emit;
use crate::services::{ServiceError, consents as moves};
use crate::{evidence_log, tokens};

/// The wording of one language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wording {
    version: String,
    unlimited: String,
    data: BTreeMap<String, String>,
    receipt: Template,
    ongoing: Template,
    expired: Template,
    revoked: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    subject: String,
    body: String,
}

impl Wording {
    const fn template(&self, kind: Kind) -> &Template {
        match kind {
            Kind::Receipt => &self.receipt,
            Kind::Ongoing => &self.ongoing,
            Kind::Expired => &self.expired,
            Kind::Revoked => &self.revoked,
        }
    }
}

/// Languages with their files; the first is for whoever speaks none of them.
const FILES: [(&str, &str); 4] = [
    ("en", include_str!("../notices/en.toml")),
    ("de", include_str!("../notices/de.toml")),
    ("fr", include_str!("../notices/fr.toml")),
    ("es", include_str!("../notices/es.toml")),
];

/// The wordings that parse; a test sees that all do.
static WORDINGS: LazyLock<BTreeMap<&'static str, Wording>> = LazyLock::new(|| {
    let read = |(language, text): (&'static str, &str)| Some((language, toml::from_str(text).ok()?));
    FILES.into_iter().filter_map(read).collect()
});

fn wording(language: &str) -> anyhow::Result<(&'static str, &'static Wording)> {
    let known = WORDINGS.get_key_value(language).or_else(|| WORDINGS.get_key_value("en"));
    known.map(|(language, wording)| (*language, wording)).context("there is no wording for notices")
}

/// Puts values into the places of a template, each once over: what stands in a value is never a place. `None`: the template
/// names something that there is not.
fn fill(template: &str, values: &BTreeMap<&str, String>) -> Option<String> {
    let (mut filled, mut rest) = (String::with_capacity(template.len()), template);
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        filled.push_str(before);
        filled.push_str(values.get(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Asks for the notice that a move of a consent makes us owe, in the transaction of the move.
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_move(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    moved: Moved,
) -> Result<(), ServiceError> {
    let kind = match moved {
        Moved::Granted => Kind::Receipt,
        Moved::SharingGoesOn => Kind::Ongoing,
        Moved::Expired if consent.machine.state != State::Expired(ExpiryReason::Superseded) => Kind::Expired,
        Moved::Revoked => Kind::Revoked,
        Moved::PartlyAuthorised
        | Moved::Healthy
        | Moved::ActionRequired
        | Moved::Suspended
        | Moved::Resumed
        | Moved::Renewed
        | Moved::Reconfirmed
        | Moved::Expired
        | Moved::Rejected
        | Moved::Abandoned
        | Moved::DeletionCompleted => return Ok(()),
    };
    // Whoever never agreed to anything needs no letter about its end.
    if consent.authorized_at.is_none() || !kind.is_owed(tenants::get(tx).await?.regime) {
        return Ok(());
    }
    request(app, tx, world, consent, kind).await
}

/// Asks for the copy of a text that its person has agreed to anew, where the law wants them to have one (CDR rule 8.11 for an
/// amended consent; 12 CFR 1033.421(g) for a new authorisation).
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_new_text(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
) -> Result<(), ServiceError> {
    if Kind::Receipt.is_owed(tenants::get(tx).await?.regime) {
        request(app, tx, world, consent, Kind::Receipt).await?;
    }
    Ok(())
}

async fn request(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    kind: Kind,
) -> Result<(), ServiceError> {
    let (language, wording) = wording(&consent.language)?;
    let values = values(app, tx, consent, wording).await?;
    let template = wording.template(kind);
    let broken = || format!("the template of {} in {language} names something that there is not", kind.word());
    let subject = fill(&template.subject, &values).with_context(broken)?;
    let text = fill(&template.body, &values).with_context(broken)?;
    let notice = Notice {
        id: NoticeId::new(world),
        consent: consent.id,
        kind,
        language: language.to_owned(),
        template: format!("{}/{}", kind.word(), wording.version),
        text_hash: tokens::hash(text.as_bytes()),
        delivered: None,
        channel: None,
        requested_at: world.now,
        settled_at: None,
    };
    notices::insert(tx, &notice).await?;
    let body = json!({
        "notice": notice.id.to_string(),
        "notice_kind": kind.word(),
        "language": language,
        "template": notice.template,
        "text_sha256": evidence_log::hex(&notice.text_hash),
        // What the person signed, by the hash under which their acceptance is on record.
        "agreed_sha256": consent.text_hash.as_ref().map(|hash| evidence_log::hex(hash)),
    });
    evidence_log::record(app, tx, world, consent.id, "notice.requested", &body).await?;
    let data = json!({
        "notice_id": notice.id.to_string(),
        "kind": kind.word(),
        "language": language,
        "template": notice.template,
        "subject": subject,
        "text": text,
        "outcome": format!("/v1/consents/{}/notices/{}/outcome", consent.id, notice.id),
    });
    emit(tx, world, consent.product, EventType::NoticeRequested, Some(consent.id), data).await
}

/// What a template may name.
async fn values(
    app: &App,
    tx: &mut TenantTx,
    consent: &Consent,
    wording: &Wording,
) -> Result<BTreeMap<&'static str, String>, ServiceError> {
    let product = products::get(tx, consent.product).await?;
    let bank = consent.bank.as_ref().map_or_else(String::new, |(institution, _)| {
        app.directory.get(institution).map_or_else(|| institution.to_string(), |profile| profile.bank.name.clone())
    });
    let word = |cluster: &String| wording.data.get(cluster).unwrap_or(cluster).clone();
    let until = moves::last_day(app, consent);
    let text = match &consent.text_hash {
        Some(hash) => consent_texts::get(tx, hash).await?.body,
        None => String::new(),
    };
    let support = &app.config.tenant.support_url;
    Ok(BTreeMap::from([
        ("product", product.name.clone()),
        ("tpp", tenants::get(tx).await?.name),
        ("bank", bank),
        ("data", consent.clusters.iter().map(word).collect::<Vec<_>>().join(", ")),
        ("purposes", consent.purposes.join(", ")),
        ("until", until.map_or_else(|| wording.unlimited.clone(), |day| day.to_string())),
        ("text", text),
        ("signed", consent.accepted_at.map_or_else(String::new, |at| format!("{at:.0}"))),
        ("support", if support.is_empty() { product.name } else { support.clone() }),
    ]))
}

/// Takes the product's word on what became of a notice. The first word stands.
///
/// # Errors
/// The database's or the key provider's.
pub async fn settle(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    notice: &Notice,
    delivered: bool,
    channel: &str,
) -> Result<(), ServiceError> {
    if !notices::settle(tx, notice.id, delivered, channel, world.now).await? {
        return Ok(());
    }
    let kind = if delivered { "notice.delivered" } else { "notice.failed" };
    let body = json!({
        "notice": notice.id.to_string(),
        "notice_kind": notice.kind.word(),
        "template": notice.template,
        "channel": channel,
        "by": "product",
    });
    evidence_log::record(app, tx, world, notice.consent, kind, &body).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Places of a template, in no order.
    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_language_says_the_same() {
        assert_eq!(WORDINGS.len(), FILES.len(), "every file parses");
        let english = &WORDINGS["en"];
        for (language, wording) in WORDINGS.iter() {
            assert!(wording.version.starts_with(&format!("{language}-")), "{}", wording.version);
            assert_eq!(wording.data.keys().collect::<Vec<_>>(), english.data.keys().collect::<Vec<_>>());
            for kind in Kind::ALL {
                let (one, other) = (wording.template(kind), english.template(kind));
                assert_eq!(places(&one.subject), places(&other.subject), "{language} {kind:?}");
                assert_eq!(places(&one.body), places(&other.body), "{language} {kind:?}");
                assert!(!one.subject.contains('\n') && one.body.ends_with('\n'));
            }
        }
    }

    /// CDR rule 8.11 asks for these in writing: who, what for, what, for how long, and how to stop it.
    #[test]
    fn a_receipt_says_what_the_law_asks_for() {
        let needed =
            BTreeSet::from(["bank", "data", "product", "purposes", "signed", "support", "text", "tpp", "until"]);
        assert_eq!(places(&WORDINGS["en"].receipt.body), needed);
        assert!(places(&WORDINGS["en"].ongoing.body).is_superset(&BTreeSet::from(["product", "purposes", "support"])));
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let values = BTreeMap::from([("a", "{b}".to_owned()), ("b", "{a}".to_owned())]);
        assert_eq!(fill("{a} and {b}.", &values).as_deref(), Some("{b} and {a}."));
        assert_eq!(fill("{c}", &values), None);
        assert_eq!(fill("{a", &values), None);
        assert_eq!(fill("", &values).as_deref(), Some(""));
    }

    #[test]
    fn whoever_speaks_another_language_is_written_to_in_english() {
        for (asked, written) in [("de", "de"), ("es", "es"), ("pt", "en"), ("", "en")] {
            assert_eq!(wording(asked).unwrap().0, written);
        }
    }
}

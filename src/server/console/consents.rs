//! Consents: by state, by what lapses, by a product's reference; and the whole life of one on one page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use domain::consent::{DataState, State as ConsentState};
use domain::ids::{ConsentId, ProductId};
use domain::staff::Action;
use evidence::Subject;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::consents::{Consent, Move};
use store::deletions::Deletion;
use store::desk::{self, Listed, Wanted};
use store::notices::Notice;
use store::products::Product;
use store::{StoreError, consents, deletions, lines, notices, products};
use url::form_urlencoded;

use super::access::{Member, Order};
use super::banks::moment;
use super::page::{Answer, fail, form, missing, page, question, unfit};
use super::view::{Block, Cell, Field, Form, Section, Tone};
use super::{CONSENTS, audit, data, deletions as erasures};
use crate::app::App;
use crate::evidence_log;
use crate::services::{ServiceError, erasure};
use crate::web::headers::Segment;

/// Consents that one page shows.
const SHOWN: i64 = 100;
/// What lapses within so many days is told.
const LAPSE_DAYS: i64 = 30;
/// Longest reference of a person, in characters.
const REFERENCE_CHARS_MAX: usize = 256;
/// The words of the states that can be asked for, and of what lapses.
const CHOICES: [&str; 9] =
    ["", "lapsing", "initiated", "authorized", "active", "reauth_pending", "expired", "revoked", "failed"];

/// Consents of one state, or what lapses soon.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member, RawQuery(query): RawQuery) -> Answer {
    let asked = asked(query.as_deref().unwrap_or_default());
    let wanted = match asked {
        "" => Wanted::default(),
        "lapsing" => Wanted { lapse_before: Some(soon(app.clock.now())), ..Wanted::default() },
        state => Wanted { state: Some(state), ..Wanted::default() },
    };
    let (found, products) = read(&app, wanted).await.map_err(fail(&member))?;
    let choices = CHOICES.iter().map(|word| ((*word).to_owned(), words(word))).collect();
    let states = Field::choice("state", "Which", choices).with(asked);
    let mut ask = vec![Block::Form(question("which", CONSENTS, "Show", vec![states]))];
    if member.may(Action::FindPerson) && !products.is_empty() {
        ask.push(Block::Form(finder(&member, &products)));
    }
    let sections = vec![Section::new("", ask), Section::new(words(asked), vec![table(&found)])];
    Ok(page(&member, CONSENTS, "Consents", &format!("At most {SHOWN} are shown."), sections))
}

/// The state of an address that there is; anything else asks for all.
fn asked(query: &str) -> &'static str {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
    let known = found.and_then(|(_, word)| CHOICES.into_iter().find(|known| *known == word));
    known.unwrap_or_default()
}

fn words(word: &str) -> String {
    match word {
        "" => "The newest".to_owned(),
        "lapsing" => format!("Lapse within {LAPSE_DAYS} days"),
        state => format!("In state {state}"),
    }
}

fn soon(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_hours(24 * LAPSE_DAYS)).unwrap_or(now)
}

async fn read(app: &App, wanted: Wanted<'_>) -> Result<(Vec<Listed>, Vec<Product>), StoreError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = desk::consents(&mut tx, wanted, SHOWN).await?;
    let products = products::all(&mut tx).await?;
    tx.commit().await?;
    Ok((found, products))
}

/// A person's reference says something about them, so it is posted and stands in no address.
fn finder(member: &Member, products: &[Product]) -> Form {
    let choices = products.iter().map(|product| (product.id.to_string(), product.name.clone())).collect();
    let fields = vec![
        Field::choice("product", "Product", choices),
        Field::text("reference", "Its reference of the person", REFERENCE_CHARS_MAX),
    ];
    form(member, "person", format!("{CONSENTS}/find"), "Find", fields)
}

/// The consents of a person, by a product's own reference.
pub(super) async fn find(State(app): State<Arc<App>>, order: Order) -> Answer {
    let member = &order.member;
    let Ok(product) = order.fields.get("product").parse::<ProductId>() else {
        return Err(unfit(member, "Choose a product."));
    };
    let reference = order.fields.get("reference").trim();
    let found = of_person(&app, member, product, reference).await.map_err(fail(member))?;
    let (_, products) = read(&app, Wanted { state: Some("none"), ..Wanted::default() }).await.map_err(fail(member))?;
    let sections = vec![
        Section::new("", vec![Block::Form(finder(member, &products))]),
        Section::new(format!("Of {}", order.fields.get("reference")), vec![table(&found)]),
    ];
    Ok(page(member, CONSENTS, "Consents of a person", "By a product's own reference.", sections))
}

/// That somebody looked is on record, with what was found and without the reference.
async fn of_person(
    app: &App,
    member: &Member,
    product: ProductId,
    reference: &str,
) -> Result<Vec<Listed>, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = match erasure::person(app, &mut tx, &world, product, reference).await {
        Ok(psu) => desk::consents(&mut tx, Wanted { psu: Some(psu), ..Wanted::default() }, SHOWN).await?,
        Err(ServiceError::Store(StoreError::NotFound(_))) => Vec::new(),
        Err(error) => return Err(error),
    };
    let consents: Vec<_> = found.iter().map(|one| one.id.to_string()).collect();
    let body = json!({
        "staff": member.staff.id.to_string(), "product": product.to_string(), "consents": consents,
    });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "staff.looked_up", &body).await?;
    tx.commit().await?;
    Ok(found)
}

fn table(found: &[Listed]) -> Block {
    let rows = found.iter().map(|one| {
        vec![
            Cell::code(one.id).to(format!("{CONSENTS}/{}", one.id)),
            Cell::text(&one.product),
            Cell::maybe(one.institution.as_ref()),
            badge(&one.state, one.reason.as_deref()),
            Cell::text(&one.data),
            Cell::text(moment(one.created_at)),
            Cell::maybe(one.due_at.map(moment)),
        ]
    });
    Block::Table {
        caption: "Consents".to_owned(),
        head: vec!["Consent", "Product", "Bank", "State", "Data", "Asked for", "Lapses next"],
        rows: rows.collect(),
        none: "There are none.",
    }
}

fn badge(state: &str, reason: Option<&str>) -> Cell {
    let tone = match state {
        "active" | "authorized" => Tone::Good,
        "reauth_pending" | "initiated" => Tone::Wait,
        "failed" => Tone::Bad,
        _ => Tone::Quiet,
    };
    Cell::badge(tone, reason.map_or_else(|| state.to_owned(), |reason| format!("{state} ({reason})")))
}

/// The word of a state and why.
fn state(state: ConsentState) -> Cell {
    badge(state.word(), state.reason())
}

/// Everything that is known of one consent, without bank data.
struct Life {
    consent: Consent,
    product: Product,
    moves: Vec<Move>,
    accounts: Vec<(String, Timestamp)>,
    deletions: Vec<Deletion>,
    notices: Vec<Notice>,
}

impl Life {
    async fn read(app: &App, id: ConsentId) -> Result<Self, StoreError> {
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let consent = consents::get(&mut tx, id).await?;
        let granted = lines::granted(&mut tx, id).await?;
        let life = Self {
            product: products::get(&mut tx, consent.product).await?,
            moves: consents::history(&mut tx, id).await?,
            accounts: granted.into_iter().map(|(line, at)| (line.to_string(), at)).collect(),
            deletions: deletions::of_consent(&mut tx, id).await?,
            notices: notices::of_consent(&mut tx, id, None).await?,
            consent,
        };
        tx.commit().await?;
        Ok(life)
    }

    fn facts(&self) -> Block {
        let consent = &self.consent;
        let bank = consent.bank.as_ref().map(|(institution, registration)| format!("{institution} as {registration}"));
        let facts = [
            ("State", state(consent.machine.state)),
            ("Data", Cell::text(consent.machine.data.word())),
            ("Product", Cell::text(&self.product.name)),
            ("Bank", Cell::maybe(bank)),
            ("Purposes", Cell::text(consent.purposes.join("; "))),
            ("Data asked for", Cell::text(consent.clusters.join(", "))),
            ("Asked for", Cell::text(moment(consent.created_at))),
            ("Text accepted", Cell::maybe(consent.accepted_at.map(moment))),
            ("First authorised", Cell::maybe(consent.authorized_at.map(moment))),
            ("Last authentication at the bank", Cell::maybe(consent.sca_at.map(moment))),
            ("Last confirmed to us", Cell::maybe(consent.confirmed_at.map(moment))),
            ("Asked until", Cell::text(consent.asked_until)),
            ("Ended", Cell::maybe(consent.ended_at.map(moment))),
        ];
        Block::Facts(facts.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect())
    }

    fn course(&self) -> Block {
        let row = |one: &Move| {
            vec![
                Cell::text(one.seq),
                Cell::text(moment(one.at)),
                Cell::text(&one.event),
                Cell::text(&one.actor),
                one.from.map_or_else(Cell::none, state),
                state(one.to),
            ]
        };
        Block::Table {
            caption: "Moves".to_owned(),
            head: vec!["", "When", "What", "Who", "From", "To"],
            rows: self.moves.iter().map(row).collect(),
            none: "It has not moved.",
        }
    }

    fn accounts(&self) -> Block {
        let row = |(line, at): &(String, Timestamp)| vec![Cell::code(line), Cell::text(moment(*at))];
        Block::Table {
            caption: "Accounts".to_owned(),
            head: vec!["Account", "Since"],
            rows: self.accounts.iter().map(row).collect(),
            none: "None.",
        }
    }
}

/// The whole life of one consent.
pub(super) async fn show(State(app): State<Arc<App>>, Segment(id): Segment, member: Member) -> Answer {
    let Ok(id) = id.parse::<ConsentId>() else { return Err(missing(&member)) };
    whole(&app, &member, id).await
}

async fn whole(app: &App, member: &Member, id: ConsentId) -> Answer {
    let life = Life::read(app, id).await.map_err(fail(member))?;
    let mut sections = vec![
        Section::new("How it stands", vec![life.facts()]),
        Section::new("How it came there", vec![life.course()]),
        Section::new("Accounts", vec![life.accounts()]),
        Section::new("Notices", vec![sent(&life.notices)]),
        Section::new("Erasures", vec![erasures::table(member, "Erasures", &life.deletions, "None.")]),
    ];
    if member.may(Action::ShowBankData) && life.consent.machine.data == DataState::Present {
        sections.push(Section::new("Bank data", vec![data::ask(member, id)]));
    }
    if member.may(Action::ReadEvidence) {
        sections.push(Section::new("Evidence", vec![audit::of_consent(app, member, id).await?]));
    }
    Ok(page(member, CONSENTS, "Consent", &id.to_string(), sections))
}

fn sent(notices: &[Notice]) -> Block {
    let row = |one: &Notice| {
        let outcome = match one.delivered {
            None => Cell::badge(Tone::Wait, "not told yet"),
            Some(true) => Cell::badge(Tone::Good, "delivered"),
            Some(false) => Cell::badge(Tone::Bad, "not delivered"),
        };
        vec![Cell::code(one.id), Cell::text(one.kind.word()), Cell::text(moment(one.requested_at)), outcome]
    };
    Block::Table {
        caption: "Notices".to_owned(),
        head: vec!["Notice", "About", "Written", "Outcome"],
        rows: notices.iter().map(row).collect(),
        none: "None.",
    }
}

/// For whoever reloads the answer to a form.
pub(super) async fn back(_: Member) -> Response {
    crate::web::reply::see_other(CONSENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_for_a_state_that_there_is_or_for_all() {
        assert_eq!(asked("state=active"), "active");
        assert_eq!(asked("x=1&state=lapsing"), "lapsing");
        for strange in ["", "state=", "state=ACTIVE", "state=%00", "state=active'--", "other=active"] {
            assert_eq!(asked(strange), "", "{strange}");
        }
    }
}

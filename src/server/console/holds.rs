//! Legal holds, by four eyes: whoever asked cannot confirm.

use std::sync::Arc;

use axum::extract::State;
use domain::hold::{Event, State as HoldState};
use domain::ids::{ConsentId, HoldId};
use domain::staff::Action;
use store::holds::Hold;

use super::access::{Member, Order};
use super::banks::moment;
use super::page::{Answer, fail, form, missing, page, unfit};
use super::view::{Block, Cell, Field, Section, Tone};
use super::{CONSENTS, HOLDS};
use crate::app::App;
use crate::services::holds::{self, Whom};
use crate::web::headers::Segment;
use crate::web::reply::see_other;

/// Longest reference of a matter, in characters.
const MATTER_CHARS_MAX: usize = 120;

/// Every hold, and the form for another.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let found = holds::list(&app).await.map_err(fail(&member))?;
    let table = Block::Table {
        caption: "Holds".to_owned(),
        head: vec!["Matter", "State", "Asked by", "Asked", "Consents", "What you can do"],
        rows: found.iter().flat_map(|hold| rows(&member, hold)).collect(),
        none: "There are none.",
    };
    let mut sections = vec![Section::new("", vec![table])];
    if member.may(Action::MoveHolds) {
        let fields = vec![
            Field::text("consent", "Consent", 64),
            Field::text("matter", "Reference of the matter, without names", MATTER_CHARS_MAX),
        ];
        let ask = form(&member, "ask", HOLDS, "Ask for a hold", fields);
        sections.push(Section::new("Another hold", vec![Block::Form(ask)]));
    }
    let lead = "One member of staff asks, another confirms; it ends the same way.";
    Ok(page(&member, HOLDS, "Legal holds", lead, sections))
}

/// A row for the hold, with one button of what can be done; a further row for a further button.
fn rows(member: &Member, hold: &Hold) -> Vec<Vec<Cell>> {
    let consents = match hold.consents.as_slice() {
        [one] => Cell::code(one).to(format!("{CONSENTS}/{one}")),
        many => Cell::text(many.len()),
    };
    let mine = hold.machine.asked_by == member.staff.id;
    let deeds: &[(&str, &str)] = match (hold.machine.state, member.may(Action::MoveHolds)) {
        (HoldState::Asked | HoldState::LiftAsked, true) if mine => &[("take_back", "Take back")],
        (HoldState::Asked | HoldState::LiftAsked, true) => &[("confirm", "Confirm"), ("take_back", "Take back")],
        (HoldState::Placed, true) => &[("lift", "Ask for its end")],
        (HoldState::Asked | HoldState::LiftAsked | HoldState::Placed, false)
        | (HoldState::Lifted | HoldState::TakenBack, _) => &[],
    };
    let button = |(word, label): &(&str, &str)| {
        let fields = vec![Field::hidden("deed", word), Field::hidden("seen", hold.machine.state.word())];
        Cell::form(form(member, format!("{}-{word}", hold.id), format!("{HOLDS}/{}", hold.id), label, fields))
    };
    let mut deeds = deeds.iter().map(button);
    let first = vec![
        Cell::text(&hold.matter),
        state(hold.machine.state),
        if mine { Cell::text("you") } else { Cell::code(hold.machine.asked_by) },
        Cell::text(moment(hold.asked_at)),
        consents,
        deeds.next().unwrap_or_default(),
    ];
    let more = deeds.map(|deed| std::iter::repeat_n(Cell::default(), 5).chain([deed]).collect());
    [first].into_iter().chain(more).collect()
}

fn state(state: HoldState) -> Cell {
    let tone = match state {
        HoldState::Placed => Tone::Good,
        HoldState::Asked | HoldState::LiftAsked => Tone::Wait,
        HoldState::Lifted | HoldState::TakenBack => Tone::Quiet,
    };
    Cell::badge(tone, state.word())
}

/// Asks for one.
pub(super) async fn ask(State(app): State<Arc<App>>, order: Order) -> Answer {
    let member = &order.member;
    let Ok(consent) = order.fields.get("consent").trim().parse::<ConsentId>() else {
        return Err(unfit(member, "That is no id of a consent: they begin with cns_."));
    };
    let matter = order.fields.get("matter").trim();
    if matter.is_empty() || matter.chars().count() > MATTER_CHARS_MAX || matter.chars().any(char::is_control) {
        return Err(unfit(member, "Name the matter in 1 to 120 characters."));
    }
    holds::ask(&app, &member.staff, &Whom::Consent(consent), matter).await.map_err(fail(member))?;
    Ok(see_other(HOLDS))
}

/// Moves one.
pub(super) async fn act(State(app): State<Arc<App>>, Segment(id): Segment, order: Order) -> Answer {
    let member = &order.member;
    let Ok(id) = id.parse::<HoldId>() else { return Err(missing(member)) };
    let event = match order.fields.get("deed") {
        "confirm" => Event::Confirm,
        "lift" => Event::AskLift,
        "take_back" => Event::TakeBack,
        _ => return Err(unfit(member, "That cannot be done with a hold.")),
    };
    // A confirmation is of what was seen: meanwhile the same button may have come to mean the end of the hold.
    let Some(seen) = HoldState::parse(order.fields.get("seen")) else {
        return Err(unfit(member, "The page was not from here. Look at it again."));
    };
    holds::act(&app, &member.staff, id, event, Some(seen)).await.map_err(fail(member))?;
    Ok(see_other(HOLDS))
}

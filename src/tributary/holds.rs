//! `tributary holds`: data that the law wants kept although somebody may erase them.

use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use domain::hold::Event;
use domain::ids::{ConsentId, HoldId, ProductId};
use server::App;
use server::services::holds::{self, Whom};
use store::holds::Hold;

use crate::clock::SystemClock;
use crate::staff::Who;

/// Holds. While one stands nobody reads the data and nothing erases them; whoever withdraws is heard, and their erasure
/// runs when the last hold is lifted
#[derive(Debug, Subcommand)]
pub(crate) enum HoldsCommand {
    /// Every hold, and the consents that it is about
    List(crate::ConfigFile),
    /// Ask for a hold; it holds nothing until a second person confirms
    Ask(AskArgs),
    /// Say yes to what somebody else asked for: a hold, or its end
    Confirm(StepArgs),
    /// Ask for the end of a hold
    Lift(StepArgs),
    /// Say no to what was asked for
    TakeBack(StepArgs),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["consent", "psu"])))]
pub(crate) struct AskArgs {
    /// The data under one consent, `cns_…`
    #[arg(long)]
    consent: Option<ConsentId>,
    /// The data of a person, by the product's own reference: every consent until now
    #[arg(long, value_name = "REFERENCE", requires = "product")]
    psu: Option<String>,
    /// Whose reference that is, `prd_…`
    #[arg(long)]
    product: Option<ProductId>,
    /// The reference of the matter, as your files have it: no name and nothing from a bank
    #[arg(long)]
    matter: String,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    file: crate::ConfigFile,
}

#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// `hld_…`
    hold: HoldId,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    file: crate::ConfigFile,
}

/// Runs the command.
pub(crate) async fn run(command: HoldsCommand) -> anyhow::Result<()> {
    let file = match &command {
        HoldsCommand::List(file) => file,
        HoldsCommand::Ask(args) => &args.file,
        HoldsCommand::Confirm(args) | HoldsCommand::Lift(args) | HoldsCommand::TakeBack(args) => &args.file,
    };
    let (database, app) = server::open(crate::load(file)?, Arc::new(SystemClock)).await?;
    let told = perform(&app, command).await;
    drop(app);
    database.close().await?;
    crate::print(&told?)
}

async fn perform(app: &App, command: HoldsCommand) -> anyhow::Result<String> {
    let (args, event) = match command {
        HoldsCommand::List(_) => return Ok(holds::list(app).await?.iter().map(shown).collect()),
        HoldsCommand::Ask(args) => return ask(app, args).await,
        HoldsCommand::Confirm(args) => (args, Event::Confirm),
        HoldsCommand::Lift(args) => (args, Event::AskLift),
        HoldsCommand::TakeBack(args) => (args, Event::TakeBack),
    };
    let by = args.who.known(app).await?;
    let hold =
        holds::act(app, &by, args.hold, event, None).await.with_context(|| format!("{} is as it was", args.hold))?;
    Ok(shown(&hold))
}

async fn ask(app: &App, args: AskArgs) -> anyhow::Result<String> {
    let by = args.who.known(app).await?;
    let whom = match (args.consent, args.product, args.psu) {
        (Some(consent), _, _) => Whom::Consent(consent),
        (None, Some(product), Some(reference)) => Whom::Person(product, reference),
        (None, _, _) => anyhow::bail!("name a consent, or a product and its reference for a person"),
    };
    Ok(shown(&holds::ask(app, &by, &whom, &args.matter).await?))
}

fn shown(hold: &Hold) -> String {
    let mut text = format!("{}  {}  {}", hold.id, hold.machine.state.word(), hold.matter);
    for (word, at) in
        [("asked", Some(hold.asked_at)), ("placed", hold.placed_at), ("lifted", hold.lifted_at), ("ends", hold.ends_at)]
    {
        text += &at.map_or_else(String::new, |at| format!("  {word} {at:.0}"));
    }
    text += "\n";
    text + &hold.consents.iter().map(|consent| format!("    {consent}\n")).collect::<String>()
}

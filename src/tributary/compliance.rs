//! `tributary compliance`: what a compliance officer asks for. Nothing of it shows bank data.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use domain::ids::{ConsentId, InstitutionId, ProductId};
use domain::incident::Facts;
use jiff::{SignedDuration, Timestamp};
use server::App;
use server::services::compliance::incident::{self, About};
use server::services::compliance::{self, Search, calls, report};

use crate::clock::SystemClock;

/// Days that a report looks back if no time is named.
const LOOK_BACK_DAYS: i64 = 30;

/// For compliance officers: search, reports, the log of calls to banks, incidents. No bank data
#[derive(Debug, Subcommand)]
pub(crate) enum ComplianceCommand {
    /// Entries of the evidence log, one JSON object a line
    Search(SearchArgs),
    /// How many, how long, what is open and why
    Report(ReportArgs),
    /// Calls to banks by ground, and whether any account was read too often without its person
    Calls(PeriodArgs),
    /// What is known of an incident, with the clocks of DORA and the GDPR
    Incident(IncidentArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Period {
    /// From this moment on, RFC 3339; left out: 30 days ago
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this moment; left out: now
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Period {
    fn of(&self, now: Timestamp) -> anyhow::Result<(Timestamp, Timestamp)> {
        let from = match self.from {
            Some(from) => from,
            None => now.checked_sub(SignedDuration::from_hours(24 * LOOK_BACK_DAYS))?,
        };
        let until = self.until.unwrap_or(now);
        anyhow::ensure!(from < until, "--from must be before --until");
        Ok((from, until))
    }
}

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// About this consent, `cns_…`
    #[arg(long)]
    consent: Option<ConsentId>,
    /// About consents of a person, by the product's own reference
    #[arg(long, value_name = "REFERENCE", requires = "product")]
    psu: Option<String>,
    /// Whose reference that is, `prd_…`
    #[arg(long)]
    product: Option<ProductId>,
    /// About consents at this bank
    #[arg(long, value_name = "ID")]
    bank: Option<String>,
    /// Of this kind, or of one below it: `hold` means `hold.placed` too
    #[arg(long)]
    kind: Option<String>,
    /// From this moment on, RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    #[command(flatten)]
    file: crate::ConfigFile,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    period: Period,
    /// Also write it as a page that any browser opens
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    file: crate::ConfigFile,
}

#[derive(Debug, Args)]
pub(crate) struct PeriodArgs {
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    file: crate::ConfigFile,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentArgs {
    #[command(flatten)]
    period: Period,
    /// One bank alone
    #[arg(long, value_name = "ID")]
    bank: Option<String>,
    /// When you knew of it
    #[arg(long, value_name = "TIME")]
    aware: Timestamp,
    /// When it was classified as major, if it was
    #[arg(long, value_name = "TIME")]
    classified: Option<Timestamp>,
    /// When the initial notification was sent, if it was: the next clock starts there
    #[arg(long, value_name = "TIME")]
    notified: Option<Timestamp>,
    /// When the intermediate report was sent, if it was
    #[arg(long, value_name = "TIME")]
    reported: Option<Timestamp>,
    /// Personal data may have been breached
    #[arg(long)]
    personal_data: bool,
    #[command(flatten)]
    file: crate::ConfigFile,
}

/// Runs the command.
pub(crate) async fn run(command: ComplianceCommand) -> anyhow::Result<()> {
    let file = match &command {
        ComplianceCommand::Search(args) => &args.file,
        ComplianceCommand::Report(args) => &args.file,
        ComplianceCommand::Calls(args) => &args.file,
        ComplianceCommand::Incident(args) => &args.file,
    };
    let (database, app) = server::open(crate::load(file)?, Arc::new(SystemClock)).await?;
    let told = perform(&app, command).await;
    drop(app);
    database.close().await?;
    crate::print(&told?)
}

async fn perform(app: &App, command: ComplianceCommand) -> anyhow::Result<String> {
    let now = app.clock.now();
    Ok(match command {
        ComplianceCommand::Search(args) => searched(app, args).await?,
        ComplianceCommand::Report(args) => {
            let (from, until) = args.period.of(now)?;
            let report = report::of_period(app, from, until).await?;
            if let Some(path) = &args.html {
                std::fs::write(path, report.to_html()?).with_context(|| format!("cannot write {}", path.display()))?;
            }
            format!("{:#}\n", report.to_json())
        }
        ComplianceCommand::Calls(args) => {
            let (from, until) = args.period.of(now)?;
            format!("{}\n", serde_json::to_string_pretty(&calls::audit(app, from, until).await?)?)
        }
        ComplianceCommand::Incident(args) => {
            let (from, until) = args.period.of(now)?;
            let facts = Facts {
                aware_at: args.aware,
                classified_at: args.classified,
                initial_sent_at: args.notified,
                intermediate_sent_at: args.reported,
                personal_data: args.personal_data,
            };
            let institution = args.bank.as_deref().map(bank).transpose()?;
            format!("{:#}\n", incident::export(app, &About { from, until, institution, facts }).await?)
        }
    })
}

fn bank(id: &str) -> anyhow::Result<InstitutionId> {
    InstitutionId::new(id).with_context(|| format!("{id:?} is no id of a bank; `tributary banks list` names them"))
}

async fn searched(app: &App, args: SearchArgs) -> anyhow::Result<String> {
    let search = Search {
        consent: args.consent,
        person: args.product.zip(args.psu),
        institution: args.bank.as_deref().map(bank).transpose()?,
        kind: args.kind,
        from: args.from,
        until: args.until,
    };
    let mut text = String::new();
    for found in compliance::search(app, &search).await? {
        text += &serde_json::to_string(&found)?;
        text.push('\n');
    }
    Ok(text)
}

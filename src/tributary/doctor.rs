//! `tributary doctor`: what is wrong with this installation, and what to do.

use std::sync::Arc;

use anyhow::bail;
use domain::world::Clock;
use server::doctor::{Finding, Health, examine};

use crate::clock::SystemClock;

/// How to look.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    file: crate::ConfigFile,
    /// One JSON object a finding
    #[arg(long)]
    json: bool,
}

/// Looks, tells, and fails when anything does not work.
pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<()> {
    let findings = match crate::load(&args.file) {
        Ok(config) => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            examine(&config, &clock).await
        }
        Err(error) => vec![Finding {
            about: "settings".to_owned(),
            health: Health::Bad,
            seen: format!("{error:#}"),
            cure: Some("mend the key that is named; `tributary config default` explains each".to_owned()),
        }],
    };
    let lines: Vec<String> = findings.iter().map(if args.json { as_json } else { as_text }).collect();
    crate::print(&(lines.join("\n") + "\n"))?;
    match findings.iter().filter(|finding| finding.health == Health::Bad).count() {
        0 => Ok(()),
        1 => bail!("one thing does not work"),
        many => bail!("{many} things do not work"),
    }
}

fn as_json(finding: &Finding) -> String {
    serde_json::json!({
        "about": finding.about, "health": finding.health.as_str(), "seen": finding.seen, "cure": finding.cure,
    })
    .to_string()
}

fn as_text(finding: &Finding) -> String {
    let mark = match finding.health {
        Health::Good => "ok   ",
        Health::Warning => "soon ",
        Health::Bad => "WRONG",
    };
    let cure = finding.cure.as_ref().map(|cure| format!("\n        do: {cure}")).unwrap_or_default();
    format!("{mark}  {}: {}{cure}", finding.about, finding.seen)
}

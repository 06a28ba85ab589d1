//! `tributary bench`: the speed of what is below, each figure beside the limit that the same machine allows at that moment.
//!
//! A ratio is taken in one run: a round of ours, a round of the limit, in turn, and the medians of both. So a busy or slow
//! machine moves both and the ratio hardly at all. What computes and waits for nobody is measured by the time that its thread
//! ran: a round that is longer than a turn of the scheduler would pay for what others do, and a shorter one would not.

#![expect(clippy::float_arithmetic, reason = "figures are measured durations and their ratios, not money")]

mod enrich;
mod erase;
mod ingest;
mod login;
mod normalize;
mod page;
mod parse;
mod query;
mod serve;
mod site;
mod verify;

use std::fmt;
use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::world::Clock as _;
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock::SystemClock;

/// Measures as far as it is told.
type Measure = fn(Extent) -> anyhow::Result<Vec<Figure>>;

/// How far a bench goes.
#[derive(Clone, Copy)]
struct Extent {
    /// Rounds of a figure.
    rounds: usize,
    /// Rows of the largest table.
    rows_max: usize,
}

/// Rounds of a figure. Medians of fewer differ from run to run.
const ROUNDS: usize = 30;

/// Benches by name. Each may give several figures.
const BENCHES: [(&str, Measure); 10] = [
    ("parse", |extent| parse::measure(extent.rounds)),
    ("normalize", |extent| normalize::measure(extent.rounds)),
    ("enrich", |extent| enrich::measure(extent.rounds)),
    ("login", |extent| login::measure(extent.rounds)),
    ("verify", |extent| verify::measure(extent.rounds)),
    ("erase", |extent| erase::measure(extent.rounds)),
    ("ingest", |extent| ingest::measure(extent.rounds)),
    ("query", |extent| query::measure(extent.rounds)),
    ("serve", |extent| serve::measure(extent.rounds)),
    ("query-growth", |extent| query::measure_growth(extent.rounds, extent.rows_max)),
];

/// Measures and compares with the goals. Build with --release: a debug build says nothing about speed. Ends well when it
/// has measured, whether a goal is met or not.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Which bench: parse, normalize, enrich, login, verify, erase, ingest, query, serve, query-growth; all without it
    #[arg(value_name = "NAME", value_parser = BENCHES.map(|(name, _)| name))]
    name: Option<String>,
    /// JSON, with the machine's name, in place of a table
    #[arg(long)]
    json: bool,
    /// A file to which the report is added as one line of JSON, so that figures can be followed over time
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The commit that was measured, for the history
    #[arg(long, value_name = "ID", requires = "history")]
    commit: Option<String>,
    /// Rows of the largest table of query-growth; ten million take some fifteen gigabytes of disk
    #[arg(long, value_name = "ROWS", default_value_t = 10_000_000)]
    rows_max: usize,
}

/// Runs the benches and prints what they found.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    let extent = Extent { rounds: ROUNDS, rows_max: args.rows_max };
    for (name, measure) in BENCHES.iter().filter(|(name, _)| args.name.as_deref().is_none_or(|wanted| wanted == *name))
    {
        if std::io::stderr().is_terminal() {
            eprintln!("measuring {name} …");
        }
        figures.extend(measure(extent)?);
    }
    let told: Vec<Value> = figures.iter().map(Figure::to_json).collect();
    let report = json!({"machine": Machine::here(), "build": build(), "figures": told});
    if let Some(history) = &args.history {
        let at = SystemClock.now();
        let line = json!({"at": at.to_string(), "commit": args.commit, "report": report});
        remember(history, &line).with_context(|| history.display().to_string())?;
    }
    if args.json {
        return super::print(&format!("{report:#}\n"));
    }
    let mut table = String::new();
    for figure in &figures {
        table.push_str(&format!("{figure}\n"));
    }
    if build() == "debug" {
        table.push_str("This is a debug build: its figures say nothing. Build with --release.\n");
    }
    super::print(&table)
}

/// Adds a line to a file, which is made where there is none.
fn remember(history: &Path, line: &Value) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(history)?;
    file.write_all(format!("{line}\n").as_bytes())
}

const fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// What a figure must be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// No more.
    AtMost(f64),
    /// No less.
    AtLeast(f64),
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// One measured figure.
pub(crate) struct Figure {
    /// Its name, that of `tributary bench NAME` or begun by it.
    pub(crate) name: &'static str,
    /// What was measured, and against what.
    pub(crate) what: &'static str,
    /// The value, in `unit`.
    pub(crate) value: f64,
    /// `×` for a ratio, `/s` for a rate, `ms` and `MiB` for what is compared with nothing.
    pub(crate) unit: &'static str,
    /// What it must be.
    pub(crate) goal: Goal,
    /// What it was computed from, for whoever doubts it.
    pub(crate) beside: Vec<(&'static str, f64)>,
}

impl Figure {
    fn to_json(&self) -> Value {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let beside: Map<String, Value> =
            self.beside.iter().map(|(name, value)| ((*name).to_owned(), round(*value).into())).collect();
        json!({
            "name": self.name,
            "what": self.what,
            "value": round(self.value),
            "unit": self.unit,
            "goal": self.goal.to_string(),
            "met": self.goal.is_met_by(self.value),
            "beside": beside,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.unit == "×" { 2 } else { 0 };
        let value = format!("{:.digits$} {}", self.value, self.unit);
        let met = if self.goal.is_met_by(self.value) { "met" } else { "missed" };
        write!(f, "{:<18} {value:>14}   {:<10} {met:<7} {}", self.name, self.goal.to_string(), self.what)
    }
}

/// The machine, so that two reports can be told apart.
#[derive(Serialize)]
struct Machine {
    name: String,
    processor: String,
    cores: usize,
    system: &'static str,
}

impl Machine {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        let known = |text: &str| if text.trim().is_empty() { "unknown".to_owned() } else { text.trim().to_owned() };
        Self {
            name: known(&read("/proc/sys/kernel/hostname")),
            processor: known(model.map_or(std::env::consts::ARCH, |(_, model)| model)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: std::env::consts::OS,
        }
    }
}

/// Time spent on one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent(Duration);

impl Spent {
    /// Microseconds.
    pub(crate) fn micros(self) -> f64 {
        self.0.as_secs_f64() * 1e6
    }

    /// How many things a second, when a round does so many.
    pub(crate) fn a_second(self, things: usize) -> f64 {
        things as f64 / self.0.as_secs_f64()
    }
}

/// Medians of rounds that were taken in turn.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    ours: Spent,
    limit: Spent,
}

impl Pair {
    /// Of times that were taken elsewhere, in turn.
    pub(crate) fn of(ours: Vec<Duration>, limit: Vec<Duration>) -> Self {
        Self { ours: median(ours), limit: median(limit) }
    }

    /// Ours as a multiple of the limit.
    pub(crate) fn ratio(self) -> f64 {
        self.ours.micros() / self.limit.micros()
    }

    /// Both sides as rates of so many things.
    pub(crate) fn rates(self, things: usize) -> Vec<(&'static str, f64)> {
        vec![("ours_a_second", self.ours.a_second(things)), ("limit_a_second", self.limit.a_second(things))]
    }

    /// Both sides.
    pub(crate) fn beside(self) -> Vec<(&'static str, f64)> {
        vec![("ours_us", self.ours.micros()), ("limit_us", self.limit.micros())]
    }
}

/// Measures two things in turn that compute on this thread, after one round of each that does not count.
pub(crate) fn against<A, B>(rounds: usize, ours: impl FnMut() -> A, limit: impl FnMut() -> B) -> Pair {
    in_turn(rounds, computed, ours, limit)
}

/// Measures two things in turn that wait for other threads, after one round of each that does not count.
pub(crate) fn against_waited<A, B>(rounds: usize, ours: impl FnMut() -> A, limit: impl FnMut() -> B) -> Pair {
    in_turn(rounds, passed, ours, limit)
}

fn in_turn<A, B>(
    rounds: usize,
    clock: fn() -> Duration,
    mut ours: impl FnMut() -> A,
    mut limit: impl FnMut() -> B,
) -> Pair {
    black_box((ours(), limit()));
    let (ours, limit) = (0..rounds).map(|_| (once(clock, &mut ours), once(clock, &mut limit))).unzip();
    Pair { ours: median(ours), limit: median(limit) }
}

/// Measures one thing that computes on this thread, after one round that does not count.
pub(crate) fn alone<A>(rounds: usize, mut ours: impl FnMut() -> A) -> Spent {
    black_box(ours());
    median((0..rounds).map(|_| once(computed, &mut ours)).collect())
}

fn once<A>(clock: fn() -> Duration, work: &mut impl FnMut() -> A) -> Duration {
    let begin = clock();
    black_box(work());
    clock().saturating_sub(begin)
}

/// How long this thread has computed. A kernel without that clock has none, and every figure shows it.
fn computed() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// How long the machine has been up.
fn passed() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Measures what waits for somebody else.
#[expect(clippy::disallowed_methods, reason = "measures the machine itself")]
pub(crate) async fn waited<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    black_box(work.await?);
    Ok(begin.elapsed())
}

/// The runtime of a bench that waits for a database.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")
}

fn median(mut times: Vec<Duration>) -> Spent {
    times.sort_unstable();
    Spent(times.get(times.len() / 2).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_gives_a_figure_that_agrees_with_its_goal() {
        for figure in parse::measure(1).unwrap() {
            assert!(figure.value > 0.0 && figure.value.is_finite(), "{}", figure.name);
            assert_eq!(figure.to_json()["met"], figure.goal.is_met_by(figure.value));
        }
    }

    #[test]
    fn a_history_grows_by_a_line_a_report() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.jsonl");
        for commit in ["a", "b"] {
            remember(&file, &json!({"commit": commit})).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let commits: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(commits, [json!({"commit": "a"}), json!({"commit": "b"})]);
    }

    #[test]
    fn a_goal_has_two_sides_and_a_median_is_in_the_middle() {
        assert!(Goal::AtMost(1.5).is_met_by(1.5) && !Goal::AtMost(1.5).is_met_by(1.51));
        assert!(Goal::AtLeast(2.0).is_met_by(2.0) && !Goal::AtLeast(2.0).is_met_by(1.9));
        let times = [9, 1, 2].map(Duration::from_micros).to_vec();
        assert!((median(times).micros() - 2.0).abs() < 1e-9);
    }
}

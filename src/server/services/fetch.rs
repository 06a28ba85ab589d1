//! Fetching: accounts, balances and transactions of one consent.
//!
//! A run that was killed goes on with the lines it had not finished, each from its first page: which row is which payment
//! is known of a whole reading alone. What the bank refuses for one account never costs the others.

mod budget;
pub(super) mod transactions;
mod why;

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bank_adapters::answer::{AccountRow, Continuation};
use bank_adapters::ask::{BankConsentId, NextLink, PsuPresent, ResourceId};
use bank_adapters::error::{BankError, Breach, Reached};
use domain::consent::Event;
use domain::ids::{ConsentId, JobId, LineId};
use domain::limits;
use domain::policy::end_of_day;
use domain::records::{NormalizedBalance, ParsedAccount};
use domain::rules::Rules;
use fapi::token::Tokens;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::bank_limits::{self, Limit};
use store::budgets::Budget;
use store::consents::Consent;
use store::fetches::{Run, RunState};
use store::grants::Grant;
use store::lines::{Details, Known, NewLine, Resource, Writer};
use store::raw_pages::Answer;
use store::{StoreError, budgets, consents, fetches, grants, jobs, lines};
use uuid::Uuid;
use vault::DataKey;

pub(crate) use budget::{Allowance, allowance};
use budget::{reads, unattended_reads};

use self::transactions::Rows;
use self::why::{note, put_off};
use crate::app::App;
use crate::bank_calls::{self, Basis, CallError, Context, Occasion, Part};
use crate::connections::Connection;
use crate::evidence_log::{self, About};
use crate::fault;
use crate::keys::TenantKeys;
use crate::rule_set;
use crate::services::refresh::{self, Live};
use crate::services::renewals::{self, Meanwhile};
use crate::services::{ServiceError, consents as moves, events as telling, logins, raw_rows, status};

/// Until a consent that moved while it was fetched is fetched again.
const MOVED_PAUSE_SECONDS: i64 = 30;
/// How long we wait where a bank asks us to and does not say how long.
const PAUSE_SECONDS: i64 = 15 * 60;
/// A run that began longer ago is not gone on with but begun anew, in seconds: what it had read is old by now.
const RESUME_SECONDS: i64 = 60 * 60;
/// How long after a bank's rest we begin to come back, in seconds.
const SPREAD_SECONDS: i64 = 4;

/// The pages that were read of one list. No honest list comes back to a page, and a bank that does would be read for ever.
#[derive(Default)]
struct Trail(HashSet<NextLink>);

impl Trail {
    fn follow(&mut self, link: NextLink) -> Result<NextLink, CallError> {
        if self.0.insert(link.clone()) {
            Ok(link)
        } else {
            Err(CallError::Bank(BankError::Contract(Breach::LoopingLink("next"))))
        }
    }
}

/// What is to be done with the work afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more.
    Done,
    /// It did not come to its end: again at that moment.
    Again(Timestamp),
    /// It came to its end, and is due anew at that moment. If it was a job, the queue says so already: the transaction
    /// that ended the one ended the other.
    Next(Timestamp),
}

/// Everything that one run needs at hand.
struct Fetch<'a> {
    app: &'a App,
    occasion: Occasion<'a>,
    consent: Consent,
    bank_consent: BankConsentId,
    tokens: Option<Tokens>,
    psu: Option<PsuPresent>,
    rules: &'a Rules,
    rule_set: String,
    run: Uuid,
    job: Option<&'a jobs::Job>,
    /// Lines to which the consent is confined, where its grant was authorised for another product's: what the person let
    /// that one read is not for this one.
    confined_to: Option<HashSet<LineId>>,
    /// Whether the bank has answered a read, and so has counted this one.
    is_read: AtomicBool,
    /// What came of the rows that it gave.
    rows: Rows,
    /// Numbers of the accounts under the consent, as the bank has listed them: money between them is the person's own.
    numbers: OnceLock<Vec<(LineId, String)>>,
}

/// A run that may go on.
struct Begun {
    run: Uuid,
    /// The bank's day whose reads it is one of, if it is counted.
    day: Option<Date>,
}

/// Fetches what the consent allows. Does nothing when it no longer allows anything.
///
/// # Errors
/// Our own trouble; what the bank does is part of the verdict.
pub async fn run(app: &App, about: About) -> Result<Verdict, ServiceError> {
    perform(app, about, None).await
}

/// Fetches for a job, and ends the job in the transaction that ends the fetch: a node that dies right afterwards leaves
/// nothing to be repeated.
///
/// # Errors
/// As [`run`]; also [`StoreError::Raced`] when another node has taken the job over.
pub async fn run_job(app: &App, job: &jobs::Job) -> Result<Verdict, ServiceError> {
    perform(app, About { tenant: job.tenant, consent: ConsentId::from_uuid(job.subject) }, Some(job)).await
}

async fn perform(app: &App, about: About, job: Option<&jobs::Job>) -> Result<Verdict, ServiceError> {
    let Some((consent, grant, key)) = allowed(app, about).await? else { return Ok(Verdict::Done) };
    let connection = logins::connection(app, &grant.registration)?;
    let psu = app.present(about.consent);
    if let (None, Meanwhile::UnderWay(until)) =
        (&psu, renewals::meanwhile(app, about.tenant, about.consent, consent.grant).await?)
    {
        // Parked: the bank may end this authorisation at any moment, and the person is about to bring a new one.
        return Ok(Verdict::Again(until));
    }
    let basis = if psu.is_some() { Basis::PsuPresent } else { Basis::Unattended };
    let occasion = Occasion { connection: &connection, about, basis };
    let bank_consent = logins::bank_consent(&grant, about.tenant, &key)?;
    let worker = job.map(|job| job.id.uuid());
    let tokens = match refresh::live(app, &occasion, &grant, &key, worker).await {
        Ok(Live::Tokens(tokens)) => Some(*tokens),
        Ok(Live::NotNeeded) => None,
        Ok(Live::Later(at)) => return Ok(Verdict::Again(at)),
        Err(ServiceError::Call(error)) => {
            note(app, about, &error).await?;
            return settle(app, &occasion, &grant, &bank_consent, error).await;
        }
        // Closed, or moved by somebody else, while the token was renewed.
        Err(ServiceError::Store(StoreError::NotAllowed)) => return Ok(Verdict::Done),
        Err(error) => return Err(error),
    };
    let Begun { run, day } = match begin(app, about, &grant, &occasion).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(tomorrow)) => return Ok(Verdict::Again(tomorrow)),
        Err(ServiceError::Store(StoreError::NotAllowed)) => return Ok(Verdict::Done),
        Err(error) => return Err(error),
    };
    let rules = &connection.bank.profile().rules;
    let rule_set = rule_set::of(rules);
    let confined_to = if grant.psu == consent.psu { None } else { Some(granted(app, about).await?) };
    let (is_read, rows, numbers) = (AtomicBool::new(false), Rows::default(), OnceLock::new());
    let fetch = Fetch {
        app,
        occasion,
        consent,
        bank_consent,
        tokens,
        psu,
        rules,
        rule_set,
        run,
        job,
        confined_to,
        is_read,
        rows,
        numbers,
    };
    match fetch.all().await {
        Ok((state, listed)) => fetch.finish(state, &listed).await,
        Err(ServiceError::Call(error)) if !matches!(error, CallError::Ours(_)) => {
            note(app, about, &error).await?;
            if let Some(until) = match (&error, day) {
                (CallError::Bank(error), Some(day)) => used_up(app, &fetch.occasion, &grant, day, error).await?,
                _ => None,
            } {
                return Ok(Verdict::Again(until));
            }
            let counted = fetch.is_read.load(Ordering::Relaxed) || !error.is_no_read();
            if let Some(day) = day.filter(|_| !counted) {
                give_back(app, about, &grant, day).await?;
            }
            settle(app, &fetch.occasion, &grant, &fetch.bank_consent, error).await
        }
        Err(ServiceError::Store(StoreError::NotAllowed)) => stopped(app, about, run).await,
        Err(error) => Err(error),
    }
}

/// What a refused read of a day says: the bank counts fewer than we have made of this grant. Its limit holds for every grant,
/// so that no other one has to run into it. Gives when the bank may be asked again: on its next day where it means the day
/// for certain, since it says so or has refused twice without a word. `None` where it was no limit, or the bank says until
/// when.
async fn used_up(
    app: &App,
    occasion: &Occasion<'_>,
    grant: &Grant,
    day: Date,
    error: &BankError,
) -> Result<Option<Timestamp>, ServiceError> {
    let reached = match (error.limit(), error) {
        (Some(Reached::Unnamed), BankError::Wait { until: Some(_), .. }) | (None, _) => return Ok(None),
        (Some(reached), _) => reached,
    };
    let (now, zone) = (app.clock.now(), &occasion.connection.zone);
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let refused = Budget { operation: "refused", ..reads(grant, day) };
    let times = budgets::take(&mut tx, refused, i32::MAX).await?.unwrap_or_default();
    let mut again = later(now, app, bank_calls::SLOW_SECONDS);
    if reached == Reached::Consent || times > 1 {
        // Refused reads were taken from the budget like all others.
        let made = budgets::used(&mut tx, reads(grant, day)).await? - times;
        let made = u16::try_from(made).unwrap_or_default();
        // None made says that the bank's day is not ours, and nothing about how many it allows.
        if (1..u16::from(unattended_reads(app, occasion.connection))).contains(&made) {
            bank_limits::learn(&mut tx, &grant.registration, Limit::UnattendedPerDay, made, now).await?;
        }
        again = end_of_day(day, zone).max(now);
        telling::deferred(&mut tx, &app.world(), occasion.about.consent, again).await?;
    }
    tx.commit().await?;
    Ok(Some(again))
}

/// The lines that are under a consent already.
async fn granted(app: &App, about: About) -> Result<HashSet<LineId>, ServiceError> {
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    Ok(lines::granted(&mut tx, about.consent).await?.into_iter().map(|(line, _)| line).collect())
}

/// The consent was closed, or moved, while we worked: whatever we still held is dropped. Its erasure may have taken the
/// run away. A consent that still lives is fetched again.
async fn stopped(app: &App, about: About, run: Uuid) -> Result<Verdict, ServiceError> {
    let now = app.clock.now();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    match fetches::finish(&mut tx, run, RunState::Stopped, Some("consent_moved"), now).await {
        Ok(()) | Err(StoreError::Raced) => tx.commit().await?,
        Err(error) => return Err(error.into()),
    }
    let again = now.saturating_add(SignedDuration::from_secs(MOVED_PAUSE_SECONDS)).unwrap_or(now);
    Ok(if allowed(app, about).await?.is_some() { Verdict::Again(again) } else { Verdict::Done })
}

async fn allowed(app: &App, about: About) -> Result<Option<(Consent, Grant, DataKey)>, ServiceError> {
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let consent = consents::get(&mut tx, about.consent).await?;
    let Some(grant) = consent.grant.filter(|_| consent.machine.may_fetch(app.clock.now())) else { return Ok(None) };
    let grant = grants::get(&mut tx, grant).await?;
    let Some(wrapped) = grant.key.clone().filter(|_| grant.state.may_fetch()) else { return Ok(None) };
    tx.commit().await?;
    let key = app.vault.open_key(about.tenant, &wrapped)?;
    Ok(Some((consent, grant, key)))
}

/// The run that was under way, or a new one. Unattended runs are counted by the bank's day: when they are used up, the
/// next day begins at the moment that is given instead.
async fn begin(
    app: &App,
    about: About,
    grant: &Grant,
    occasion: &Occasion<'_>,
) -> Result<Result<Begun, Timestamp>, ServiceError> {
    let basis = occasion.basis;
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    // Locked, so that no run begins behind an erasure that has counted them already.
    if !consents::lock(&mut tx, about.consent).await?.machine.may_fetch(world.now) {
        return Err(StoreError::NotAllowed.into());
    }
    // Before a run that another node began and did not end is looked for: to go on with it asks the bank for the accounts
    // again, and the bank counts that.
    let (mut taken, mut counted_on) = (None, None);
    if basis == Basis::Unattended {
        let Allowance { day, limit, resets_at: next, .. } = allowance(app, &mut tx, grant, occasion.connection).await?;
        let used = budgets::take(&mut tx, reads(grant, day), limit).await?;
        taken = used.map(|used| json!({ "day": day.to_string(), "limit": limit, "before": used - 1, "after": used }));
        if used.is_none() {
            put_off(&mut tx, &world, about.consent, next).await?;
            tx.commit().await?;
            return Ok(Err(next));
        }
        counted_on = Some(day);
    }
    let latest = fetches::latest(&mut tx, about.consent).await?;
    if let Some(open) = latest.filter(|run| run.state == RunState::Running && run.grant == grant.id) {
        if world.now.duration_since(open.started_at).as_secs() < RESUME_SECONDS {
            tx.commit().await?;
            return Ok(Ok(Begun { run: open.id, day: counted_on }));
        }
        fetches::finish(&mut tx, open.id, RunState::Partial, open.error_code.as_deref(), world.now).await?;
    }
    let run = Run {
        id: world.uuid(),
        consent: about.consent,
        grant: grant.id,
        attended: basis == Basis::PsuPresent,
        basis: basis.word().to_owned(),
        state: RunState::Running,
        error_code: None,
        started_at: world.now,
        finished_at: None,
    };
    fetches::begin(&mut tx, &run).await?;
    let body = json!({ "run": run.id.to_string(), "grant": grant.id.to_string(), "basis": basis.word(),
        "budget": taken });
    evidence_log::record(app, &mut tx, &world, about.consent, "fetch.begun", &body).await?;
    tx.commit().await?;
    fault::point("fetch.begun");
    Ok(Ok(Begun { run: run.id, day: counted_on }))
}

/// A fetch came to nothing before the bank read anything. `day`: the one that it was counted on, which may be over by now.
async fn give_back(app: &App, about: About, grant: &Grant, day: Date) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    budgets::give_back(&mut tx, reads(grant, day)).await?;
    tx.commit().await?;
    Ok(())
}

impl Fetch<'_> {
    /// What accompanies a call about one account, or about all of them.
    fn context(&self, account: Option<LineId>) -> Context {
        let context = self.occasion.context(self.tokens.as_ref(), self.psu.as_ref(), &self.app.world());
        let part = Part { run: Some(self.run), grant: self.consent.grant, account };
        context.since(self.consent.sca_at).part_of(part)
    }

    /// Every account; what fails for one is noted and the others go on.
    /// Gives also the accounts that the bank lists, as far as they are under the consent.
    async fn all(&self) -> Result<(RunState, Vec<LineId>), ServiceError> {
        let (mut listed, mut numbers) = (Vec::new(), Vec::new());
        for row in self.accounts().await? {
            if let Some(line) = self.line_for(&row).await? {
                listed.push(line);
                numbers.extend(transactions::number(details(&row.row.parsed)).map(|number| (line, number)));
            }
        }
        self.numbers.get_or_init(|| numbers);
        fault::point("fetch.accounts_stored");
        let (resources, done) = self.open_lines().await?;
        let (mut whole, mut partial, mut broken) = (0, 0, 0);
        // What the bank no longer lists keeps its data and is not asked for: its id at the bank may be another's by now.
        for resource in resources.iter().filter(|resource| listed.contains(&resource.line.id)) {
            if done.contains(&resource.line.id) {
                whole += 1;
                continue;
            }
            match self.line(resource).await {
                Ok(None) => whole += 1,
                Ok(Some(code)) => {
                    partial += 1;
                    self.line_failed(resource.line.id, code).await?;
                }
                Err(ServiceError::Call(CallError::Bank(error))) if is_about_one_account(&error) => {
                    broken += 1;
                    self.line_failed(resource.line.id, error.code()).await?;
                }
                // Its holder took the account out meanwhile; the others go on.
                Err(ServiceError::Store(StoreError::NotFound(_))) => {}
                Err(error) => return Err(error),
            }
        }
        let state = match (whole, partial, broken) {
            (_, 0, 0) => RunState::Done,
            (0, 0, _) => RunState::Failed,
            _ => RunState::Partial,
        };
        Ok((state, listed))
    }

    /// The bank's list of accounts, page by page, as far as the limit goes.
    async fn accounts(&self) -> Result<Vec<AccountRow>, ServiceError> {
        let (mut rows, mut next, mut trail) = (Vec::new(), None, Trail::default());
        while rows.len() < limits::ACCOUNTS_PER_CONSENT_MAX {
            let context = self.context(None);
            let call = self.occasion.connection.bank.accounts(&self.bank_consent, next.as_ref(), &context);
            let page = bank_calls::to_bank(self.app, &self.occasion, "accounts", &context, call).await?;
            self.is_read.store(true, Ordering::Relaxed);
            rows.extend(page.rows);
            match page.next {
                Continuation::End => break,
                Continuation::Next(link) => next = Some(trail.follow(link)?),
                Continuation::Broken(breach) => return Err(CallError::Bank(BankError::Contract(breach)).into()),
            }
        }
        rows.truncate(limits::ACCOUNTS_PER_CONSENT_MAX);
        Ok(rows)
    }

    async fn open_lines(&self) -> Result<(Vec<Resource>, Vec<LineId>), ServiceError> {
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let mut resources = lines::resources(&mut tx, self.consent.id).await?;
        // Whoever was read longest ago comes first: no limit of a bank keeps the same ones waiting.
        resources.sort_by_key(|resource| resource.line.freshness.transactions_as_of);
        let progress = fetches::progress(&mut tx, self.run).await?;
        tx.commit().await?;
        let done = progress.into_iter().filter(|line| line.done).map(|line| line.line).collect();
        Ok((resources, done))
    }

    /// Finds or makes the line of an account and puts it under the consent. Accounts that the person took out are
    /// dropped here, before anything of them is stored.
    async fn line_for(&self, row: &AccountRow) -> Result<Option<LineId>, ServiceError> {
        let (Some(resource), Some(identity)) = (&row.resource, account_identity(&row.row.parsed)) else {
            tracing::warn!(bank.id = %self.occasion.connection.institution, "the bank lists an account without an id or a number");
            return Ok(None);
        };
        let world = self.app.world();
        let tenant = self.occasion.about.tenant;
        let mut tx = self.app.store.tenant_tx(tenant).await?;
        let account_tag = TenantKeys::lookup(self.app, &mut tx, &world).await?.mac("line.account", identity.as_bytes());
        let details = details(&row.row.parsed);
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        let known = writer.look_up(&account_tag).await?;
        let is_for_us = |line: Option<&LineId>| {
            self.confined_to.as_ref().is_none_or(|lines| line.is_some_and(|line| lines.contains(line)))
        };
        let (line, key) = match known {
            Known::Removed => return Ok(None),
            Known::Line(line, _) if !is_for_us(Some(&line)) => return Ok(None),
            Known::New if !is_for_us(None) => return Ok(None),
            Known::Line(line, wrapped) => {
                let key = self.app.vault.open_key(tenant, &wrapped)?;
                writer.grant(line, &key, resource.as_str().as_bytes(), &world).await?;
                (line, key)
            }
            Known::New => {
                let (key, wrapped) = self.app.vault.new_key(tenant, &world)?;
                let id = LineId::new(&world);
                let line = NewLine { id, account_tag, key: &key, wrapped: &wrapped, details: &details };
                writer.create(&line, &world).await?;
                writer.grant(id, &key, resource.as_str().as_bytes(), &world).await?;
                (id, key)
            }
        };
        writer.line(line).await?.set_details(&key, &details, &world).await?;
        tx.commit().await?;
        Ok(Some(line))
    }

    fn grant(&self) -> Result<domain::ids::GrantId, ServiceError> {
        Ok(self.consent.grant.ok_or(StoreError::NotAllowed)?)
    }

    /// Balances, then transactions, newest first as the bank orders them. Gives why something is missing, where that is
    /// about this account alone: without its balances its transactions are read all the same.
    async fn line(&self, resource: &Resource) -> Result<Option<&'static str>, ServiceError> {
        let tenant = self.occasion.about.tenant;
        let key = self.app.vault.open_key(tenant, &resource.line.key)?;
        let opened = resource.resource_id(tenant, &key)?;
        let id = std::str::from_utf8(&opened).ok().and_then(|text| ResourceId::new(text).ok());
        let id = id.ok_or(StoreError::Corrupt { table: "consent_line", column: "sealed_resource_id" })?;
        let mut tx = self.app.store.tenant_tx(tenant).await?;
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        writer.line(resource.line.id).await?.begin(self.run, self.consent.id).await?;
        tx.commit().await?;
        let mut lacking = None;
        if self.has("balances") {
            match self.balances(resource, &key, &id).await {
                Err(ServiceError::Call(CallError::Bank(error)))
                    if self.has("transactions") && is_about_one_account(&error) =>
                {
                    lacking = Some(error.code());
                }
                other => other?,
            }
        }
        if self.has("transactions") {
            lacking = self.transactions(resource, &key, &id).await?.or(lacking);
        }
        Ok(lacking)
    }

    /// Rows as they came, to be kept until their retention ends.
    fn answer<'b>(&self, kind: &'b str, body: &'b [u8], now: Timestamp) -> Answer<'b> {
        let expires_at = now.saturating_add(SignedDuration::from_hours(24 * i64::from(limits::RAW_RETENTION_DAYS)));
        Answer { fetch: self.run, kind, body, expires_at: expires_at.unwrap_or(now) }
    }

    fn has(&self, cluster: &str) -> bool {
        self.consent.clusters.iter().any(|given| given == cluster)
    }

    async fn balances(&self, resource: &Resource, key: &DataKey, id: &ResourceId) -> Result<(), ServiceError> {
        let context = self.context(Some(resource.line.id));
        let call = self.occasion.connection.bank.balances(&self.bank_consent, id, &context);
        let answer = bank_calls::to_bank(self.app, &self.occasion, "balances", &context, call).await?;
        let records: Vec<NormalizedBalance> =
            answer.rows.iter().filter_map(|row| normalize::balance(&row.parsed, self.rules).ok()).collect();
        if records.len() < answer.rows.len() {
            let unread = answer.rows.len() - records.len();
            tracing::warn!(bank.id = %self.occasion.connection.institution, unread, "balances that could not be read");
        }
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        let mut line = writer.line(resource.line.id).await?;
        line.put_balances(self.run, key, &records, &world).await?;
        let raw = raw_rows::array(answer.rows.iter().map(|row| row.raw.as_bytes()));
        line.put_raw_page(key, self.answer("balances", &raw, world.now), &world).await?;
        tx.commit().await?;
        fault::point("fetch.balances_stored");
        Ok(())
    }

    async fn line_failed(&self, line: LineId, code: &str) -> Result<(), ServiceError> {
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        writer.line(line).await?.failed(self.run, code).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends the run and its job; the first one that brought anything makes the consent active.
    async fn finish(&self, state: RunState, listed: &[LineId]) -> Result<Verdict, ServiceError> {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let before = consents::lock(&mut tx, self.consent.id).await?;
        fetches::finish(&mut tx, self.run, state, None, world.now).await?;
        let progress = fetches::progress(&mut tx, self.run).await?;
        let body = json!({
            "run": self.run.to_string(),
            "basis": self.occasion.basis.word(),
            "result": state.word(),
            "accounts": progress.len(),
            "rows_seen": progress.iter().map(|line| line.rows_seen).sum::<i64>(),
            "rows_new": progress.iter().map(|line| line.rows_new).sum::<i64>(),
        });
        evidence_log::record(self.app, &mut tx, &world, self.consent.id, "data.fetched", &body).await?;
        telling::fetched(&mut tx, &world, &before, state, &progress).await?;
        if state != RunState::Failed && before.machine.may_fetch(world.now) {
            moves::advance(self.app, &mut tx, &world, &before, Event::FirstFetchDone, "bank", |_| {}).await?;
            renewals::report(self.app, &mut tx, &world, &before, listed).await?;
        }
        // The last step: every run at this bank wants this row.
        self.note_form(&mut tx).await?;
        let next = next_fetch(self.app, self.occasion.connection, world.now);
        if let Some(job) = self.job {
            jobs::finish(&mut tx, job).await?;
            jobs::request(&mut tx, JobId::new(&world), &job.kind, job.subject, &job.lane, next).await?;
        }
        fault::point("fetch.finish_before_commit");
        tx.commit().await?;
        fault::point("fetch.finished");
        Ok(Verdict::Next(next))
    }
}

/// When the bank may be asked again without the person: its daily reads, spread over the day.
fn next_fetch(app: &App, connection: &Connection, now: Timestamp) -> Timestamp {
    let reads = i64::from(unattended_reads(app, connection).max(1));
    now.saturating_add(SignedDuration::from_hours(24 / reads.min(24))).unwrap_or(now)
}

/// What a refusal that concerns more than one account means: for the grant, for the consent, for the next try.
pub(crate) async fn settle(
    app: &App,
    occasion: &Occasion<'_>,
    grant: &Grant,
    bank_consent: &BankConsentId,
    error: CallError,
) -> Result<Verdict, ServiceError> {
    let now = app.clock.now();
    let pause = later(now, app, PAUSE_SECONDS);
    let meanwhile = renewals::meanwhile(app, occasion.about.tenant, occasion.about.consent, Some(grant.id)).await?;
    if let Some(at) = meanwhile.again(now) {
        return Ok(Verdict::Again(at));
    }
    if meanwhile == Meanwhile::Signing && matches!(error, CallError::Refused(_) | CallError::Bank(_)) {
        // The last of the signers may have authorised the renewal, and the bank ended this authorisation for it.
        let (about, lane) = (occasion.about, occasion.connection.id.as_str());
        let mut tx = app.store.tenant_tx(about.tenant).await?;
        status::ask_at(&mut tx, &app.world(), about.consent, lane, now).await?;
        tx.commit().await?;
        app.work.notify_waiters();
        return Ok(Verdict::Again(pause));
    }
    tracing::warn!(bank.id = %occasion.connection.institution, code = error.code(), "a fetch stopped");
    match &error {
        CallError::Bank(BankError::Wait { until, .. }) => Ok(Verdict::Again(until.unwrap_or(pause).max(now))),
        CallError::Resting { until } => Ok(Verdict::Again(later((*until).max(now), app, SPREAD_SECONDS))),
        CallError::Transport(_) => Ok(Verdict::Again(pause)),
        CallError::Refused(refusal)
            if refusal.error.as_deref() == Some("invalid_grant") || refusal.code == "token.refresh_token.missing" =>
        {
            status::lose_tokens(app, occasion.connection, occasion.about, grant.id).await?;
            Ok(Verdict::Done)
        }
        CallError::Refused(_) => Ok(Verdict::Again(pause)),
        CallError::Bank(BankError::AskUser(_)) => {
            status::lose_tokens(app, occasion.connection, occasion.about, grant.id).await?;
            Ok(Verdict::Done)
        }
        // One such answer proves nothing about the consent: the bank is asked for its status.
        CallError::Bank(BankError::AskStatus(_) | BankError::RenewToken(_)) => {
            status::observe(app, occasion, meanwhile, (grant.id, bank_consent))
                .await
                .map(|alive| if alive { Verdict::Again(pause) } else { Verdict::Done })
        }
        CallError::Bank(
            BankError::Narrow(_)
            | BankError::Skip(_)
            | BankError::Operator(_)
            | BankError::Refused(_)
            | BankError::Contract(_),
        ) => Ok(Verdict::Again(pause)),
        CallError::Stopped | CallError::Ours(_) => Err(error.into()),
    }
}

/// So many seconds after a moment, and up to half as many again: those who wait for one bank do not come back at once.
fn later(from: Timestamp, app: &App, seconds: i64) -> Timestamp {
    let [jitter] = app.world().bytes();
    from.saturating_add(SignedDuration::from_secs(seconds + seconds * i64::from(jitter) / 510)).unwrap_or(from)
}

/// Whether an error says something about one account alone.
const fn is_about_one_account(error: &BankError) -> bool {
    matches!(error, BankError::Skip(_) | BankError::Narrow(_) | BankError::Refused(_) | BankError::Contract(_))
}

/// What makes an account the same account in another consent: its number and currency, never the bank's resource id.
fn account_identity(account: &ParsedAccount) -> Option<String> {
    let (scheme, number) =
        [("iban", &account.iban), ("bban", &account.bban), ("pan", &account.masked_pan), ("other", &account.other)]
            .into_iter()
            .find_map(|(scheme, field)| field.as_ref().map(|field| (scheme, field)))?;
    let number: String = number.value.chars().filter(|c| !c.is_whitespace()).collect();
    let currency = account.currency.as_ref().map_or("", |field| field.value.as_str());
    let product = account.product.as_ref().filter(|_| scheme == "pan").map_or("", |field| field.value.as_str());
    // A masked number is not the account's alone: where the bank names it otherwise, too, that tells it apart.
    let other = account.other.as_ref().filter(|_| scheme == "pan").map(|field| format!(":{}", field.value));
    let number = number.to_uppercase();
    Some(format!("{scheme}:{number}:{currency}:{product}{}", other.unwrap_or_default()))
}

fn details(account: &ParsedAccount) -> Details {
    let text = |field: &Option<domain::records::Text>| field.as_ref().map(|field| field.value.clone());
    Details {
        iban: text(&account.iban),
        bban: text(&account.bban),
        masked_pan: text(&account.masked_pan),
        other: text(&account.other),
        currency: text(&account.currency),
        name: text(&account.name),
        product: text(&account.product),
        cash_account_type: text(&account.cash_account_type),
        owner_name: text(&account.owner_name),
        bic: text(&account.bic),
    }
}

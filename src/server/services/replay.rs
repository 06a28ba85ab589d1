//! Replay: kept raw answers read again with the rules of this binary and its profiles, held against what is stored, and
//! put in its place when that is wanted.
//!
//! Every page of raw rows is one transaction: a run that was killed goes on where it stopped, because each row names the
//! rules that read it. After a revocation nothing is read or written: each transaction opens the line as a fetch does.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bank_adapters::directory::Directory;
use bank_adapters::profile::Profile;
use domain::ids::{InstitutionId, RawPageId, TransactionId};
use domain::records::{Holder, List, Normalized};
use domain::world::World;
use normalize::identity::{self, Sketch};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::lines::{LineWriter, Writer};
use store::replay::{Replayable, Reread, Sourced};
use store::sealed::Opened;
use store::{StoreError, TenantTx, replay};
use vault::DataKey;

use crate::app::App;
use crate::services::fetch::transactions::holder;
use crate::services::reconciliation::{self, Judged};
use crate::services::{ServiceError, raw_rows};
use crate::{evidence_log, fault, rule_set};

/// Lines that one look at the database takes.
const LINES: u32 = 100;

/// What is wanted of a replay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Of this bank alone.
    pub bank: Option<&'a InstitutionId>,
    /// Put what the rules read in the place of what is stored.
    pub apply: bool,
    /// Name so many rows of each bank that would say something else.
    pub examples: usize,
    /// Show what they say and would say. These are bank data: each look becomes evidence.
    pub values: bool,
}

/// What a replay found, by bank.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether it was put in the place of what was stored.
    pub applied: bool,
    /// Banks with accounts.
    pub banks: BTreeMap<String, BankReport>,
}

/// What a replay found at one bank.
#[derive(Debug, Default, Serialize)]
pub struct BankReport {
    /// The rules that read the rows now; none where no profile of the bank is known.
    pub rule_set: Option<String>,
    /// Accounts.
    pub accounts: u64,
    /// Rows that were read again.
    pub rows: u64,
    /// Rows by the rules that had read them.
    pub read_before_by: BTreeMap<String, u64>,
    /// Rows that say what they said.
    pub unchanged: u64,
    /// Rows that say something else.
    pub changed: u64,
    /// Of these, rows that a product would notice: they are listed as changes.
    pub noticed: u64,
    /// Rows that the rules refuse now; they stay as they are.
    pub refused: u64,
    /// Rows whose raw answer is gone, because its retention has ended, or cannot be read: no rule reads them again.
    pub not_replayable: u64,
    /// Rows that say something else, by field.
    pub fields: BTreeMap<String, u64>,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// A row that says something else.
#[derive(Debug, Serialize)]
pub struct Example {
    /// `txn_…`
    pub transaction: String,
    /// `acc_…`
    pub account: String,
    /// The fields.
    pub fields: Vec<String>,
    /// What each says and would say, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Shown>,
}

/// Field → what it says, what it would say.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown(pub BTreeMap<String, [Value; 2]>);

/// Bank data never reaches a log through `Debug`.
impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// Reads every row again that is kept raw. `directory` has the profiles whose rules count; `progress` is told each account
/// that is done.
///
/// # Errors
/// The database's or the key provider's. What was applied before stays applied.
pub async fn run(
    app: &App,
    directory: &Directory,
    wanted: Wanted<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Report, ServiceError> {
    evidence_log::check_continuity(app, app.tenant.id).await?;
    let mut report = Report { applied: wanted.apply, ..Report::default() };
    let (mut after, mut done) = (None, 0);
    loop {
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let lines = replay::lines(&mut tx, wanted.bank, after, LINES).await?;
        tx.commit().await?;
        let Some(last) = lines.last() else { return Ok(report) };
        after = Some(last.line);
        for line in &lines {
            let bank = report.banks.entry(line.institution.to_string()).or_default();
            bank.accounts += 1;
            if let Some(profile) = directory.get(&line.institution) {
                let rule_set = bank.rule_set.get_or_insert_with(|| rule_set::of(&profile.rules)).clone();
                let key = app.vault.open_key(app.tenant.id, &line.key)?;
                let holder = holder(line.details(app.tenant.id, &key)?);
                let account = Account { app, line, profile, key, holder, rule_set, wanted };
                account.replay(bank).await?;
            }
            done += 1;
            progress(done);
        }
    }
}

/// One account under replay.
struct Account<'a> {
    app: &'a App,
    line: &'a Replayable,
    profile: &'a Profile,
    key: DataKey,
    holder: Holder,
    rule_set: String,
    wanted: Wanted<'a>,
}

/// What the rules make of the rows of one page.
#[derive(Default)]
struct Reading {
    /// Rows that were read, with what they say now.
    read: Vec<(Sourced, Normalized, Opened)>,
    refused: u64,
    lost: u64,
}

impl Account<'_> {
    /// Page by page.
    async fn replay(&self, bank: &mut BankReport) -> Result<(), ServiceError> {
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await?;
        let pages = match self.open(&mut tx).await {
            Ok(mut writer) => {
                let mut line = writer.line(self.line.line).await?;
                bank.not_replayable += line.without_source().await?;
                line.transaction_pages().await?
            }
            Err(error) => return closed(error),
        };
        drop(tx);
        for page in pages {
            match self.page(page, bank).await {
                Ok(()) => {}
                Err(error) => return closed(error),
            }
        }
        Ok(())
    }

    async fn open<'t>(&self, tx: &'t mut TenantTx) -> Result<Writer<'t>, ServiceError> {
        Ok(Writer::open(tx, self.line.consent, self.line.grant).await?)
    }

    /// One page, in one transaction.
    async fn page(&self, page: RawPageId, bank: &mut BankReport) -> Result<(), ServiceError> {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await?;
        let mut writer = self.open(&mut tx).await?;
        let mut line = writer.line(self.line.line).await?;
        let stored = line.sourced(&self.key, page).await?;
        for row in &stored {
            let by = row.rule_set.clone().unwrap_or_else(|| "unknown".to_owned());
            *bank.read_before_by.entry(by).or_default() += 1;
        }
        // A run that was killed has been here, or all of the page was told again by a later one.
        let current = stored.iter().all(|row| row.rule_set.as_deref() == Some(&self.rule_set));
        if stored.is_empty() || self.wanted.apply && current {
            let rows = u64::try_from(stored.len()).unwrap_or(u64::MAX);
            bank.rows += rows;
            bank.unchanged += rows;
            return Ok(());
        }
        let Some(raw) = line.raw_page(&self.key, page).await? else { return Ok(()) };
        let reading = self.read(&raw, stored);
        bank.refused += reading.refused;
        bank.not_replayable += reading.lost;
        bank.rows += u64::try_from(reading.read.len()).unwrap_or(u64::MAX);
        let mut shown = 0;
        let mut rewritten = Vec::new();
        for row in &reading.read {
            let (sourced, record, identity) = row;
            let fields = differences(&sourced.plain, &replay::plain(record))?;
            if fields.is_empty() && sourced.identity.as_deref() == Some(&**identity) {
                bank.unchanged += 1;
                continue;
            }
            let noticed = sourced.notices(&self.key, record);
            rewritten.push(Reread { id: sourced.id, record, identity, noticed });
            if fields.is_empty() {
                // Only the next fetch would see it.
                bank.unchanged += 1;
                continue;
            }
            bank.changed += 1;
            bank.noticed += u64::from(noticed);
            fields.keys().for_each(|field| *bank.fields.entry(field.clone()).or_default() += 1);
            if bank.examples.len() < self.wanted.examples {
                shown += usize::from(self.wanted.values);
                bank.examples.push(self.example(sourced.id, fields));
            }
        }
        if self.wanted.apply {
            let ids: Vec<TransactionId> = reading.read.iter().map(|(sourced, ..)| sourced.id).collect();
            let judged = self.apply(&mut line, &ids, &rewritten, &world).await?;
            self.record(&mut tx, rewritten.len(), shown, judged.as_ref(), &world).await?;
            fault::point("replay.page_before_commit");
            tx.commit().await?;
            fault::point("replay.page_committed");
            if let Some(judged) = judged {
                judged.count(&self.line.institution);
            }
        } else if shown > 0 {
            self.record(&mut tx, 0, shown, None, &world).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Reads the stored rows of a page again.
    fn read(&self, raw: &[u8], stored: Vec<Sourced>) -> Reading {
        let mut reading = Reading::default();
        let Some(page) = raw_rows::unpack(raw) else {
            reading.lost = u64::try_from(stored.len()).unwrap_or(u64::MAX);
            return reading;
        };
        for sourced in stored {
            let Some((list, row)) = page.get(sourced.row) else {
                reading.lost += 1;
                continue;
            };
            match self.one(&sourced, *list, row) {
                Some((record, identity)) => reading.read.push((sourced, record, identity)),
                None => reading.refused += 1,
            }
        }
        reading
    }

    /// What a row says, and what identifies it in the next fetch: its form of before it last changed is kept.
    fn one(&self, sourced: &Sourced, list: List, row: &RawValue) -> Option<(Normalized, Opened)> {
        let parsed = bank_adapters::reread(self.profile.bank.standard, row, list);
        let before = sourced.record();
        let holder = match &before {
            Some(before) => normalize::with_accounts_of(&parsed, &self.holder, before),
            None => Cow::Borrowed(&self.holder),
        };
        let record = normalize::transaction(&parsed, &holder, &self.profile.rules).ok()?;
        let sketch = Sketch::of(&parsed, &record);
        let known = sourced.identity.as_deref().and_then(|bytes| identity::Stored::from_bytes(sourced.id, bytes));
        let form = match known {
            Some(known) => identity::Stored { sketch, ..known },
            None => identity::Stored::new(sourced.id, sketch),
        };
        Some((record, Opened::new(form.to_bytes())))
    }

    fn example(&self, id: TransactionId, fields: BTreeMap<String, [Value; 2]>) -> Example {
        Example {
            transaction: id.to_string(),
            account: self.line.line.to_string(),
            fields: fields.keys().cloned().collect(),
            values: self.wanted.values.then_some(Shown(fields)),
        }
    }

    async fn apply(
        &self,
        line: &mut LineWriter<'_>,
        ids: &[TransactionId],
        rewritten: &[Reread<'_>],
        world: &World<'_>,
    ) -> Result<Option<Judged>, ServiceError> {
        line.note_rule_set(ids, &self.rule_set).await?;
        line.replay(&self.key, rewritten, world).await?;
        if rewritten.iter().any(|row| row.noticed) {
            return reconciliation::judge_again(line, &self.key, world).await;
        }
        Ok(None)
    }

    /// What was rewritten and what was shown becomes evidence.
    async fn record(
        &self,
        tx: &mut TenantTx,
        rewritten: usize,
        shown: usize,
        judged: Option<&Judged>,
        world: &World<'_>,
    ) -> Result<(), ServiceError> {
        let (consent, account) = (self.line.consent, self.line.line.to_string());
        if rewritten > 0 {
            let body = json!({ "account": account, "rows": rewritten, "rule_set": self.rule_set });
            evidence_log::record(self.app, tx, world, consent, "data.replayed", &body).await?;
        }
        if shown > 0 {
            let body = json!({ "to": "operator", "what": "replay", "account": account, "rows": shown });
            evidence_log::record(self.app, tx, world, consent, "data.disclosed", &body).await?;
        }
        if let Some(judged) = judged {
            judged.record(self.app, tx, world, consent, self.line.line).await?;
        }
        Ok(())
    }
}

/// A consent that was closed meanwhile, or an account that was taken out of it, ends the account's replay and nothing else.
fn closed(error: ServiceError) -> Result<(), ServiceError> {
    match error {
        ServiceError::Store(StoreError::NotAllowed | StoreError::NotFound(_)) => Ok(()),
        other => Err(other),
    }
}

/// The fields in which two records differ, with what each says.
fn differences(before: &[u8], after: &[u8]) -> Result<BTreeMap<String, [Value; 2]>, StoreError> {
    if before == after {
        return Ok(BTreeMap::new());
    }
    let (mut before, mut after) = (replay::fields(before)?, replay::fields(after)?);
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let pairs = names.into_iter().map(|name| {
        let values = [&mut before, &mut after].map(|fields| fields.remove(&name).unwrap_or(Value::Null));
        (name, values)
    });
    Ok(pairs.filter(|(_, [before, after])| before != after).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_differ_by_value_and_by_presence() {
        let found = differences(br#"{"a":1,"b":"x","c":[1]}"#, br#"{"b":"y","c":[1],"d":null,"e":2}"#).unwrap();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "e"]);
        assert_eq!(found["a"], [json!(1), Value::Null]);
        assert!(differences(b"same bytes, whatever they are", b"same bytes, whatever they are").unwrap().is_empty());
        assert!(differences(b"not a record", b"{}").is_err());
    }
}

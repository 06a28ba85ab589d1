//! The transactions of one account: read to the end, then aligned with what is stored, in one transaction.
//!
//! Raw answers are kept page by page. Rows become visible when the bank has given all of them: a row that is missing
//! says something then, and a reading that was killed has changed nothing that anybody sees.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bank_adapters::answer::{Continuation, Row};
use bank_adapters::ask::{BookingStatus, PageAsk, ResourceId, Window};
use bank_adapters::error::{BankError, Breach};
use domain::ids::{RawPageId, TransactionId};
use domain::limits;
use domain::records::{Holder, Normalized, Parsed, Status};
use domain::world::World;
use jiff::civil::Date;
use jiff::{SignedDuration, Span};
use normalize::identity::{self, Alignment, Coverage, Outcome, Sketch, Trust, Twin};
use store::aligned::{Aligned, Known, Listed, Source, Standing};
use store::bank_health::{self, Service};
use store::bank_limits::{self, Limit};
use store::lines::{Details, Freshness, LineWriter, Resource, Writer};
use store::sealed::Opened;
use store::{StoreError, TenantTx, bank_shapes};
use vault::DataKey;

use super::{Fetch, Trail};
use crate::bank_calls::{self, CallError};
use crate::fault;
use crate::services::reconciliation::{self, Complete};
use crate::services::shape::Shape;
use crate::services::{ServiceError, raw_rows};

/// Pages without a row behind an empty one that are followed: some banks filter what they have cut to pages before.
const EMPTY_PAGES_MAX: u32 = 3;

/// So many days of history every bank gives; of earlier ones it is believed as far as it lists rows of them. Many banks
/// cut a long history without a word, and what lies before the cut is not gone.
const HISTORY_DAYS_CERTAIN: i32 = 89;

/// Days that are asked for, one after the other, where a bank refuses a period: many say 90 and mean 89.
const NARROWER_DAYS: [u16; 5] = [365, 180, 89, 60, 30];

/// For so many hours the members of a bank's rows are only learned: not every row has all of them.
const SETTLED_HOURS: i64 = 24;

/// Fewer rows that cannot be read than this say nothing about a bank.
const REFUSED_MIN: usize = 3;

/// How far back a bank lets us read.
struct History {
    limit: Limit,
    days: u16,
}

/// What a bank has listed of one account so far.
#[derive(Default)]
struct Reading {
    listed: Vec<identity::Listed>,
    records: Vec<Normalized>,
    /// Of each, the raw answer and its place in it.
    places: Vec<(RawPageId, u32)>,
    pages: u32,
    /// Rows that could not be read.
    refused: usize,
    /// Of which members the rows consist.
    shape: Shape,
}

impl Fetch<'_> {
    /// Every page of every list, newest first as the bank orders them. Gives why not all of it can be shown: rows that could
    /// not be read stay sealed and apart, so that a better rule can read them later.
    pub(super) async fn transactions(
        &self,
        resource: &Resource,
        key: &DataKey,
        id: &ResourceId,
    ) -> Result<Option<&'static str>, ServiceError> {
        let profile = self.occasion.connection.bank.profile();
        let today = self.app.clock.now().to_zoned(self.occasion.connection.zone.clone()).date();
        let history = self.history().await?;
        let mut from = self.first_day(resource, today, history.days);
        let (first, holder, mut reading) = (from, self.holder(resource, key)?, Reading::default());
        let mut pending = false;
        for status in &profile.transactions.booking_status {
            let read = reading.pages;
            loop {
                let window = Window { from, to: None, status: *status };
                match self.list(resource, key, id, window, &holder, &mut reading).await {
                    Ok(()) => {
                        pending |= matches!(status, BookingStatus::Pending | BookingStatus::Both);
                        break;
                    }
                    // What is booked was read, and is worth having without.
                    Err(error)
                        if *status == BookingStatus::Pending
                            && (1..=read).contains(&reading.pages)
                            && is_no(&error) =>
                    {
                        tracing::info!(bank.id = %profile.bank.id, "the bank offers no list of pending rows");
                        break;
                    }
                    Err(error) => {
                        let narrower = narrower(from, today).filter(|_| reading.pages == read && is_period(&error));
                        from = narrower.ok_or(error)?;
                    }
                }
            }
        }
        // Only a refusal of the whole depth speaks of the bank: how long a sign-in counts is one person's.
        if from > first && history.limit == Limit::HistoryDays && first == back(today, history.days) {
            self.learn_history(history.limit, from, today).await?;
        }
        let unread = reading.refused > 0;
        let coverage = Coverage { from: believed_from(&reading.listed, from, today), pending };
        self.line_done(resource, key, reading, coverage, (from, today)).await?;
        Ok(unread.then_some("bank.rows_unreadable"))
    }

    /// Every page of one list.
    async fn list(
        &self,
        resource: &Resource,
        key: &DataKey,
        id: &ResourceId,
        window: Window,
        holder: &Holder,
        reading: &mut Reading,
    ) -> Result<(), ServiceError> {
        let mut ask = PageAsk::First(window);
        let (mut trail, mut before, mut repeated) = (Trail::default(), None, 0);
        let mut next;
        for page in 0..limits::PAGES_PER_FETCH_MAX {
            let context = self.context(Some(resource.line.id));
            let call = self.occasion.connection.bank.transactions(&self.bank_consent, id, ask, &context);
            let answer = bank_calls::to_bank(self.app, &self.occasion, "transactions", &context, call).await?;
            let raw = (!answer.rows.is_empty()).then(|| raw_rows::pack(&answer.rows));
            repeated = if page > 0 && raw == before { repeated + 1 } else { 0 };
            if repeated > if raw.is_some() { 0 } else { EMPTY_PAGES_MAX } {
                // New links to the same rows, or to none, for ever.
                return Err(CallError::Bank(BankError::Contract(Breach::LoopingLink("next"))).into());
            }
            before = raw;
            for issue in &answer.issues {
                tracing::warn!(bank.id = %self.occasion.connection.institution, code = issue.code, "a doubtful page");
            }
            let kept = self.keep_page(resource, key, &answer.rows).await?;
            self.read_page(reading, holder, kept, answer.rows)?;
            match answer.next {
                Continuation::End => return Ok(()),
                Continuation::Next(link) => next = trail.follow(link)?,
                Continuation::Broken(breach) => return Err(CallError::Bank(BankError::Contract(breach)).into()),
            }
            ask = PageAsk::Next(&next);
        }
        Err(too_long("_links.next"))
    }

    /// How far back the bank lets us read at this moment: what its profile says, or less where the bank has shown less.
    async fn history(&self) -> Result<History, ServiceError> {
        let section = &self.occasion.connection.bank.profile().transactions;
        let minutes = section.history_minutes_after_sca.map_or(i64::MAX, i64::from);
        let fresh = self.consent.sca_at.is_some_and(|at| self.app.clock.now().duration_since(at).as_mins() < minutes);
        let (limit, said) = match section.history_days_after_sca.filter(|_| fresh) {
            Some(days) => (Limit::HistoryDaysAfterSca, days),
            None => (Limit::HistoryDays, section.history_days),
        };
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let days = super::budget::narrowed(&mut tx, self.app, &self.occasion.connection.id, limit, said).await?;
        tx.commit().await?;
        Ok(History { limit, days })
    }

    /// Keeps what the bank has shown by refusing more.
    async fn learn_history(&self, limit: Limit, from: Date, today: Date) -> Result<(), ServiceError> {
        let days = today.since(from).map_or(0, |span| span.get_days()).saturating_add(1);
        let registration = &self.occasion.connection.id;
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let days = u16::try_from(days).unwrap_or(u16::MAX);
        bank_limits::learn(&mut tx, registration, limit, days, self.app.clock.now()).await?;
        tx.commit().await?;
        tracing::info!(bank.id = %self.occasion.connection.institution, days, "the bank gives a shorter history");
        Ok(())
    }

    /// The first day to ask for: as far back as the bank lets us, or a window that overlaps what is there.
    fn first_day(&self, resource: &Resource, today: Date, days: u16) -> Date {
        let reachable = back(today, days);
        let overlap = resource
            .line
            .freshness
            .complete_until
            .map(|day| day.saturating_sub(Span::new().days(i64::from(limits::FETCH_OVERLAP_DAYS))));
        overlap.map_or(reachable, |overlap| overlap.max(reachable))
    }

    fn holder(&self, resource: &Resource, key: &DataKey) -> Result<Holder, ServiceError> {
        let own = holder(resource.line.details(self.occasion.about.tenant, key)?);
        let others = self.numbers.get().into_iter().flatten().filter(|(line, _)| *line != resource.line.id);
        Ok(with_others(own, others.map(|(_, number)| number)))
    }

    async fn keep_page(
        &self,
        resource: &Resource,
        key: &DataKey,
        rows: &[Row<Parsed>],
    ) -> Result<RawPageId, ServiceError> {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        let mut line = writer.line(resource.line.id).await?;
        let raw = raw_rows::pack(rows);
        let page = line.put_raw_page(key, self.answer("transactions", &raw, world.now), &world).await?;
        line.page_read(self.run, rows.len()).await?;
        fault::point("fetch.page_before_commit");
        tx.commit().await?;
        fault::point("fetch.page_committed");
        Ok(page)
    }

    /// Normalises the rows of a page that is kept. A row goes as soon as it is a record: both of a whole page are much.
    fn read_page(
        &self,
        reading: &mut Reading,
        holder: &Holder,
        page: RawPageId,
        rows: Vec<Row<Parsed>>,
    ) -> Result<(), ServiceError> {
        if reading.listed.len().saturating_add(rows.len()) > limits::ROWS_PER_READING_MAX {
            return Err(too_long("transactions"));
        }
        reading.shape.add(rows.iter().map(|row| row.raw.as_bytes()));
        for (nth, row) in (0..).zip(rows) {
            match normalize::transaction(&row.parsed, holder, self.rules) {
                Ok(record) => {
                    let sketch = Sketch::of(&row.parsed, &record);
                    reading.listed.push(identity::Listed { sketch, page: reading.pages });
                    reading.records.push(record);
                    reading.places.push((page, nth));
                }
                Err(_issues) => reading.refused += 1,
            }
        }
        reading.pages += 1;
        Ok(())
    }

    /// Aligns a complete reading with what is stored and writes what it means. `asked`: first day and last.
    async fn line_done(
        &self,
        resource: &Resource,
        key: &DataKey,
        mut reading: Reading,
        coverage: Coverage,
        asked: (Date, Date),
    ) -> Result<(), ServiceError> {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.occasion.about.tenant).await?;
        let mut writer = Writer::open(&mut tx, self.consent.id, self.grant()?).await?;
        let mut line = writer.line(resource.line.id).await?;
        let counts = [reading.refused, reading.listed.len()];
        let shape = std::mem::take(&mut reading.shape);
        let retired = line.retire_unidentified(coverage.from, world.now).await?;
        if retired > 0 {
            tracing::info!(retired, "rows of an earlier build are stored anew");
        }
        let mut stored = align(&mut line, key, &self.rule_set, reading, coverage, &world).await?;
        stored.withdrawn += retired;
        let judged = if self.has("balances") {
            let known_from = known_from(&resource.line.freshness, asked.0);
            let complete = Complete {
                fetch: self.run,
                currency: self.holder(resource, key)?.currency,
                asked_from: asked.0,
                complete_from: known_from,
            };
            Some(reconciliation::judge(&mut line, key, complete, &world).await?)
        } else {
            None
        };
        // What is in another form is asked for again until it can be read: nothing says which days it is of.
        let whole = !is_another_form(counts);
        line.transactions_complete(world.now, whole.then_some(asked.0), whole.then_some(asked.1)).await?;
        line.done(self.run, &stored).await?;
        if let Some(judged) = &judged {
            judged.record(self.app, &mut tx, &world, self.consent.id, resource.line.id).await?;
        }
        // The last step: every reading of this bank wants these rows.
        self.note_shape(&mut tx, &shape).await?;
        fault::point("fetch.line_before_commit");
        tx.commit().await?;
        if let Some(judged) = judged {
            judged.count(&self.occasion.connection.institution);
        }
        fault::point("fetch.line_done");
        self.rows.add(counts);
        Ok(())
    }

    /// Tells whoever runs this of members that nobody knew.
    async fn note_shape(&self, tx: &mut TenantTx, shape: &Shape) -> Result<(), ServiceError> {
        let now = self.app.world().now;
        let news = bank_shapes::seen(tx, &self.rows_service(), &shape.digests(), now).await?;
        let settled = SignedDuration::from_hours(SETTLED_HOURS);
        if news.known_since.is_some_and(|since| now.duration_since(since) >= settled) {
            let (bank, members) = (&self.occasion.connection.institution, news.members);
            tracing::warn!(bank.id = %bank, members, "the bank's rows have members that are new");
        }
        Ok(())
    }

    /// Notices at the end of a run where the bank has changed the form of its rows, and where it is back in one that can be read.
    pub(super) async fn note_form(&self, tx: &mut TenantTx) -> Result<(), ServiceError> {
        let (now, service) = (self.app.world().now, self.rows_service());
        let [refused, read] = self.rows.counts();
        if refused > 0 {
            tracing::warn!(bank.id = %self.occasion.connection.institution, refused, "rows that could not be read");
        }
        if is_another_form([refused, read]) {
            bank_health::incident_begins(tx, &service, now, "bank.rows_unreadable").await?;
        } else if read > 0 {
            bank_health::incident_ends(tx, &service, now).await?;
        }
        Ok(())
    }

    fn rows_service(&self) -> Service {
        Service { registration: self.occasion.connection.id.clone(), capability: "rows" }
    }
}

/// How many rows of a run could not be read, and how many could.
#[derive(Debug, Default)]
pub(super) struct Rows([AtomicUsize; 2]);

impl Rows {
    fn add(&self, counts: [usize; 2]) {
        self.0.iter().zip(counts).for_each(|(sum, count)| {
            sum.fetch_add(count, Ordering::Relaxed);
        });
    }

    fn counts(&self) -> [usize; 2] {
        self.0.each_ref().map(|sum| sum.load(Ordering::Relaxed))
    }
}

/// Whether so many refused rows beside those that were read mean that the bank has changed their form: a bad row here and there
/// does not.
const fn is_another_form([refused, read]: [usize; 2]) -> bool {
    refused >= REFUSED_MIN && refused >= read / 10
}

/// Whose rows they are, as far as the bank tells of this account alone.
pub(in crate::services) fn holder(mut details: Details) -> Holder {
    Holder {
        name: details.owner_name.take(),
        currency: details.currency.take().and_then(|code| code.parse().ok()),
        account: number(details),
        other_accounts: Vec::new(),
    }
}

/// The holder with the numbers of further accounts. Some banks list one account twice, in two spellings of its number: the
/// account itself is none of the others.
fn with_others<'a>(own: Holder, others: impl Iterator<Item = &'a String>) -> Holder {
    let is_own = |number: &str| own.account.as_ref().is_some_and(|account| normalize::same_account(account, number));
    let other_accounts = others.filter(|number| !is_own(number)).cloned().collect();
    Holder { other_accounts, ..own }
}

/// The number by which others know an account.
pub(super) fn number(details: Details) -> Option<String> {
    details.iban.or(details.bban).or(details.other)
}

/// The first of so many days up to today.
fn back(today: Date, days: u16) -> Date {
    today.saturating_sub(Span::new().days(i64::from(days.saturating_sub(1))))
}

/// From when on a line is complete after a reading from a day on: further back only where no gap lies between.
fn known_from(before: &Freshness, asked: Date) -> Date {
    let joins = before.complete_until.and_then(|until| until.tomorrow().ok()).is_some_and(|next| next >= asked);
    before.complete_from.filter(|_| joins).map_or(asked, |from| from.min(asked))
}

/// The next shorter period, by its first day.
fn narrower(from: Date, today: Date) -> Option<Date> {
    NARROWER_DAYS.into_iter().map(|days| back(today, days)).find(|first| *first > from)
}

const fn is_period(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Call(CallError::Bank(BankError::Narrow(_))))
}

/// Whether the bank has said no to the question itself.
const fn is_no(error: &ServiceError) -> bool {
    matches!(error, ServiceError::Call(CallError::Bank(BankError::Skip(_) | BankError::Refused(_))))
}

fn too_long(what: &'static str) -> ServiceError {
    CallError::Bank(BankError::Contract(Breach::TooLong(what))).into()
}

/// The first day of which a row that is not listed is missed.
fn believed_from(listed: &[identity::Listed], asked: Date, today: Date) -> Date {
    let certain = today.saturating_sub(Span::new().days(HISTORY_DAYS_CERTAIN));
    let booked = listed.iter().filter(|row| row.sketch.status == Status::Booked);
    booked.filter_map(|row| row.sketch.booked_day()).fold(certain, Date::min).max(asked)
}

/// Aligns a reading with what is stored of the line, and writes it.
async fn align(
    line: &mut LineWriter<'_>,
    key: &DataKey,
    rule_set: &str,
    reading: Reading,
    coverage: Coverage,
    world: &World<'_>,
) -> Result<store::aligned::Stored, ServiceError> {
    let Reading { listed, records, places, refused, .. } = reading;
    let known = line.known(key, identity::opens_from(&listed, &coverage)).await?;
    let stored = known.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let trust = match line.trust(key).await? {
        Some(bytes) => {
            Trust::from_bytes(&bytes).ok_or(StoreError::Corrupt { table: "line", column: "sealed_trust" })?
        }
        None => Trust::default(),
    };
    // A long history takes a moment of computing, which must not stand in the way of others.
    let work = tokio::task::spawn_blocking(move || {
        let alignment = identity::align(&stored, &listed, &coverage, &trust);
        (stored, listed, alignment)
    });
    let (stored, listed, mut alignment) = work.await.map_err(|error| ServiceError::Ours(error.into()))?;
    if refused > 0 {
        // Each row that could not be read may be one of those that seem to have gone.
        let pending =
            |id: &TransactionId| stored.iter().any(|row| row.id == *id && row.sketch.status == Status::Pending);
        alignment.missed.clear();
        alignment.withdrawn.retain(pending);
    }
    let forms = Forms::of(stored, &listed, &alignment, world)?;
    let before: HashMap<TransactionId, &Opened> = known.iter().map(|row| (row.id, &row.identity)).collect();
    let identities = forms.changed(&before);
    let mut rows = Vec::with_capacity(listed.len());
    for (((outcome, id), record), (page, row)) in alignment.listed.iter().zip(&forms.ids).zip(&records).zip(places) {
        let (Some(id), Some(standing)) = (*id, forms.standing(*outcome)) else { continue };
        let identity = identities.get(&id).map(|bytes| bytes.as_slice());
        rows.push(Listed { id, standing, record, identity, source: Source { page, row, rule_set } });
    }
    let listed_ids: std::collections::HashSet<TransactionId> = rows.iter().map(|row| row.id).collect();
    let others: Vec<(TransactionId, &[u8])> = identities
        .iter()
        .filter(|(id, _)| !listed_ids.contains(*id))
        .map(|(id, bytes)| (*id, bytes.as_slice()))
        .collect();
    let aligned = Aligned {
        listed: &rows,
        identities: &others,
        missed: &alignment.missed,
        withdrawn: &alignment.withdrawn,
        trust: &Opened::new(alignment.trust.to_bytes()),
    };
    Ok(line.put_aligned(key, &aligned, world).await?)
}

/// A stored row as the alignment knows it.
fn row(known: &Known) -> Result<identity::Stored<TransactionId>, StoreError> {
    let row = identity::Stored::from_bytes(known.id, &known.identity);
    let row = row.ok_or(StoreError::Corrupt { table: "transaction", column: "sealed_identity" })?;
    Ok(identity::Stored { missed: known.missed, removed: known.removed, ..row })
}

/// What the rows look like after an alignment.
struct Forms {
    /// Of each listed row: the transaction that it stands for; none of an echo.
    ids: Vec<Option<TransactionId>>,
    rows: HashMap<TransactionId, identity::Stored<TransactionId>>,
}

impl Forms {
    fn of(
        stored: Vec<identity::Stored<TransactionId>>,
        listed: &[identity::Listed],
        alignment: &Alignment<TransactionId>,
        world: &World<'_>,
    ) -> Result<Self, ServiceError> {
        let unknown = || ServiceError::Ours(anyhow::anyhow!("an alignment names a row that it was not given"));
        let mut rows: HashMap<TransactionId, _> = stored.into_iter().map(|row| (row.id, row)).collect();
        let mut ids = Vec::with_capacity(listed.len());
        for (outcome, listed) in alignment.listed.iter().zip(listed) {
            let (id, row) = match *outcome {
                Outcome::Echo { .. } => {
                    ids.push(None);
                    continue;
                }
                Outcome::New | Outcome::Doubtful { .. } => {
                    let id = TransactionId::new(world);
                    (id, identity::Stored::new(id, listed.sketch.clone()))
                }
                Outcome::Same { id, .. } | Outcome::Booked { id, .. } => {
                    (id, rows.remove(&id).ok_or_else(unknown)?.listed_as(listed.sketch.clone()))
                }
            };
            ids.push(Some(id));
            rows.insert(id, row);
        }
        let mut forms = Self { ids, rows };
        for (outcome, listed) in alignment.listed.iter().zip(listed) {
            if let Outcome::Echo { of, .. } = *outcome {
                let id = forms.twin(of).ok_or_else(unknown)?;
                let row = forms.rows.remove(&id).ok_or_else(unknown)?;
                forms.rows.insert(id, row.echoed_as(&listed.sketch));
            }
        }
        Ok(forms)
    }

    fn twin(&self, twin: Twin<TransactionId>) -> Option<TransactionId> {
        match twin {
            Twin::Stored(id) => Some(id),
            Twin::Listed(place) => self.ids.get(place).copied().flatten(),
        }
    }

    /// What a listed row is to the database; nothing, if it is an echo.
    fn standing(&self, outcome: Outcome<TransactionId>) -> Option<Standing> {
        match outcome {
            Outcome::New => Some(Standing::New),
            Outcome::Doubtful { like } => Some(self.twin(like).map_or(Standing::New, Standing::Doubtful)),
            Outcome::Same { .. } => Some(Standing::Same),
            Outcome::Booked { why, .. } => Some(Standing::Settled(why.word())),
            Outcome::Echo { .. } => None,
        }
    }

    /// The bytes of those that look another way than before.
    fn changed(&self, before: &HashMap<TransactionId, &Opened>) -> HashMap<TransactionId, Opened> {
        let bytes = self.rows.iter().map(|(id, row)| (*id, Opened::new(row.to_bytes())));
        bytes.filter(|(id, bytes)| before.get(id).is_none_or(|known| known.as_slice() != bytes.as_slice())).collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::money::{Currency, Money};
    use domain::records::Counterparty;

    use super::*;

    fn listed(days: &[&str]) -> Vec<identity::Listed> {
        let record = |day: &&str| Normalized {
            money: Money::new(1.into(), Currency::EUR),
            status: Status::Booked,
            booking_date: Some(day.parse().unwrap()),
            value_date: None,
            transaction_date: None,
            counterparty: Counterparty::default(),
            operation: None,
            merchant: None,
            merchant_id: None,
            intermediary: None,
            category: None,
            instructed: None,
            exchange_rate: None,
            description: None,
            bank_reference: None,
            end_to_end_id: None,
            bank_transaction_code: None,
            balance_after: None,
            provenance: Vec::new(),
            issues: Vec::new(),
        };
        let sketches = days.iter().map(|day| Sketch::of(&Parsed::default(), &record(day)));
        sketches.map(|sketch| identity::Listed { sketch, page: 0 }).collect()
    }

    #[test]
    fn an_account_is_no_other_account_in_whichever_spelling() {
        let (iban, spaced, domestic) = ("GB33BUKB20201555555555", "gb33 bukb 2020 1555 5555 55", "20201555555555");
        let other = "DE02120300000000202051".to_owned();
        let listed = [iban, spaced, domestic].map(str::to_owned);
        for account in [iban, spaced, domestic] {
            let own = Holder { account: Some(account.to_owned()), ..Holder::default() };
            assert_eq!(with_others(own, listed.iter().chain([&other])).other_accounts, [other.as_str()], "{account}");
        }
        assert_eq!(with_others(Holder::default(), listed.iter()).other_accounts, listed);
    }

    #[test]
    fn a_refused_period_is_made_shorter_until_there_is_nothing_left_of_it() {
        let today = "2026-04-01".parse::<Date>().unwrap();
        let (mut from, mut days) = (back(today, 730), Vec::new());
        while let Some(shorter) = narrower(from, today) {
            assert!(shorter > from);
            from = shorter;
            days.push(today.since(from).unwrap().get_days() + 1);
        }
        assert_eq!(days, [365, 180, 89, 60, 30]);
        assert_eq!(narrower(back(today, 90), today), Some(back(today, 89)));
        assert_eq!(narrower(back(today, 15), today), None, "an overlap is asked for as it is");
    }

    #[test]
    fn a_bad_row_is_no_change_of_form_and_a_tenth_of_them_is() {
        for (refused, read, form) in
            [(0, 0, false), (1, 0, false), (3, 0, true), (3, 3, true), (2, 3, false), (9, 400, false), (40, 400, true)]
        {
            assert_eq!(is_another_form([refused, read]), form, "{refused} beside {read}");
        }
    }

    #[test]
    fn a_line_is_complete_back_to_a_gap_and_no_further() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let before = Freshness {
            complete_from: Some(day("2026-01-01")),
            complete_until: Some(day("2026-01-31")),
            ..Freshness::default()
        };
        for (asked, known) in [
            ("2025-12-01", "2025-12-01"),
            ("2026-01-17", "2026-01-01"),
            ("2026-02-01", "2026-01-01"),
            ("2026-02-02", "2026-02-02"),
        ] {
            assert_eq!(known_from(&before, day(asked)), day(known));
            assert_eq!(known_from(&Freshness::default(), day(asked)), day(asked));
        }
    }

    #[test]
    fn a_history_that_the_bank_cut_short_is_not_taken_for_withdrawn() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let today = day("2026-04-01");
        for (asked, days, expected) in [
            ("2026-03-18", &["2026-03-30"][..], "2026-03-18"),
            ("2024-04-01", &["2026-03-30", "2025-02-01"], "2025-02-01"),
            ("2024-04-01", &["2026-03-30"], "2026-01-02"),
            ("2024-04-01", &["2024-03-30"], "2024-04-01"),
            ("2024-04-01", &[], "2026-01-02"),
        ] {
            assert_eq!(believed_from(&listed(days), day(asked), today), day(expected), "{asked} {days:?}");
        }
    }
}

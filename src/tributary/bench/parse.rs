//! A page of a bank's JSON to parsed rows, through the adapter that a server uses.

use std::sync::Arc;

use anyhow::Context as _;
use bank_adapters::Bank;
use bank_adapters::answer::Transactions;
use bank_adapters::ask::{BankConsentId, BookingStatus, CallContext, PageAsk, ResourceId, Window};
use bank_adapters::directory::{Directory, Filter};
use bank_adapters::profile::{Profile, Standard};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;

use super::page::{bare, page};
use super::{Figure, Goal, against};

/// Rows of the page.
const ROWS: usize = 500;

/// The adapter's whole way with a page, against `serde_json` into a struct of owned strings.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let (reader, page) = (Reader::new()?, page(ROWS));
    anyhow::ensure!(reader.read(&page)?.rows.len() == ROWS, "the adapter lost rows of the page");
    bare(&page)?;
    let pair = against(rounds, || reader.read(&page).is_ok(), || bare(&page).is_ok());
    Ok(vec![Figure {
        name: "parse",
        what: "500 rows of JSON to parsed rows, against serde_json into bare strings",
        value: pair.ratio(),
        unit: "×",
        goal: Goal::AtMost(1.5),
        beside: pair.beside(),
    }])
}

/// A bank of the directory, asked for a page that is already there.
pub(super) struct Reader {
    bank: Arc<dyn Bank>,
    consent: BankConsentId,
    account: ResourceId,
    window: Window,
}

impl Reader {
    pub(super) fn new() -> anyhow::Result<Self> {
        let filter = Filter { standard: Some(Standard::BerlinGroup), ..Filter::default() };
        let directory = Directory::embedded()?;
        // Profiles from public documents alone may know no address.
        let mut reachable =
            directory.list(&filter).filter_map(|profile| Some((profile, profile.endpoints.values().next()?)));
        let (profile, endpoints) = reachable.next().context("no bank of that standard is built in")?;
        Ok(Self {
            bank: bank_adapters::open(Arc::clone(profile), endpoints)?,
            consent: BankConsentId::new("consent").map_err(|_| anyhow::anyhow!("no consent id"))?,
            account: ResourceId::new("account").map_err(|_| anyhow::anyhow!("no account id"))?,
            window: Window { from: Date::constant(2031, 6, 1), to: None, status: BookingStatus::Booked },
        })
    }

    pub(super) fn profile(&self) -> &Profile {
        self.bank.profile()
    }

    pub(super) fn read(&self, page: &Bytes) -> anyhow::Result<Transactions> {
        let context = CallContext { token: None, psu: None, authenticated_at: None, request_id: uuid::Uuid::nil() };
        let ask = PageAsk::First(self.window);
        let call = self.bank.transactions(&self.consent, &self.account, ask, &context);
        Ok(call.read(http::Response::new(page.clone()), Timestamp::UNIX_EPOCH)?)
    }
}

//! A tenant with a product, a person, a grant and a consent, and short ways to make more of them.

use domain::consent::{Consent as Machine, DataState, State};
use domain::grant;
use domain::ids::{
    ConsentId, GrantId, InstitutionId, LineId, ProductId, PsuId, RawPageId, RegistrationId, TenantId, TransactionId,
};
use domain::money::{Currency, Money};
use domain::policy::Regime;
use domain::records::{Counterparty, Issue, Normalized, Operation, Provenance, Status};
use domain::retention::Retention;
use domain::world::World;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use vault::testing::SeededEntropy;
use vault::{DataKey, Wrapped};

use crate::aligned::{Aligned, Listed, Source, Standing, Stored};
use crate::consents::{Cause, Consent};
use crate::grants::Grant;
use crate::lines::{Details, NewLine, Writer};
use crate::products::Product;
use crate::psus::Psu;
use crate::tenants::Tenant;
use crate::testing::{TestDatabase, database};
use crate::transactions::{Page, Query};
use crate::{Store, TenantTx, consents, grants, products, psus, tenants, transactions};

pub(super) const NOW: Timestamp = Timestamp::constant(1_790_000_000, 0);
pub(super) const CAUSE: Cause<'static> = Cause { event: "test", actor: "test", at: NOW };

/// One tenant of a database of its own.
pub(super) struct Fixture {
    pub(super) database: TestDatabase,
    pub(super) tenant: TenantId,
    pub(super) product: ProductId,
    pub(super) psu: PsuId,
    pub(super) entropy: SeededEntropy,
}

/// A line with its key.
pub(super) struct Account {
    pub(super) id: LineId,
    pub(super) key: DataKey,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let database = database().await;
        let entropy = SeededEntropy::new(1);
        Self::with(database, entropy).await
    }

    /// The same in a database that the test has made itself.
    pub(super) async fn in_database(database: TestDatabase) -> Self {
        Self::with(database, SeededEntropy::new(1)).await
    }

    /// Another tenant in the same database.
    pub(super) async fn neighbour(&self, seed: u64) -> Self {
        let database = TestDatabase { store: self.store().clone(), options: self.database.options.clone() };
        Self::with(database, SeededEntropy::new(seed)).await
    }

    async fn with(database: TestDatabase, entropy: SeededEntropy) -> Self {
        let world = World { now: NOW, entropy: &entropy };
        let tenant = TenantId::new(&world);
        let product = ProductId::new(&world);
        let psu = PsuId::new(&world);
        let mut system = database.store.system_tx().await.unwrap();
        let row = Tenant { id: tenant, name: "Tenant".to_owned(), regime: Regime::Eu, created_at: NOW };
        tenants::create(&mut system, &row).await.unwrap();
        system.commit().await.unwrap();
        let mut tx = database.store.tenant_tx(tenant).await.unwrap();
        let row = Product {
            id: product,
            name: "Product".to_owned(),
            purposes: vec!["budgeting".to_owned()],
            return_urls: vec!["https://product.example/back".to_owned()],
            theme: None,
            created_at: NOW,
        };
        products::create(&mut tx, &row).await.unwrap();
        let row = Psu { id: psu, product, ref_tag: [7; 32], sealed_ref: vec![1], created_at: NOW };
        assert_eq!(psus::find_or_create(&mut tx, &row).await.unwrap(), psu);
        tx.commit().await.unwrap();
        Self { database, tenant, product, psu, entropy }
    }

    pub(super) fn store(&self) -> &Store {
        &self.database.store
    }

    pub(super) fn world(&self) -> World<'_> {
        World { now: NOW, entropy: &self.entropy }
    }

    /// The world some seconds later.
    pub(super) fn later(&self, seconds: i64) -> World<'_> {
        World { now: Timestamp::from_second(NOW.as_second() + seconds).unwrap(), entropy: &self.entropy }
    }

    pub(super) async fn tx(&self) -> TenantTx {
        self.store().tenant_tx(self.tenant).await.unwrap()
    }

    pub(super) fn registration() -> RegistrationId {
        RegistrationId::new("musterbank-live").unwrap()
    }

    pub(super) fn institution() -> InstitutionId {
        InstitutionId::new("de_musterbank").unwrap()
    }

    pub(super) async fn grant(&self) -> GrantId {
        let grant = Grant {
            id: GrantId::new(&self.world()),
            registration: Self::registration(),
            institution: Self::institution(),
            psu: self.psu,
            state: grant::State::Granted,
            seq: 0,
            intent: None,
            key: Some(Wrapped { epoch: 10, bytes: b"grant key".to_vec() }),
            sealed_bank_consent: None,
            sealed_tokens: None,
            bank_tag: None,
            subject_tag: None,
            token_expires_at: None,
            sca_at: None,
            valid_until: None,
            created_at: NOW,
            ended_at: None,
        };
        let mut tx = self.tx().await;
        grants::insert(&mut tx, &grant).await.unwrap();
        tx.commit().await.unwrap();
        grant.id
    }

    /// A consent in a state, on a grant.
    pub(super) async fn consent(&self, grant: GrantId, state: State, data: DataState) -> Consent {
        let consent = Consent {
            id: ConsentId::new(&self.world()),
            product: self.product,
            psu: self.psu,
            bank: Some((Self::institution(), Self::registration())),
            purposes: vec!["budgeting".to_owned()],
            clusters: vec!["transactions".to_owned()],
            language: "en".to_owned(),
            return_url: "https://product.example/back".to_owned(),
            retention: Retention::USUAL,
            text_hash: None,
            machine: Machine::new(NOW),
            seq: 0,
            grant: None,
            asked_until: Date::constant(2027, 1, 1),
            created_at: NOW,
            accepted_at: None,
            authorized_at: None,
            sca_at: None,
            confirmed_at: None,
            ended_at: None,
        };
        let mut tx = self.tx().await;
        consents::insert(&mut tx, &consent, CAUSE).await.unwrap();
        let machine = Machine { state, data, ..consent.machine };
        let after = Consent { grant: Some(grant), machine, ..consent.clone() };
        let saved = consents::save(&mut tx, &consent, &after, CAUSE).await.unwrap();
        tx.commit().await.unwrap();
        saved
    }

    pub(super) async fn active(&self) -> Consent {
        let grant = self.grant().await;
        self.consent(grant, State::Active, DataState::Present).await
    }

    /// Moves a consent to another state, as a revocation or a timer does.
    pub(super) async fn set(&self, consent: &Consent, state: State, data: DataState) -> Consent {
        let mut tx = self.tx().await;
        let before = consents::lock(&mut tx, consent.id).await.unwrap();
        let after = Consent { machine: Machine { state, data, ..before.machine }, ..before.clone() };
        let saved = consents::save(&mut tx, &before, &after, CAUSE).await.unwrap();
        tx.commit().await.unwrap();
        saved
    }

    /// A new line under a consent. Equal tags are the same account.
    pub(super) async fn line(&self, consent: &Consent, tag: u8) -> Account {
        let world = self.world();
        let account = Account { id: LineId::new(&world), key: DataKey::generate(&self.entropy) };
        let mut tx = self.tx().await;
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        let new = NewLine {
            id: account.id,
            account_tag: [tag; 32],
            key: &account.key,
            wrapped: &Wrapped { epoch: 10, bytes: account.id.uuid().as_bytes().to_vec() },
            details: &Details { iban: Some("DE02120300000000202051".to_owned()), ..Details::default() },
        };
        writer.create(&new, &world).await.unwrap();
        writer.grant(account.id, &account.key, b"resource", &world).await.unwrap();
        tx.commit().await.unwrap();
        account
    }

    /// Puts a line that exists under another consent.
    pub(super) async fn share(&self, consent: &Consent, account: &Account) {
        let mut tx = self.tx().await;
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        writer.grant(account.id, &account.key, b"resource 2", &self.world()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Stores one new booked transaction per day.
    pub(super) async fn put(&self, consent: &Consent, account: &Account, days: &[Date]) {
        let new = |day: &Date| (TransactionId::new(&self.world()), Standing::New, record(Some(*day), "1.00"));
        let rows: Vec<_> = days.iter().map(new).collect();
        assert_eq!(self.align(consent, account, &rows, [&[], &[]], 0).await.new, days.len());
    }

    /// Stores what a complete fetch brought, so many seconds later: rows, the missed ones and the withdrawn ones.
    pub(super) async fn align(
        &self,
        consent: &Consent,
        account: &Account,
        rows: &[(TransactionId, Standing, Normalized)],
        [missed, withdrawn]: [&[TransactionId]; 2],
        at: i64,
    ) -> Stored {
        let mut tx = self.tx().await;
        let mut writer = Writer::open(&mut tx, consent.id, consent.grant.unwrap()).await.unwrap();
        let mut line = writer.line(account.id).await.unwrap();
        let identities: Vec<String> = rows.iter().map(|(id, ..)| format!("identity of {id}")).collect();
        let listed: Vec<Listed<'_>> = rows
            .iter()
            .zip(&identities)
            .map(|((id, standing, record), identity)| {
                let identity = (*standing != Standing::Same).then_some(identity.as_bytes());
                Listed { id: *id, standing: *standing, record, identity, source: source() }
            })
            .collect();
        let aligned = Aligned { listed: &listed, identities: &[], missed, withdrawn, trust: b"trust" };
        let stored = line.put_aligned(&account.key, &aligned, &self.later(at)).await.unwrap();
        tx.commit().await.unwrap();
        stored
    }

    /// Every transaction of a consent, in pages of `limit`.
    pub(super) async fn pages(&self, consent: ConsentId, line: Option<LineId>, limit: u32) -> Vec<Page> {
        let mut tx = self.tx().await;
        let mut pages: Vec<Page> = Vec::new();
        for _ in 0..1000 {
            let after = pages.last().map(|page| page.next.unwrap());
            let query = Query { consent, line, from: None, until: None, after, limit };
            let page = transactions::page(&mut tx, query).await.unwrap();
            let last = page.next.is_none();
            pages.push(page);
            if last {
                return pages;
            }
        }
        panic!("the pages have no end");
    }
}

/// A place in a raw answer that nobody looks up.
pub(super) fn source() -> Source<'static> {
    Source { page: RawPageId::from_uuid(uuid::Uuid::nil()), row: 0, rule_set: "rules" }
}

/// A record with something in every field.
pub(super) fn record(booking_date: Option<Date>, amount: &str) -> Normalized {
    Normalized {
        money: Money::new(amount.parse().unwrap(), Currency::EUR),
        status: Status::Booked,
        booking_date,
        value_date: booking_date,
        transaction_date: None,
        counterparty: Counterparty { name: Some("Erika Mustermann".to_owned()), account: Some("DE89".to_owned()) },
        operation: Some(Operation::Card),
        merchant: Some("Bäckerei".to_owned()),
        merchant_id: Some("Q1".to_owned()),
        intermediary: Some("SumUp".to_owned()),
        category: Some("food.bakery".to_owned()),
        instructed: Some(Money::new("-1.25".parse().unwrap(), "USD".parse().unwrap())),
        exchange_rate: Some("0.92".parse().unwrap()),
        description: Some("Brötchen \u{1F950}".to_owned()),
        bank_reference: Some("ref".to_owned()),
        end_to_end_id: None,
        bank_transaction_code: Some("PMNT-CCRD-POSD".to_owned()),
        balance_after: Some(Money::new("102.50".parse().unwrap(), Currency::EUR)),
        provenance: vec![Provenance { field: "amount", path: "transactionAmount.amount".into(), rule: "sign.signed" }],
        issues: vec![Issue::new("value_date.missing", "no value date")],
    }
}

/// Waits until some transaction of the test's database waits for a lock.
pub(super) async fn until_somebody_waits(fixture: &Fixture) {
    until_so_many_wait(fixture, 1).await;
}

/// Waits until so many transactions of the test's database wait for locks.
pub(super) async fn until_so_many_wait(fixture: &Fixture, many: i64) {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let mut connection = PgConnection::connect_with(&fixture.database.options).await.unwrap();
    for _ in 0..20_000 {
        if connection.fetch_one(waiting).await.unwrap().get::<i64, _>(0) >= many {
            return;
        }
    }
    panic!("not {many} wait");
}

//! Many banks of all standards in one world: each with a profile and a registration of its own, and several nodes of the
//! application over one database.

use std::sync::Arc;

use domain::ids::{ConsentId, ProductId};
use domain::policy::Regime;
use domain::world::Clock;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use net::pki::Pki;
use sandbox::{BankData, Decision, Policy, Running};
use secrecy::SecretString;
use server::App;
use server::config::Config;
use server::services::logins::Arrival;
use store::private::Private;
use store::{Store, StoreConfig};

use crate::papers::{profile, write_registration, write_settings};
use crate::places;
use crate::world::{Door, Options, Place, TestClock};
use crate::world::{application, pki, start_bank, start_database};

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Banks, by turns of every standard.
    pub banks: usize,
    /// Customers of each; two of them have five accounts together.
    pub customers: usize,
    /// Days of rows in the books.
    pub days: i32,
    /// Nodes of the application.
    pub nodes: usize,
}

/// One of the banks.
pub struct Member {
    /// The bank itself.
    pub bank: Running,
    /// Where it is at home; none: with the Berlin Group.
    pub place: Option<Place>,
    /// Its books.
    pub books: BankData,
    /// Its id in the directory.
    pub institution: String,
    /// Our registration there.
    pub registration: String,
}

impl Member {
    /// The bank's calendar.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.books.zone).expect("a zone")
    }
}

/// All of it.
pub struct Fleet {
    /// Files, as those of a world.
    pub dir: tempfile::TempDir,
    /// The time of all of it.
    pub clock: Arc<TestClock>,
    /// Certificates of everybody.
    pub pki: Pki,
    /// The banks.
    pub members: Vec<Member>,
    /// The nodes, without their background work. The first one has the pages.
    pub nodes: Vec<Arc<App>>,
    /// A product with every purpose and scope.
    pub product: ProductId,
    /// Its key.
    pub api_key: SecretString,
    private: Private,
}

impl Fleet {
    /// Opens all banks and puts the nodes together. `habits` says how a bank is, by its number.
    ///
    /// # Panics
    /// When one of them does not open.
    pub async fn open(size: Size, begins: Timestamp, habits: impl Fn(usize) -> Policy) -> Self {
        let dir = tempfile::Builder::new().prefix("tributary-fleet-").tempdir().expect("a folder");
        let clock = Arc::new(TestClock::default());
        clock.advance(begins.duration_since(clock.now()));
        let pki = pki(clock.now());
        pki.write_to(&dir.path().join("registrations")).expect("files");
        std::fs::create_dir_all(dir.path().join("profiles")).expect("a folder");
        let mut members = Vec::new();
        for nth in 0..size.banks {
            let place = places::ALL[nth % places::ALL.len()];
            let options = Options { place, ..Options::default() };
            let plain = profile(options);
            let usual = plain.lines().find_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"')).expect("an id");
            let institution = format!("{}_chaos_{nth}", &usual[..2]);
            let own = plain.replacen(usual, &institution, 1);
            // Each BIC is one bank's.
            let own: String =
                own.lines().filter(|line| !line.starts_with("bics = ")).map(|l| format!("{l}\n")).collect();
            std::fs::write(dir.path().join(format!("profiles/{institution}.toml")), own).expect("a profile");
            let seed = u64::try_from(nth).expect("a number") + 1;
            let mut books = BankData::crowd(begins.to_zoned(TimeZone::UTC).date(), seed, size.customers, size.days);
            if let Some(place) = place {
                books = books.moved(place.currency.parse().expect("a currency"), place.zone);
            }
            let registration = format!("chaos-{nth}");
            let redirect = format!("http://localhost:8080/callback/{registration}");
            let bank = start_bank(&clock, &pki, books.clone(), &redirect, options, habits(nth)).await;
            write_registration(dir.path(), &bank, (&registration, &institution), &redirect, options);
            members.push(Member { bank, place, books, institution, registration });
        }
        write_settings(dir.path(), Options::default(), true);
        let private = start_database(dir.path()).await;
        let (app, product, api_key) = application(dir.path(), &clock, &private, Regime::Eu).await;
        let mut nodes = vec![app];
        for _ in 1..size.nodes {
            let config = Config::load(Some(&dir.path().join("config.toml"))).expect("settings");
            let store = Store::open(private.connect_options(), StoreConfig::default()).await.expect("a connection");
            let node = App::new(config, store, clock.clone(), nodes[0].tenant.clone()).expect("an application");
            nodes.push(Arc::new(node));
        }
        Self { dir, clock, pki, members, nodes, product, api_key, private }
    }

    /// The whole way of a customer of a bank who approves everything.
    ///
    /// # Panics
    /// When the way is not a happy one.
    pub async fn connect(&self, member: usize, customer: usize) -> ConsentId {
        let at = &self.members[member];
        let psu = &at.books.psus[customer];
        let (institution, registration) = (&at.institution, &at.registration);
        let door = Door { app: &self.nodes[0], product: self.product, institution, registration };
        let until = self.clock.now().to_zoned(TimeZone::UTC).date().saturating_add(Span::new().days(180));
        let consent = door.ask_until(&format!("{member} {customer}"), until).await;
        let departure = door.depart_in(consent, None).await;
        let visit = at.bank.visit(departure.redirect.as_str(), &psu.username, &psu.password, &Decision::ApproveAll);
        let callback = visit.await.expect("a visit");
        let arrival = door.arrive(&callback, &departure.browser).await;
        assert!(matches!(arrival, Arrival::Connected(_)), "{institution}: {arrival:?}");
        consent
    }

    /// Connections that the nodes hold to the database.
    ///
    /// # Panics
    /// When the database does not say.
    pub async fn connections(&self) -> i64 {
        let mut owner = sqlx::ConnectOptions::connect(&self.private.connect_options()).await.expect("a connection");
        let sql =
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        let count = sqlx::query_scalar(sql).fetch_one(&mut owner).await.expect("a count");
        drop(sqlx::Connection::close(owner).await);
        count
    }

    /// Takes the nodes down, which leaves the banks and the database.
    pub async fn stop(&mut self) {
        for node in self.nodes.drain(..) {
            node.store.close().await;
        }
    }

    /// Ends the banks and the database.
    ///
    /// # Panics
    /// When the database does not end.
    pub async fn end(mut self) {
        self.stop().await;
        for member in self.members {
            member.bank.shutdown().await;
        }
        self.private.stop().await.expect("the end of the database");
    }
}

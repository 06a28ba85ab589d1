//! A product's page of transactions over HTTP, against the bare transaction that it needs; and the same page while the
//! table grows around it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::ids::{EntryId, ProductId};
use secrecy::{ExposeSecret as _, SecretString};
use server::App;
use server::services::products::{self, NewKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::normalize::finished;
use super::page::page;
use super::parse::Reader;
use super::site::{self, Account, Site};
use super::{Figure, Goal, Pair, median, runtime, waited};

/// Clients that ask at the same time, each with a connection, a key and an account of its own.
const CLIENTS: usize = 16;
/// Rows of a client's account: ten pages.
const ROWS: usize = 1_000;
/// Rows of the page.
const PAGE: usize = 100;
/// Pages that a client asks for in a round.
const PAGES: usize = 25;
/// Rounds of a figure: together they stay below the rate that a tenant may ask at.
const ROUNDS_MAX: usize = 12;
/// Rows in the table: the smallest, which the others are held against, and those.
const SMALLEST: usize = 10_000;
const SIZES: [(&str, usize); 3] = [("rows_1e5", 100_000), ("rows_1e6", 1_000_000), ("rows_1e7", 10_000_000)];
/// Rows of an account that is nothing but company.
const COMPANY: usize = 100_000;

/// Rate and evenness of pages over HTTP.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    runtime()?.block_on(rates(rounds.min(ROUNDS_MAX)))
}

/// The same page in tables of other sizes, none above so many rows.
pub(super) fn measure_growth(rounds: usize, rows_max: usize) -> anyhow::Result<Vec<Figure>> {
    let sizes: Vec<_> = SIZES.into_iter().filter(|(_, rows)| *rows <= rows_max).collect();
    ensure!(!sizes.is_empty(), "tables begin at 100,000 rows");
    runtime()?.block_on(growth(rounds.min(ROUNDS_MAX), &sizes))
}

async fn rates(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let mut served = Served::open(CLIENTS).await?;
    let (mut ours, mut bare, mut each) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let mut answers = Vec::new();
        let time = waited(async {
            answers = served.pages().await?;
            Ok(())
        })
        .await?;
        let limit = waited(served.bare()).await?;
        // The first round warms.
        if round > 0 {
            ours.push(time);
            bare.push(limit);
            each.extend(answers);
        }
    }
    served.close().await?;
    let pair = Pair::of(ours, bare);
    each.sort_unstable();
    let at = |part: usize| each.get(each.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    Ok(vec![
        Figure {
            name: "query",
            what: "pages of 100 transactions over HTTP to 16 clients, as a part of the rate of their bare transactions",
            value: 1.0 / pair.ratio(),
            unit: "×",
            goal: Goal::AtLeast(0.6),
            beside: pair.rates(CLIENTS * PAGES),
        },
        Figure {
            name: "query-tail",
            what: "the slowest hundredth of those pages, against the middle one",
            value: at(99) / at(50),
            unit: "×",
            goal: Goal::AtMost(3.0),
            beside: vec![("p50_ms", at(50)), ("p99_ms", at(99))],
        },
    ])
}

/// Two installations, one of which grows, asked in turn, so that what else the machine does weighs on both.
async fn growth(rounds: usize, sizes: &[(&'static str, usize)]) -> anyhow::Result<Vec<Figure>> {
    let (mut small, mut large) = (Served::open(1).await?, Served::open(1).await?);
    small.fill(SMALLEST).await?;
    let mut beside = Vec::new();
    for (name, rows) in sizes {
        large.fill(*rows).await?;
        let (mut few, mut many) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let pair = (median(small.pages().await?), median(large.pages().await?));
            if round > 0 {
                few.push(pair.0.0);
                many.push(pair.1.0);
            }
        }
        beside.push((*name, Pair::of(many, few).ratio()));
    }
    small.close().await?;
    large.close().await?;
    Ok(vec![Figure {
        name: "query-growth",
        what: "a page in a table that grows, against the same page among 10,000 rows",
        value: beside.iter().map(|(_, ratio)| *ratio).fold(0.0, f64::max),
        unit: "×",
        goal: Goal::AtMost(1.25),
        beside,
    }])
}

/// An installation that serves, and its clients.
struct Served {
    site: Site,
    running: server::Running,
    product: ProductId,
    clients: Vec<Client>,
    rows: usize,
}

impl Served {
    async fn open(clients: usize) -> anyhow::Result<Self> {
        let site = Site::open().await?;
        let app = &site.app;
        let (product, _) = server::setup::add_product(app, "Bench", &["budgeting"], &[]).await?;
        let records = finished(&Reader::new()?, &page(ROWS));
        ensure!(records.len() == ROWS, "rows of the page were refused");
        let running = server::start(app.clone()).await?;
        let mut ready = Vec::new();
        for _ in 0..clients {
            let account = site::connected(app, product).await?;
            account.put(app, &records).await?;
            let key = products::add_key(app, product, NewKey::default()).await?;
            ready.push(Client::new(running.address, account, &key));
        }
        app.store.settle().await?;
        Ok(Self { site, running, product, clients: ready, rows: clients * ROWS })
    }

    /// Fills the table with other accounts.
    async fn fill(&mut self, rows: usize) -> anyhow::Result<()> {
        let app = &self.site.app;
        while self.rows < rows {
            let more = (rows - self.rows).min(COMPANY);
            let account = site::connected(app, self.product).await?;
            app.store.fill(account.line, i64::try_from(more)?).await?;
            self.rows += more;
        }
        Ok(app.store.settle().await?)
    }

    /// Every client asks for its pages; gives how long each took.
    async fn pages(&mut self) -> anyhow::Result<Vec<Duration>> {
        let mut asking = JoinSet::new();
        for mut client in self.clients.drain(..) {
            asking.spawn(async move {
                let mut times = Vec::with_capacity(PAGES);
                let mut stream = client.connect().await?;
                for _ in 0..PAGES {
                    times.push(waited(client.page(&mut stream)).await?);
                }
                anyhow::Ok((client, times))
            });
        }
        let mut all = Vec::new();
        while let Some(done) = asking.join_next().await {
            let (client, times) = done??;
            self.clients.push(client);
            all.extend(times);
        }
        Ok(all)
    }

    /// As many bare transactions, as many at a time.
    async fn bare(&self) -> anyhow::Result<()> {
        let mut asking = JoinSet::new();
        for client in &self.clients {
            let (app, place) = (self.site.app.clone(), (client.account.consent, client.account.line));
            asking.spawn(async move { bare(&app, place).await });
        }
        while let Some(done) = asking.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        drop(self.clients);
        self.running.shutdown().await;
        self.site.close().await
    }
}

async fn bare(app: &App, place: (domain::ids::ConsentId, domain::ids::LineId)) -> anyhow::Result<()> {
    for _ in 0..PAGES {
        let entry = EntryId::new(&app.world());
        let read = app.store.page_bare(app.tenant.id, place, entry, i64::try_from(PAGE)? + 1).await?;
        ensure!(read == PAGE + 1, "{read} rows read");
    }
    Ok(())
}

/// Asks the same again and again, on one connection for a round, since a server ends one on which nobody asks for long. It
/// looks at no more of an answer than it must: what a client does is not what is measured.
struct Client {
    address: SocketAddr,
    request: String,
    account: Account,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, account: Account, key: &SecretString) -> Self {
        let request = format!(
            "GET /v1/accounts/{}/transactions?limit={PAGE} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            account.line,
            key.expose_secret()
        );
        Self { address, request, account, buffer: Vec::with_capacity(1 << 18) }
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn page(&mut self, stream: &mut TcpStream) -> anyhow::Result<()> {
        stream.write_all(self.request.as_bytes()).await?;
        self.buffer.clear();
        let head = loop {
            ensure!(stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let words = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        ensure!(words.starts_with("http/1.1 200"), "{}", words.lines().next().unwrap_or_default());
        let length = words.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = head + length.context("an answer without a length")?.trim().parse::<usize>()?;
        while self.buffer.len() < whole {
            ensure!(stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_measured_are_pages_of_a_hundred_rows() {
        let mut served = Served::open(2).await.unwrap();
        assert_eq!(served.pages().await.unwrap().len(), 2 * PAGES);
        let body = String::from_utf8_lossy(&served.clients[0].buffer).into_owned();
        assert_eq!(body.matches("\"id\":\"txn_").count(), PAGE);
        served.bare().await.unwrap();
        served.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_grows_around_the_page_that_is_asked_for() {
        let figures = growth(1, &[("rows", 12_000)]).await.unwrap();
        assert!(figures[0].value > 0.0);
    }
}

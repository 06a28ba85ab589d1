//! A person's browser: headless Chromium behind its own chromedriver.
//!
//! Each start has an empty profile and a free port. Nothing here sleeps: a test waits for a fact on the page, and a fact
//! that does not come in time ends the test with the address, the heading and a picture of what was there instead.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::error::{CmdError, ErrorStatus};
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

/// How long a page may take to show a fact; generous, since it is only spent when something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a page.
const PAUSE: Duration = Duration::from_millis(50);
/// How long chromedriver may take to start or to end.
const DRIVER_PATIENCE: Duration = Duration::from_secs(20);
/// Width of the window, in CSS pixels.
const WIDTH: u32 = 1100;
/// Height of the window, in CSS pixels.
const HEIGHT: u32 = 900;
/// Width of a phone, in CSS pixels.
const NARROW: u32 = 360;

const CHROMIUM: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const CHROMEDRIVER: [&str; 1] = ["chromedriver"];

/// One browser with one window. Dropping it ends the browser, also when a test fails.
pub struct Browser {
    page: Client,
    /// Dropped after the client: ends the browser and its driver.
    _driver: Driver,
}

impl Browser {
    /// Starts a browser that nobody has used. It accepts the throw-away certificates of simulated banks.
    ///
    /// # Panics
    /// When there is no browser on this machine, or it does not start; the message says what to do.
    pub async fn start() -> Self {
        let driver = tokio::task::spawn_blocking(Driver::start).await.expect("the start of the driver was not aborted");
        let driver = driver.unwrap_or_else(|why| panic!("{why}"));
        let capabilities = [
            ("browserName".to_owned(), json!("chrome")),
            ("acceptInsecureCerts".to_owned(), json!(true)),
            ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
            ("goog:chromeOptions".to_owned(), json!({ "binary": driver.chromium, "args": driver.arguments() })),
        ];
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.into_iter().collect())
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .unwrap_or_else(|error| panic!("{} does not start: {error}", driver.chromium.display()));
        Self { page, _driver: driver }
    }

    /// The WebDriver client, for what the helpers here do not cover.
    pub fn page(&self) -> &Client {
        &self.page
    }

    /// Goes to an address and waits until it is loaded.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub async fn open(&self, address: &str) {
        self.page.goto(address).await.unwrap_or_else(|error| panic!("{address} cannot be opened: {error}"));
    }

    /// Waits for an element.
    ///
    /// # Panics
    /// When it does not appear in time; a picture of the page is in the folder of [`Browser::shoot`].
    pub async fn see(&self, css: &str) -> Element {
        self.wait(Locator::Css(css), css).await
    }

    /// Waits for a page with this heading.
    ///
    /// # Panics
    /// As [`Browser::see`].
    pub async fn see_heading(&self, heading: &str) -> Element {
        assert!(!heading.contains('"'), "a heading without quotation marks: it goes into an XPath");
        self.wait(Locator::XPath(&format!("//h1[normalize-space()=\"{heading}\"]")), heading).await
    }

    /// Waits for an element and presses it.
    ///
    /// # Panics
    /// As [`Browser::see`], and when it cannot be pressed.
    pub async fn press(&self, css: &str) {
        let pressed = persevere(async || self.page.find(Locator::Css(css)).await?.click().await).await;
        self.done(css, "be pressed", pressed).await;
    }

    /// Waits for an input and replaces what is in it.
    ///
    /// # Panics
    /// As [`Browser::see`], and when it takes no text.
    pub async fn fill(&self, css: &str, text: &str) {
        let filled = persevere(async || {
            let input = self.page.find(Locator::Css(css)).await?;
            input.clear().await?;
            input.send_keys(text).await
        });
        self.done(css, "take text", filled.await).await;
    }

    /// A picture of the whole page as `target/screenshots/{name}.png`.
    ///
    /// # Panics
    /// When it cannot be taken or written.
    pub async fn shoot(&self, name: &str) -> PathBuf {
        keep(name, &self.picture().await)
    }

    /// A picture of the whole page as a phone shows it, as `target/screenshots/{name}.png`. Gives by how many pixels the
    /// page is wider than the phone.
    ///
    /// # Panics
    /// As [`Browser::shoot`].
    pub async fn shoot_narrow(&self, name: &str, dark: bool) -> u64 {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
        let phone = json!({ "width": NARROW, "height": HEIGHT, "deviceScaleFactor": 2, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", phone).await;
        let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let overflow = self.page.execute(overflow, Vec::new()).await.expect("a width").as_u64().expect("a width");
        let picture = self.picture().await;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
        keep(name, &picture);
        overflow
    }

    /// Asks pages for their dark or their light colours, or leaves it to the machine.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn scheme(&self, dark: Option<bool>) {
        let scheme = |dark| json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        let features: Vec<Value> = dark.map(scheme).into_iter().collect();
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Switches scripts off, as some people do, or on again. It counts from the next page on.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn scripts(&self, on: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !on })).await;
    }

    /// Forgets one cookie of an address, whatever page is open.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn forget(&self, address: &str, cookie: &str) {
        self.devtools("Network.deleteCookies", json!({ "name": cookie, "url": address })).await;
    }

    /// Presses the browser's own button that leads back.
    ///
    /// # Panics
    /// When the browser does not do it.
    pub async fn back(&self) {
        self.page.back().await.unwrap_or_else(|error| panic!("there is no way back: {error}"));
    }

    /// Every address that this window's history holds, oldest first.
    ///
    /// # Panics
    /// When the browser does not tell.
    pub async fn history(&self) -> Vec<String> {
        let told = self.devtools("Page.getNavigationHistory", json!({})).await;
        let entries = told["entries"].as_array().expect("a history");
        entries.iter().map(|entry| entry["url"].as_str().expect("an address").to_owned()).collect()
    }

    /// What the browser has complained about since it was asked last: refused by a policy, not found, failed.
    ///
    /// # Panics
    /// When the browser does not tell.
    pub async fn complaints(&self) -> Vec<String> {
        let told = self.command("se/log", json!({ "type": "browser" })).await;
        let lines = told.as_array().expect("a log");
        lines.iter().map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Presses a key on whatever has the focus.
    ///
    /// # Panics
    /// When the browser takes no keys.
    pub async fn key(&self, key: Key) {
        let focus = self.page.active_element().await.expect("something has the focus");
        focus.send_keys(&char::from(key).to_string()).await.expect("a key press");
    }

    /// Moves the focus with the tabulator key until it is on an element.
    ///
    /// # Panics
    /// When it cannot be reached; then it is no use to somebody without a mouse.
    pub async fn tab_to(&self, css: &str) -> Element {
        let wanted = self.see(css).await;
        for _ in 0..40 {
            self.key(Key::Tab).await;
            let focus = self.page.active_element().await.expect("something has the focus");
            if focus.element_id() == wanted.element_id() {
                return focus;
            }
        }
        panic!("{css} cannot be reached with the tabulator key");
    }

    async fn picture(&self) -> Vec<u8> {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let taken = self.devtools("Page.captureScreenshot", whole).await;
        STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("a picture")
    }

    async fn devtools(&self, method: &'static str, parameters: Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": method, "params": parameters })).await
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        let answer = self.page.issue_cmd(Beyond { path, body }).await;
        answer.unwrap_or_else(|error| panic!("{path} was not answered: {error}"))
    }

    async fn wait(&self, locator: Locator<'_>, wanted: &str) -> Element {
        let waited = persevere(async || self.page.find(locator).await).await;
        self.done(wanted, "appear", waited).await
    }

    /// Ends the test with the address, the heading and a picture when something on a page did not come about.
    async fn done<T>(&self, wanted: &str, what: &str, outcome: Result<T, CmdError>) -> T {
        let error = match outcome {
            Ok(done) => return done,
            Err(error) => error,
        };
        let plain: String = wanted.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
        let address = self.page.current_url().await.map_or_else(|why| why.to_string(), |url| url.to_string());
        let heading = match self.page.find(Locator::Css("h1")).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => "no heading".to_owned(),
        };
        let picture = self.shoot(&format!("missing-{plain}")).await;
        panic!("`{wanted}` did not {what} at {address} ({heading}): {error}; see {}", picture.display());
    }
}

/// Tries until it succeeds, as long as the reason may pass: a page that is on its way in or out has no such element yet,
/// has one that belongs to the page before, or answers that the question was cut short by the way to the next page.
async fn persevere<T>(attempt: impl AsyncFn() -> Result<T, CmdError>) -> Result<T, CmdError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if passes(&error) && Instant::now() < end => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// Whether a reason may be gone when the page has come to rest.
fn passes(error: &CmdError) -> bool {
    match error {
        CmdError::Standard(told) => matches!(
            told.error,
            ErrorStatus::NoSuchElement
                | ErrorStatus::StaleElementReference
                | ErrorStatus::DetachedShadowRoot
                | ErrorStatus::UnknownError
        ),
        // What chromedriver says of a page that goes away while it looks is no error of the standard.
        CmdError::NotW3C(answer) => answer == "aborted by navigation",
        _ => false,
    }
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").field("driver", &self._driver).finish_non_exhaustive()
    }
}

/// Where pictures go: below the folder of build products.
fn screenshots() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(target).join("screenshots")
}

fn keep(name: &str, picture: &[u8]) -> PathBuf {
    let folder = screenshots();
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = folder.join(format!("{name}.png"));
    std::fs::write(&file, picture).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file
}

/// A command of chromedriver beyond the WebDriver standard.
#[derive(Debug)]
struct Beyond {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Beyond {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// A running chromedriver with an empty profile for its browser.
#[derive(Debug)]
struct Driver {
    process: Child,
    port: u16,
    chromium: PathBuf,
    profile: PathBuf,
}

impl Driver {
    fn start() -> Result<Self, String> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let chromium = program("TRIBUTARY_CHROMIUM", &CHROMIUM, &path)?;
        let chromedriver = program("TRIBUTARY_CHROMEDRIVER", &CHROMEDRIVER, &path)?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("tributary-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&profile).map_err(|error| format!("{}: {error}", profile.display()))?;
        let mut process = Command::new(&chromedriver)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", chromedriver.display()))?;
        let output = process.stdout.take().ok_or("chromedriver has no output")?;
        let mut driver = Self { process, port: 0, chromium, profile };
        driver.port = announced_port(output)?;
        Ok(driver)
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--no-sandbox", // tests also run as root, where the sandbox cannot
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--lang=en",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--window-size={WIDTH},{HEIGHT}"));
        arguments.push(format!("--user-data-dir={}", self.profile.display()));
        arguments
    }

    /// Asks chromedriver to end its browser and itself.
    fn ask_to_end(&self) -> std::io::Result<()> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(DRIVER_PATIENCE))?;
        write!(connection, "GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new()).map(|_| ())
    }
}

impl Drop for Driver {
    /// A driver that is killed would leave its browser running, so it is asked first and ends both.
    fn drop(&mut self) {
        if self.ask_to_end().is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// The port in `ChromeDriver was started successfully on port 41561.`; the rest of the output is read and dropped, so that
/// the pipe never fills.
fn announced_port(output: impl Read + Send + 'static) -> Result<u16, String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let port =
                line.split("successfully on port ").nth(1).and_then(|rest| rest.trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                let _ = send.send(port);
            }
        }
    });
    receive.recv_timeout(DRIVER_PATIENCE).map_err(|_| "chromedriver did not say on which port it listens".to_owned())
}

/// The program that a variable names, or the first of several names on the search path.
fn program(variable: &str, names: &[&str], search: &OsStr) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(variable) {
        return Ok(named.into());
    }
    let folders: Vec<_> = std::env::split_paths(search).collect();
    let mut candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.find(|file| file.is_file()).ok_or_else(|| {
        let first = names.first().copied().unwrap_or_default();
        format!("there is no {first} on this machine: run .ci/setup --tests, or name it in {variable}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_browser_is_told_what_to_do() {
        let why = program("TRIBUTARY_NO_SUCH_VARIABLE", &CHROMIUM, OsStr::new("/nowhere")).unwrap_err();
        assert!(why.contains(".ci/setup --tests"), "{why}");
    }

    #[test]
    fn the_port_is_read_from_what_the_driver_says() {
        let said = "Starting ChromeDriver 156.0 on port 0\nOnly local connections are allowed.\n\
                    ChromeDriver was started successfully on port 41561.\n";
        assert_eq!(announced_port(std::io::Cursor::new(said)), Ok(41561));
        assert!(announced_port(std::io::empty()).is_err());
    }

    #[test]
    fn a_page_on_its_way_is_waited_for_and_a_lost_browser_is_not() {
        let on_its_way = |said: &str| passes(&CmdError::NotW3C(json!(said)));
        assert!(on_its_way("aborted by navigation"));
        assert!(!on_its_way("something else"));
        assert!(!passes(&CmdError::Lost(std::io::Error::other("gone"))));
    }

    #[tokio::test]
    async fn a_browser_shows_a_page_and_leaves_nothing_behind() {
        let browser = Browser::start().await;
        let (profile, port) = (browser._driver.profile.clone(), browser._driver.port);
        browser.open("data:text/html,<h1>A page</h1><form><input id=name><button>Go</button></form>").await;
        browser.see_heading("A page").await;
        browser.fill("#name", "Ada").await;
        assert_eq!(browser.see("#name").await.prop("value").await.unwrap().as_deref(), Some("Ada"));
        browser.press("button").await;
        let picture = std::fs::read(browser.shoot("harness").await).unwrap();
        assert!(picture.starts_with(b"\x89PNG\r\n"));
        assert!(profile.is_dir());
        drop(browser);
        assert!(!profile.exists());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "the driver has ended");
    }
}

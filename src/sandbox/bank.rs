//! The bank as a running thing: its parts, its two listeners, and what a test or a demo may do to it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use domain::world::{Clock, Entropy, World};
use http_body_util::Limited;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use net::serve::{ClientCertificates, ServeConfig, Serving, Transport, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::books::{Books, Consent, ConsentStatus};
use crate::config::{Config, Front, Policy, RegisteredClient, StartError};
use crate::data::{Account, BankData, Row};
use crate::ecosystem::Ecosystem;
use crate::generate::Dice;
use crate::jose::{Keys, SigningKey, base64url};
use crate::log::{Call, Latest, LogLine};
use crate::misbehaviour::{Misbehaviour, Outage, Planned, misbehave};
use crate::seal::{self, RegisteredSeal};
use crate::unrest::{Counting, Mood, Refusal, Spoilt, Unrest, consent_behind, is_about_accounts, is_attended, is_list};
use crate::visit::Decision;
use crate::{api, dpop, front, intermediary, oauth, posted, resources};

/// The simulated bank.
#[derive(Debug, Clone, Copy)]
pub struct Bank;

/// What a bank says, for [`Running::misstate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// In ID tokens, before they are signed.
    IdToken,
    /// In signed authorisation responses (JARM), before they are signed.
    SignedResponse,
    /// In answers of the token endpoint.
    TokenResponse,
}

/// A client with its keys read.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) registered: RegisteredClient,
    pub(crate) keys: Keys,
}

/// What every handler sees.
pub(crate) struct Inner {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    zone: TimeZone,
    books: Mutex<Books>,
    pub(crate) log: Latest<LogLine>,
    /// What came to the interface. Paths hold ids of consents, so they are never traced.
    calls: Latest<Call>,
    /// Paths whose next answer is lost on the way.
    losses: Mutex<Vec<Loss>>,
    /// Answers that are to be spoilt.
    planned: Mutex<Vec<Planned>>,
    /// What it does not do at all.
    outage: Mutex<Option<Outage>>,
    /// What chance spoils, and what it counts.
    mood: Mutex<Mood>,
    /// Members that the bank states wrongly.
    lies: Mutex<Vec<(Said, String, Value)>>,
    pub(crate) clients: Vec<Client>,
    seal: Mutex<Option<RegisteredSeal>>,
    pub(crate) data: BankData,
    pub(crate) policy: Policy,
    pub(crate) ecosystem: Ecosystem,
    pub(crate) key: SigningKey,
    /// Base of the interface, `https://localhost:8443`.
    pub(crate) interface: String,
    /// Base of the front.
    pub(crate) front: String,
    pub(crate) issuer: String,
}

/// Handlers share the bank.
pub(crate) type Shared = Arc<Inner>;

impl Inner {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The seal that requests must be signed with.
    pub(crate) fn seal(&self) -> Option<RegisteredSeal> {
        self.seal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bank's calendar day.
    pub(crate) fn today(&self) -> Date {
        self.zone.to_datetime(self.now()).date()
    }

    /// Where the bank's calendar is kept.
    pub(crate) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(crate) fn world(&self) -> World<'_> {
        World { now: self.now(), entropy: self.entropy.as_ref() }
    }

    /// A fresh unguessable value of 256 bits.
    pub(crate) fn secret(&self) -> String {
        base64url(self.world().bytes::<32>())
    }

    /// A nonce for proofs of possession.
    pub(crate) fn nonce(&self) -> String {
        let (nonce, until) = (self.secret(), dpop::nonce_until(self.now()));
        self.books().nonces.insert(nonce.clone(), until);
        nonce
    }

    /// Whether a nonce is ours and still taken.
    pub(crate) fn knows(&self, nonce: &str) -> bool {
        self.books().nonces.get(nonce).is_some_and(|until| *until > self.now())
    }

    pub(crate) fn after(&self, seconds: i64) -> Timestamp {
        self.now().saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }

    /// The changing part. Handlers take it once, never across an await.
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What chance spoils, and what it counts. Taken apart from the books.
    pub(crate) fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account with the rows that the bank lists now.
    pub(crate) fn listed<'a>(&self, account: &'a Account) -> Cow<'a, Account> {
        let amended = self.books().amended.get(&account.iban).cloned();
        amended.map_or(Cow::Borrowed(account), |amended| Cow::Owned(Arc::unwrap_or_clone(amended)))
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.registered.client_id == client_id)
    }

    /// What the bank says after every member that it was told to misstate.
    pub(crate) fn says(&self, what: Said, mut members: Value) -> Value {
        let lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, name, value) in lies.iter().filter(|(said, ..)| *said == what) {
            match (value, members.as_object_mut()) {
                (Value::Null, Some(members)) => {
                    members.remove(name);
                }
                (value, Some(members)) => {
                    members.insert(name.clone(), value.clone());
                }
                (_, None) => {}
            }
        }
        members
    }

    pub(crate) fn note(&self, endpoint: &'static str, code: &str, detail: &str) {
        self.write(endpoint, false, code, detail);
    }

    pub(crate) fn refuse(&self, endpoint: &'static str, code: &str, detail: &str) {
        self.write(endpoint, true, code, detail);
    }

    fn write(&self, endpoint: &'static str, refused: bool, code: &str, detail: &str) {
        self.log.write(LogLine { at: self.now(), endpoint, refused, code: code.to_owned(), detail: detail.to_owned() });
    }
}

impl Bank {
    /// Opens the bank.
    ///
    /// # Errors
    /// When a listener, a certificate, a client's keys or the time zone cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let interface_listener = TcpListener::bind(config.interface_listen).await?;
        let front_listener = TcpListener::bind(config.front_listen).await?;
        let interface = format!("https://{}:{}", config.host, interface_listener.local_addr()?.port());
        let scheme = if config.front == Front::Tls { "https" } else { "http" };
        let front = format!("{scheme}://{}:{}", config.host, front_listener.local_addr()?.port());
        let issuer = if config.front == Front::Tls { front.clone() } else { interface.clone() };

        let tls =
            |clients| Transport::Tls { identity: config.server.clone(), clients, clock: Arc::clone(&config.clock) };
        let interface_transport = tls(ClientCertificates::Required(config.client_roots.clone()));
        let front_transport = if config.front == Front::Tls { tls(ClientCertificates::None) } else { Transport::Plain };

        let inner = Arc::new(Inner {
            zone: TimeZone::get(&config.data.zone)?,
            clients: read_clients(config.clients, config.ecosystem.algorithms)?,
            key: SigningKey::generate(config.ecosystem.algorithms).map_err(StartError::SigningKey)?,
            clock: config.clock,
            entropy: config.entropy,
            books: Mutex::default(),
            log: Latest::default(),
            calls: Latest::default(),
            losses: Mutex::default(),
            planned: Mutex::default(),
            outage: Mutex::default(),
            mood: Mutex::default(),
            lies: Mutex::default(),
            seal: Mutex::new(config.seal),
            data: config.data,
            policy: config.policy,
            ecosystem: config.ecosystem,
            interface,
            front,
            issuer,
        });
        let interface_router = oauth::router(Arc::clone(&inner))
            .merge(
                match (&config.ecosystem.resources, &config.ecosystem.posted) {
                    (Some(resources), _) => resources::router(Arc::clone(&inner), resources),
                    (None, Some(posted)) => posted::router(Arc::clone(&inner), posted),
                    (None, None) if config.ecosystem.intermediary => intermediary::router(Arc::clone(&inner)),
                    (None, None) => api::router(Arc::clone(&inner)),
                }
                .layer(from_fn_with_state(Arc::clone(&inner), seal::check)),
            )
            .layer(from_fn_with_state(Arc::clone(&inner), received));
        let front_router = oauth::router(Arc::clone(&inner)).merge(front::router(Arc::clone(&inner)));
        let shutdown = CancellationToken::new();
        let interface_task =
            serve(interface_listener, ServeConfig::new(interface_transport), interface_router, shutdown.clone())?;
        let front_task =
            serve(front_listener, ServeConfig::new(front_transport), front_router.clone(), shutdown.clone())?;
        Ok(Running {
            issuer: inner.issuer.clone(),
            api_base: inner.interface.clone(),
            front_base: inner.front.clone(),
            front_router,
            inner,
            tasks: [interface_task, front_task],
            shutdown: shutdown.drop_guard(),
        })
    }
}

/// Notes what comes to the interface before anything looks at it, and breaks the connection where an answer is to be
/// lost.
async fn received(State(bank): State<Shared>, request: Request, next: Next) -> Response {
    let (request, posted) = read_posted(&bank, request).await;
    let behind = consent_behind(&bank, request.headers());
    let attended = is_attended(request.headers(), posted.as_deref());
    bank.calls.push(Call::of(&request, behind.clone(), attended, bank.now()));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let outage = *bank.outage.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = outage.and_then(|outage| outage.answer(&uri)) {
        return answer;
    }
    if let Some(consent) = behind.as_deref().filter(|_| !attended && is_about_accounts(&uri))
        && let Some(refusal) = bank.mood().count(consent, uri.path(), bank.now())
    {
        return refusal;
    }
    let (request, is_lost) = takes_loss(&bank, request).await;
    let answer = next.run(request).await;
    let planned = {
        let mut planned = bank.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.iter_mut().find(|one| one.takes(&method, &uri)).map(|one| {
            one.done += 1;
            (one.how, one.done)
        })
    };
    if let Some((how, nth)) = planned.or_else(|| by_chance(&bank, &uri, behind)) {
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        return misbehave(how, &bank.ecosystem, &uri, nth, (parts.status, body));
    }
    if is_lost { Response::new(Body::new(Limited::new(answer.into_body(), 0))) } else { answer }
}

/// How an answer is spoilt by chance, and which of them it is.
fn by_chance(bank: &Inner, uri: &Uri, consent: Option<String>) -> Option<(Misbehaviour, usize)> {
    if !is_about_accounts(uri) {
        return None;
    }
    let mut mood = bank.mood();
    let how = mood.roll(is_list(uri))?;
    mood.spoilt.push(Spoilt { at: bank.now(), how, consent });
    Some((how, mood.spoilt.len()))
}

/// The body of a request to an interface that is asked by POST.
async fn read_posted(bank: &Inner, request: Request) -> (Request, Option<Bytes>) {
    if bank.ecosystem.posted.is_none() || !is_about_accounts(request.uri()) {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    (Request::from_parts(parts, Body::from(body.clone())), Some(body))
}

/// An answer that is to be lost.
struct Loss {
    path: String,
    /// What the body of the request holds.
    with: String,
}

/// Whether the answer to a request is to be lost; such a loss is used up.
async fn takes_loss(bank: &Shared, request: Request) -> (Request, bool) {
    let path = request.uri().path().to_owned();
    let losses = || bank.losses.lock().unwrap_or_else(PoisonError::into_inner);
    if losses().iter().all(|loss| loss.path != path) {
        return (request, false);
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let mut losses = losses();
    let at = losses.iter().position(|loss| loss.path == path && text.contains(&loss.with));
    let is_lost = at.map(|at| losses.swap_remove(at)).is_some();
    (Request::from_parts(parts, Body::from(body.clone())), is_lost)
}

fn read_clients(
    clients: Vec<RegisteredClient>,
    algorithms: &'static [&'static str],
) -> Result<Vec<Client>, StartError> {
    clients
        .into_iter()
        .map(|registered| match Keys::from_json(&registered.jwks, algorithms) {
            Some(keys) => Ok(Client { registered, keys }),
            None => Err(StartError::ClientKeys { client_id: registered.client_id }),
        })
        .collect()
}

/// A bank that is open. Dropping it closes the bank.
pub struct Running {
    /// The issuer identifier; metadata lies under it at both well-known paths.
    pub issuer: String,
    /// Base of the account interface: Berlin Group paths (`/v1/…`) begin right after it.
    pub api_base: String,
    /// Base of the pages.
    pub front_base: String,
    pub(crate) front_router: Router,
    inner: Shared,
    tasks: [Serving; 2],
    shutdown: DropGuard,
}

/// A token without the certificate it was issued to.
pub struct StolenToken {
    /// The bearer token.
    pub access_token: String,
    /// The consent it opens.
    pub consent_id: String,
}

/// Opens accounts in the right hands: shows nothing.
impl std::fmt::Debug for StolenToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StolenToken").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("issuer", &self.issuer).field("front", &self.front_base).finish_non_exhaustive()
    }
}

impl Running {
    /// The bank's log so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.inner.log.lines()
    }

    /// Method and path of every request that came to the interface so far, whatever became of it: to prove that
    /// something was not sent.
    pub fn requests(&self) -> Vec<String> {
        self.inner.calls.lines().into_iter().map(|call| call.request).collect()
    }

    /// The same requests with when they came and what they said of themselves.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lines()
    }

    /// Takes a client's key set over, as a bank does that reads a `jwks_uri` now and then. `false` for an unknown client or
    /// for what is no set of public keys.
    pub fn register_keys(&self, client_id: &str, jwks: &Value) -> bool {
        self.inner.client(client_id).is_some_and(|client| client.keys.replace(jwks))
    }

    /// The id of the key with which a client last signed something that was accepted.
    pub fn last_key_id(&self, client_id: &str) -> Option<String> {
        self.inner.client(client_id)?.keys.last()
    }

    /// Loses the next answer of the interface to a path: the bank does what it was asked, and the connection breaks before
    /// the answer has arrived. Asked for n times, the next n answers are lost.
    pub fn lose_answer(&self, path: &str) {
        self.lose_answer_to(path, "");
    }

    /// The same for the next request whose body holds a text: `grant_type=authorization_code`.
    pub fn lose_answer_to(&self, path: &str, with: &str) {
        let loss = Loss { path: path.to_owned(), with: with.to_owned() };
        self.inner.losses.lock().unwrap_or_else(PoisonError::into_inner).push(loss);
    }

    /// Spoils the next so many answers to `GET` requests whose path ends so.
    pub fn misbehave(&self, how: Misbehaviour, ending: &str, times: usize) {
        let planned = Planned { how, ending: ending.to_owned(), times, done: 0 };
        self.inner.planned.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
    }

    /// Spoils answers by chance from now on; `None`: no more.
    pub fn unsettle(&self, unrest: Option<Unrest>) {
        self.inner.mood().unrest = unrest.map(|unrest| {
            let dice = Dice(unrest.seed);
            (unrest, dice)
        });
    }

    /// Counts calls without the PSU from now on, beside the reads of a day; `None`: no more.
    pub fn count(&self, counting: Option<Counting>) {
        self.inner.mood().counting = counting;
    }

    /// Every refusal of that count so far.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.inner.mood().refusals.clone()
    }

    /// Every answer that chance has spoilt so far.
    pub fn spoilt(&self) -> Vec<Spoilt> {
        self.inner.mood().spoilt.clone()
    }

    /// Spoils nothing any more.
    pub fn behave(&self) {
        self.inner.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// From now on the interface does nothing of a kind; `None`: everything again.
    pub fn fail(&self, outage: Option<Outage>) {
        *self.inner.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
    }

    /// From now on the bank states a member wrongly; `null` leaves it away. What it does stays right.
    pub fn misstate(&self, what: Said, name: &str, value: Value) {
        self.inner.lies.lock().unwrap_or_else(PoisonError::into_inner).push((what, name.to_owned(), value));
    }

    /// From now on the bank knows another seal than ours.
    pub fn forget_seal(&self) {
        if let Some(seal) = &mut *self.inner.seal.lock().unwrap_or_else(PoisonError::into_inner) {
            seal.certificate.reverse();
        }
    }

    /// From now on the bank states everything as it is.
    pub fn be_honest(&self) {
        self.inner.lies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The PSU ends a consent in the bank's own pages: `revokedByPsu`. Refresh tokens of it are dead; an access token
    /// opens nothing any more. `false` when there is no valid consent of this id.
    pub fn revoke_at_bank(&self, consent_id: &str) -> bool {
        let (now, today) = (self.inner.now(), self.inner.today());
        let mut books = self.inner.books();
        let Some(consent) = books.consent(consent_id, now, today) else {
            return false;
        };
        if consent.status != ConsentStatus::Valid {
            return false;
        }
        consent.end(ConsentStatus::RevokedByPsu, today);
        drop(books);
        self.inner.note("bank", "consent.revoked_by_psu", "the PSU ended a consent at the bank");
        true
    }

    /// A consent that was ended at the bank is honoured again, tokens and all: the PSU thought better of it. `false` when there
    /// is none.
    pub fn reinstate(&self, consent_id: &str) -> bool {
        let (now, today) = (self.inner.now(), self.inner.today());
        let mut books = self.inner.books();
        let ended = books.consent(consent_id, now, today).filter(|one| one.status == ConsentStatus::RevokedByPsu);
        let Some(consent) = ended else { return false };
        consent.end(ConsentStatus::Valid, today);
        drop(books);
        self.inner.note("bank", "consent.reinstated", "the PSU lets a consent live again");
        true
    }

    /// What the bank would tell the TPP of a consent (NextGenPSD2 Resource Status Notification Service): the address that
    /// the TPP named, and the body. `None` where it named none. The bank calls nobody; a test moves it.
    pub fn status_push(&self, consent_id: &str) -> Option<(String, Value)> {
        let (now, today) = (self.inner.now(), self.inner.today());
        let mut books = self.inner.books();
        let consent = books.consent(consent_id, now, today)?;
        let body = serde_json::json!({ "consentId": consent_id, "consentStatus": consent.status.as_str() });
        Some((consent.notify.clone()?, body))
    }

    /// A JWT over claims with the bank's own signature, for what it says unasked. `None` if it cannot be made.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        self.inner.key.sign(claims).ok()
    }

    /// A customer answers in the bank's app what waits for them there. Gives how many consents that were.
    pub fn confirm_in_app(&self, username: &str, decision: &Decision) -> usize {
        let Some(psu) = self.inner.data.psus.iter().position(|psu| psu.username == username) else { return 0 };
        let (now, today) = (self.inner.now(), self.inner.today());
        let mut books = self.inner.books();
        books.consents.values_mut().for_each(|consent| consent.settle(now, today));
        let waits = |one: &Consent| one.psu == Some(psu) && one.status == ConsentStatus::Received;
        let waiting: Vec<_> = books.consents.iter().filter(|(_, one)| waits(one)).map(|(id, _)| id.clone()).collect();
        for id in &waiting {
            let Some(consent) = books.consents.get_mut(id) else { continue };
            if let Decision::Approve(positions) = decision {
                let mut at = 0..;
                consent.resources.retain(|_| at.next().is_some_and(|at| positions.contains(&at)));
            }
            if *decision == Decision::Deny || consent.resources.is_empty() {
                consent.end(ConsentStatus::Rejected, today);
            } else {
                front::authorise(&self.inner, &mut books, id, psu);
            }
        }
        drop(books);
        self.inner.note("bank", "app.answered", "a customer answered in the app");
        waiting.len()
    }

    /// The other signers authorise every consent that waits for them. Gives how many there were.
    pub fn sign_the_rest(&self) -> usize {
        let today = self.inner.today();
        let mut books = self.inner.books();
        let waiting = books.consents.iter_mut().filter(|(_, one)| one.status == ConsentStatus::PartiallyAuthorised);
        let signed: Vec<_> = waiting
            .map(|(id, consent)| {
                consent.end(ConsentStatus::Valid, today);
                (id.clone(), consent.psu, consent.client_id.clone())
            })
            .collect();
        for (id, psu, client) in signed.iter().filter(|_| self.inner.policy.one_recurring_consent) {
            if let Some(psu) = psu {
                books.replace_recurring(id, *psu, client, today);
            }
        }
        let signed = signed.len();
        drop(books);
        self.inner.note("bank", "consent.signed", "the other signers authorised at the bank");
        signed
    }

    /// One of the other signers refuses: every consent that waits for them is rejected. Gives how many there were.
    pub fn refuse_the_rest(&self) -> usize {
        let today = self.inner.today();
        let mut books = self.inner.books();
        let waiting = books.consents.values_mut().filter(|one| one.status == ConsentStatus::PartiallyAuthorised);
        let refused = waiting.map(|consent| consent.end(ConsentStatus::Rejected, today)).count();
        drop(books);
        self.inner.note("bank", "consent.signer_refused", "another signer refused at the bank");
        refused
    }

    /// Changes what the bank lists of an account from now on: to withdraw a row, number rows anew, complete a text.
    /// Balances stay those of the books. `false` when no account has this IBAN.
    pub fn amend(&self, iban: &str, change: impl FnOnce(&mut Vec<Row>)) -> bool {
        let known = self.inner.data.psus.iter().flat_map(|psu| &psu.accounts).find(|account| account.iban == iban);
        let Some(known) = known else { return false };
        let mut account = Account::clone(&self.inner.listed(known));
        change(&mut account.rows);
        self.inner.books().amended.insert(iban.to_owned(), Arc::new(account));
        true
    }

    /// The access token that opens a consent for the longest time from now, as a thief would hold it who broke in where
    /// tokens are kept. For showing what it is worth without its certificate. `None` while there is none.
    pub fn steal_token(&self) -> Option<StolenToken> {
        let (now, books) = (self.inner.now(), self.inner.books());
        let live = books.access.iter().filter(|(_, token)| token.expires > now);
        let (text, bound) =
            live.filter(|(_, token)| token.consent_id.is_some()).max_by_key(|(_, token)| token.expires)?;
        Some(StolenToken { access_token: text.clone(), consent_id: bound.consent_id.clone()? })
    }

    /// Closes both listeners and waits until running requests have ended.
    pub async fn shutdown(self) {
        drop(self.shutdown);
        for task in self.tasks {
            task.finished().await;
        }
    }
}

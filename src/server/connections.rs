//! Connections: one bank as one of our registrations reaches it, with everything that is needed to speak to it.
//!
//! A registration is a file; which of its keys and certificates is in force is a row that all nodes share. A connection is
//! made of both and never changes: when either does, a new one takes its place, and work under way ends on the old one
//! with its pool, its certificate and the tokens that are bound to it. A wrong file leaves its own bank out of reach, said
//! with its name and line, until it can be used; where there is a connection already, it stays as it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use anyhow::Context as _;
use bank_adapters::Bank;
use bank_adapters::directory::Directory;
use bank_adapters::registration::{Registration, SealFile, SigningKey, Transport};
use bank_adapters::seal::Seal;
use domain::ids::{InstitutionId, RegistrationId};
use domain::rotation::{State, Use};
use domain::world::Clock;
use fapi::Refusal;
use fapi::call::Call;
use fapi::keys::{Decrypter, PemDecrypter, PemSigner, SignError, Signer};
use fapi::metadata::{Document, Environment, Metadata};
use fapi::profile::{Alg, KeyEncryption, TokenBinding};
use fapi::seal::{PemSealKey, SealKey};
use fapi::token::Tokens;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use store::credentials::Kept;
use vault::TokenKey;

use crate::hardware::{TokenSeal, TokenSigner, handshake_key};

/// A signing key that lies in a file or in a token, shared by all who sign with it.
type SharedSigner = Arc<dyn Signer>;

/// One bank, as one registration reaches it at this moment.
pub struct Connection {
    /// Who we are there.
    pub id: RegistrationId,
    /// The bank.
    pub institution: InstitutionId,
    /// Its adapter.
    pub bank: Arc<dyn Bank>,
    /// Our client at its authorisation server.
    pub oauth: fapi::client::Client,
    /// The issuer, from our own configuration; none where authorisations bring no tokens and the bank has no such server.
    pub issuer: Option<String>,
    /// Where its metadata are.
    pub document: Document,
    /// How strictly its addresses are taken.
    pub environment: Environment,
    /// The bank's calendar.
    pub zone: TimeZone,
    /// The word of the environment, for the directory.
    pub environment_word: &'static str,
    /// Moves calls to the authorisation server.
    pub auth: net::Client,
    /// Moves calls to the account interface; bodies may be larger there.
    pub api: net::Client,
    /// What signs single requests, where the bank wants that.
    pub(crate) seal: Option<Seal>,
    /// The registration that it was made of.
    pub(crate) registration: Registration,
    /// Thumbprints of the certificates that the registration has, the one that is to take over behind the other.
    pub(crate) certificates: Vec<String>,
    /// Thumbprint of the certificate that it shows.
    pub(crate) certificate: String,
    /// Until when that certificate is valid, where it says so in a way that can be read.
    pub(crate) certificate_until: Option<Timestamp>,
    /// Every signing key that we publish, the one that signs among them.
    published: Vec<SharedSigner>,
    decrypter: Option<Arc<dyn Decrypter>>,
}

impl Connection {
    /// Whether authorisations bring tokens here.
    pub fn gives_tokens(&self) -> bool {
        self.bank.profile().gives_tokens()
    }

    /// The request for the metadata of the bank's authorisation server; none where it has none.
    ///
    /// # Errors
    /// The issuer is no address that could be asked.
    pub(crate) fn discovery(&self) -> Option<Result<Call<Metadata, Refusal>, Refusal>> {
        let security = self.oauth.security();
        let issuer = self.issuer.as_deref()?;
        Some(fapi::metadata::discover(issuer, self.document, self.environment, security))
    }

    /// Our public keys at this bank (RFC 7517 §5), the document behind our `jwks_uri`.
    pub fn public_jwks(&self) -> Value {
        let mut published = fapi::keys::public_jwks(self.published.iter().map(AsRef::as_ref));
        let encryption = self.decrypter.as_ref().map(|decrypter| Value::Object(decrypter.public_jwk()));
        if let Some(keys) = published.get_mut("keys").and_then(Value::as_array_mut) {
            keys.extend(encryption);
        }
        published
    }

    /// Whether tokens are bound to the certificate that this connection shows, or to none. Access tokens die with a
    /// certificate, refresh tokens do not (RFC 8705 §4).
    pub fn holds(&self, tokens: &Tokens) -> bool {
        let bound = self.oauth.security().binding == TokenBinding::Mtls;
        !bound || tokens.certificate.as_ref().is_none_or(|known| *known == self.certificate)
    }

    /// Tokens that came over this connection, with the certificate that they are bound to.
    pub fn bind(&self, mut tokens: Tokens) -> Tokens {
        tokens.certificate = Some(self.certificate.clone());
        tokens
    }
}

/// What a connection was made of, to see when it has to be made anew.
struct Held {
    file: PathBuf,
    modified: Option<SystemTime>,
    credentials: Vec<Kept>,
    connection: Arc<Connection>,
}

/// Every connection of this installation.
pub struct Connections {
    folder: PathBuf,
    allow_loopback: bool,
    clock: Arc<dyn Clock>,
    by_id: RwLock<BTreeMap<RegistrationId, Held>>,
    /// Files that make no connection, and why.
    refused: RwLock<BTreeMap<PathBuf, String>>,
}

impl Connections {
    /// Reads every `*.toml` of a folder. A folder that does not exist holds none. A registration that cannot be used costs its own
    /// bank and no other: the log says which file is wrong and where.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn read(
        folder: &Path,
        directory: &Directory,
        allow_loopback: bool,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let all = Self::empty(folder, allow_loopback, clock);
        for file in all.files()? {
            match all.open(&file, directory, &[]) {
                Ok(held) => all.put(held),
                Err(error) => all.refuse(&file, &error),
            }
        }
        Ok(all)
    }

    fn empty(folder: &Path, allow_loopback: bool, clock: &Arc<dyn Clock>) -> Self {
        let (by_id, refused) = (RwLock::default(), RwLock::default());
        Self { folder: folder.to_owned(), allow_loopback, clock: clock.clone(), by_id, refused }
    }

    /// What each file of a folder makes, or why it makes nothing; for those who look before they serve.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn survey(
        folder: &Path,
        directory: &Directory,
        allow_loopback: bool,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Vec<(PathBuf, anyhow::Result<Arc<Connection>>)>> {
        let all = Self::empty(folder, allow_loopback, clock);
        let mut files = all.files()?;
        files.sort();
        Ok(files
            .into_iter()
            .map(|file| {
                let made = all.open(&file, directory, &[]).map(|held| held.connection);
                (file, made)
            })
            .collect())
    }

    /// The connection of a registration.
    pub fn get(&self, id: &RegistrationId) -> Option<Arc<Connection>> {
        let held = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        held.get(id).map(|held| held.connection.clone())
    }

    /// The connection to a bank.
    pub fn to(&self, institution: &InstitutionId) -> Option<Arc<Connection>> {
        self.all().into_iter().find(|connection| connection.institution == *institution)
    }

    /// All of them, by registration.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        let held = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        held.values().map(|held| held.connection.clone()).collect()
    }

    /// Makes anew what has changed, in the files or in what is in force. What cannot be made stays as it was.
    pub fn adopt(&self, directory: &Directory, credentials: &[Kept]) {
        let files = self.files().unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "registrations cannot be read; they stay as they are");
            Vec::new()
        });
        for file in files {
            if !self.has_changed(&file, credentials) {
                continue;
            }
            match self.open(&file, directory, credentials) {
                Ok(held) => self.put(held),
                Err(error) if self.overlook(&file, credentials) => {
                    tracing::error!(error = format!("{error:#}"), "a registration cannot be used; it stays as it was");
                }
                Err(error) => self.refuse(&file, &error),
            }
        }
    }

    /// A connection that shows another certificate of the registration, to try it; `None` where this node has not got it.
    ///
    /// # Errors
    /// The registration cannot be used with it.
    pub fn trial(
        &self,
        directory: &Directory,
        of: &Connection,
        certificate: &str,
    ) -> anyhow::Result<Option<Connection>> {
        if of.certificates.iter().all(|known| known != certificate) {
            return Ok(None);
        }
        let parts = Parts { connections: self, directory, keys: &key_folder(&self.folder, &of.id), credentials: &[] };
        parts.connect(of.registration.clone(), Some(certificate)).map(Some)
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.folder.try_exists()? {
            return Ok(Vec::new());
        }
        let entries =
            std::fs::read_dir(&self.folder).with_context(|| format!("cannot read {}", self.folder.display()))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect())
    }

    fn has_changed(&self, file: &Path, credentials: &[Kept]) -> bool {
        let held = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        // One that makes no connection may be mended elsewhere: a certificate comes late.
        let Some(held) = held.values().find(|held| held.file == file) else { return true };
        let same = credentials.iter().filter(|kept| kept.registration == held.connection.id).eq(&held.credentials);
        held.modified != modified(file) || !same
    }

    /// Does not look at a file that makes a connection again until it, or what is in force of it, changes; gives whether it is one.
    fn overlook(&self, file: &Path, credentials: &[Kept]) -> bool {
        let mut held = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = held.values_mut().find(|held| held.file == file) else { return false };
        held.modified = modified(file);
        let own = credentials.iter().filter(|kept| kept.registration == held.connection.id);
        held.credentials = own.cloned().collect();
        true
    }

    /// Goes on without a registration, which is tried again with every look; says why once.
    fn refuse(&self, file: &Path, error: &anyhow::Error) {
        let (name, why) = (file.display(), format!("{error:#}"));
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        if refused.get(file) != Some(&why) {
            tracing::error!(file = %name, error = why, "a registration cannot be used; its bank is out of reach");
            refused.insert(file.to_owned(), why);
        }
    }

    fn put(&self, held: Held) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(held.connection.id.clone(), held);
    }

    fn open(&self, file: &Path, directory: &Directory, credentials: &[Kept]) -> anyhow::Result<Held> {
        // Looked at first: a file that is written meanwhile counts as changed the next time.
        let modified = modified(file);
        let registration = Registration::read(file)?;
        let own = credentials.iter().filter(|kept| kept.registration == registration.id).cloned().collect::<Vec<_>>();
        let keys = key_folder(&self.folder, &registration.id);
        let in_force = own.iter().find(|kept| is(kept, Use::Transport, State::Current));
        let in_force = in_force.map(|kept| kept.credential.name.as_str());
        let parts = Parts { connections: self, directory, keys: &keys, credentials: &own };
        let connection = parts.connect(registration, in_force);
        let connection = connection.with_context(|| format!("registration {}", file.display()))?;
        Ok(Held { file: file.to_owned(), modified, credentials: own, connection: Arc::new(connection) })
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn is(kept: &Kept, usage: Use, state: State) -> bool {
    kept.usage == usage && kept.credential.state == state
}

/// Where keys that were made for a registration lie, beside its file.
pub(crate) fn key_folder(registrations: &Path, id: &RegistrationId) -> PathBuf {
    registrations.join(format!("{id}.keys"))
}

/// What a connection is made of, beside its registration.
struct Parts<'a> {
    connections: &'a Connections,
    directory: &'a Directory,
    keys: &'a Path,
    credentials: &'a [Kept],
}

impl Parts<'_> {
    fn connect(&self, registration: Registration, certificate: Option<&str>) -> anyhow::Result<Connection> {
        let institution = registration.bank.clone().context("`bank` must name a profile")?;
        let profile = self.directory.get(&institution);
        let profile = profile.with_context(|| format!("there is no profile {institution}"))?.clone();
        let endpoints = registration.endpoints(&profile)?;
        let issuer = endpoints.issuer.clone();
        anyhow::ensure!(issuer.is_some() || !profile.gives_tokens(), "no issuer is known for this environment");
        let bank = bank_adapters::open(profile.clone(), &endpoints)?;
        let seal = registration.seal.as_ref().map(seal).transpose()?;
        anyhow::ensure!(!profile.needs_seal() || seal.is_some(), "[seal] is needed: the bank wants requests signed");
        let (signer, published) = self.signers(&registration, profile.gives_tokens())?;
        let transport =
            registration.transport.as_ref().context("[transport] is needed: banks ask for a certificate")?;
        let identities = identities(transport)?;
        let certificates = identities.iter().map(TransportIdentity::thumbprint).collect();
        let identity = chosen(identities, certificate)?;
        let redirect_uri = registration.redirect_uri.as_str();
        let oauth = fapi::client::Client::new(profile.security(), &registration.client_id, redirect_uri, signer);
        let decrypter = registration.encryption.as_ref().map(decrypter).transpose()?;
        let local = self.connections.allow_loopback;
        Ok(Connection {
            id: registration.id.clone(),
            institution,
            bank,
            oauth: match &decrypter {
                Some(decrypter) => oauth.with_decrypter(decrypter.clone()),
                None => oauth,
            },
            issuer,
            document: Document::OpenId,
            environment: if local { Environment::Development } else { Environment::Production },
            zone: TimeZone::get(&profile.rules.zone).context("rules.zone is not an IANA zone")?,
            environment_word: registration.environment.as_str(),
            auth: self.client(transport, &identity, Limits::AUTH)?,
            api: self.client(transport, &identity, Limits::BANK)?,
            certificates,
            certificate: identity.thumbprint(),
            certificate_until: identity.validity().ok().map(|(_, until)| until),
            seal,
            registration,
            published,
            decrypter,
        })
    }

    /// The key that signs, and all that are published. Where nothing is on record yet, the file's first key signs.
    fn signers(
        &self,
        registration: &Registration,
        gives_tokens: bool,
    ) -> anyhow::Result<(SharedSigner, Vec<SharedSigner>)> {
        let Some(first) = registration.signing.as_ref() else {
            anyhow::ensure!(!gives_tokens, "[signing] is needed: requests are signed");
            return Ok((Arc::new(Nobody), Vec::new()));
        };
        let mut published: Vec<SharedSigner> = Vec::new();
        let mut signing = None;
        for kept in self.credentials.iter().filter(|kept| kept.usage == Use::Signing) {
            if !kept.credential.state.is_published() {
                continue;
            }
            match self.signer(registration, first, &kept.credential.name) {
                Ok(signer) => {
                    if kept.credential.state == State::Current {
                        signing = Some(signer.clone());
                    }
                    published.push(signer);
                }
                Err(error) => {
                    let kid = &kept.credential.name;
                    tracing::error!(kid, error = format!("{error:#}"), "a signing key on record is not at hand");
                }
            }
        }
        match signing {
            Some(signing) => Ok((signing, published)),
            None => {
                let only = signer(first)?;
                published.retain(|signer| signer.kid() != first.kid);
                published.push(only.clone());
                Ok((only, published))
            }
        }
    }

    /// The key of an id: one of the file's, or one that was made.
    fn signer(&self, registration: &Registration, first: &SigningKey, kid: &str) -> anyhow::Result<SharedSigner> {
        let named = [Some(first), registration.signing_next.as_ref()];
        if let Some(key) = named.into_iter().flatten().find(|key| key.kid == kid) {
            return signer(key);
        }
        let path = self.keys.join(format!("{kid}.pem"));
        let key = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        signer(&SigningKey { key: SecretString::from(key), kid: kid.to_owned(), alg: first.alg.clone() })
    }

    fn client(
        &self,
        transport: &Transport,
        identity: &TransportIdentity,
        limits: Limits,
    ) -> anyhow::Result<net::Client> {
        let roots = transport.ca.as_ref().context("transport.ca is needed: the roots of the bank's servers")?;
        let local = self.connections.allow_loopback;
        Ok(net::Client::new(ClientConfig {
            identity: Some(identity.clone()),
            roots: Roots::from_pem(roots.as_bytes())?,
            egress: if local { Egress::loopback_allowed() } else { Egress::public() },
            limits,
            post_quantum: false,
            // Open Finance Brasil forbids it, and a resumed session would go on under the certificate that it began with.
            resumption: false,
            clock: self.connections.clock.clone(),
        })?)
    }
}

/// Signs nothing: where there is no authorisation server, nothing is signed for one.
struct Nobody;

impl Signer for Nobody {
    fn alg(&self) -> Alg {
        Alg::Ps256
    }

    fn kid(&self) -> &'static str {
        ""
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError)
    }

    fn public_jwk(&self) -> Map<String, Value> {
        Map::new()
    }
}

fn signer(key: &SigningKey) -> anyhow::Result<SharedSigner> {
    let alg = Alg::named(&key.alg).context("signing.alg is not known")?;
    if TokenKey::is_named_by(key.key.expose_secret()) {
        return Ok(Arc::new(TokenSigner::open(alg, &key.kid, key.key.expose_secret())?));
    }
    Ok(Arc::new(PemSigner::from_pem(alg, &key.kid, key.key.expose_secret().as_bytes())?))
}

/// A seal whose certificate and key belong together.
fn seal(file: &SealFile) -> anyhow::Result<Seal> {
    let (certificate, key) = (file.certificate.as_bytes(), file.key.expose_secret());
    let (identity, key): (_, Arc<dyn SealKey>) = if TokenKey::is_named_by(key) {
        let identity = TransportIdentity::from_remote(certificate, handshake_key(key)?).context("[seal]")?;
        let key = TokenSeal::open(key, &identity).context("[seal]")?;
        (identity, Arc::new(key))
    } else {
        let identity = TransportIdentity::from_pem(certificate, key.as_bytes()).context("[seal]")?;
        (identity, Arc::new(PemSealKey::from_pem(key.as_bytes()).context("[seal]")?))
    };
    Ok(Seal {
        key,
        certificate: identity.certificate_der().to_vec(),
        name: identity.seal_name().context("[seal]")?,
        address: file.url.clone(),
    })
}

/// The key that the bank encrypts ID tokens and responses to.
fn decrypter(key: &SigningKey) -> anyhow::Result<Arc<dyn Decrypter>> {
    let alg = KeyEncryption::named(&key.alg).context("encryption.alg must be RSA-OAEP or RSA-OAEP-256")?;
    Ok(Arc::new(PemDecrypter::from_pem(alg, &key.kid, key.key.expose_secret().as_bytes())?))
}

/// The certificates of a registration, the one that is to take over behind the other.
pub(crate) fn identities(transport: &Transport) -> anyhow::Result<Vec<TransportIdentity>> {
    let first = (&transport.certificate, &transport.key);
    let next = transport.next.as_ref().map(|(certificate, key)| (certificate, key));
    let identity = |(certificate, key): (&String, &SecretString)| -> anyhow::Result<TransportIdentity> {
        let (certificate, key) = (certificate.as_bytes(), key.expose_secret());
        if TokenKey::is_named_by(key) {
            return Ok(TransportIdentity::from_remote(certificate, handshake_key(key)?)?);
        }
        Ok(TransportIdentity::from_pem(certificate, key.as_bytes())?)
    };
    [Some(first), next].into_iter().flatten().map(identity).collect()
}

/// The certificate that is in force, as far as this node has got it; else the file's first.
fn chosen(identities: Vec<TransportIdentity>, in_force: Option<&str>) -> anyhow::Result<TransportIdentity> {
    let at = identities.iter().position(|identity| in_force == Some(identity.thumbprint().as_str()));
    if let (Some(certificate), None) = (in_force, at) {
        tracing::warn!(certificate, "the certificate in force is not among the registration's; its first is shown");
    }
    identities.into_iter().nth(at.unwrap_or(0)).context("[transport] has no certificate")
}

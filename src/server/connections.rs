//! Connections: one bank as one of our registrations reaches it, with everything that is needed to speak to it.
//!
//! Registrations are read once, at start-up: a wrong file stops the start with its name and line, not a login at night.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use bank_adapters::Bank;
use bank_adapters::directory::Directory;
use bank_adapters::registration::{Registration, SigningKey, Transport};
use domain::ids::{InstitutionId, RegistrationId};
use domain::world::Clock;
use fapi::keys::{Decrypter, PemDecrypter, PemSigner, Signer};
use fapi::metadata::{Document, Environment};
use fapi::profile::{Alg, KeyEncryption};
use jiff::tz::TimeZone;
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use secrecy::ExposeSecret;
use serde_json::Value;

/// One bank, as one registration reaches it at this moment. A change of keys or certificates makes a new one; work that
/// is under way ends on the one that it began with.
pub struct Connection {
    /// Who we are there.
    pub id: RegistrationId,
    /// The bank.
    pub institution: InstitutionId,
    /// Its adapter.
    pub bank: Arc<dyn Bank>,
    /// Our client at its authorisation server.
    pub oauth: fapi::client::Client,
    /// The issuer, from our own configuration.
    pub issuer: String,
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
    signer: Arc<dyn Signer>,
    decrypter: Option<Arc<dyn Decrypter>>,
}

/// Every connection of this installation.
pub struct Connections {
    by_id: RwLock<BTreeMap<RegistrationId, Arc<Connection>>>,
}

impl Connections {
    /// Reads every `*.toml` of a folder. A folder that does not exist holds none.
    ///
    /// # Errors
    /// Says which file is wrong and where.
    pub fn read(
        folder: &Path,
        directory: &Directory,
        allow_loopback: bool,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let mut by_id = BTreeMap::new();
        if folder.try_exists()? {
            for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    let connection = open(Registration::read(&path)?, directory, allow_loopback, clock)
                        .with_context(|| format!("registration {}", path.display()))?;
                    by_id.insert(connection.id.clone(), Arc::new(connection));
                }
            }
        }
        Ok(Self { by_id: RwLock::new(by_id) })
    }

    /// The connection of a registration.
    pub fn get(&self, id: &RegistrationId) -> Option<Arc<Connection>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The connection to a bank.
    pub fn to(&self, institution: &InstitutionId) -> Option<Arc<Connection>> {
        self.all().into_iter().find(|connection| connection.institution == *institution)
    }

    /// All of them, by registration.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Connection {
    /// Our public keys at this bank (RFC 7517 §5), the document behind our `jwks_uri`.
    pub fn public_jwks(&self) -> Value {
        let mut published = fapi::keys::public_jwks([self.signer.as_ref()]);
        let encryption = self.decrypter.as_ref().map(|decrypter| Value::Object(decrypter.public_jwk()));
        if let Some(keys) = published.get_mut("keys").and_then(Value::as_array_mut) {
            keys.extend(encryption);
        }
        published
    }
}

fn open(
    registration: Registration,
    directory: &Directory,
    allow_loopback: bool,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Connection> {
    let institution = registration.bank.clone().context("`bank` must name a profile")?;
    let profile = directory.get(&institution).with_context(|| format!("there is no profile {institution}"))?.clone();
    let endpoints = registration.endpoints(&profile)?;
    let issuer = endpoints.issuer.clone().context("no issuer is known for this environment")?;
    let bank = bank_adapters::open(profile.clone(), &endpoints)?;
    let signing = registration.signing.as_ref().context("[signing] is needed: requests are signed")?;
    let alg = Alg::named(&signing.alg).context("signing.alg is not known")?;
    let signer: Arc<dyn Signer> =
        Arc::new(PemSigner::from_pem(alg, &signing.kid, signing.key.expose_secret().as_bytes())?);
    let transport = registration.transport.as_ref().context("[transport] is needed: banks ask for a certificate")?;
    let client = |limits| client(transport, limits, allow_loopback, clock);
    let oauth = fapi::client::Client::new(
        profile.security(),
        &registration.client_id,
        registration.redirect_uri.as_str(),
        signer.clone(),
    );
    let decrypter = registration.encryption.as_ref().map(decrypter).transpose()?;
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
        environment: if allow_loopback { Environment::Development } else { Environment::Production },
        zone: TimeZone::get(&profile.rules.zone).context("rules.zone is not an IANA zone")?,
        environment_word: registration.environment.as_str(),
        auth: client(Limits::AUTH)?,
        api: client(Limits::BANK)?,
        signer,
        decrypter,
    })
}

/// The key that the bank encrypts ID tokens and responses to.
fn decrypter(key: &SigningKey) -> anyhow::Result<Arc<dyn Decrypter>> {
    let alg = KeyEncryption::named(&key.alg).context("encryption.alg must be RSA-OAEP or RSA-OAEP-256")?;
    Ok(Arc::new(PemDecrypter::from_pem(alg, &key.kid, key.key.expose_secret().as_bytes())?))
}

fn client(
    transport: &Transport,
    limits: Limits,
    allow_loopback: bool,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<net::Client> {
    let roots = transport.ca.as_ref().context("transport.ca is needed: the roots of the bank's servers")?;
    Ok(net::Client::new(ClientConfig {
        identity: Some(TransportIdentity::from_pem(
            transport.certificate.as_bytes(),
            transport.key.expose_secret().as_bytes(),
        )?),
        roots: Roots::from_pem(roots.as_bytes())?,
        egress: if allow_loopback { Egress::loopback_allowed() } else { Egress::public() },
        limits,
        post_quantum: false,
        resumption: true,
        clock: clock.clone(),
    })?)
}

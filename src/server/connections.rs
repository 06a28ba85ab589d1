//! Connections: one bank as one of our registrations reaches it, with everything that is needed to speak to it.
//!
//! Registrations are read once, at start-up: a wrong file stops the start with its name and line, not a login at night.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bank_adapters::Bank;
use bank_adapters::directory::Directory;
use bank_adapters::registration::{Registration, Transport};
use domain::ids::{InstitutionId, RegistrationId};
use domain::world::Clock;
use fapi::keys::{PemSigner, Signer};
use fapi::metadata::{Document, Environment};
use fapi::profile::Alg;
use jiff::tz::TimeZone;
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use secrecy::ExposeSecret;

/// One bank, as one registration reaches it.
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
}

/// Every connection of this installation.
pub struct Connections {
    by_id: BTreeMap<RegistrationId, Connection>,
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
                    by_id.insert(connection.id.clone(), connection);
                }
            }
        }
        Ok(Self { by_id })
    }

    /// The connection of a registration.
    pub fn get(&self, id: &RegistrationId) -> Option<&Connection> {
        self.by_id.get(id)
    }

    /// The connection to a bank.
    pub fn to(&self, institution: &InstitutionId) -> Option<&Connection> {
        self.by_id.values().find(|connection| connection.institution == *institution)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.by_id.values()
    }
}

impl Connection {
    /// Our public keys at this bank (RFC 7517 §5), the document behind our `jwks_uri`.
    pub fn public_jwks(&self) -> serde_json::Value {
        fapi::keys::public_jwks([self.signer.as_ref()])
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
    Ok(Connection {
        id: registration.id.clone(),
        institution,
        bank,
        oauth: fapi::client::Client::new(
            profile.security(),
            &registration.client_id,
            registration.redirect_uri.as_str(),
            signer.clone(),
        ),
        issuer,
        document: Document::OpenId,
        environment: if allow_loopback { Environment::Development } else { Environment::Production },
        zone: TimeZone::get(&profile.rules.zone).context("rules.zone is not an IANA zone")?,
        environment_word: registration.environment.as_str(),
        auth: client(Limits::AUTH)?,
        api: client(Limits::BANK)?,
        signer,
    })
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

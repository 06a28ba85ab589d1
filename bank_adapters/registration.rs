//! A registration: who we are at one bank. One TOML file beside its certificates and keys; paths in it are relative to it.
//!
//! ```toml
//! bank = "de_musterbank"          # id of the profile; not needed where the endpoints are given here
//! environment = "sandbox"         # or "production"
//! client_id = "PSDDE-BAFIN-000001"
//! redirect_uri = "https://tributary.example/callback/musterbank"
//! issuer = "https://auth.musterbank.example"   # in place of the profile's
//! scopes = []                     # beside the profile's
//! software_statement = "statement.jwt"
//! data_holder = "00000000-0000-0000-0000-000000000000" # the bank's brand in the register of the Consumer Data Right
//!
//! [endpoints]                     # in place of the profile's, one by one
//! api = "https://xs2a.musterbank.example"
//!
//! [transport]                     # the certificate of mutual TLS (QWAC, OBWAC)
//! certificate = "qwac.pem"
//! key = "qwac.key"
//! ca = "ca.pem"                   # roots of the bank's servers; absent: the system's
//!
//! [transport.next]                # the certificate that is to take over, once a trial call with it has passed
//! certificate = "qwac-2027.pem"
//! key = "qwac-2027.key"
//!
//! [seal]                          # what signs single requests, where the bank's profile has `[signature]` (QSealC)
//! certificate = "qsealc.pem"
//! key = "qsealc.key"
//! url = "https://tributary.example/qsealc.pem" # where STET banks find the certificate
//!
//! [signing]                       # what signs requests and assertions
//! key = "signing.key"             # or "pkcs11:token=…;object=…?module-path=…&pin-source=file:…" (RFC 7512), as for any key
//! kid = "2026-01"
//! alg = "PS256"
//! rotate_days = 90                # a new key by itself after so many days; absent: when an operator asks for one
//!
//! [signing.next]                  # a key of our own choice that is to take over; absent: one is made
//! key = "signing-2027.key"
//! kid = "2027-01"
//! alg = "PS256"
//! ```

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use domain::ids::{InstitutionId, RegistrationId};
use fapi::profile::Alg;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::endpoints::{Endpoints, Environment, check_issuer};
use crate::links::browsable;
use crate::profile::Profile;
use crate::settings::{Findings, Source};

/// Who we are at one bank.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its name, which stands in the callback's path: the file's, unless the file says otherwise.
    pub id: RegistrationId,
    /// The bank.
    pub bank: Option<InstitutionId>,
    /// Where.
    pub environment: Environment,
    /// Our client id at the bank's authorisation server.
    pub client_id: String,
    /// Where the bank sends the browser.
    pub redirect_uri: Url,
    /// Scopes beside the profile's.
    pub scopes: Vec<String>,
    /// Addresses in place of the profile's.
    own_endpoints: Endpoints,
    /// Identity towards the bank's servers.
    pub transport: Option<Transport>,
    /// Seal for single requests.
    pub seal: Option<SealFile>,
    /// Key for requests and assertions.
    pub signing: Option<SigningKey>,
    /// The key that is to take over from it.
    pub signing_next: Option<SigningKey>,
    /// Days after which a signing key is followed by a new one.
    pub signing_days: Option<u16>,
    /// Key for what the bank encrypts to us.
    pub encryption: Option<SigningKey>,
    /// Software statement of a directory, a JWT.
    pub software_statement: Option<SecretString>,
    /// The bank's brand in the register of the Consumer Data Right: as whom it calls us when a person has ended sharing.
    pub data_holder: Option<String>,
}

/// A seal, PEM.
#[derive(Clone)]
pub struct SealFile {
    /// Certificate.
    pub certificate: String,
    /// Private key; or the RFC 7512 URI of one in a PKCS#11 token.
    pub key: SecretString,
    /// Where banks find the certificate.
    pub url: Option<Url>,
}

impl fmt::Debug for SealFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealFile").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The identity of mutual TLS, PEM.
#[derive(Clone)]
pub struct Transport {
    /// Certificate chain, leaf first.
    pub certificate: String,
    /// Private key, PEM; or the RFC 7512 URI of one in a PKCS#11 token.
    pub key: SecretString,
    /// Roots that the bank's servers must chain to.
    pub ca: Option<String>,
    /// The certificate that is to take over, and its key.
    pub next: Option<(String, SecretString)>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("ca", &self.ca.is_some()).finish_non_exhaustive()
    }
}

/// A private key that signs or decrypts, with what must be said about it.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Private key, PEM; or the RFC 7512 URI of one in a PKCS#11 token.
    pub key: SecretString,
    /// Its id in our published key set.
    pub kid: String,
    /// JWS or JWE algorithm.
    pub alg: String,
}

/// Why a registration is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The file says something wrong.
    #[error(transparent)]
    File(#[from] Findings),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The profile knows no servers for the environment and the registration names none.
    #[error("the profile of {bank} has no endpoints for {}", environment.as_str())]
    Environment {
        /// The bank.
        bank: InstitutionId,
        /// The environment.
        environment: Environment,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Option<String>,
    bank: Option<String>,
    environment: Environment,
    client_id: String,
    redirect_uri: String,
    issuer: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    endpoints: Endpoints,
    transport: Option<TransportFiles>,
    seal: Option<SealFiles>,
    signing: Option<SigningFile>,
    encryption: Option<KeyFile>,
    software_statement: Option<PathBuf>,
    data_holder: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransportFiles {
    certificate: PathBuf,
    key: PathBuf,
    ca: Option<PathBuf>,
    next: Option<PairFiles>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealFiles {
    certificate: PathBuf,
    key: PathBuf,
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairFiles {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SigningFile {
    key: PathBuf,
    kid: String,
    alg: String,
    rotate_days: Option<u16>,
    next: Option<KeyFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    key: PathBuf,
    kid: String,
    alg: String,
}

/// What a file says once its names are known to be names.
struct Checked {
    id: RegistrationId,
    bank: Option<InstitutionId>,
    redirect_uri: Url,
}

impl File {
    fn check(&self, mut source: Source<'_>, stem: &str) -> Result<Checked, Findings> {
        let id = RegistrationId::new(self.id.as_deref().unwrap_or(stem));
        source.require(id.is_some(), "id", "(else the file's name) must be 3 to 64 of a-z, 0-9, - and _");
        let bank = self.bank.as_deref().map(InstitutionId::new);
        source.require(bank != Some(None), "bank", "must be the id of a bank");
        let redirect = Url::parse(&self.redirect_uri).ok().filter(|url| browsable(url) && url.fragment().is_none());
        source.require(redirect.is_some(), "redirect_uri", "must be https, or http on this machine, without fragment");
        source.require(!self.client_id.trim().is_empty(), "client_id", "must not be empty");
        let named = self.data_holder.as_ref().is_none_or(|holder| !holder.trim().is_empty());
        source.require(named, "data_holder", "must not be empty");
        self.endpoints.check(&mut source, "endpoints");
        check_issuer(self.issuer.as_deref(), &mut source, "issuer");
        let found = self.bank.is_some() || self.issuer.is_some() || self.endpoints.name_a_server();
        source.require(found, "issuer", "or the endpoints must be named where no bank is");
        let address = self.seal.as_ref().and_then(|seal| seal.url.as_ref());
        let found = address.is_none_or(|url| Url::parse(url).is_ok_and(|url| url.scheme() == "https"));
        source.require(found, "seal.url", "must be https");
        let signs = self.signing.as_ref().is_none_or(|signing| Alg::named(&signing.alg).is_some());
        source.require(signs, "signing.alg", "must be PS256, ES256 or EdDSA");
        let next = self.signing.as_ref().and_then(|signing| Some((signing, signing.next.as_ref()?)));
        let signs = next.is_none_or(|(_, next)| Alg::named(&next.alg).is_some());
        source.require(signs, "signing.next.alg", "must be PS256, ES256 or EdDSA");
        let distinct = next.is_none_or(|(signing, next)| signing.kid != next.kid);
        source.require(distinct, "signing.next.kid", "must not be that of the key before it");
        let checked = id.zip(redirect).map(|(id, redirect_uri)| Checked { id, bank: bank.flatten(), redirect_uri });
        source.accept(checked)
    }
}

impl Registration {
    /// Reads a registration and the files that it names.
    pub fn read(path: &Path) -> Result<Self, RegistrationError> {
        let text = read(path)?;
        let name = path.display().to_string();
        let source = Source::new(&name, &text);
        let mut file: File = source.parse()?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Checked { id, bank, redirect_uri } = file.check(source, stem)?;
        file.endpoints.issuer = file.issuer.or(file.endpoints.issuer);
        let folder = path.parent().unwrap_or(Path::new(""));
        let (signing_days, signing_next) =
            file.signing.as_mut().map_or((None, None), |signing| (signing.rotate_days, signing.next.take()));
        Ok(Self {
            id,
            bank,
            environment: file.environment,
            client_id: file.client_id,
            redirect_uri,
            scopes: file.scopes,
            own_endpoints: file.endpoints,
            transport: file.transport.map(|files| files.load(folder)).transpose()?,
            seal: file.seal.map(|files| files.load(folder)).transpose()?,
            signing: file.signing.map(|signing| signing.key().load(folder)).transpose()?,
            signing_next: signing_next.map(|key| key.load(folder)).transpose()?,
            signing_days,
            encryption: file.encryption.map(|key| key.load(folder)).transpose()?,
            software_statement: file.software_statement.map(|path| secret(&folder.join(path))).transpose()?,
            data_holder: file.data_holder,
        })
    }

    /// Where the bank's servers are for this registration: the profile's addresses, ours in their place.
    pub fn endpoints(&self, profile: &Profile) -> Result<Endpoints, RegistrationError> {
        match profile.endpoints.get(&self.environment) {
            Some(endpoints) => Ok(endpoints.overridden(&self.own_endpoints)),
            None if self.own_endpoints.api.is_some() => Ok(self.own_endpoints.clone()),
            None => {
                Err(RegistrationError::Environment { bank: profile.bank.id.clone(), environment: self.environment })
            }
        }
    }

    /// The addresses that the registration itself names, for servers that have no profile.
    pub const fn own_endpoints(&self) -> &Endpoints {
        &self.own_endpoints
    }
}

impl TransportFiles {
    fn load(self, folder: &Path) -> Result<Transport, RegistrationError> {
        Ok(Transport {
            certificate: read(&folder.join(self.certificate))?,
            key: private_key(folder, self.key)?,
            ca: self.ca.map(|ca| read(&folder.join(ca))).transpose()?,
            next: self.next.map(|pair| pair.load(folder)).transpose()?,
        })
    }
}

impl SealFiles {
    fn load(self, folder: &Path) -> Result<SealFile, RegistrationError> {
        Ok(SealFile {
            certificate: read(&folder.join(self.certificate))?,
            key: private_key(folder, self.key)?,
            url: self.url.and_then(|url| Url::parse(&url).ok()),
        })
    }
}

impl PairFiles {
    fn load(self, folder: &Path) -> Result<(String, SecretString), RegistrationError> {
        Ok((read(&folder.join(self.certificate))?, private_key(folder, self.key)?))
    }
}

impl SigningFile {
    fn key(self) -> KeyFile {
        KeyFile { key: self.key, kid: self.kid, alg: self.alg }
    }
}

impl KeyFile {
    fn load(self, folder: &Path) -> Result<SigningKey, RegistrationError> {
        Ok(SigningKey { key: private_key(folder, self.key)?, kid: self.kid, alg: self.alg })
    }
}

fn read(path: &Path) -> Result<String, RegistrationError> {
    fs::read_to_string(path).map_err(|source| RegistrationError::Read { path: path.to_owned(), source })
}

/// A key file's text; or, where the key lies in a token, its RFC 7512 URI as it is.
fn private_key(folder: &Path, named: PathBuf) -> Result<SecretString, RegistrationError> {
    match named.to_str().filter(|text| text.starts_with("pkcs11:")) {
        Some(uri) => Ok(SecretString::from(uri)),
        None => secret(&folder.join(named)),
    }
}

fn secret(path: &Path) -> Result<SecretString, RegistrationError> {
    read(path).map(SecretString::from)
}

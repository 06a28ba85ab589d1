//! What the two files of a probe say: how the bank authorises, and who we are there.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bank_adapters::registration::{Registration, SigningKey};
use fapi::client::Client;
use fapi::keys::{Decrypter, PemDecrypter, PemSigner, Signer};
use fapi::metadata::Environment;
use fapi::profile::{Alg, KeyEncryption, Security, Settings};
use fapi::registration::{CertificateName, Description, PublishedKeys, Registrar};
use fapi::request::AuthorizationRequest;
use net::serve::PeerCertificate;
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{ProbeArgs, User};
use crate::browser::Browser;
use crate::clock::SystemClock;

/// Stands for the bank's id of what is authorised, as in every profile.
const INTENT: &str = "{consent_id}";

/// Who we are, whatever a server calls us.
#[derive(Clone)]
pub(super) struct Us {
    security: Security,
    signer: Arc<dyn Signer>,
    decrypter: Option<Arc<dyn Decrypter>>,
    /// What a server is told that does not know us yet.
    pub(super) description: Description,
}

impl Us {
    /// Our client under an id.
    pub(super) fn client(&self, client_id: &str) -> Client {
        let redirect_uri = self.description.redirect_uris.first().map_or("", String::as_str);
        let client = Client::new(self.security.clone(), client_id, redirect_uri, self.signer.clone());
        match &self.decrypter {
            Some(decrypter) => client.with_decrypter(decrypter.clone()),
            None => client,
        }
    }

    /// What registers us.
    pub(super) fn registrar(&self) -> Registrar {
        let registrar = Registrar::new(self.security.clone(), self.signer.clone());
        match &self.decrypter {
            Some(decrypter) => registrar.encrypted(decrypter.alg()),
            None => registrar,
        }
    }
}

/// Everything that a probe needs.
pub(super) struct Setup {
    /// Who we are.
    pub(super) us: Us,
    /// Our client at the server.
    pub(super) client: Client,
    /// The issuer, from our own files.
    pub(super) issuer: String,
    /// How strictly its addresses are taken.
    pub(super) environment: Environment,
    /// What is asked of the user.
    pub(super) asking: Asking,
    /// How the bank makes what is to be authorised, where that is for us to do.
    pub(super) consent: Option<ConsentResource>,
    /// Moves calls, with our certificate.
    pub(super) http: net::Client,
    /// The user's browser, which stops at our redirect URI.
    pub(super) browser: Browser,
}

/// What is asked of the user, but for the id of a consent that may not be there yet.
pub(super) struct Asking {
    scopes: Vec<String>,
    consent_scope: Option<String>,
    authorization_details: Option<String>,
    sharing_seconds: Option<u32>,
}

/// Where a bank makes the consent that a login authorises.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentResource {
    /// Where it is posted to.
    pub(super) url: Url,
    /// Scope of the token that we get for it.
    pub(super) scope: String,
    /// What is posted: JSON.
    pub(super) body: String,
    /// Where the answer names the consent, a JSON pointer (RFC 6901).
    pub(super) id: String,
}

/// The part of a profile that a login needs. What else a bank's profile says is not looked at.
#[derive(Deserialize)]
struct Profile {
    security: Authorisation,
    #[serde(default)]
    endpoints: BTreeMap<String, Endpoints>,
}

#[derive(Deserialize)]
struct Authorisation {
    #[serde(flatten)]
    settings: Settings,
    #[serde(default)]
    scopes: Vec<String>,
    consent_scope: Option<String>,
    authorization_details: Option<String>,
    consent_resource: Option<ConsentResource>,
}

#[derive(Deserialize)]
struct Endpoints {
    issuer: Option<String>,
}

/// Reads both files and the keys that they name.
///
/// # Errors
/// Says which file is wrong and how.
pub(super) fn read(asked: &ProbeArgs) -> anyhow::Result<Setup> {
    let text = fs::read_to_string(&asked.profile).with_context(|| asked.profile.display().to_string())?;
    let profile: Profile = toml::from_str(&text).with_context(|| asked.profile.display().to_string())?;
    let registration = Registration::read(&asked.registration)?;
    let limits = Limits { total: Duration::from_secs(asked.timeout), ..Limits::AUTH };
    let scopes = scopes(&profile.security, &registration);
    let own = registration.own_endpoints().issuer.clone();
    let environment = profile.endpoints.get(registration.environment.as_str());
    let issuer = own.or_else(|| environment?.issuer.clone());
    let issuer = issuer.context("neither file names the issuer")?;
    let security = profile.security.settings.resolve().context("security.profile is not the name of a profile")?;
    let signing = registration.signing.as_ref().context("[signing] is needed")?;
    let alg = Alg::named(&signing.alg).context("signing.alg is not known")?;
    let signer = PemSigner::from_pem(alg, &signing.kid, signing.key.expose_secret().as_bytes())?;
    let decrypter = registration.encryption.as_ref().map(decrypter).transpose()?;
    let us = Us {
        description: describe(&registration, &scopes, &signer, decrypter.as_ref(), &asked.user)?,
        security,
        signer: Arc::new(signer),
        decrypter: decrypter.map(|decrypter| Arc::new(decrypter) as Arc<dyn Decrypter>),
    };
    let asking = Asking {
        scopes,
        consent_scope: profile.security.consent_scope,
        authorization_details: profile.security.authorization_details,
        sharing_seconds: asked.sharing,
    };
    if profile.security.consent_resource.is_none() {
        asking.request(asked.intent.as_deref())?;
    }
    let here = is_loopback(&issuer);
    let (reach, pages) = match here {
        true => (Egress::loopback_allowed(), Egress::plain_loopback()),
        false => (Egress::public(), Egress::public()),
    };
    Ok(Setup {
        client: us.client(&registration.client_id),
        us,
        issuer,
        environment: if here { Environment::Development } else { Environment::Production },
        asking,
        consent: profile.security.consent_resource,
        http: http(&registration, reach, limits, true)?,
        browser: Browser::new(http(&registration, pages, limits, false)?).until(registration.redirect_uri.clone()),
    })
}

impl Asking {
    /// What is asked, with the bank's id of what is to be authorised, where it has one.
    ///
    /// # Errors
    /// The profile wants an id and there is none, or its details are not JSON.
    pub(super) fn request(&self, intent: Option<&str>) -> anyhow::Result<AuthorizationRequest> {
        let filled = |template: &String| -> anyhow::Result<String> {
            ensure!(
                intent.is_some() || !template.contains(INTENT),
                "the profile needs --intent, to stand for {INTENT}"
            );
            Ok(template.replace(INTENT, intent.unwrap_or_default()))
        };
        let consent = self.consent_scope.as_ref().map(filled).transpose()?;
        let scopes: Vec<_> = self.scopes.iter().chain(&consent).map(String::as_str).collect();
        let details = self.authorization_details.as_ref().map(filled).transpose()?;
        let details = details.map(|text| serde_json::from_str(&text)).transpose();
        Ok(AuthorizationRequest {
            scope: scopes.join(" "),
            authorization_details: details.context("security.authorization_details is not JSON")?,
            intent: intent.map(str::to_owned),
            sharing_seconds: self.sharing_seconds,
            ..AuthorizationRequest::default()
        })
    }
}

/// Every scope once, in the order of the files.
fn scopes(security: &Authorisation, registration: &Registration) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in security.scopes.iter().chain(&registration.scopes) {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// What a server is told of us: with a software statement the directory says where our keys are.
fn describe(
    registration: &Registration,
    scopes: &[String],
    signer: &PemSigner,
    decrypter: Option<&PemDecrypter>,
    user: &User,
) -> anyhow::Result<Description> {
    let statement = registration.software_statement.as_ref().map(|text| text.expose_secret().trim().to_owned());
    let keys = [Some(signer.public_jwk()), decrypter.map(Decrypter::public_jwk)];
    let keys: Vec<_> = keys.into_iter().flatten().map(Value::Object).collect();
    let transport = registration.transport.as_ref().context("[transport] is needed")?;
    let (certificate, key) = (transport.certificate.as_bytes(), transport.key.expose_secret().as_bytes());
    let certificate = PeerCertificate::from_der(TransportIdentity::from_pem(certificate, key)?.certificate_der());
    Ok(Description {
        redirect_uris: vec![registration.redirect_uri.to_string()],
        scope: Some(scopes.join(" ")),
        keys: statement.is_none().then(|| PublishedKeys::Inline(json!({ "keys": keys }))),
        certificate: certificate.map(|certificate| CertificateName::SubjectDn(certificate.subject)),
        decoupled: user.hint.is_some(),
        notification_endpoint: user.notification_endpoint.clone(),
        software_statement: statement,
        ..Description::default()
    })
}

fn decrypter(key: &SigningKey) -> anyhow::Result<PemDecrypter> {
    let alg = KeyEncryption::named(&key.alg).context("encryption.alg must be RSA-OAEP or RSA-OAEP-256")?;
    Ok(PemDecrypter::from_pem(alg, &key.kid, key.key.expose_secret().as_bytes())?)
}

/// A server on this machine is let in because our own file names it.
fn is_loopback(issuer: &str) -> bool {
    match Url::parse(issuer).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn http(registration: &Registration, egress: Egress, limits: Limits, identified: bool) -> anyhow::Result<net::Client> {
    let transport = registration.transport.as_ref().context("[transport] is needed")?;
    let roots = transport.ca.as_ref().context("transport.ca is needed: the roots of the bank's servers")?;
    let (certificate, key) = (transport.certificate.as_bytes(), transport.key.expose_secret().as_bytes());
    Ok(net::Client::new(ClientConfig {
        identity: identified.then(|| TransportIdentity::from_pem(certificate, key)).transpose()?,
        roots: Roots::from_pem(roots.as_bytes())?,
        egress,
        limits,
        post_quantum: false,
        resumption: false,
        clock: Arc::new(SystemClock),
    })?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const GUIDE: &str = include_str!("GUIDE.md");

    fn examples() -> impl Iterator<Item = &'static str> {
        GUIDE.split("```toml\n").skip(1).filter_map(|behind| behind.split("```").next())
    }

    fn registration() -> (tempfile::TempDir, Registration) {
        let folder = tempfile::tempdir().unwrap();
        crate::certs::generate(&[]).unwrap().write_to(&folder.path().join("certs")).unwrap();
        let path = folder.path().join("registration.toml");
        fs::write(&path, examples().next().unwrap()).unwrap();
        let read = Registration::read(&path).unwrap();
        (folder, read)
    }

    fn arguments(profile: &Path, registration: &Path) -> ProbeArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            probe: ProbeArgs,
        }
        let path = |path: &Path| path.display().to_string();
        let line = ["probe", "--intent", "c-1", "--profile", &path(profile), "--registration", &path(registration)];
        <Line as clap::Parser>::parse_from(line).probe
    }

    fn asking(security: Authorisation, registration: &Registration) -> Asking {
        Asking {
            scopes: scopes(&security, registration),
            consent_scope: security.consent_scope,
            authorization_details: security.authorization_details,
            sharing_seconds: None,
        }
    }

    #[test]
    fn every_example_of_the_guide_can_be_used() {
        let (folder, registration) = registration();
        let registration_file = folder.path().join("registration.toml");
        let mut profiles = std::collections::BTreeSet::new();
        for example in examples().skip(1) {
            let file = folder.path().join("profile.toml");
            fs::write(&file, example).unwrap();
            let setup = read(&arguments(&file, &registration_file)).unwrap();
            assert_eq!(setup.issuer, "https://as.example");
            assert_eq!(setup.environment, Environment::Production);
            let profile: Profile = toml::from_str(example).unwrap();
            profiles.insert(profile.security.settings.profile);
        }
        let known = ["fapi1-advanced", "fapi2-message-signing", "fapi2-security", "oauth-pkce"];
        assert_eq!(profiles.iter().map(String::as_str).collect::<Vec<_>>(), known);
        assert_eq!(registration.scopes, ["openid", "accounts"]);
    }

    #[test]
    fn what_is_authorised_stands_where_the_profile_wants_it() {
        let (_folder, registration) = registration();
        let profile = |text: &str| toml::from_str::<Profile>(text).unwrap().security;
        let scope = profile(examples().find(|text| text.contains("AIS:{consent_id}")).unwrap());
        let asked = asking(scope, &registration).request(Some("c-1")).unwrap();
        assert_eq!(asked.scope, "openid accounts AIS:c-1");
        let scope = profile(examples().find(|text| text.contains("AIS:{consent_id}")).unwrap());
        assert!(asking(scope, &registration).request(None).is_err(), "nothing stands for the consent");
        let details = profile(examples().find(|text| text.contains("authorization_details")).unwrap());
        let asked = asking(details, &registration).request(Some("c-1")).unwrap();
        assert_eq!(asked.authorization_details.unwrap()[0]["consentId"], "c-1");
    }

    #[test]
    fn a_server_on_this_machine_is_told_from_others() {
        for (issuer, here) in [
            ("https://localhost:8443/", true),
            ("https://127.0.0.1", true),
            ("https://[::1]:1/x", true),
            ("https://localhost.example", false),
            ("https://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(issuer), here, "{issuer}");
        }
    }
}

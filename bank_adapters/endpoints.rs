//! Where a bank's servers are: from its profile, overridden by a registration.

use serde::Deserialize;
use url::Url;

use crate::settings::{Source, tables};

/// Environments of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Test data, test certificates.
    Sandbox,
    /// Real accounts.
    Production,
}

impl Environment {
    /// The word in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// An `https` URL without credentials and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpsUrl(Url);

impl HttpsUrl {
    /// The URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for HttpsUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|_| "not an absolute URL")?;
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if url.scheme() == "https" && bare { Ok(Self(url)) } else { Err("must be https, without user or fragment") }
    }
}

tables! {
    /// Addresses of one environment. An authorisation server with an `issuer` tells the others itself (RFC 8414, OpenID
    /// Connect Discovery); what is written here wins.
    #[derive(Default, PartialEq, Eq)]
    "endpoints.*" => Endpoints {
        /// Base of the account API; the standard's paths (`/v1/consents`) follow it.
        api: Option<HttpsUrl>,
        /// Issuer identifier, compared character by character.
        issuer: Option<String>,
        /// RFC 8414 `authorization_endpoint`. Absent: the issuer tells it, as it does the rest.
        authorization_endpoint: Option<HttpsUrl>,
        /// RFC 8414 `token_endpoint`.
        token_endpoint: Option<HttpsUrl>,
        /// RFC 9126 `pushed_authorization_request_endpoint`.
        pushed_authorization_request_endpoint: Option<HttpsUrl>,
        /// RFC 7009 `revocation_endpoint`.
        revocation_endpoint: Option<HttpsUrl>,
        /// RFC 8414 `jwks_uri`.
        jwks_uri: Option<HttpsUrl>,
    }
}

impl Endpoints {
    /// These, with those of `over` where it has any.
    pub fn overridden(&self, over: &Self) -> Self {
        let pick = |over: &Option<HttpsUrl>, base: &Option<HttpsUrl>| over.as_ref().or(base.as_ref()).cloned();
        Self {
            api: pick(&over.api, &self.api),
            issuer: over.issuer.as_ref().or(self.issuer.as_ref()).cloned(),
            authorization_endpoint: pick(&over.authorization_endpoint, &self.authorization_endpoint),
            token_endpoint: pick(&over.token_endpoint, &self.token_endpoint),
            pushed_authorization_request_endpoint: pick(
                &over.pushed_authorization_request_endpoint,
                &self.pushed_authorization_request_endpoint,
            ),
            revocation_endpoint: pick(&over.revocation_endpoint, &self.revocation_endpoint),
            jwks_uri: pick(&over.jwks_uri, &self.jwks_uri),
        }
    }

    /// Notes what is wrong with the table at `key`.
    pub(crate) fn check(&self, source: &mut Source<'_>, key: &str) {
        let api = self.api.as_ref().is_none_or(|api| api.url().query().is_none());
        source.require(api, &format!("{key}.api"), "must have no query");
        check_issuer(self.issuer.as_deref(), source, &format!("{key}.issuer"));
    }

    /// Whether the authorisation server can be found: by its issuer, or address by address.
    pub(crate) fn name_a_server(&self) -> bool {
        self.issuer.is_some() || (self.authorization_endpoint.is_some() && self.token_endpoint.is_some())
    }
}

/// Notes what is wrong with an issuer identifier at `key`.
pub(crate) fn check_issuer(issuer: Option<&str>, source: &mut Source<'_>, key: &str) {
    let good = |text: &str| HttpsUrl::try_from(text.to_owned()).is_ok_and(|issuer| issuer.url().query().is_none());
    source.require(issuer.is_none_or(good), key, "must be https, without query and fragment (RFC 8414 §2)");
}

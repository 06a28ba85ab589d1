//! What an authorization server says about itself: discovery, endpoints, keys.
//!
//! Endpoints are never guessed. The types of openidconnect hold issuer and endpoints, since they compare as the strings
//! that were given. Its `ProviderMetadata` is not used: it demands members that FAPI servers leave out
//! (`subject_types_supported`, `jwks_uri` without `openid`), and knows neither PAR nor mutual-TLS aliases.

use http::StatusCode;
use openidconnect::{AuthUrl, IssuerUrl, JsonWebKeySetUrl, RevocationUrl, TokenUrl};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use crate::call::Call;
use crate::dpop::PROOF_ALG;
use crate::keys::KeySet;
use crate::profile::{Alg, ClientAuth, Security, TokenBinding, TokenDelivery};
use crate::refusal::{self, Reason, Refusal};
use crate::wire;

/// Longest address of an endpoint, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Where the document is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `{issuer}/.well-known/openid-configuration` (OIDC Discovery §4).
    OpenId,
    /// `/.well-known/oauth-authorization-server` between host and path of the issuer (RFC 8414 §3).
    OAuth,
}

/// How strictly addresses are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Every endpoint is https.
    Production,
    /// The authorization endpoint, which only the user's browser visits, may be plain http on a loopback host.
    Development,
}

/// A server's metadata, checked and resolved for one security profile: each endpoint is the one to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    issuer: IssuerUrl,
    authorization_endpoint: AuthUrl,
    token_endpoint: TokenUrl,
    /// The token endpoint outside `mtls_endpoint_aliases`: what an assertion may have to name.
    token_endpoint_name: TokenUrl,
    pushed_authorization_request_endpoint: Option<Url>,
    revocation_endpoint: Option<RevocationUrl>,
    introspection_endpoint: Option<Url>,
    backchannel_authentication_endpoint: Option<Url>,
    registration_endpoint: Option<Url>,
    cdr_arrangement_revocation_endpoint: Option<Url>,
    jwks_uri: Option<JsonWebKeySetUrl>,
    issuer_parameter_announced: bool,
    id_token_algs: Vec<Alg>,
    jarm_algs: Vec<Alg>,
    introspection_algs: Vec<Alg>,
    assertion_algs: Option<Vec<String>>,
    request_algs: Option<Vec<String>>,
    backchannel_algs: Option<Vec<String>>,
    token_deliveries: Option<Vec<String>>,
}

impl Metadata {
    /// The issuer identifier, exactly as published.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Where the user's browser is sent.
    pub fn authorization_endpoint(&self) -> &Url {
        self.authorization_endpoint.url()
    }

    /// Where codes and refresh tokens are redeemed.
    pub fn token_endpoint(&self) -> &Url {
        self.token_endpoint.url()
    }

    /// Where authorization requests are pushed, if the server takes them so.
    pub fn pushed_authorization_request_endpoint(&self) -> Option<&Url> {
        self.pushed_authorization_request_endpoint.as_ref()
    }

    /// Where tokens are introspected, if the server offers it.
    pub fn introspection_endpoint(&self) -> Option<&Url> {
        self.introspection_endpoint.as_ref()
    }

    /// Where users are asked to sign in elsewhere, if the server offers it (OIDC CIBA Core §4).
    pub fn backchannel_authentication_endpoint(&self) -> Option<&Url> {
        self.backchannel_authentication_endpoint.as_ref()
    }

    /// Where clients register, if the server lets them (RFC 7591 §3).
    pub fn registration_endpoint(&self) -> Option<&Url> {
        self.registration_endpoint.as_ref()
    }

    /// Where arrangements end, if the server knows them (CDR OpenID Provider Configuration).
    pub fn cdr_arrangement_revocation_endpoint(&self) -> Option<&Url> {
        self.cdr_arrangement_revocation_endpoint.as_ref()
    }

    /// Where tokens are revoked, if the server offers it.
    pub fn revocation_endpoint(&self) -> Option<&Url> {
        self.revocation_endpoint.as_ref().map(RevocationUrl::url)
    }

    /// Where the server's keys are, if it signs anything.
    pub fn jwks_uri(&self) -> Option<&Url> {
        self.jwks_uri.as_ref().map(JsonWebKeySetUrl::url)
    }

    /// Algorithms that an ID token may have: announced and allowed.
    pub fn id_token_algs(&self) -> &[Alg] {
        &self.id_token_algs
    }

    pub(crate) fn token_endpoint_name(&self) -> &str {
        self.token_endpoint_name.as_str()
    }

    pub(crate) fn issuer_parameter_announced(&self) -> bool {
        self.issuer_parameter_announced
    }

    pub(crate) fn jarm_algs(&self) -> &[Alg] {
        &self.jarm_algs
    }

    pub(crate) fn introspection_algs(&self) -> &[Alg] {
        &self.introspection_algs
    }

    /// RFC 9700 §4.4: what a server issued goes to that server and to no other.
    pub(crate) fn is_of(&self, issuer: &str) -> Result<(), Refusal> {
        refusal::METADATA_ISSUER_MISMATCH.require(self.issuer() == issuer)
    }

    /// RFC 8414 §2: a client assertion has an algorithm that the server announces, where it announces any.
    pub(crate) fn accepts_assertion_alg(&self, alg: Alg) -> Result<(), Refusal> {
        announces(self.assertion_algs.as_deref(), alg.as_str(), &refusal::METADATA_AUTH_ALGS_MISMATCH)
    }

    /// RFC 9101 §10.5: a request object has an algorithm that the server announces, where it announces any.
    pub(crate) fn accepts_request_alg(&self, alg: Alg) -> Result<(), Refusal> {
        announces(self.request_algs.as_deref(), alg.as_str(), &refusal::METADATA_REQUEST_ALGS_MISMATCH)
    }

    /// OIDC CIBA Core §4: the server learns of a decoupled login in the way that we send it and tells us of its end in the
    /// way that we expect.
    pub(crate) fn accepts_backchannel(&self, alg: Alg, delivery: TokenDelivery) -> Result<(), Refusal> {
        let algs = self.backchannel_algs.as_deref();
        announces(algs, alg.as_str(), &refusal::METADATA_BACKCHANNEL_ALGS_MISMATCH)?;
        let deliveries = self.token_deliveries.as_deref();
        announces(deliveries, delivery.as_str(), &refusal::METADATA_TOKEN_DELIVERY_MISMATCH)
    }

    /// Reads the metadata document of a configured issuer.
    pub fn parse(
        document: &[u8],
        issuer: &str,
        environment: Environment,
        security: &Security,
    ) -> Result<Self, Refusal> {
        let invalid = || refusal::METADATA_BODY_INVALID.refuse();
        let body = wire::json_object(document).ok_or_else(invalid)?;
        let published: Published = serde_json::from_value(body.into()).map_err(|_| invalid())?;
        let identity = issuer_is_identical(published.issuer.as_ref(), issuer)?;
        auth_method_is_offered(&published, security.client_auth)?;
        challenge_method_is_offered(&published)?;
        proof_alg_is_offered(&published, security.binding)?;
        let metadata = published.resolve(identity, security)?;
        request_can_be_pushed(&metadata, security)?;
        endpoints_are_https(&metadata, environment)?;
        Ok(metadata)
    }
}

/// The members that are read. Absent lists contradict nothing: FAPI servers announce little.
#[derive(Deserialize)]
struct Published {
    /// Compared before it is read: what is no address is no match either.
    issuer: Option<Value>,
    authorization_endpoint: Option<AuthUrl>,
    #[serde(flatten)]
    direct: Endpoints,
    mtls_endpoint_aliases: Option<Endpoints>,
    jwks_uri: Option<JsonWebKeySetUrl>,
    authorization_response_iss_parameter_supported: Option<bool>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    authorization_signing_alg_values_supported: Option<Vec<String>>,
    introspection_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    request_object_signing_alg_values_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    dpop_signing_alg_values_supported: Option<Vec<String>>,
    backchannel_authentication_request_signing_alg_values_supported: Option<Vec<String>>,
    backchannel_token_delivery_modes_supported: Option<Vec<String>>,
}

/// The endpoints that may have an alias for mutual TLS (RFC 8705 §5).
#[derive(Clone, Default, Deserialize)]
struct Endpoints {
    token_endpoint: Option<TokenUrl>,
    pushed_authorization_request_endpoint: Option<Url>,
    revocation_endpoint: Option<RevocationUrl>,
    introspection_endpoint: Option<Url>,
    backchannel_authentication_endpoint: Option<Url>,
    registration_endpoint: Option<Url>,
    cdr_arrangement_revocation_endpoint: Option<Url>,
}

impl Endpoints {
    /// RFC 8705 §5: an alias wins over the endpoint; what has no alias is called where it is.
    fn or(self, other: Self) -> Self {
        Self {
            token_endpoint: self.token_endpoint.or(other.token_endpoint),
            pushed_authorization_request_endpoint: self
                .pushed_authorization_request_endpoint
                .or(other.pushed_authorization_request_endpoint),
            revocation_endpoint: self.revocation_endpoint.or(other.revocation_endpoint),
            introspection_endpoint: self.introspection_endpoint.or(other.introspection_endpoint),
            backchannel_authentication_endpoint: self
                .backchannel_authentication_endpoint
                .or(other.backchannel_authentication_endpoint),
            registration_endpoint: self.registration_endpoint.or(other.registration_endpoint),
            cdr_arrangement_revocation_endpoint: self
                .cdr_arrangement_revocation_endpoint
                .or(other.cdr_arrangement_revocation_endpoint),
        }
    }
}

impl Published {
    fn resolve(self, issuer: IssuerUrl, security: &Security) -> Result<Metadata, Refusal> {
        let direct = self.direct;
        let aliases = self.mtls_endpoint_aliases.filter(|_| security.uses_mtls()).unwrap_or_default();
        let called = aliases.or(direct.clone());
        let token_endpoint = endpoint_is_named(called.token_endpoint, &refusal::METADATA_TOKEN_ENDPOINT_MISSING)?;
        Ok(Metadata {
            issuer,
            authorization_endpoint: endpoint_is_named(
                self.authorization_endpoint,
                &refusal::METADATA_AUTHORIZATION_ENDPOINT_MISSING,
            )?,
            token_endpoint_name: direct.token_endpoint.unwrap_or_else(|| token_endpoint.clone()),
            token_endpoint,
            pushed_authorization_request_endpoint: called.pushed_authorization_request_endpoint,
            introspection_endpoint: called.introspection_endpoint,
            revocation_endpoint: called.revocation_endpoint,
            backchannel_authentication_endpoint: called.backchannel_authentication_endpoint,
            registration_endpoint: called.registration_endpoint,
            cdr_arrangement_revocation_endpoint: called.cdr_arrangement_revocation_endpoint,
            jwks_uri: self.jwks_uri,
            issuer_parameter_announced: self.authorization_response_iss_parameter_supported == Some(true),
            id_token_algs: usable(self.id_token_signing_alg_values_supported, security),
            jarm_algs: usable(self.authorization_signing_alg_values_supported, security),
            introspection_algs: usable(self.introspection_signing_alg_values_supported, security),
            assertion_algs: self.token_endpoint_auth_signing_alg_values_supported,
            request_algs: self.request_object_signing_alg_values_supported,
            backchannel_algs: self.backchannel_authentication_request_signing_alg_values_supported,
            token_deliveries: self.backchannel_token_delivery_modes_supported,
        })
    }
}

/// Algorithms that the server announces and the profile allows; what is not announced is not narrowed.
fn usable(announced: Option<Vec<String>>, security: &Security) -> Vec<Alg> {
    let announced = announced.map(|names| names.iter().filter_map(|name| Alg::from_header(name)).collect::<Vec<_>>());
    security.algs.iter().copied().filter(|alg| announced.as_ref().is_none_or(|names| names.contains(alg))).collect()
}

/// OIDC Discovery §4.3, RFC 8414 §3.3: the same string, to the last slash.
fn issuer_is_identical(published: Option<&Value>, configured: &str) -> Result<IssuerUrl, Refusal> {
    let identical = published.filter(|published| *published == configured);
    identical.ok_or_else(|| refusal::METADATA_ISSUER_MISMATCH.refuse())?;
    IssuerUrl::new(configured.to_owned()).map_err(|_| refusal::METADATA_CONFIGURED_ISSUER_INVALID.refuse())
}

/// RFC 8414 §2: our way of client authentication is among those announced.
fn auth_method_is_offered(published: &Published, auth: ClientAuth) -> Result<(), Refusal> {
    let offered = published.token_endpoint_auth_methods_supported.as_deref();
    announces(offered, auth.as_str(), &refusal::METADATA_AUTH_METHODS_MISMATCH)
}

/// FAPI 2.0 Security Profile §5.3.2.2: the server takes S256 challenges.
fn challenge_method_is_offered(published: &Published) -> Result<(), Refusal> {
    let offered = published.code_challenge_methods_supported.as_deref();
    announces(offered, "S256", &refusal::METADATA_CHALLENGE_METHODS_MISMATCH)
}

/// RFC 9449 §5.1: the server takes proofs of the algorithm that ours have.
fn proof_alg_is_offered(published: &Published, binding: TokenBinding) -> Result<(), Refusal> {
    let offered = published.dpop_signing_alg_values_supported.as_deref().filter(|_| binding == TokenBinding::Dpop);
    announces(offered, PROOF_ALG.as_str(), &refusal::METADATA_DPOP_ALGS_MISMATCH)
}

/// RFC 9126 §5: whoever pushes needs to know where.
fn request_can_be_pushed(metadata: &Metadata, security: &Security) -> Result<(), Refusal> {
    let possible = metadata.pushed_authorization_request_endpoint.is_some();
    refusal::METADATA_PAR_ENDPOINT_MISSING.require(possible || !security.request.is_pushed())
}

/// RFC 8414 §2, and the standard of each endpoint: whoever calls it needs to know where it is.
pub(crate) fn endpoint_is_named<T>(endpoint: Option<T>, reason: &Reason) -> Result<T, Refusal> {
    endpoint.ok_or_else(|| reason.refuse())
}

/// RFC 8414 §2: a list that is there has the word; one that is not narrows nothing.
fn announces(list: Option<&[String]>, word: &str, reason: &Reason) -> Result<(), Refusal> {
    // RFC 9864 §2.2: what was `EdDSA` is now also written by the name of its curve.
    let same = |offered: &String| offered == word || (word == "EdDSA" && offered == "Ed25519");
    reason.require(list.is_none_or(|list| list.iter().any(same)))
}

/// FAPI 2.0 Security Profile §5.2.1: every endpoint is reached over TLS. For development alone, the authorization
/// endpoint may be http on a loopback host: nothing but the user's own browser goes there.
fn endpoints_are_https(metadata: &Metadata, environment: Environment) -> Result<(), Refusal> {
    let called = [Some(metadata.token_endpoint()), metadata.pushed_authorization_request_endpoint()];
    let offered = [
        metadata.revocation_endpoint(),
        metadata.introspection_endpoint(),
        metadata.backchannel_authentication_endpoint(),
        metadata.registration_endpoint(),
        metadata.cdr_arrangement_revocation_endpoint(),
        metadata.jwks_uri(),
    ];
    let browser = metadata.authorization_endpoint();
    let browser_fits = is_https(browser) || (environment == Environment::Development && is_plain_loopback(browser));
    let rest_fits = called.into_iter().chain(offered).flatten().all(is_https);
    refusal::METADATA_ENDPOINT_INVALID.require(browser_fits && rest_fits)
}

pub(crate) fn is_https(url: &Url) -> bool {
    url.scheme() == "https" && is_bare(url)
}

fn is_plain_loopback(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && loopback && is_bare(url)
}

/// RFC 6749 §3.1: no fragment; and no user information, which would end in a header, no endless address, and none that a
/// request cannot carry: hosts may have characters for a browser that they do not have for HTTP (RFC 9110 §4.2).
fn is_bare(url: &Url) -> bool {
    let nothing_else = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let carried = url.as_str().parse::<http::Uri>().is_ok();
    url.has_host() && nothing_else && carried && url.as_str().len() <= URL_BYTES_MAX
}

/// Asks an issuer for its metadata. The issuer comes from an authoritative source, such as a register, never from a
/// response.
pub fn discover(
    issuer: &str,
    document: Document,
    environment: Environment,
    security: &Security,
) -> Result<Call<Metadata, Refusal>, Refusal> {
    let url = address(issuer, document)?;
    let (issuer, security) = (issuer.to_owned(), security.clone());
    Ok(Call::new(wire::get(&url), move |response, _| {
        if response.status() != StatusCode::OK {
            return Err(refusal::METADATA_STATUS_INVALID.with_status(response.status()));
        }
        Metadata::parse(response.body(), &issuer, environment, &security)
    }))
}

/// Where the metadata of an issuer are (OIDC Discovery §4, RFC 8414 §3.1). A slash at the end of the issuer is part of
/// its name and not of the address.
fn address(issuer: &str, document: Document) -> Result<Url, Refusal> {
    let invalid = || refusal::METADATA_CONFIGURED_ISSUER_INVALID.refuse();
    let mut url = Url::parse(issuer).map_err(|_| invalid())?;
    refusal::METADATA_CONFIGURED_ISSUER_INVALID.require(is_https(&url) && url.query().is_none())?;
    let path = url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
    url.set_path(&match document {
        Document::OpenId => format!("{path}/.well-known/openid-configuration"),
        Document::OAuth => format!("/.well-known/oauth-authorization-server{path}"),
    });
    Ok(url)
}

/// Asks for the server's keys. They may change at any time: fetch them for each login, and once more when a header
/// names a key that is not among them (`id_token.kid.untrusted`, `jarm.kid.untrusted`).
pub fn jwks(metadata: &Metadata) -> Result<Call<KeySet, Refusal>, Refusal> {
    let url = endpoint_is_named(metadata.jwks_uri(), &refusal::METADATA_JWKS_URI_MISSING)?;
    Ok(Call::new(wire::get(url), |response, _| {
        if response.status() != StatusCode::OK {
            return Err(refusal::JWKS_STATUS_INVALID.with_status(response.status()));
        }
        KeySet::parse(response.body())
    }))
}

//! What a bank is started with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use domain::world::{Clock, Entropy};
use net::{Roots, TransportIdentity};
use serde_json::Value;

use crate::data::BankData;
use crate::ecosystem::{BERLIN_GROUP, Ecosystem};
use crate::seal::RegisteredSeal;

/// How the browser reaches the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// Plain HTTP on loopback: a newcomer's browser trusts no throw-away certificate. Everything else stays https; only
    /// `authorization_endpoint` is an http URL.
    PlainLoopback,
    /// TLS with the bank's certificate. The issuer is then the front's address, and the interface's endpoints appear
    /// under `mtls_endpoint_aliases` (RFC 8705 §5).
    Tls,
}

/// How a registered client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `private_key_jwt`, RFC 7523.
    PrivateKeyJwt,
    /// `tls_client_auth`, RFC 8705 §2.1.
    TlsClientAuth {
        /// The certificate's subject in RFC 4514 form.
        subject_dn: String,
    },
}

/// A TPP as the bank knows it.
#[derive(Debug, Clone)]
pub struct RegisteredClient {
    /// OAuth client id; at many banks the organizationIdentifier of the certificate.
    pub client_id: String,
    /// The name that the consent page shows.
    pub name: String,
    /// Public keys, a JWK set (RFC 7517 §5), for client assertions and request objects.
    pub jwks: Value,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// Exact redirect URIs.
    pub redirect_uris: Vec<String>,
}

/// What an access token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// The client's certificate (RFC 8705 §3).
    Certificate,
    /// A key of the client's (RFC 9449).
    Key {
        /// Whether proofs must carry a nonce of the bank's.
        nonces: bool,
    },
}

/// How an authorisation request reaches the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestWay {
    /// Pushed (RFC 9126).
    Pushed,
    /// Through the browser, as a signed request object (FAPI 1.0 Advanced §5.2.2).
    Browser,
}

/// How a PSU authorises a consent of the Berlin Group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sca {
    /// At the authorisation server; tokens open what was authorised.
    Oauth,
    /// On a page that a link of the consent leads to (`scaRedirect`). There are no tokens: the TPP's certificate and the
    /// consent's id open it.
    Redirect,
    /// In the bank's app, of which [`Running::confirm_in_app`](crate::Running::confirm_in_app) plays the part. No tokens either.
    Decoupled,
}

/// The one form in which lists of transactions are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListForm {
    /// JSON.
    Json,
    /// camt.052.001.02, in UTF-8.
    Camt,
    /// MT940, in ISO 8859-1.
    Mt940,
}

impl ListForm {
    /// The media type that must be asked for.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Camt => "application/xml",
            Self::Mt940 => "text/plain",
        }
    }
}

/// The bank's habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Life of an access token, in seconds.
    pub access_token_seconds: i64,
    /// Life of an authorisation code, in seconds; FAPI 2.0 allows 60.
    pub code_seconds: i64,
    /// Life of a pushed request, in seconds.
    pub request_uri_seconds: i64,
    /// Reads per day without the PSU, per consent and URI.
    pub reads_per_day: u32,
    /// Longest consent in days, the first day counted: `validUntil` is cut to today + days − 1.
    pub consent_days: i32,
    /// Days of history without a fresh sign-in and without the PSU.
    pub history_days: i32,
    /// Seconds after the sign-in during which the whole history is served.
    pub fresh_seconds: i64,
    /// Booked rows per page.
    pub page_rows: usize,
    /// The form of lists of transactions (Berlin Group). Statements have no pages.
    pub list_form: ListForm,
    /// Whether a new recurring consent ends the PSU's earlier one for the same TPP.
    pub one_recurring_consent: bool,
    /// Whether a valid consent can be authorised again under its id. The tokens that it had die then.
    pub reauthorises: bool,
    /// Whether others have to authorise a consent after the PSU (`partiallyAuthorised` until they have).
    pub several_signers: bool,
    /// How consents are authorised (Berlin Group).
    pub sca: Sca,
    /// What access tokens are bound to.
    pub binding: Binding,
    /// How requests come in.
    pub request: RequestWay,
    /// Whether every use of a refresh token gives a new one, and for how many seconds the old one still works once the
    /// new one is out. FAPI 2.0 forbids it; many banks do it.
    pub refresh_rotation: Option<i64>,
    /// Whether signed authorisation responses are also encrypted, to the key that the client registered for it (JARM §2.2).
    pub encrypted_responses: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_token_seconds: 300,
            code_seconds: 60,
            request_uri_seconds: 90,
            reads_per_day: 4,
            consent_days: 180,
            history_days: 90,
            fresh_seconds: 60 * 60,
            page_rows: 100,
            list_form: ListForm::Json,
            one_recurring_consent: true,
            reauthorises: false,
            several_signers: false,
            sca: Sca::Oauth,
            binding: Binding::Certificate,
            request: RequestWay::Pushed,
            refresh_rotation: None,
            encrypted_responses: false,
        }
    }
}

/// Everything a bank needs.
#[derive(Clone)]
pub struct Config {
    /// The bank's time; certificates, tokens, consents and bookings follow it.
    pub clock: Arc<dyn Clock>,
    /// Where tokens and ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// The bank's server certificate.
    pub server: TransportIdentity,
    /// Authorities whose client certificates are accepted.
    pub client_roots: Roots,
    /// The registered TPPs.
    pub clients: Vec<RegisteredClient>,
    /// The seal that requests must be signed with; absent: they need not be signed.
    pub seal: Option<RegisteredSeal>,
    /// The books.
    pub data: BankData,
    /// How the browser comes in.
    pub front: Front,
    /// The bank's habits.
    pub policy: Policy,
    /// Where the bank is at home.
    pub ecosystem: Ecosystem,
    /// The name in the bank's URLs; it must lead to loopback and be in the server certificate.
    pub host: String,
    /// Where the interface listens; port 0 takes a free one.
    pub interface_listen: SocketAddr,
    /// Where the front listens; port 0 takes a free one.
    pub front_listen: SocketAddr,
}

impl Config {
    /// The usual bank: plain front, free ports on `localhost`, default habits, no clients yet.
    pub fn new(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        server: TransportIdentity,
        client_roots: Roots,
        data: BankData,
    ) -> Self {
        let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            clock,
            entropy,
            server,
            client_roots,
            clients: Vec::new(),
            seal: None,
            data,
            front: Front::PlainLoopback,
            policy: Policy::default(),
            ecosystem: BERLIN_GROUP,
            host: "localhost".to_owned(),
            interface_listen: free,
            front_listen: free,
        }
    }
}

/// Holds a private key and bank data: `Debug` shows how the bank is set up.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("clients", &self.clients.len())
            .field("front", &self.front)
            .field("policy", &self.policy)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Why a bank could not open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is taken or not ours.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The listeners' settings cannot be used.
    #[error(transparent)]
    Serve(#[from] net::serve::ServeError),
    /// The bank's time zone is unknown on this machine.
    #[error("the bank's time zone is unknown: {0}")]
    Zone(#[from] jiff::Error),
    /// A client's key set is not one, or holds a private key.
    #[error("the key set of client {client_id} cannot be used")]
    ClientKeys {
        /// The client.
        client_id: String,
    },
    /// A signing key could not be made.
    #[error("the bank's signing key could not be made")]
    SigningKey(#[source] josekit::JoseError),
}

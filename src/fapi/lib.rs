//! A FAPI relying party without a socket: metadata, pushed and signed requests, client authentication, callbacks,
//! tokens and ID tokens, each step a value.
//!
//! This crate must never know a bank's name, a database, a clock or a socket. Requests and responses are values
//! ([`call::Call`]); `net` moves them. Time and chance come in as `domain::world::World`.
//!
//! It follows the FAPI 2.0 Security Profile (Final), FAPI 2.0 Message Signing, FAPI 1.0 Advanced (Final) and plain OAuth
//! with PKCE: authorization requests pushed (RFC 9126) or through the browser, signed request objects (RFC 9101), rich
//! requests (RFC 9396), PKCE (RFC 7636), the issuer in the response (RFC 9207), signed responses (JARM), the hybrid flow,
//! `private_key_jwt` (RFC 7523), `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705), access tokens bound to a
//! certificate (RFC 8705) or to a key (DPoP, RFC 9449), ID tokens (OIDC Core), also encrypted, revocation (RFC 7009),
//! introspection (RFC 7662, signed RFC 9701), decoupled logins by poll and ping (OIDC CIBA, FAPI-CIBA), dynamic registration (RFC 7591,
//! RFC 7592) with software statements. Which of these apply is data: [`profile::Security`].
//!
//! # Reading order
//!
//! [`profile`] → [`metadata`] → [`request`] → [`login`] → [`token`] → [`id_token`]; [`ciba`] for logins without a browser,
//! [`registration`] for becoming a client. [`client::Client`] ties them together.
//! [`refusal`] lists every check with its paragraph; [`reasons`] prints it.
//!
//! # What holds
//!
//! * A step carries what the next one must check. A [`login::PendingLogin`] is consumed by its callback, a
//!   [`login::RedeemableCode`] by its redemption, and [`token::Redeemed`] gives up its tokens only for a checked ID token.
//! * Every check is one small function with its paragraph, and a row in the test table in which the other side gets
//!   exactly that wrong.
//! * A [`Refusal`] ends the step. Nothing is repeated here; a call that must be repeated is asked for anew, with a fresh
//!   client assertion. One exception is no verdict: a server may want a nonce in a proof ([`call::Call::challenged`]).
//! * Codes, pending logins and tokens know the server and the client that they belong to, and go to no other. A refresh whose
//!   answer is refused still gives the refresh token to keep ([`token::Unusable`]).
//! * Secrets and codes never reach `Debug`, an error or a URL. What must be stored between two steps is written as bytes
//!   ([`login::PendingLogin::to_bytes`], [`token::Tokens::to_bytes`]) that the caller seals.
//! * The caller ties the pending login to the browser, sends bound tokens over the certificate they were fetched with,
//!   and keeps old tokens until the new ones are stored.
//!
//! # A whole login
//!
//! Whoever owns the sockets moves the calls. Here a few canned answers stand in for the bank.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU8, Ordering};
//!
//! use bytes::Bytes;
//! use domain::world::{Entropy, World};
//! use fapi::Refusal;
//! use fapi::client::Client;
//! use fapi::keys::{KeySet, PemSigner};
//! use fapi::login::{Callback, PendingLogin};
//! use fapi::metadata::{self, Document, Environment};
//! use fapi::profile::{Alg, FAPI2_SECURITY};
//! use fapi::request::AuthorizationRequest;
//! use secrecy::ExposeSecret;
//!
//! # struct Counting(AtomicU8);
//! # impl Entropy for Counting {
//! #     fn fill(&self, bytes: &mut [u8]) {
//! #         bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
//! #     }
//! # }
//! # let entropy = Counting(AtomicU8::new(0));
//! # let pem = josekit::jws::ES256.generate_key_pair()?.to_pem_private_key();
//! # let mut last_form = String::new();
//! # let now: jiff::Timestamp = "2026-11-21T10:00:00Z".parse()?;
//! // The bank: answers every call with what it is told.
//! let mut bank = |request: http::Request<Bytes>, status: u16, body: &'static str| {
//!     last_form = String::from_utf8_lossy(request.body()).into_owned();
//!     http::Response::builder().status(status).body(Bytes::from(body))
//! };
//!
//! // Who we are there, by which rules, and where the server is.
//! let world = World { now, entropy: &entropy };
//! let signer = PemSigner::from_pem(Alg::Es256, "key-2026", &pem)?;
//! let client = Client::new(FAPI2_SECURITY, "tpp-1", "https://tpp.example/callback", Arc::new(signer));
//! let call = metadata::discover("https://as.example", Document::OAuth, Environment::Production, client.security())?;
//! let (request, read) = call.split();
//! let answer = bank(request, 200, r#"{
//!     "issuer": "https://as.example",
//!     "authorization_endpoint": "https://as.example/authorize",
//!     "token_endpoint": "https://as.example/token",
//!     "pushed_authorization_request_endpoint": "https://as.example/par",
//!     "authorization_response_iss_parameter_supported": true
//! }"#)?;
//! let metadata = read(answer, now)?;
//!
//! // Push the request, then send the browser on. The login waits in the store, as sealed bytes.
//! let (request, read) = client.push(&metadata, &AuthorizationRequest::scope("accounts"), &world)?.split();
//! let answer = bank(request, 201, r#"{ "request_uri": "urn:example:1", "expires_in": 60 }"#)?;
//! let pushed = read(answer, now)?;
//! assert_eq!(pushed.redirect.as_str(), "https://as.example/authorize?client_id=tpp-1&request_uri=urn%3Aexample%3A1");
//! let stored = pushed.login.to_bytes();
//!
//! // The browser is back.
//! # let state = url::form_urlencoded::parse(last_form.as_bytes()).find(|(name, _)| name == "state").ok_or("state")?.1;
//! # let query = format!("code=c0de&state={state}&iss=https%3A%2F%2Fas.example");
//! let login = PendingLogin::from_bytes(&stored)?;
//! let code = login.finish(Callback::parse(&query)?, &KeySet::empty(), now)?;
//!
//! // Redeem the code. With `openid` among the scopes the ID token is checked against the server's keys.
//! # let mut bank = |_: http::Request<Bytes>, status: u16, body: &'static str| {
//! #     http::Response::builder().status(status).body(Bytes::from(body))
//! # };
//! let (request, read) = client.redeem(&metadata, code, &world)?.split();
//! let answer = bank(request, 200, r#"{ "access_token": "t0ken", "token_type": "Bearer", "expires_in": 300 }"#)?;
//! let tokens = read(answer, now)?.check(&KeySet::empty(), now)?;
//! assert_eq!(tokens.access_token.expose_secret(), "t0ken");
//!
//! // A callback of another login is refused by a named check.
//! let login = PendingLogin::from_bytes(&stored)?;
//! let stray = Callback::parse("code=c0de&state=other&iss=https%3A%2F%2Fas.example")?;
//! let refusal: Refusal = login.finish(stray, &KeySet::empty(), now).unwrap_err();
//! assert_eq!(refusal.code, "callback.state.mismatch");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A profile for every bank
//!
//! Four profiles set every field; a bank or a country is one of them with other values. Nothing else in the crate knows
//! which it was.
//!
//! ```
//! use std::borrow::Cow;
//!
//! use fapi::profile::*;
//!
//! // FAPI 2.0 with tokens that are bound to a key, and with the certificate to prove who we are.
//! let dpop = Security { binding: TokenBinding::Dpop, client_auth: ClientAuth::TlsClientAuth, ..FAPI2_SECURITY };
//! assert!(dpop.uses_mtls() && dpop.request.is_pushed());
//!
//! // FAPI 2.0 Message Signing where only the requests are signed.
//! let signed = Security { response: ResponseForm::Query, ..FAPI2_MESSAGE_SIGNING };
//! assert!(signed.request.is_signed() && !signed.response.is_signed());
//!
//! // UK Open Banking: what is authorised is named in a claim and compared on return.
//! let uk = Security {
//!     intent_claim: Some("openbanking_intent_id".to_owned()),
//!     acr_values: Cow::Owned(vec!["urn:openbanking:psd2:sca".to_owned()]),
//!     registration: RegistrationForm::Jose,
//!     ..FAPI1_ADVANCED
//! };
//! assert_eq!(uk.response.response_type(), "code id_token");
//!
//! // The Australian Consumer Data Right: pushed requests, signed responses, arrangements.
//! let cdr = Security {
//!     request: RequestForm::SignedJar,
//!     response: ResponseForm::Jarm,
//!     acr_values: Cow::Owned(vec!["urn:cds.au:cdr:2".to_owned(), "urn:cds.au:cdr:3".to_owned()]),
//!     duration_claim: Some("sharing_duration".to_owned()),
//!     arrangement_claim: Some("cdr_arrangement_id".to_owned()),
//!     registration: RegistrationForm::Jwt,
//!     ..FAPI1_ADVANCED
//! };
//! assert_eq!(cdr.response.response_mode(), Some("jwt"));
//!
//! // Open Finance Brasil: one algorithm, encrypted ID tokens, an `acr` of the bank's choice.
//! let brazil = Security {
//!     request: RequestForm::SignedJar,
//!     algs: Cow::Borrowed(&[Alg::Ps256]),
//!     id_token_encryption: IdTokenEncryption::Required,
//!     acr_required: true,
//!     ..FAPI1_ADVANCED
//! };
//! assert!(brazil.response.is_hybrid());
//!
//! // A bank without FAPI; and one whose users confirm on a phone, and which tells us when they have.
//! let plain = Security { response: ResponseForm::FormPost, ..OAUTH_PKCE };
//! let decoupled = Security { token_delivery: TokenDelivery::Ping, ..FAPI1_ADVANCED };
//! assert!(!plain.request.is_pushed() && decoupled.token_delivery == TokenDelivery::Ping);
//! ```

pub mod arrangement;
pub mod call;
pub mod ciba;
pub mod client;
mod client_auth;
mod dpop;
pub mod id_token;
pub mod introspection;
mod jarm;
mod jws;
pub mod keys;
pub mod login;
pub mod metadata;
pub mod profile;
mod random;
pub mod refusal;
pub mod registration;
pub mod request;
pub mod seal;
pub mod sealed;
pub mod token;
mod wire;

#[cfg(test)]
mod accepted;
#[cfg(test)]
mod afterwards;
#[cfg(test)]
mod bound;
#[cfg(test)]
mod decoupled;
#[cfg(test)]
mod ecosystems;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod registered;
#[cfg(test)]
mod requirements;
#[cfg(test)]
mod testing;

pub use refusal::{Refusal, reasons};

//! The relying party: who we are at one server, and every step as a method that yields a [`Call`].

use std::fmt;
use std::sync::Arc;

use domain::world::World;

use crate::arrangement;
use crate::call::Call;
use crate::ciba::{self, BackchannelRequest, PendingAuthentication, Polled};
use crate::dpop::Nonces;
use crate::introspection::{self, Introspection};
use crate::keys::{Decrypter, KeySet, Signer};
use crate::login::RedeemableCode;
use crate::metadata::{self, Metadata};
use crate::profile::Security;
use crate::refusal::{self, Refusal};
use crate::request::{self, AuthorizationRequest, Begun, Departure};
use crate::token::{self, Redeemed, Refreshed, TokenHint, Tokens};

/// One registered client at one authorization server.
///
/// Each method authenticates afresh, so a call that must be repeated is asked for again and never sent twice: a client
/// assertion is good for one request (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.3.1).
#[derive(Clone)]
pub struct Client {
    pub(crate) security: Security,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) nonces: Arc<Nonces>,
    pub(crate) decrypter: Option<Arc<dyn Decrypter>>,
}

impl Client {
    /// A client with the profile it follows, its id, its registered redirect URI (sent exactly as given) and its key.
    pub fn new(security: Security, client_id: &str, redirect_uri: &str, signer: Arc<dyn Signer>) -> Self {
        let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
        Self { security, client_id, redirect_uri, signer, nonces: Arc::default(), decrypter: None }
    }

    /// The same client with a key that the server encrypts ID tokens and responses to.
    pub fn with_decrypter(self, decrypter: Arc<dyn Decrypter>) -> Self {
        Self { decrypter: Some(decrypter), ..self }
    }

    /// The profile this client follows; discovery needs it.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// The registered redirect URI.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// RFC 6749 §4.1.3, §6: what was issued to one client is used by no other of ours.
    pub(crate) fn is(&self, client_id: &str) -> Result<(), Refusal> {
        refusal::CLIENT_CLIENT_ID_MISMATCH.require(self.client_id == client_id)
    }

    /// Asks for the server's keys ([`metadata::jwks`]), with ours for decrypting beside them.
    pub fn keys(&self, metadata: &Metadata) -> Result<Call<KeySet, Refusal>, Refusal> {
        let decrypter = self.decrypter.clone();
        Ok(metadata::jwks(metadata)?.map(|keys| keys.opened_by(decrypter)))
    }

    /// Begins a login by the way of the profile: pushed, or through the browser.
    pub fn begin(
        &self,
        metadata: &Metadata,
        request: &AuthorizationRequest,
        world: &World<'_>,
    ) -> Result<Begun, Refusal> {
        request::begin(self, metadata, request, world)
    }

    /// Pushes an authorization request (RFC 9126), whatever the profile's way, with a fresh state, nonce and PKCE verifier.
    /// Send the browser on at once and keep the pending login for its return.
    pub fn push(
        &self,
        metadata: &Metadata,
        request: &AuthorizationRequest,
        world: &World<'_>,
    ) -> Result<Call<Departure, Refusal>, Refusal> {
        request::push(self, metadata, request, world)
    }

    /// Redeems a code (RFC 6749 §4.1.3). The code is used up by asking; send the call at once, codes live for a minute.
    pub fn redeem(
        &self,
        metadata: &Metadata,
        code: RedeemableCode,
        world: &World<'_>,
    ) -> Result<Call<Redeemed, Refusal>, Refusal> {
        token::redeem(self, metadata, code, world)
    }

    /// Asks the server to have a user sign in elsewhere (OIDC CIBA Core §7): on a phone that the user has at hand.
    pub fn authenticate_elsewhere(
        &self,
        metadata: &Metadata,
        request: &BackchannelRequest,
        world: &World<'_>,
    ) -> Result<Call<PendingAuthentication, Refusal>, Refusal> {
        ciba::begin(self, metadata, request, world)
    }

    /// Asks whether that user is done (OIDC CIBA Core §10.1); not before [`PendingAuthentication::next_poll_at`]. The
    /// pending login comes back in the answer as long as it is pending.
    pub fn poll(
        &self,
        metadata: &Metadata,
        pending: PendingAuthentication,
        world: &World<'_>,
    ) -> Result<Call<Polled, Refusal>, Refusal> {
        ciba::poll(self, metadata, pending, world)
    }

    /// Fetches a new access token (RFC 6749 §6). The answer holds the refresh token to use next: the server's new one,
    /// or the old one where it gave none. Keep the old tokens until the new ones are stored.
    pub fn refresh(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        world: &World<'_>,
    ) -> Result<Call<Refreshed, Refusal>, Refusal> {
        token::refresh(self, metadata, tokens, world)
    }

    /// Fetches a token of our own (RFC 6749 §4.4), without a user. Never mix it up with a user's tokens.
    pub fn client_credentials(
        &self,
        metadata: &Metadata,
        scope: &str,
        world: &World<'_>,
    ) -> Result<Call<Tokens, Refusal>, Refusal> {
        token::client_credentials(self, metadata, scope, world)
    }

    /// Revokes one of the tokens (RFC 7009). Revoking the refresh token ends the whole grant at most servers.
    pub fn revoke(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        hint: TokenHint,
        world: &World<'_>,
    ) -> Result<Call<(), Refusal>, Refusal> {
        token::revoke(self, metadata, tokens, hint, world)
    }

    /// Ends the arrangement of the tokens (CDR Arrangement Revocation End Point), and with it every token of its
    /// authorisations.
    pub fn revoke_arrangement(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        world: &World<'_>,
    ) -> Result<Call<(), Refusal>, Refusal> {
        arrangement::revoke(self, metadata, tokens, world)
    }

    /// Asks what the server knows of one of the tokens (RFC 7662).
    pub fn introspect(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        hint: TokenHint,
        world: &World<'_>,
    ) -> Result<Call<Introspection, Refusal>, Refusal> {
        introspection::introspect(self, metadata, tokens, hint, world)
    }

    /// The same with an answer that the server signs (RFC 9701), so that it can be shown to others. `keys` are those of
    /// the server; after `introspection.kid.untrusted` fetch them once more and ask again.
    pub fn introspect_signed(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        hint: TokenHint,
        keys: KeySet,
        world: &World<'_>,
    ) -> Result<Call<Introspection, Refusal>, Refusal> {
        introspection::introspect_signed(self, metadata, tokens, hint, keys, world)
    }

    /// Shows the access token with a request to a resource server; the answer comes back as it is. A token that is bound to
    /// our certificate goes over a connection that shows it.
    pub fn resource(
        &self,
        request: http::Request<bytes::Bytes>,
        tokens: &Tokens,
        world: &World<'_>,
    ) -> Result<Call<http::Response<bytes::Bytes>, Refusal>, Refusal> {
        token::resource(self, request, tokens, world)
    }
}

/// The key never reaches a log.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("kid", &self.signer.kid())
            .finish_non_exhaustive()
    }
}

//! Client authentication: an assertion or a certificate, never a shared secret.

use domain::world::World;
use serde_json::json;

use crate::client::Client;
use crate::jws;
use crate::metadata::Metadata;
use crate::profile::{Audience, ClientAuth};
use crate::random;
use crate::refusal::Refusal;
use crate::wire::Form;

/// RFC 7523 §2.2: the assertion is a JWT.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Adds what proves who we are to a form. Every call makes its own assertion, so that no `jti` is ever sent twice.
pub(crate) fn authenticate(
    client: &Client,
    metadata: &Metadata,
    world: &World<'_>,
    form: &mut Form,
) -> Result<(), Refusal> {
    match client.security.client_auth {
        ClientAuth::PrivateKeyJwt => {
            metadata.accepts_assertion_alg(client.signer.alg())?;
            form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
            form.push(("client_assertion", assertion(client, metadata, world)?));
        }
        // RFC 8705 §2: the certificate proves, the client id says whose it should be. A plain request has it already.
        ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth => {
            if form.iter().all(|(name, _)| *name != "client_id") {
                form.push(("client_id", client.client_id.clone()));
            }
        }
    }
    Ok(())
}

/// The assertion of RFC 7523 §3 with the audience of FAPI 2.0 Security Profile §5.3.3.1: one string, not an array.
fn assertion(client: &Client, metadata: &Metadata, world: &World<'_>) -> Result<String, Refusal> {
    let security = &client.security;
    let now = world.now.as_second();
    let audience = match security.client_assertion_audience {
        Audience::Issuer => metadata.issuer(),
        Audience::TokenEndpoint => metadata.token_endpoint_name(),
    };
    let claims = json!({
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": audience,
        "jti": random::text::<16>(world),
        "iat": now,
        "nbf": now - security.not_before_seconds,
        "exp": now + security.client_assertion_seconds,
    });
    jws::sign(client.signer.as_ref(), None, &claims)
}

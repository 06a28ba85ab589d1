//! Arrangements (Australian Consumer Data Right): what successive authorisations of one user at one bank belong to, and
//! how it ends.

use domain::world::World;
use http::StatusCode;
use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::metadata::Metadata;
use crate::refusal::{self, Refusal};
use crate::wire::{self, Endpoint};

/// CDR Arrangement Revocation End Point: a form with the arrangement, authenticated like any other.
pub(crate) fn revoke(
    client: &Client,
    metadata: &Metadata,
    arrangement: &str,
    world: &World<'_>,
) -> Result<Call<(), Refusal>, Refusal> {
    let known = client.security.arrangement_claim.is_some();
    refusal::CLIENT_ARRANGEMENT_INVALID.require(known)?;
    let url = metadata.cdr_arrangement_revocation_endpoint();
    let url = url.ok_or_else(|| refusal::METADATA_ARRANGEMENT_ENDPOINT_MISSING.refuse())?;
    let mut form = vec![("cdr_arrangement_id", arrangement.to_owned())];
    authenticate(client, metadata, world, &mut form)?;
    Ok(Call::new(wire::post(url, &form), |response, _| {
        if let Some(code) = error(response.body()) {
            return Err(refusal::ARRANGEMENT_REVOCATION_REFUSED.with_error(&code));
        }
        let endpoint =
            Endpoint { status: refusal::ARRANGEMENT_STATUS_INVALID, refused: refusal::ARRANGEMENT_REVOCATION_REFUSED };
        wire::expect(response, StatusCode::NO_CONTENT, &endpoint).map(drop)
    }))
}

/// The first of the errors in the form of the CDR standards (`urn:au-cds:error:cds-all:Authorisation/InvalidArrangement`).
fn error(body: &[u8]) -> Option<String> {
    let body = Value::Object(wire::json_object(body)?);
    Some(body.pointer("/errors/0/code")?.as_str()?.to_owned())
}

//! The consent that a login authorises, where the bank wants it to be there before: made with a token of our own.

use bytes::Bytes;
use fapi::metadata::Metadata;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::{Passed, Probe, Stop, world};
use crate::fapi::files::ConsentResource;

/// The bank did not make a consent.
pub(super) const REFUSED: &str = "consent.request.refused";
/// Its answer does not name the consent.
pub(super) const MISSING: &str = "consent.id.missing";

impl Probe {
    /// Has the bank make a consent, and gives its id.
    pub(super) async fn open_consent(&mut self, metadata: &Metadata, resource: &ConsentResource) -> Passed<String> {
        let call = self.setup.client.client_credentials(metadata, &resource.scope, &world());
        let ours = self.send(call).await?;
        let request = Request::post(resource.url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("x-fapi-interaction-id", world().uuid().to_string())
            .body(Bytes::from(resource.body.clone()))
            .map_err(|error| Stop::Ours(error.into()))?;
        let answer = self.send(self.setup.client.resource(request, &ours, &world())).await?;
        if !answer.status().is_success() {
            return Err(Stop::Consent(REFUSED, answer.status().as_u16()));
        }
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let id = body.pointer(&resource.id).and_then(Value::as_str).map(str::to_owned);
        let id = id.ok_or(Stop::Consent(MISSING, answer.status().as_u16()))?;
        Ok((id, "a consent waits to be authorised".to_owned()))
    }
}

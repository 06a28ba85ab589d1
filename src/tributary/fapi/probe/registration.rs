//! Becoming a client before the login, and giving the registration up after it.

use fapi::metadata::Metadata;
use fapi::registration::{Answered, Registered};

use super::{Passed, Probe, Stop, world};

/// The client, or the check that it did not pass.
fn granted(answered: Answered) -> Result<Registered, Stop> {
    answered.granted().map_err(|ungranted| Stop::Refused(ungranted.refusal))
}

impl Probe {
    /// Registers a client (RFC 7591), which is who we are from now on.
    pub(super) async fn become_client(&mut self, metadata: &Metadata) -> Passed<Registered> {
        let us = self.setup.us.clone();
        let call = us.registrar().register(metadata, &us.description, None, &world());
        let registered = granted(self.send(call).await?)?;
        self.setup.client = us.client(&registered.client_id);
        let detail = format!("a client of {} redirect URIs", us.description.redirect_uris.len());
        Ok((registered, detail))
    }

    /// Reads, replaces and ends the registration (RFC 7592). The token that manages it may change with each answer.
    pub(super) async fn manage(&mut self, metadata: &Metadata, registered: Registered) -> Passed<()> {
        let us = self.setup.us.clone();
        let registrar = us.registrar();
        let read = granted(self.send(registrar.read(metadata, &us.description, &registered, None)).await?)?;
        let call = registrar.update(metadata, &us.description, &read, None, &world());
        let updated = granted(self.send(call).await?)?;
        self.send(registrar.delete(metadata, &updated, None)).await?;
        Ok(((), "read, replaced and ended".to_owned()))
    }
}

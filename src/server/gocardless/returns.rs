//! The way back: a person who came for a requisition goes to the product's address, with its reference and what went wrong.

use domain::ids::ConsentId;
use store::sealed::Place;
use store::{TenantTx, consents, requisitions};
use url::Url;

use crate::app::App;
use crate::keys::TenantKeys;
use crate::pages::view::{Href, Outcome};
use crate::services::ServiceError;

/// Where a person goes when a requisition is done.
pub(crate) struct Return {
    address: Url,
    /// Whether they go before the first data are there.
    pub(crate) immediate: bool,
}

impl Return {
    /// The return of a consent; `None` for one that was asked for otherwise.
    ///
    /// # Errors
    /// The database's or the key provider's.
    pub(crate) async fn of(app: &App, tx: &mut TenantTx, consent: ConsentId) -> Result<Option<Self>, ServiceError> {
        let Some(requisition) = requisitions::of_consent(tx, consent).await? else { return Ok(None) };
        let keys = TenantKeys::lookup(app, tx, &app.world()).await?;
        let reference = reference(tx, &requisition, &keys)?;
        let consent = consents::get(tx, consent).await?;
        let address = Url::parse(&consent.return_url).ok().map(|mut address| {
            address.query_pairs_mut().append_pair("ref", &reference);
            address
        });
        Ok(address.map(|address| Self { address, immediate: requisition.redirect_immediate }))
    }

    /// Back with a connection.
    pub(crate) fn connected(&self) -> Option<Href> {
        Href::new(self.address.as_str())
    }

    /// Back without one, with the code that clients know; `None` where the person can still go on here.
    pub(crate) fn ended(&self, outcome: Outcome) -> Option<Href> {
        let (error, details) = match outcome {
            Outcome::Declined => ("UserCancelledSession", "The user cancelled the session"),
            Outcome::Withdrawn => ("UserCancelledSession", "The request was withdrawn"),
            // Nothing went wrong: the requisition is linked once the others have signed.
            Outcome::AwaitsSigners => return self.connected(),
            Outcome::Denied => ("UserSessionRejected", "The user or the institution rejected the session"),
            Outcome::TimedOut => ("InstitutionTimeoutError", "The session was not finished in time"),
            Outcome::BankError => ("InstitutionTechnicalError", "The institution answered with an error"),
            Outcome::NotTrusted => ("InstitutionTechnicalError", "The institution's answer could not be trusted"),
            Outcome::OurFault => ("GoCardlessTechnicalError", "The service failed"),
            Outcome::LinkOver => ("RequisitionLinkReused", "The link was used before or is no longer valid"),
            Outcome::BankUnavailable
            | Outcome::AwaitsPsu
            | Outcome::CameTwice
            | Outcome::OtherBrowser
            | Outcome::SignedOut
            | Outcome::Unknown => return None,
        };
        let mut address = self.address.clone();
        address.query_pairs_mut().append_pair("error", error).append_pair("details", details);
        Href::new(address.as_str())
    }
}

/// The product's reference of a requisition; once its data are gone, the requisition's id.
pub(super) fn reference(
    tx: &TenantTx,
    requisition: &requisitions::Requisition,
    keys: &TenantKeys,
) -> Result<String, ServiceError> {
    match &requisition.sealed_reference {
        None => Ok(requisition.consent.uuid().to_string()),
        Some(sealed) => {
            let place = Place::requisition(tx.tenant(), requisition.consent);
            Ok(String::from_utf8_lossy(&place.open(keys.key(), sealed)?).into_owned())
        }
    }
}

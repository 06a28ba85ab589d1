//! Banks that want every request signed by our seal, beside mutual TLS: the whole way in each of the forms, and a bank
//! that knows another seal refuses.

use bank_adapters::profile::SignatureForm;
use sandbox::{POLISH_API, STET, SealForm};
use server::services::fetch;
use tests::world::{CUSTOMER, Options, Place, World};

const FORMS: [(SignatureForm, SealForm, Option<Place>); 4] = [
    (SignatureForm::Http, SealForm::Http, None),
    (SignatureForm::HttpTarget, SealForm::HttpTarget, None),
    (
        SignatureForm::Stet,
        SealForm::Stet,
        Some(Place {
            bank: "fr_banqueexemple",
            ecosystem: STET,
            version: None,
            base: "",
            currency: "EUR",
            zone: "Europe/Paris",
        }),
    ),
    (
        SignatureForm::Jws,
        SealForm::Jws,
        Some(Place {
            bank: "pl_musterbank",
            ecosystem: POLISH_API,
            version: None,
            base: "",
            currency: "PLN",
            zone: "Europe/Warsaw",
        }),
    ),
];

/// What a bank refused, by its code.
fn refused(world: &World) -> Vec<String> {
    world.bank.log().into_iter().filter(|line| line.refused).map(|line| line.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_signature_is_taken_and_another_seal_is_not() {
    for (form, wanted, place) in FORMS {
        let options = Options { place, seal: Some((form, wanted)), ..Options::default() };
        let world = World::made(options, |_| {}).await;
        let consent = world.connect(CUSTOMER).await;
        let fetched = fetch::run(&world.app, world.about(consent)).await.expect("a fetch");
        assert!(matches!(fetched, fetch::Verdict::Next(_)), "{form:?}: {fetched:?} {:?}", refused(&world));
        assert_eq!(refused(&world), Vec::<String>::new(), "{form:?}");
        world.bank.forget_seal();
        let _ = fetch::run(&world.app, world.about(consent)).await;
        let mismatch = refused(&world).iter().any(|code| code == "signature.certificate.mismatch");
        assert!(mismatch, "{form:?}: {:?}", refused(&world));
        world.end().await;
    }
}

//! Exports of transactions: each part is a look at the consent of its own, so a withdrawal ends an export in the middle, and
//! nobody takes what there is for whole.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use server::services::fetch;
use tests::site::Site;
use tests::world::World;
use tower::ServiceExt as _;

/// More rows than two parts of an export have.
const ROWS: usize = 1_100;

/// The whole of an export as a client gets it, or what came until it broke off.
async fn rest(mut body: Body, mut begun: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(begun) };
        begun.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    Ok(begun)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_any_form_breaks_off_when_its_person_stops() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = tests::site::connected(&world, &product).await;
    let listed = product.get("/v1/accounts").await.json();
    let [id, iban] = ["id", "iban"].map(|name| listed["data"][0][name].as_str().unwrap().to_owned());
    assert!(world.bank.amend(&iban, |rows| {
        let last = rows.iter().max_by_key(|row| row.booked).unwrap().clone();
        rows.extend((0..ROWS).map(|n| {
            let mut row = last.clone();
            row.transaction_id = format!("X{n}");
            row.remittance = format!("Rechnung {n}");
            row.end_to_end_id = Some(format!("E2E-{n}"));
            row
        }));
    }));
    world.app.note_present(consent, tests::world::person());
    fetch::run(&world.app, world.about(consent)).await.unwrap();

    let router = server::router(world.app.clone());
    let path = format!("/v1/accounts/{id}/transactions/export");
    let ask = async |form: &str| {
        let key = format!("Bearer {}", world.api_key.expose_secret());
        let request = Request::get(&path).header("authorization", key).header("accept", form);
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"].to_str().unwrap().split(';').next(), Some(form));
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
        (body, first)
    };
    let forms = ["application/x-ndjson", "text/csv", "application/vnd.apache.parquet"];
    let mut begun = Vec::new();
    for form in forms {
        let (body, first) = ask(form).await;
        let whole = rest(body, first.clone()).await.expect("while nobody stops, it is whole");
        assert!(whole.len() > first.len(), "{form}: it comes in parts");
        assert_eq!(form.ends_with("parquet"), whole.ends_with(b"PAR1"), "{form}");
        begun.push((form, ask(form).await, whole.len()));
    }
    assert_eq!(product.delete(&format!("/v1/consents/{consent}")).await.status, StatusCode::ACCEPTED);
    for (form, (body, first), whole) in begun {
        let had = first.len();
        let got = rest(body, first).await.expect_err("nobody may take it for whole");
        assert_eq!(got.len(), had, "{form}: nothing was read after the stop");
        assert!(got.len() < whole && !got.ends_with(b"PAR1"), "{form}");
    }
    site.end().await;
    world.end().await;
}

//! The server at banks of every security profile: from the accepted text over the browser's return to rows, a renewed
//! token and the end of the consent, with nothing refused by the bank on the way.

use domain::consent::{RevokedBy, State};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use sandbox::{Binding, Decision, Policy, RequestWay};
use secrecy::ExposeSecret;
use server::services::{consents as service, fetch, revocation};
use store::{capsules, consents};
use tests::site::{Answer, Site};
use tests::world::{CUSTOMER, Options, REGISTRATION, World};

/// How the browser comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Return {
    /// With an address.
    Address,
    /// With a form that the bank's page posts.
    Form,
}

/// A profile: what the bank's file says, how the bank behaves, how the browser returns, and how often the bank asks for
/// a nonce that a proof did not carry.
struct Case {
    name: &'static str,
    security: &'static str,
    habits: fn(&mut Policy),
    comes: Return,
    challenges: usize,
}

const CASES: [Case; 5] = [
    Case {
        name: "FAPI 2.0, signed requests",
        security: "profile = \"fapi2-message-signing\"\nresponse = \"query\"",
        habits: |_| {},
        comes: Return::Address,
        challenges: 0,
    },
    Case {
        name: "FAPI 2.0 Message Signing, JARM",
        security: "profile = \"fapi2-message-signing\"",
        habits: |_| {},
        comes: Return::Address,
        challenges: 0,
    },
    Case {
        name: "FAPI 2.0 with DPoP",
        security: "profile = \"fapi2-message-signing\"\nresponse = \"query\"\nbinding = \"dpop\"",
        habits: |policy| policy.binding = Binding::Key { nonces: false },
        comes: Return::Address,
        challenges: 0,
    },
    Case {
        name: "FAPI 2.0 with DPoP, nonces and JARM",
        security: "profile = \"fapi2-message-signing\"\nbinding = \"dpop\"",
        habits: |policy| policy.binding = Binding::Key { nonces: true },
        comes: Return::Address,
        // One for each server that is met first: the authorisation server, the account interface. Six minutes later the
        // nonces are over, and each asks once more.
        challenges: 4,
    },
    Case {
        name: "FAPI 1.0 Advanced, by value, hybrid in a form",
        security: "profile = \"fapi1-advanced\"\nresponse = \"hybrid_form_post\"",
        habits: |policy| policy.request = RequestWay::Browser,
        comes: Return::Form,
        challenges: 0,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_server_speaks_every_profile() {
    for case in CASES {
        let options = Options { security: case.security, habits: Some(case.habits), ..Options::default() };
        let world = World::made(options, |_| {}).await;
        let site = Site::start(world.app.clone()).await;
        walk(&world, &site, &case).await;
        site.end().await;
        world.end().await;
    }
}

async fn walk(world: &World, site: &Site, case: &Case) {
    let consent = world.ask(CUSTOMER.0).await;
    let departure = world.depart(consent).await;
    let by_value = departure.redirect.query_pairs().any(|(name, _)| name == "request");
    assert_eq!(by_value, case.comes == Return::Form, "{}", case.name);
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
    let query = visit.await.expect(case.name).query().unwrap_or_default().to_owned();
    let answer = comes_back(world, site, case.comes, &query, departure.browser.expose_secret()).await;
    let state = state(world, consent).await;
    assert_eq!((answer.status, state), (StatusCode::SEE_OTHER, State::Authorized), "{}: {}", case.name, answer.text());

    for minutes in [0, 6] {
        // After six minutes the access token is over, and a new one is fetched first.
        world.clock.advance(SignedDuration::from_mins(minutes));
        let fetched = fetch::run(&world.app, world.about(consent)).await.expect(case.name);
        assert!(matches!(fetched, fetch::Verdict::Next(_)), "{}: {fetched:?}", case.name);
    }
    assert_eq!(world.bank.log().iter().filter(|line| line.code == "token.refreshed").count(), 1, "{}", case.name);

    end(world, consent).await;
    let refused: Vec<_> = world.bank.log().into_iter().filter(|line| line.refused).map(|line| line.code).collect();
    assert!(refused.iter().all(|code| code == "dpop.nonce.missing"), "{}: {refused:?}", case.name);
    assert_eq!(refused.len(), case.challenges, "{}", case.name);
}

/// The browser's way back: what the bank's page posts is answered with the address that carries our cookies.
async fn comes_back(world: &World, site: &Site, comes: Return, query: &str, cookie: &str) -> Answer {
    let browser = site.caller(world, None);
    let address = match comes {
        Return::Address => format!("/callback/{REGISTRATION}?{query}"),
        Return::Form => {
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let path = format!("/callback/{REGISTRATION}");
            let posted = browser.send(Method::POST, &path, &kind, query.to_owned().into()).await;
            assert_eq!(posted.status, StatusCode::SEE_OTHER);
            posted.headers["location"].to_str().expect("an address").to_owned()
        }
    };
    let cookies = format!("__Host-tributary-login={cookie}");
    browser.send(Method::GET, &address, &[("cookie", &cookies)], bytes::Bytes::new()).await
}

async fn state(world: &World, consent: domain::ids::ConsentId) -> State {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.expect("a transaction");
    consents::get(&mut tx, consent).await.expect("the consent").machine.state
}

/// The person withdraws, and the bank is told: the consent first, then the tokens.
async fn end(world: &World, consent: domain::ids::ConsentId) {
    let tenant = world.app.tenant.id;
    service::revoke(&world.app, tenant, consent, RevokedBy::Product, "product").await.expect("a revocation");
    let mut tx = world.app.store.tenant_tx(tenant).await.expect("a transaction");
    let open = capsules::open(&mut tx, 10).await.expect("capsules");
    tx.commit().await.expect("a commit");
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, tenant, capsule).await.expect("an end"), fetch::Verdict::Done);
    }
    let ended: Vec<_> = world.bank.log().into_iter().filter(|line| !line.refused).map(|line| line.code).collect();
    assert!(ended.iter().any(|code| code == "consent.terminated"), "{ended:?}");
}

//! The console's login at an identity provider that others wrote and certified: npm `oidc-provider`, with RS256 and its own
//! idea of everything that a standard leaves open.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use domain::world::Clock as _;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::site::Site;
use tests::staff::{self, Desk};
use tests::world::World;
use url::Url;

use crate::provider;

/// The provider's process; dropping it ends it.
struct Foreign {
    child: Child,
    issuer: String,
}

impl Foreign {
    fn start(world: &World, who: &Value) -> Self {
        let setup = json!({
            "modules": provider::modules(),
            "certificate": world.pki.server.certificate_pem,
            "key": world.pki.server.key_pem.expose_secret(),
            "client": {
                "client_id": staff::CLIENT, "client_secret": staff::SECRET,
                "redirect_uris": [format!("{}console/callback", world.app.config.listen.public_url)],
            },
            "who": who,
            "now": world.clock.now().as_millisecond(),
        });
        let file = world.dir.path().join("foreign.json");
        std::fs::write(&file, setup.to_string()).expect("a file");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/staff.mjs");
        let started = Command::new("node").arg(script).arg(&file).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let ready: Value =
            serde_json::from_str(&line).expect("the server is ready; what it says otherwise stands above");
        Self { child, issuer: format!("https://localhost:{}", ready["port"]) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Follows the provider's redirects as a browser does, until one leads back to us; gives the path that it leads to.
async fn through(world: &World, begin: &str) -> String {
    let http = world.sender(None);
    let (mut address, mut jar) = (begin.parse::<Url>().expect("an address"), HashMap::new());
    for _ in 0..12 {
        let cookies = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = Request::get(address.as_str()).header(COOKIE, cookies).body(Bytes::new()).expect("a request");
        let answer = http.send(request).await.expect("an answer");
        for set in answer.headers().get_all(SET_COOKIE) {
            let set = set.to_str().expect("text").to_owned();
            if let Some((name, value)) = set.split(';').next().and_then(|pair| pair.split_once('=')) {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        let on = answer.headers().get(LOCATION).and_then(|on| on.to_str().ok());
        let on = on.unwrap_or_else(|| panic!("{} at {address}", answer.status()));
        address = address.join(on).expect("an address");
        if address.path() == "/console/callback" {
            return format!("{}?{}", address.path(), address.query().unwrap_or_default());
        }
    }
    panic!("the provider leads nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_sign_in_at_a_provider_that_others_wrote() {
    let who = [
        (json!({ "sub": "ada", "name": "Ada", "groups": ["everybody", "tributary-auditors"] }), StatusCode::SEE_OTHER),
        (json!({ "sub": "nina", "name": "Nina", "groups": ["everybody"] }), StatusCode::FORBIDDEN),
    ];
    let mut world = World::start().await;
    for (who, expected) in who {
        let foreign = Foreign::start(&world, &who);
        staff::configure(&mut world, &foreign.issuer);
        let site = Site::start(world.app.clone()).await;
        let desk = Desk::new(&world, site.caller(&world, None));
        let away = desk.send(Method::POST, "/console/login", &[]).await;
        let away = away.headers[LOCATION].to_str().expect("an address").to_owned();
        let back = through(&world, &away).await;
        let answer = desk.get(&back).await;
        assert_eq!(answer.status, expected, "{who}: {}", answer.text());
        if expected == StatusCode::SEE_OTHER {
            let home = desk.get("/console").await;
            assert_eq!(home.status, StatusCode::OK);
            assert!(home.text().contains("Ada") && home.text().contains("auditor"));
        }
        site.end().await;
    }
    world.end().await;
}

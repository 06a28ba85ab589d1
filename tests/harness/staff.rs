//! The staff's identity provider: an OpenID provider that lets anybody be whom they say, and that lies as it is told to.
//!
//! It speaks discovery, code flow with PKCE and ES256, and is strict about what a client must send.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use domain::world::Clock;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jws::{ES256, JwsHeader, serialize_compact};
use net::serve::{ClientCertificates, ServeConfig, Serving, Transport, serve};
use serde_json::{Value, json};
use server::App;
use server::config::Config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::site::{Answer, Caller};
use crate::world::{TestClock, World};

/// Who may say to be whom: the name in addresses, what colleagues call them, and their groups.
pub const COLLEAGUES: [(&str, &str, &[&str]); 7] = [
    ("olga", "Olga Operator", &["tributary-operators"]),
    ("carl", "Carl Compliance", &["tributary-compliance"]),
    ("cora", "Cora Compliance", &["tributary-compliance", "everybody"]),
    ("sam", "Sam Support", &["tributary-support"]),
    ("ada", "Ada Auditor", &["tributary-auditors"]),
    ("nina", "Nina Nobody", &["everybody"]),
    ("eve", "<script>alert(1)</script>", &["tributary-operators"]),
];

/// Our secret there.
pub const SECRET: &str = "a client's secret: with signs & blanks";
/// Who we are there.
pub const CLIENT: &str = "tributary-console";

/// How an ID token lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A claim says something else.
    Claim(&'static str, &'static str),
    /// It was issued so many seconds ago, and has ended since.
    Old(i64),
    /// It is for further clients too.
    Shared,
    /// Nobody signed it.
    Unsigned,
    /// Somebody else signed it.
    OtherKey,
    /// It is signed with the client's secret.
    Symmetric,
    /// There is none.
    Missing,
}

/// A code that waits for its client.
struct Waiting {
    name: String,
    nonce: String,
    challenge: String,
    redirect: String,
}

struct Inner {
    issuer: String,
    clock: Arc<TestClock>,
    key: Jwk,
    waiting: Mutex<HashMap<String, Waiting>>,
    lie: Mutex<Option<Lie>>,
}

/// The provider.
pub struct Provider {
    inner: Arc<Inner>,
    stop: CancellationToken,
    serving: Serving,
}

impl Provider {
    /// Starts it, and gives the world an application at which staff sign in there.
    ///
    /// # Panics
    /// When it cannot be.
    pub async fn join(world: &mut World) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            issuer: format!("https://localhost:{port}"),
            clock: world.clock.clone(),
            key: key("one"),
            waiting: Mutex::default(),
            lie: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/as/{name}", get(approve))
            .route("/token", post(token))
            .with_state(inner.clone());
        let stop = CancellationToken::new();
        let transport = Transport::Tls {
            identity: world.pki.server.identity().expect("an identity"),
            clients: ClientCertificates::None,
            clock: world.clock.clone(),
        };
        let serving = serve(listener, ServeConfig::new(transport), router, stop.clone()).expect("a listener");
        configure(world, &inner.issuer);
        Self { inner, stop, serving }
    }

    /// From now on ID tokens lie so, or not any more.
    pub fn lie(&self, lie: Option<Lie>) {
        *self.inner.lie.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }

    /// Ends it.
    pub async fn end(self) {
        self.stop.cancel();
        self.serving.finished().await;
    }
}

/// Writes settings with which staff sign in at an issuer, and opens the application anew with them.
///
/// # Panics
/// When it cannot be.
pub fn configure(world: &mut World, issuer: &str) {
    let secret = world.dir.path().join("console.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("a file");
    let ca = world.dir.path().join("registrations/ca.pem");
    let file = world.config_file();
    let before = std::fs::read_to_string(&file).expect("settings");
    let before = before.split("[console]").next().unwrap_or_default();
    let console = format!(
        "[console]\nissuer = {issuer:?}\nclient_id = {CLIENT:?}\nclient_secret_file = {secret:?}\nca_file = {ca:?}\n\
         scopes = [\"profile\", \"groups\"]\n\
         operator = [\"tributary-operators\"]\ncompliance = [\"tributary-compliance\"]\n\
         support = [\"tributary-support\"]\nauditor = [\"tributary-auditors\"]\n"
    );
    std::fs::write(&file, format!("{before}{console}")).expect("settings");
    let config = Config::load(Some(&file)).expect("settings");
    let app = App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone());
    world.app = Arc::new(app.expect("an application"));
}

fn key(kid: &str) -> Jwk {
    let mut key = Jwk::generate_ec_key(EcCurve::P256).expect("a key");
    key.set_key_id(kid);
    key.set_algorithm("ES256");
    key
}

async fn metadata(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let issuer = &inner.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }))
}

async fn jwks(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let mut public: Value = serde_json::from_str(&inner.key.to_public_key().expect("a key").to_string()).expect("JSON");
    public["kid"] = "one".into();
    public["alg"] = "ES256".into();
    public["use"] = "sig".into();
    Json(json!({ "keys": [public] }))
}

/// The page on which people say who they are.
async fn authorize(Query(query): Query<Vec<(String, String)>>) -> Response {
    for (name, wanted) in [("client_id", CLIENT), ("response_type", "code"), ("code_challenge_method", "S256")] {
        if !query.iter().any(|(given, value)| given == name && value == wanted) {
            return (StatusCode::BAD_REQUEST, format!("{name} is not {wanted}")).into_response();
        }
    }
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let link = |(name, ..): &(&str, &str, &[&str])| {
        format!("<p><a id=\"{name}\" href=\"/as/{name}?{}\">{name}</a></p>", query.replace('&', "&amp;"))
    };
    let links: String = COLLEAGUES.iter().map(link).collect();
    let begin =
        "<!doctype html><html lang=\"en\"><meta name=\"viewport\" content=\"width=device-width\"><title>Who</title>";
    Html(format!("{begin}<main><h1>Who are you?</h1>{links}</main></html>")).into_response()
}

async fn approve(
    State(inner): State<Arc<Inner>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let field = |name: &str| query.get(name).cloned().unwrap_or_default();
    let mut back: Url = field("redirect_uri").parse().expect("a redirect URI");
    let moment = domain::world::World { now: inner.clock.now(), entropy: &vault::SystemEntropy };
    let code = moment.uuid().to_string();
    let waiting =
        Waiting { name, nonce: field("nonce"), challenge: field("code_challenge"), redirect: field("redirect_uri") };
    inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(code.clone(), waiting);
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &field("state"))
        .append_pair("iss", &inner.issuer);
    (StatusCode::SEE_OTHER, [(LOCATION, back.to_string())]).into_response()
}

async fn token(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refuse = |why: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response();
    // RFC 6749 §2.3.1: both parts are encoded as forms are.
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
    if headers.get(AUTHORIZATION).is_none_or(|shown| shown.as_bytes() != basic.as_bytes()) {
        return refuse("invalid_client");
    }
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let waiting = inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(field("code"));
    let Some(waiting) = waiting.filter(|waiting| waiting.redirect == field("redirect_uri")) else {
        return refuse("invalid_grant");
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, field("code_verifier").as_bytes());
    if URL_SAFE_NO_PAD.encode(digest) != waiting.challenge {
        return refuse("invalid_grant");
    }
    let lie = *inner.lie.lock().unwrap_or_else(PoisonError::into_inner);
    let mut answer = json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 60 });
    if lie != Some(Lie::Missing) {
        answer["id_token"] = id_token(&inner, &waiting, lie).into();
    }
    Json(answer).into_response()
}

fn id_token(inner: &Inner, waiting: &Waiting, lie: Option<Lie>) -> String {
    let known = COLLEAGUES.into_iter().find(|(name, ..)| *name == waiting.name);
    let (subject, name, groups) = known.expect("somebody who works here");
    let age = if let Some(Lie::Old(seconds)) = lie { seconds } else { 0 };
    let issued = inner.clock.now().as_second() - age;
    let mut claims = json!({
        "iss": inner.issuer, "sub": subject, "aud": CLIENT, "iat": issued, "exp": issued + 300,
        "nonce": waiting.nonce, "name": name, "groups": groups,
    });
    match lie {
        Some(Lie::Claim(name, value)) => claims[name] = value.into(),
        Some(Lie::Shared) => claims["aud"] = json!([CLIENT, "another"]),
        _ => {}
    }
    let by_hand = |algorithm: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": algorithm }).to_string());
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    match lie {
        Some(Lie::Unsigned) => format!("{}.", by_hand("none")),
        Some(Lie::Symmetric) => {
            let signed = by_hand("HS256");
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
        }
        _ => {
            let other = key("one");
            let key = if lie == Some(Lie::OtherKey) { &other } else { &inner.key };
            let mut header = JwsHeader::new();
            header.set_key_id("one");
            let signer = ES256.signer_from_jwk(key).expect("a key");
            serialize_compact(claims.to_string().as_bytes(), &header, &signer).expect("a token")
        }
    }
}

/// A browser without windows: it keeps cookies, and follows nothing by itself.
pub struct Desk<'w> {
    world: &'w World,
    caller: Caller,
    cookies: Mutex<HashMap<String, String>>,
}

impl<'w> Desk<'w> {
    /// One that nobody has used.
    pub fn new(world: &'w World, caller: Caller) -> Self {
        Self { world, caller, cookies: Mutex::default() }
    }

    /// Its cookies, as it sends them.
    pub fn cookies(&self) -> String {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Takes the cookies of another one.
    pub fn steal(&self, cookies: &str) {
        let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        *self.cookies.lock().unwrap_or_else(PoisonError::into_inner) = pairs.collect();
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// Any request, with a form's fields.
    pub async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookies = self.cookies();
        let headers = [(COOKIE.as_str(), cookies.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let answer = self.caller.send(method, path, &headers, Bytes::from(body)).await;
        let mut jar = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for set in answer.headers.get_all(SET_COOKIE) {
            let pair = set.to_str().ok().and_then(|set| set.split(';').next()?.split_once('='));
            match pair {
                Some((name, "")) => drop(jar.remove(name)),
                Some((name, value)) => drop(jar.insert(name.to_owned(), value.to_owned())),
                None => {}
            }
        }
        answer
    }

    /// Presses the button and says who they are; gives the path at which the provider sends them back.
    ///
    /// # Panics
    /// When the console or the provider does not lead on.
    pub async fn return_path(&self, name: &str) -> String {
        let away = self.send(Method::POST, "/console/login", &[]).await;
        let address = location(&away.headers);
        let said = address.replacen("/authorize?", &format!("/as/{name}?"), 1);
        let request = Request::get(said).body(Bytes::new()).expect("a request");
        let answer = self.world.sender(None).send(request).await.expect("an answer");
        let back: Url = location(answer.headers()).parse().expect("an address");
        format!("{}?{}", back.path(), back.query().unwrap_or_default())
    }

    /// Signs in.
    pub async fn sign_in(&self, name: &str) -> Answer {
        let path = self.return_path(name).await;
        self.get(&path).await
    }

    /// The anti-forgery token of the session, from a page.
    ///
    /// # Panics
    /// When nobody has signed in.
    pub async fn csrf(&self) -> String {
        let page = self.get("/console").await.text();
        let begin = page.split_once("name=\"csrf\" value=\"").expect("a form").1;
        begin.split_once('"').expect("a value").0.to_owned()
    }

    /// Sends a form of the session.
    pub async fn order(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf().await;
        let fields: Vec<_> = [("csrf", csrf.as_str())].iter().chain(fields).copied().collect();
        self.send(Method::POST, path, &fields).await
    }
}

fn location(headers: &HeaderMap) -> String {
    headers.get(LOCATION).and_then(|value| value.to_str().ok()).expect("a way on").to_owned()
}

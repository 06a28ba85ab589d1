//! RFC 8414 metadata, also at OpenID Connect's path, and the bank's keys.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::bank::{Inner, Shared};
use crate::config::{Binding, RequestWay};

/// Algorithms of FAPI 2.0 Security Profile §5.4.1.
const ALGORITHMS: [&str; 3] = ["PS256", "ES256", "EdDSA"];

pub(super) async fn metadata(State(bank): State<Shared>) -> Json<Value> {
    let pushed = bank.policy.request == RequestWay::Pushed;
    let (types, modes) = if pushed {
        (json!(["code"]), json!(["query", "jwt"]))
    } else {
        (json!(["code id_token", "code"]), json!(["form_post", "jwt"]))
    };
    let mut metadata = describe(&bank, &types, &modes);
    if !pushed {
        metadata["require_pushed_authorization_requests"] = json!(false);
    }
    if bank.policy.binding != Binding::Certificate {
        metadata["dpop_signing_alg_values_supported"] = json!(["ES256"]);
        metadata["tls_client_certificate_bound_access_tokens"] = json!(false);
    }
    Json(metadata)
}

fn describe(bank: &Inner, types: &Value, modes: &Value) -> Value {
    let at = |base: &str, path: &str| format!("{base}{path}");
    let (issuer, interface, front) = (&bank.issuer, &bank.interface, &bank.front);
    json!({
        "issuer": issuer,
        "authorization_endpoint": at(front, "/authorize"),
        "pushed_authorization_request_endpoint": at(issuer, "/par"),
        "token_endpoint": at(issuer, "/token"),
        "revocation_endpoint": at(issuer, "/revoke"),
        "jwks_uri": at(issuer, "/jwks"),
        "mtls_endpoint_aliases": {
            "pushed_authorization_request_endpoint": at(interface, "/par"),
            "token_endpoint": at(interface, "/token"),
            "revocation_endpoint": at(interface, "/revoke"),
        },
        "require_pushed_authorization_requests": true,
        "require_signed_request_object": true,
        "request_object_signing_alg_values_supported": ALGORITHMS,
        "authorization_response_iss_parameter_supported": true,
        "response_types_supported": types,
        "response_modes_supported": modes,
        "authorization_signing_alg_values_supported": ["ES256"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "offline_access", "ais", "AIS:<consentId>"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
        "tls_client_certificate_bound_access_tokens": true,
    })
}

pub(super) async fn jwks(State(bank): State<Shared>) -> Json<Value> {
    Json(bank.key.jwks())
}

//! RFC 8414 metadata, also at OpenID Connect's path, and the bank's keys.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::bank::{Inner, Shared};
use crate::config::{Binding, RequestWay};
use crate::ecosystem::NamedBy;

pub(super) async fn metadata(State(bank): State<Shared>) -> Json<Value> {
    let pushed = bank.policy.request == RequestWay::Pushed;
    let ecosystem = &bank.ecosystem;
    let (types, modes) = if ecosystem.hybrid || !pushed {
        (json!(["code id_token", "code"]), json!(["fragment", "form_post", "jwt"]))
    } else if ecosystem.signed_responses {
        (json!(["code"]), json!(["jwt"]))
    } else {
        (json!(["code"]), json!(["query", "jwt"]))
    };
    let mut metadata = describe(&bank, &types, &modes);
    if !pushed {
        metadata["require_pushed_authorization_requests"] = json!(false);
    }
    if bank.policy.binding != Binding::Certificate {
        metadata["dpop_signing_alg_values_supported"] = json!(["ES256"]);
        metadata["tls_client_certificate_bound_access_tokens"] = json!(false);
    }
    if ecosystem.named_by == NamedBy::Arrangement {
        let url = |base: &str| json!(format!("{base}/arrangements/revoke"));
        metadata["cdr_arrangement_revocation_endpoint"] = url(&bank.issuer);
        metadata["mtls_endpoint_aliases"]["cdr_arrangement_revocation_endpoint"] = url(&bank.interface);
    }
    if let Some(acr) = ecosystem.acr {
        metadata["acr_values_supported"] = json!([acr]);
        metadata["claims_parameter_supported"] = json!(true);
    }
    if ecosystem.encrypted_id_tokens {
        metadata["id_token_encryption_alg_values_supported"] = json!(["RSA-OAEP"]);
        metadata["id_token_encryption_enc_values_supported"] = json!(["A256GCM"]);
    }
    Json(metadata)
}

fn describe(bank: &Inner, types: &Value, modes: &Value) -> Value {
    let at = |base: &str, path: &str| format!("{base}{path}");
    let algorithms = bank.ecosystem.algorithms;
    let scopes = [bank.ecosystem.scopes, bank.ecosystem.own_scopes].concat();
    let (issuer, interface, front) = (&bank.issuer, &bank.interface, &bank.front);
    json!({
        "issuer": issuer,
        "authorization_endpoint": at(front, "/authorize"),
        "pushed_authorization_request_endpoint": at(issuer, "/par"),
        "token_endpoint": at(issuer, "/token"),
        "revocation_endpoint": at(issuer, "/revoke"),
        "introspection_endpoint": at(issuer, "/introspect"),
        "jwks_uri": at(issuer, "/jwks"),
        "mtls_endpoint_aliases": {
            "pushed_authorization_request_endpoint": at(interface, "/par"),
            "token_endpoint": at(interface, "/token"),
            "revocation_endpoint": at(interface, "/revoke"),
            "introspection_endpoint": at(interface, "/introspect"),
        },
        "require_pushed_authorization_requests": true,
        "require_signed_request_object": true,
        "request_object_signing_alg_values_supported": algorithms,
        "authorization_response_iss_parameter_supported": true,
        "response_types_supported": types,
        "response_modes_supported": modes,
        "authorization_signing_alg_values_supported": [bank.key.alg()],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": scopes,
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [bank.key.alg()],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "tls_client_certificate_bound_access_tokens": true,
    })
}

pub(super) async fn jwks(State(bank): State<Shared>) -> Json<Value> {
    Json(bank.key.jwks())
}

//! `/api/v2`: the surface of GoCardless Bank Account Data, for programs that were written for it.
//!
//! The same consents, accounts and rows as `/v1`, under the names, statuses, bodies and headers that those clients know;
//! `GUIDE.md` beside this file says what is the same and what is better. This module must never call a bank: whatever a
//! client polls, it is answered from what is stored. It must never send a person to an address that the product has not
//! registered, and never weaken what `/v1` asks of a key.

mod accounts;
mod agreements;
mod body;
mod institutions;
mod refusal;
mod requisitions;
pub(crate) mod returns;
mod rows;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get, post, put};
use jiff::Timestamp;

use crate::api::auth::Caller;
use crate::app::App;

pub(crate) use refusal::Refusal;

/// Where the surface begins.
pub(crate) const BASE: &str = "/api/v2";

/// Every route, with a slash at its end and without.
pub(crate) fn router() -> Router<Arc<App>> {
    let read = |methods: MethodRouter<Arc<App>>| methods.layer(crate::api::in_time());
    let routes: [(&str, MethodRouter<Arc<App>>); 17] = [
        ("token/new", post(token::obtain)),
        ("token/refresh", post(token::refresh)),
        ("institutions", get(institutions::list)),
        ("institutions/{id}", get(institutions::read)),
        ("agreements/enduser", get(agreements::list).post(agreements::create)),
        ("agreements/enduser/{id}", get(agreements::read).delete(agreements::remove)),
        ("agreements/enduser/{id}/accept", put(agreements::accept)),
        ("agreements/enduser/{id}/reconfirm", get(agreements::reconfirm).post(agreements::reconfirm)),
        ("requisitions", get(requisitions::list).post(requisitions::create)),
        ("requisitions/{id}", get(requisitions::read).delete(requisitions::remove)),
        ("accounts/{id}", read(get(accounts::read))),
        ("accounts/{id}/details", read(get(accounts::details))),
        ("accounts/{id}/balances", read(get(accounts::balances))),
        ("accounts/{id}/transactions", read(get(accounts::transactions))),
        ("accounts/premium/{id}/details", read(get(accounts::details))),
        ("accounts/premium/{id}/balances", read(get(accounts::balances))),
        ("accounts/premium/{id}/transactions", read(get(accounts::transactions))),
    ];
    routes.into_iter().fold(Router::new(), |router, (path, methods)| {
        router.route(&format!("{BASE}/{path}"), methods.clone()).route(&format!("{BASE}/{path}/"), methods)
    })
}

/// A product that proved who it is; whoever did not is refused in this surface's words.
struct Client(Caller);

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        Ok(Self(Caller::of(parts, app).await?))
    }
}

/// An instant as this surface writes it: RFC 3339 in UTC with microseconds.
fn instant(at: Timestamp) -> String {
    format!("{at:.6}")
}

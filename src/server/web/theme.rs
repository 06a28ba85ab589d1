//! How the pages of a request look: a product's theme, or else the tenant's, and the two files that a theme leads to.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use store::products::Product;
use store::themes::{self, Theme, Worn};
use store::{StoreError, TenantTx};
use uuid::Uuid;

use super::headers::Segment;
use super::reply::own;
use crate::app::App;
use crate::pages::theme::{Colour, Palette};
use crate::pages::view::Look;

/// How long a page that tells of trouble waits for its theme: the database may be the trouble.
const FOUND_WITHIN: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The tenant's theme in the request that this task answers.
    static TENANTS: Option<Worn>;
}

/// How a page of a product looks, or one that knows of none.
pub(super) fn look(product: Option<&Product>) -> Option<Look> {
    let tenants = || TENANTS.try_with(Clone::clone).ok().flatten();
    let worn = product.and_then(|product| product.theme.clone()).or_else(tenants)?;
    Some(Look {
        style: own(&format!("/theme/{}.css", worn.id)),
        logo: worn.has_logo.then(|| own(&format!("/theme/{}.png", worn.id))),
        name: worn.name,
    })
}

/// Finds the tenant's theme and answers in it. A page needs no theme to say what went wrong.
pub(super) async fn wear(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let is_file = ["/assets/", "/theme/"].iter().any(|folder| request.uri().path().starts_with(folder));
    let worn = if is_file { None } else { tenants(&app).await.unwrap_or_default() };
    TENANTS.scope(worn, next.run(request)).await
}

/// A page of an address or a failure that the routes of the pages know nothing of, in the tenant's theme if it can be had soon.
pub(super) async fn worn_by<P>(app: &App, page: impl FnOnce() -> P) -> P {
    let worn = tokio::time::timeout(FOUND_WITHIN, tenants(app)).await.ok().and_then(Result::ok).flatten();
    TENANTS.sync_scope(worn, page)
}

async fn tenants(app: &App) -> Result<Option<Worn>, StoreError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let worn = themes::of_tenant(&mut tx).await?;
    tx.commit().await?;
    Ok(worn)
}

/// The style sheet or the picture of a theme.
pub(super) async fn file(State(app): State<Arc<App>>, Segment(file): Segment) -> Response {
    let known = match file.split_once('.').and_then(|(id, kind)| Some((Uuid::try_parse(id).ok()?, kind))) {
        Some((id, kind)) => find(&app, id).await.map(|theme| theme.and_then(|theme| served(&theme, kind))),
        None => Ok(None),
    };
    match known {
        Ok(Some(response)) => response,
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(error = %error, "a theme could not be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn find(app: &App, id: Uuid) -> Result<Option<Theme>, StoreError> {
    let mut tx: TenantTx = app.store.tenant_tx(app.tenant.id).await?;
    let theme = themes::find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(theme)
}

fn served(theme: &Theme, kind: &str) -> Option<Response> {
    let palette = Palette {
        masthead: Colour::from_number(theme.masthead),
        accent: Colour::from_number(theme.accent),
        masthead_dark: Colour::from_number(theme.masthead_dark),
        accent_dark: Colour::from_number(theme.accent_dark),
    };
    let (media_type, body) = match kind {
        "css" => ("text/css; charset=utf-8", palette.css().into_bytes()),
        "png" => ("image/png", theme.logo.clone()?),
        _ => return None,
    };
    Some(([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "public, max-age=86400")], body).into_response())
}

//! The pages at work.

mod session;

/// Every page.
pub(crate) fn router() -> axum::Router<std::sync::Arc<crate::app::App>> {
    axum::Router::new()
}

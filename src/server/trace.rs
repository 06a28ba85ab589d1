//! One name for each request: in every answer's header, in our log, and in the problem of a failure of ours.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::app::App;

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

tokio::task_local! {
    /// The name of the request that this task answers.
    static CURRENT: String;
}

/// The name of the request under way.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Names a request and answers it under that name.
pub(crate) async fn named(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = app.world().uuid().simple().to_string();
    let span = tracing::info_span!("request", trace_id = %id);
    let mut answer = CURRENT.scope(id.clone(), next.run(request).instrument(span)).await;
    if let Ok(value) = HeaderValue::try_from(id) {
        answer.headers_mut().insert(TRACE_ID, value);
    }
    answer
}

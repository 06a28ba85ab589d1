//! The query of a request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::problem::ApiError;

/// Parameters that this resource knows, each given once and readable. The complaint names them, and never repeats what
/// came.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(read)) => Ok(Self(read)),
            Err(_) => {
                let known: Vec<_> = T::into_params(|| None).into_iter().map(|parameter| parameter.name).collect();
                let known = known.join(", ");
                Err(ApiError::Malformed(format!("a parameter is unknown, repeated or of another form; known: {known}")))
            }
        }
    }
}

//! What the operations of the OpenAPI document have in common: how each can fail, in which media type, and what generators of
//! clients need: a name that is its own, and a word on every answer.

use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema};

/// Media type of a problem (RFC 9457 §3).
const PROBLEM: &str = "application/problem+json";
/// Where the schema of a problem stands in the document.
const SCHEMA: &str = "#/components/schemas/Problem";

/// Says of every operation how it can fail beside what it says itself.
pub(super) fn finish(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            name(operation);
            for response in operation.responses.responses.values_mut() {
                mark(response);
            }
            for (status, description) in failures(path, operation) {
                let content = ContentBuilder::new().schema(Some(Ref::new(SCHEMA))).build();
                let response = ResponseBuilder::new().description(description).content(PROBLEM, content);
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
            }
            for (status, response) in &mut operation.responses.responses {
                describe(status, response);
            }
        }
    }
}

/// Names are unique in the whole document (OpenAPI 3.1 §4.8.10): handlers are named within their subject.
fn name(operation: &mut Operation) {
    let subject = operation.tags.iter().flatten().next();
    operation.operation_id =
        subject.zip(operation.operation_id.take()).map(|(subject, own)| format!("{subject}_{own}"));
}

/// Every answer has a description (OpenAPI 3.1 §4.8.17): where ours says no more than its status does, the status's.
fn describe(status: &str, response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    if response.description.is_empty() {
        let known = status.parse::<StatusCode>().ok().and_then(|status| status.canonical_reason());
        known.unwrap_or(status).clone_into(&mut response.description);
    }
}

/// A problem travels under a media type of its own.
fn mark(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let is_problem = response.content.values().any(|content| match content {
        RefOr::T(content) => {
            matches!(&content.schema, Some(RefOr::<Schema>::Ref(to)) if to.ref_location == SCHEMA)
        }
        RefOr::Ref(_) => false,
    });
    if is_problem {
        response.content =
            std::mem::take(&mut response.content).into_values().map(|content| (PROBLEM.to_owned(), content)).collect();
    }
}

/// Whether something is told beside the path, which may be of the right form and yet none that can be used.
fn is_told(operation: &Operation) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in != ParameterIn::Path,
        RefOr::Ref(_) => true,
    })
}

/// Statuses that routing, limits and guards give before, around and after what an operation does.
fn failures(path: &str, operation: &Operation) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let keyed = operation.security.is_none();
    [
        (true, ("400", "The request cannot be read")),
        (keyed, ("401", "A valid API key is needed")),
        (keyed, ("403", "The key is not for this")),
        (path.contains('{'), ("404", "There is no such thing, or it is somebody else's")),
        (operation.request_body.is_some(), ("413", "The body is too long")),
        (is_told(operation), ("422", "A value cannot be used")),
        (keyed, ("429", "More requests came than may come")),
        (true, ("500", "Something failed on our side")),
        (true, ("503", "We cannot answer at the moment")),
        (true, ("504", "The answer took too long")),
    ]
    .into_iter()
    .filter_map(|(applies, failure)| applies.then_some(failure))
}

//! One request and what to make of its answer, as a value.
//!
//! Neither this crate nor `bank_adapters` opens a socket: each protocol step is a [`Call`] that somebody else moves. So
//! a step can be tested, fuzzed and replayed by handing it an answer.

use bytes::Bytes;
use domain::world::World;
use jiff::Timestamp;

/// Reads an answer at a moment.
type Read<T, E> = Box<dyn FnOnce(http::Response<Bytes>, Timestamp) -> Result<T, E> + Send>;

/// The request to send in place of the first, if an answer asks for one.
type Again<E> = Box<dyn FnOnce(&http::Response<Bytes>, &World<'_>) -> Option<Result<http::Request<Bytes>, E>> + Send>;

/// A request with the only reader of its answer. Reading consumes it: one request, one answer, one verdict.
pub struct Call<T, E> {
    /// What to send. The URI is absolute.
    pub request: http::Request<Bytes>,
    read: Read<T, E>,
    again: Option<Again<E>>,
}

impl<T, E> Call<T, E> {
    /// A request and its reader.
    pub fn new(
        request: http::Request<Bytes>,
        read: impl FnOnce(http::Response<Bytes>, Timestamp) -> Result<T, E> + Send + 'static,
    ) -> Self {
        Self { request, read: Box::new(read), again: None }
    }

    /// The same call, with a second form of its request for a server that must first tell something (RFC 9449 §8).
    pub fn or_again(
        self,
        again: impl FnOnce(&http::Response<Bytes>, &World<'_>) -> Option<Result<http::Request<Bytes>, E>> + Send + 'static,
    ) -> Self {
        Self { again: Some(Box::new(again)), ..self }
    }

    /// Whether an answer is no verdict but a challenge: then this is the request to send instead, made afresh, and its
    /// answer is the one to read. Happens at most once.
    pub fn challenged(
        &mut self,
        response: &http::Response<Bytes>,
        world: &World<'_>,
    ) -> Option<Result<http::Request<Bytes>, E>> {
        self.again.take()?(response, world)
    }

    /// The verdict on an answer that arrived at `now`.
    pub fn read(self, response: http::Response<Bytes>, now: Timestamp) -> Result<T, E> {
        (self.read)(response, now)
    }

    /// Splits the call, so that the request can be moved away and the reader kept. For calls that cannot be challenged:
    /// those of a profile without DPoP.
    pub fn split(self) -> (http::Request<Bytes>, Read<T, E>) {
        (self.request, self.read)
    }

    /// The same call with another form of success.
    pub fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'static) -> Call<U, E>
    where
        T: 'static,
        E: 'static,
    {
        let read = self.read;
        let read = move |response, now| read(response, now).map(change);
        Call { request: self.request, read: Box::new(read), again: self.again }
    }
}

/// Requests carry tokens: `Debug` shows method and host alone.
impl<T, E> std::fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Call({} {:?})", self.request.method(), self.request.uri().host())
    }
}

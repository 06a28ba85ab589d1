//! A FAPI relying party without a socket: metadata, pushed and signed requests, client authentication, callbacks,
//! tokens and ID tokens, each step a value.
//!
//! This crate must never know a bank's name, a database, a clock or a socket. Requests and responses are values
//! ([`call::Call`]); `net` moves them. Time and chance come in as `domain::world::World`.

pub mod call;
pub mod client;
mod client_auth;
pub mod id_token;
mod jarm;
mod jws;
pub mod keys;
pub mod login;
pub mod metadata;
pub mod profile;
mod random;
pub mod refusal;
pub mod request;
pub mod sealed;
pub mod token;
mod wire;

pub use refusal::{Refusal, reasons};

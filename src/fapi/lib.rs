//! A FAPI relying party without a socket: metadata, pushed and signed requests, client authentication, callbacks,
//! tokens and ID tokens, each step a value.
//!
//! This crate must never know a bank's name, a database, a clock or a socket. Requests and responses are values
//! ([`call::Call`]); `net` moves them. Time and chance come in as `domain::world::World`.

pub mod call;

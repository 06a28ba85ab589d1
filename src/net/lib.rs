//! The one door to the network: TLS and client certificates, egress policy, time and size limits, a log of requests.
//!
//! [`Client`] sends one request and returns one answer: no redirects, no second attempts, no proxy from the environment.
//! Trust roots, session tickets and connection pools belong to one client, so make one per registration. [`serve`] is
//! the listening side, and [`pki`] makes a throw-away set of certificates.
//!
//! This crate must never know a bank's name, a tenant, or what a token means. Nothing here shows a URL's path or query,
//! a header or a body, neither in errors nor in the log.

mod client;
mod egress;
mod error;
pub mod pki;
mod qc;
mod remote;
pub mod serve;
mod tls;

pub use client::{Client, ClientConfig, Head, Limits};
pub use egress::Egress;
pub use error::{ClientError, Loss, TransportError, Unsent};
pub use qc::Psd2Role;
pub use remote::{RemoteKey, RemoteKind};
pub use tls::{Identity as TransportIdentity, IdentityError, Roots};

#[cfg(test)]
mod tests;

//! The language of Tributary: identifiers, money, time, consents, grants and the records that flow from a bank to a product.
//!
//! Everything here is a value or a total function of values. This crate must never know async, SQL, HTTP, the current
//! time or a random source: the present moment and chance are arguments ([`world`]). Its types have no serde: each edge
//! (bank, database, wire) owns its own shapes and converts.

pub mod alert;
pub mod breaker;
pub mod consent;
pub mod error;
pub mod event;
pub mod grant;
pub mod hold;
pub mod ids;
pub mod incident;
pub mod limits;
pub mod money;
pub mod notice;
pub mod policy;
pub mod reconciliation;
pub mod records;
pub mod retention;
pub mod rotation;
pub mod rules;
pub mod staff;
pub mod warning;
pub mod webhook;
pub mod world;

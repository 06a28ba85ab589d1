//! A simulated bank: mutual TLS, a strict FAPI authorisation server, a Berlin Group account interface, and pages on
//! which a person signs in and decides. It refuses what a strict bank refuses, and says why in its log.
//!
//! [`Bank::start`] opens two listeners on loopback. The *interface* wants a client certificate: metadata, keys, pushed
//! requests, tokens, revocation, `/v1/consents`, `/v1/accounts`. The *front* is what a browser sees: `/authorize`,
//! `/login`, `/consent`.
//!
//! A bank without tokens ([`Sca`]) sends browsers to `/sca`, or asks in an app of its own.
//!
//! # Forms on the front
//!
//! | page | fields |
//! |---|---|
//! | `/login` | `csrf` (hidden), `username`, `password`, `decision` = `sign_in` or `deny` |
//! | `/consent` | `csrf` (hidden), `account` = a resource id, once per chosen account, `decision` = `approve` or `deny` |
//!
//! What banks do wrong is switched on by a test or by chance: [`CLASSES`] says how, class by class.
//!
//! The clock and chance are arguments. This crate knows `domain` and `net` and must never know the product's own code:
//! it is the other side.

mod api;
mod bank;
mod books;
mod config;
mod data;
mod dpop;
mod ecosystem;
mod fault;
mod front;
mod generate;
mod intermediary;
mod jose;
mod log;
mod messiness;
mod misbehaviour;
mod oauth;
mod posted;
mod resources;
mod seal;
#[cfg(test)]
mod tests;
mod unrest;
mod visit;

pub use bank::{Bank, Running, Said, StolenToken};
pub use config::{
    Binding, ClientAuthentication, Config, Front, ListForm, Policy, RegisteredClient, RequestWay, Sca, StartError,
};
pub use data::{Account, Balances, BankData, Exchange, Psu, Row};
pub use ecosystem::{
    BERLIN_GROUP, CONSUMER_DATA_RIGHT, ENABLE_BANKING, Ecosystem, FINANCIAL_DATA_EXCHANGE, Header, Listed, NamedBy,
    OPEN_BANKING_UK, OPEN_BANKING_UK_4, OPEN_FINANCE_BRASIL, POLISH_API, Resources, STET, Shown,
};
pub use log::{Call, LogLine};
pub use messiness::{Area, CLASSES, Class, Switch};
pub use misbehaviour::{Misbehaviour, Outage};
pub use posted::Posted;
pub use seal::{RegisteredSeal, SealForm};
pub use unrest::{Counting, Per, Refusal, Spoilt, Unrest};
pub use visit::{Decision, VisitError};

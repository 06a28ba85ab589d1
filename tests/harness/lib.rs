//! What tests that cross crates need and would otherwise write twice.
//!
//! It must never hold an assertion about the product: those belong to the tests.

pub mod browser;
pub mod fleet;
pub mod node;
mod papers;
pub mod places;
pub mod receiver;
pub mod routes;
pub mod search;
pub mod site;
pub mod staff;
pub mod wire;
pub mod world;

//! The standards that banks speak: one module each, named after the standard, never after a bank.

pub mod berlin_group;
pub mod enable_banking;
pub mod gocardless;
pub mod native;
mod row;

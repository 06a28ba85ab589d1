//! The standards that banks speak: one module each, named after the standard, never after a bank.

pub mod berlin_group;
pub mod consumer_data_right;
pub mod enable_banking;
pub mod financial_data_exchange;
pub mod gocardless;
mod intents;
mod layout;
pub mod native;
pub mod open_banking_uk;
pub mod open_finance_brasil;
pub mod polish_api;
mod rest;
mod row;
pub(crate) mod statement;
pub mod stet;

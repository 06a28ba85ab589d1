//! bank_adapters

pub mod standards;

//! bank_adapters

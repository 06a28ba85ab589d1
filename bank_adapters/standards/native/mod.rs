//! Flat rows of banks' own interfaces, read by the names that are common to them.

pub mod rows;

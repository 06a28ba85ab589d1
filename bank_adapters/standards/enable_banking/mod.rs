//! Enable Banking: one shape over many banks, snake case, unsigned amounts with an indicator.

pub mod rows;

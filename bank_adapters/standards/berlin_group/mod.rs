//! NextGenPSD2 of the Berlin Group, 1.3.x.

pub mod rows;

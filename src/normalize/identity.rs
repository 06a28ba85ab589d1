//! What makes a row the same transaction in another fetch.
//!
//! [`align`] compares what is stored of an account with what a complete fetch brought and says of every row whether it
//! is known, new, the booking of a pending one, or doubtful. No field of a bank is believed because a standard says so:
//! how far an identifier is worth believing is counted in the overlap of every fetch ([`Trust`]).

mod align;
mod booking;
mod pages;
mod record;
mod sketch;
mod trust;
mod words;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod simulation;

pub use align::{Alignment, Coverage, Evidence, Listed, Outcome, Stored, Twin, align, opens_from};
pub use sketch::Sketch;
pub use trust::{Count, Delays, IdField, Lingering, PendingDays, Trust};

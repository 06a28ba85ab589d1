//! Behaviours that no table of a profile can say, each named after what it does, never after a bank.

use serde::Deserialize;

/// A named behaviour. None is needed yet, so a profile that names one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {}

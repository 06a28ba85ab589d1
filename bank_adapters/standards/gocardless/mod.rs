//! GoCardless Bank Account Data: Berlin Group names, moved and completed by an intermediary.

pub mod rows;

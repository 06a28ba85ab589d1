//! Tests that cross crates: real PostgreSQL, real TLS, a simulated bank, the application.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there, in its helpers as well")]

mod api;
mod canary;
mod compliance;
mod crash;
mod cut_off;
mod defence;
mod doctor;
mod gocardless;
mod hardware;
mod hints;
mod holds;
mod identity;
mod interleavings;
mod isolation;
mod journey;
mod law;
mod logins;
mod nodes;
mod offboarding;
mod operations;
mod outage;
mod owasp;
mod pages;
mod platform;
mod products;
mod profiles;
mod reconciliation;
mod refresh;
mod renewal;
mod replay;
mod restore;
mod restriction;
mod rights;
mod rivals;
mod rotation;
mod seals;
mod signers;
mod standards;
mod stubborn;
mod timestamp;
mod visits;
mod webhooks;
mod withdrawal;
mod witness;

//! Tests that cross crates: real PostgreSQL, real TLS, a simulated bank, the application.

mod journey;

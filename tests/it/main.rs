//! Tests that cross crates: real PostgreSQL, real TLS, a simulated bank, the application.

<<<<<<< Updated upstream
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there, in its helpers as well")]

mod api;
=======
#![allow(clippy::unwrap_used, reason = "all of this is tests, helpers included")]

mod crash;
>>>>>>> Stashed changes
mod journey;
mod logins;

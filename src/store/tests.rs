//! Tests on a real PostgreSQL.

mod launcher;

//! Tests on a real PostgreSQL.

mod deletion;
mod evidence;
mod fixture;
mod launcher;
mod reading;
mod schema;
mod states;
mod work;
mod writing;

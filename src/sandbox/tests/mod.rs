//! The bank from outside, over real mutual TLS, as a TPP and a customer meet it.

mod account_interface;
mod authorisation;
mod harness;
mod pages;
mod whole_way;

//! Keys: data keys that seal rows, epoch keys that wrap data keys, signing keys, and the providers that hold the last two.
//!
//! A row is sealed under a [`DataKey`]. The data key is stored beside the rows, wrapped under the tenant's [epoch
//! key](Vault), which exists in a [`KeyProvider`] and nowhere else. Data keys that live on are wrapped anew each epoch;
//! the key of an old epoch is destroyed, and with it whatever was not wrapped anew, in every backup, at a known moment.
//!
//! This crate must never know what it seals: it sees bytes and a [`Binding`] that says where they belong. It must never
//! know SQL, HTTP or async, never write key material anywhere but through a provider, and never show any in `Debug`,
//! `Display` or an error. Cryptography is AWS-LC's (through `aws-lc-rs`); nothing here is home-made.

mod binding;
mod data_key;
mod entropy;
mod epochs;
mod file_provider;
mod key_service;
mod provider;
mod signing;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod token_service;

pub use binding::Binding;
pub use data_key::{DataKey, OpenError, SEALED_OVERHEAD, SEALING, SEALS_PER_KEY_MAX};
pub use entropy::SystemEntropy;
pub use epochs::{EpochPolicy, Vault, Wrapped};
pub use file_provider::FileProvider;
pub use key_service::{KeyService, KeyServiceError};
pub use provider::{Destroyed, EpochState, KeyError, KeyProvider, WRAPPING};
pub use signing::SigningKey;
pub use token::{TokenError, TokenKey, TokenPublicKey};
pub use token_service::TokenKeys;

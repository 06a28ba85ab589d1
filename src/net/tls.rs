//! What both sides of a TLS connection share: the algorithms, the trust roots, the identity and the time.

use std::fmt;
use std::sync::Arc;

use domain::world::Clock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, RootCertStore};

/// Versions in use: FAPI 2.0 Security Profile §5.2.1 wants TLS 1.2 or later.
pub(crate) const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What may be negotiated under TLS 1.2 (FAPI 2.0 Security Profile §5.2.2, after BCP 195).
const TLS12_SUITES: [CipherSuite; 4] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];

/// aws-lc-rs with the suites above. Without `post_quantum` the ClientHello stays small: some gateways of banks drop one
/// that needs two packets.
pub(crate) fn provider(post_quantum: bool) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.version().version == ProtocolVersion::TLSv1_3 || TLS12_SUITES.contains(&suite.suite()));
    if !post_quantum {
        provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    }
    Arc::new(provider)
}

/// The application's clock as rustls wants it: validity of certificates and age of tickets follow business time.
pub(crate) struct TlsTime(pub(crate) Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTime")
    }
}

/// Why a certificate, a key or a set of roots was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The PEM text holds no certificate, or one that cannot be read.
    #[error("no readable certificate in the PEM text")]
    Certificate,
    /// The PEM text holds no private key, or one of an unknown kind.
    #[error("no readable private key in the PEM text")]
    Key,
    /// The key belongs to another certificate, or is of a kind TLS cannot use.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// The certification authorities that one client or listener trusts. There are no others behind it: the system's list is
/// consulted by [`Roots::system`] alone.
#[derive(Clone)]
pub struct Roots(pub(crate) Arc<RootCertStore>);

impl Roots {
    /// Reads one or more certificates from PEM text.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when there is none or any of them cannot be used as a trust anchor.
    pub fn from_pem(pem: &[u8]) -> Result<Self, IdentityError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(pem)? {
            store.add(certificate).map_err(|_| IdentityError::Certificate)?;
        }
        Ok(Self(Arc::new(store)))
    }

    /// The authorities that this machine trusts: for servers of anybody, never for banks. A machine without a list trusts
    /// nobody.
    pub fn system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let (trusted, unreadable) = store.add_parsable_certificates(found.certs);
        tracing::debug!(trusted, unreadable, "the machine's certification authorities");
        Self(Arc::new(store))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}

/// A certificate chain with its private key: who we are to the other side of a connection.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a chain, leaf first, and the leaf's private key (PKCS#8, SEC 1 or PKCS#1) from PEM text.
    ///
    /// # Errors
    /// When either cannot be read or they do not belong together.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| IdentityError::Key)?;
        rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider(false))
            .map_err(|_| IdentityError::Mismatch)?;
        Ok(Self { chain, key })
    }

    /// The leaf certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf.as_ref())
    }

    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        let (chain, key) = self.parts();
        Self { chain, key }
    }
}

/// Holds a private key: `Debug` shows that there is one.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportIdentity").finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|list| !list.is_empty()).ok_or(IdentityError::Certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_suites_are_offered_under_tls12() {
        for post_quantum in [true, false] {
            let provider = provider(post_quantum);
            for suite in &provider.cipher_suites {
                let listed = TLS12_SUITES.contains(&suite.suite());
                assert!(suite.tls13().is_some() || listed, "{suite:?}");
            }
            let hybrid = provider.kx_groups.iter().any(|group| group.name() == NamedGroup::X25519MLKEM768);
            assert_eq!(hybrid, post_quantum);
        }
    }

    #[test]
    fn text_without_certificate_is_refused() {
        assert_eq!(Roots::from_pem(b"").unwrap_err(), IdentityError::Certificate);
        assert_eq!(Identity::from_pem(b"x", b"y").unwrap_err(), IdentityError::Certificate);
    }
}

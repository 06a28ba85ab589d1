//! What both sides of a TLS connection share: the algorithms, the trust roots, the identity and the time.

use std::fmt;
use std::sync::Arc;

use ::aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::world::Clock;
use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use crate::remote::{Remote, RemoteKey};

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
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads a chain, leaf first, and the leaf's private key (PKCS#8, SEC 1 or PKCS#1) from PEM text.
    ///
    /// # Errors
    /// When either cannot be read or they do not belong together.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| IdentityError::Key)?;
        let certified = CertifiedKey::from_der(chain, key, &provider(false)).map_err(|_| IdentityError::Mismatch)?;
        Ok(Self(Arc::new(certified)))
    }

    /// Reads a chain, leaf first, whose private key lies elsewhere. Whether it is the right key shows in a handshake.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn from_remote(chain_pem: &[u8], key: Arc<dyn RemoteKey>) -> Result<Self, IdentityError> {
        Ok(Self(Arc::new(CertifiedKey::new(certificates(chain_pem)?, Arc::new(Remote(key))))))
    }

    /// Since when and until when the leaf is valid (RFC 5280 §4.1.2.5).
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when its dates are outside any calendar.
    pub fn validity(&self) -> Result<(Timestamp, Timestamp), IdentityError> {
        let (_, leaf) = X509Certificate::from_der(self.certificate_der()).map_err(|_| IdentityError::Certificate)?;
        let moment = |time: ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| IdentityError::Certificate);
        Ok((moment(leaf.validity().not_before)?, moment(leaf.validity().not_after)?))
    }

    /// The thumbprint by which a server knows the certificate (`x5t#S256`, RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.certificate_der()))
    }

    /// Whether the leaf is about this RSA key, given by its modulus and public exponent, big-endian: for keys that lie elsewhere
    /// and shake no hands.
    pub fn is_of_rsa(&self, modulus: &[u8], exponent: &[u8]) -> bool {
        let same = |one: &[u8], other: &[u8]| {
            one.iter().skip_while(|byte| **byte == 0).eq(other.iter().skip_while(|byte| **byte == 0))
        };
        X509Certificate::from_der(self.certificate_der()).is_ok_and(|(_, leaf)| {
            matches!(leaf.public_key().parsed(), Ok(PublicKey::RSA(key))
                if same(key.modulus, modulus) && same(key.exponent, exponent))
        })
    }

    /// How NextGenPSD2 names the leaf where it seals: its serial number in hexadecimal and its issuer's distinguished name,
    /// the most specific part first (RFC 4514 §2.1).
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when a part of the name is no text.
    pub fn seal_name(&self) -> Result<String, IdentityError> {
        let (_, leaf) = X509Certificate::from_der(self.certificate_der()).map_err(|_| IdentityError::Certificate)?;
        let attributes = leaf.issuer().iter_attributes().map(|part| {
            let name = part.as_str().map_err(|_| IdentityError::Certificate)?;
            let kind = oid2abbrev(part.attr_type(), oid_registry())
                .map_or_else(|_| part.attr_type().to_id_string(), str::to_owned);
            Ok(format!("{kind}={}", escaped(name)))
        });
        let mut attributes = attributes.collect::<Result<Vec<_>, IdentityError>>()?;
        attributes.reverse();
        let serial = leaf.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        Ok(format!("SN={serial},CA={}", attributes.join(",")))
    }

    /// The leaf certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        self.0.cert.first().map_or(&[], |leaf| leaf.as_ref())
    }

    /// What hands the identity out in a handshake.
    pub(crate) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(self.0.clone()))
    }
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, c| {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(c);
        text
    })
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

//! What can go wrong on the wire, told by what the caller may do next. No variant carries text from outside.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::egress::Refused;

/// A request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request did not reach the other side's application: sending it again cannot double anything.
    #[error("not sent: {0}")]
    NotSent(Unsent),
    /// The request may have been processed; its outcome is unknown.
    #[error("the outcome is unknown: {0}")]
    Lost(Loss),
    /// The answer is longer than the limit, in bytes after decompression. Nothing of it was kept.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// Time ran out.
    #[error("{}", if *sent { "no complete answer in time" } else { "no connection in time" })]
    TimedOut {
        /// Whether the request may have been sent; if so, its outcome is unknown.
        sent: bool,
    },
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The URL is not https, or its address is not one we may reach.
    #[error("the address is outside the egress policy")]
    Egress,
    /// The request is not one that HTTP can carry.
    #[error("the request cannot be expressed in HTTP")]
    Request,
    /// The host name has no address.
    #[error("the host name could not be resolved")]
    Dns,
    /// Nobody listens, or the connection broke before the request went out.
    #[error("no connection to the host")]
    Connect,
    /// The server's certificate comes from an authority that this client does not trust.
    #[error("the server's certificate is not from a trusted authority")]
    CertificateUntrusted,
    /// The server's certificate is past its validity, or not yet in it.
    #[error("the server's certificate is not valid at this time")]
    CertificateExpired,
    /// The server's certificate is for another name (RFC 9525).
    #[error("the server's certificate is for another name")]
    CertificateMismatch,
    /// The server's certificate was refused for another reason: purpose, signature, form.
    #[error("the server's certificate is invalid")]
    CertificateInvalid,
    /// The server said in a TLS alert that it does not accept our client certificate.
    #[error("the server does not accept our client certificate")]
    ClientCertificate,
    /// The handshake failed otherwise: no common version or algorithm, or a peer that breaks the protocol.
    #[error("the TLS handshake failed")]
    Handshake,
}

/// How an answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The connection broke after the request went out.
    #[error("the connection broke before the answer")]
    Connection,
    /// A host that never answered this client closed the connection as soon as the handshake was over. Under TLS 1.3
    /// that is how most servers refuse a client certificate.
    #[error("the bank closed the connection right after the handshake; check the certificate")]
    AfterHandshake,
    /// The answer began and cannot be read to its end.
    #[error("the answer broke off or cannot be decoded")]
    Body,
}

impl TransportError {
    /// A stable code for reports and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSent(reason) => reason.code(),
            Self::Lost(Loss::Connection) => "connection.lost",
            Self::Lost(Loss::AfterHandshake) => "tls.client_certificate.suspected",
            Self::Lost(Loss::Body) => "answer.invalid",
            Self::TooLarge { .. } => "answer.too_large",
            Self::TimedOut { sent: true } => "answer.timeout",
            Self::TimedOut { sent: false } => "connection.timeout",
        }
    }

    /// Whether the request certainly had no effect, so that it may be sent again.
    pub const fn is_safe_to_repeat(&self) -> bool {
        matches!(self, Self::NotSent(_) | Self::TimedOut { sent: false })
    }
}

impl Unsent {
    const fn code(self) -> &'static str {
        match self {
            Self::Egress => "egress.refused",
            Self::Request => "request.invalid",
            Self::Dns => "dns.failed",
            Self::Connect => "connection.failed",
            Self::CertificateUntrusted => "tls.certificate.untrusted",
            Self::CertificateExpired => "tls.certificate.expired",
            Self::CertificateMismatch => "tls.certificate.mismatch",
            Self::CertificateInvalid => "tls.certificate.invalid",
            Self::ClientCertificate => "tls.client_certificate.untrusted",
            Self::Handshake => "tls.handshake.failed",
        }
    }

    fn from_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(reason) => Self::from_certificate(reason),
            rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => Self::ClientCertificate,
            _ => Self::Handshake,
        }
    }

    fn from_certificate(reason: &CertificateError) -> Self {
        match reason {
            // A bad signature is a certificate that borrows a trusted authority's name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::CertificateUntrusted,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::CertificateMismatch
            }
            _ => Self::CertificateInvalid,
        }
    }
}

/// Alerts of RFC 8446 §6.2 that a server sends about the certificate it was shown.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The TLS settings contradict each other.
    #[error("the TLS settings cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client could not be assembled.
    #[error("the HTTP client could not be made")]
    Http(#[from] reqwest::Error),
}

/// What an error of the HTTP stack means. `answered_before` tells whether this host has answered this client since it
/// was made; `identified` whether the client shows a certificate.
pub(crate) fn classify(error: &reqwest::Error, identified: bool, answered_before: bool) -> TransportError {
    if find::<Refused>(error).is_some() {
        return TransportError::NotSent(Unsent::Egress);
    }
    if error.is_timeout() {
        return TransportError::TimedOut { sent: !error.is_connect() };
    }
    if error.is_builder() {
        return TransportError::NotSent(Unsent::Request);
    }
    let tls = find::<rustls::Error>(error).map(Unsent::from_tls);
    // An alert about our certificate may arrive after the handshake (TLS 1.3): the server refused before it read.
    match tls {
        Some(Unsent::ClientCertificate) => return TransportError::NotSent(Unsent::ClientCertificate),
        Some(reason) if error.is_connect() => return TransportError::NotSent(reason),
        _ => {}
    }
    if error.is_dns() {
        return TransportError::NotSent(Unsent::Dns);
    }
    if error.is_connect() {
        return TransportError::NotSent(Unsent::Connect);
    }
    if error.is_body() || error.is_decode() {
        return TransportError::Lost(Loss::Body);
    }
    TransportError::Lost(if identified && !answered_before { Loss::AfterHandshake } else { Loss::Connection })
}

/// Looks for a cause of one type along the chain, also inside `io::Error`, whose `source` skips what it wraps.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

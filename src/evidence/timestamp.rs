//! Time-stamps (RFC 3161): an authority outside signs that the text of a checkpoint existed at a time by its own clock.
//!
//! Signatures and certificates are checked by `webpki` on AWS-LC; here is only what RFC 3161 adds to them. Revocation lists
//! are not looked at: whoever verifies offline has none, and what was stamped before a revocation stays stamped.

use std::fmt;

use aws_lc_rs::digest;
use cmpv2::status::PkiStatus;
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Int, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, aws_lc_rs as algorithms};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// What a token holds (RFC 3161 §2.4.2).
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// Signed attributes (RFC 5652 §11, RFC 5035 §3).
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// The purpose that a time-stamping certificate has, alone and critical (RFC 3161 §2.3).
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// The same, as the bytes of its identifier.
const TIME_STAMPING_BYTES: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Time-stamp authorities that somebody has decided to trust: their own certificates, or those that issued them.
#[derive(Clone)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// Text that holds no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no certificates in PEM form")]
pub struct AuthoritiesError;

impl Authorities {
    /// Reads certificates in PEM form, at least one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = read.map_err(|_| AuthoritiesError)?;
        let usable = certificates.iter().all(|certificate| anchor_from_trusted_cert(certificate).is_ok());
        if certificates.is_empty() || !usable { Err(AuthoritiesError) } else { Ok(Self(certificates)) }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

/// What a trusted authority said: that a text existed at a time by its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The subject of its certificate (RFC 4514).
    pub authority: String,
    /// When, to the second.
    pub at: Timestamp,
}

/// Why an answer of an authority, or a token, is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not the DER form of an answer or a token, or one of a form that is not read here.
    #[error("not a time-stamp in DER form")]
    Malformed,
    /// The authority did not grant what it was asked for, or granted something else (RFC 3161 §2.4.2, PKIStatus).
    #[error("the authority did not grant it: PKIStatus {0}")]
    NotGranted(u8),
    /// It is about something else.
    #[error("it stamps something else")]
    Imprint,
    /// It answers another question, or an old one.
    #[error("it does not answer this request: another nonce")]
    Nonce,
    /// Its signer is not trusted, not valid at the time that it names, or not meant for time-stamps alone.
    #[error("its signer is not a trusted time-stamp authority")]
    Signer,
    /// The signature is not its signer's.
    #[error("the signature is not genuine")]
    Signature,
}

/// A request for a time-stamp of a text (RFC 3161 §2.4.1): its SHA-256, a nonce, and the wish to get the certificates.
///
/// # Errors
/// Never, but that DER may say so.
pub fn request(text: &str, nonce: [u8; 16]) -> Result<Vec<u8>, StampError> {
    let ask = || {
        TimeStampReq {
            version: TspVersion::V1,
            message_imprint: imprint(text)?,
            req_policy: None,
            nonce: Some(number(nonce)?),
            cert_req: true,
            extensions: None,
        }
        .to_der()
    };
    ask().map_err(|_| StampError::Malformed)
}

fn imprint(text: &str) -> der::Result<MessageImprint> {
    Ok(MessageImprint {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA_256, parameters: Some(Any::null()) },
        hashed_message: OctetString::new(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())?,
    })
}

/// A positive integer in its one DER form.
fn number(mut nonce: [u8; 16]) -> der::Result<Int> {
    nonce[0] = nonce[0] & 0x7f | 0x40;
    Int::new(&nonce)
}

/// Reads the answer to [`request`]; gives the token, to be kept, and what it says.
///
/// # Errors
/// Says why the answer is not accepted. Only `granted` is: what was granted with modifications was not asked for.
pub fn read_answer(
    answer: &[u8],
    text: &str,
    nonce: [u8; 16],
    trusted: &Authorities,
) -> Result<(Vec<u8>, Stamp), StampError> {
    let answer = TimeStampResp::from_der(answer).map_err(|_| StampError::Malformed)?;
    if answer.status.status != PkiStatus::Accepted {
        return Err(StampError::NotGranted(answer.status.status as u8));
    }
    let token = answer.time_stamp_token.ok_or(StampError::Malformed)?;
    let token = token.to_der().map_err(|_| StampError::Malformed)?;
    let (info, stamp) = opened(&token, text, trusted)?;
    let asked = number(nonce).map_err(|_| StampError::Malformed)?;
    if info.nonce.is_none_or(|given| given != asked) {
        return Err(StampError::Nonce);
    }
    Ok((token, stamp))
}

/// Checks a token that was kept: that a trusted authority stamped this text, and when.
///
/// # Errors
/// Says why it is not accepted.
pub fn check(token: &[u8], text: &str, trusted: &Authorities) -> Result<Stamp, StampError> {
    opened(token, text, trusted).map(|(_, stamp)| stamp)
}

fn opened(token: &[u8], text: &str, trusted: &Authorities) -> Result<(TstInfo, Stamp), StampError> {
    let malformed = |_| StampError::Malformed;
    let outer = ContentInfo::from_der(token).map_err(malformed)?;
    let signed: SignedData = outer.content.decode_as().map_err(malformed)?;
    let [signer] = signed.signer_infos.0.as_slice() else { return Err(StampError::Malformed) };
    let content = signed.encap_content_info.econtent.as_ref().ok_or(StampError::Malformed)?.value();
    if outer.content_type != SIGNED_DATA || signed.encap_content_info.econtent_type != TST_INFO {
        return Err(StampError::Malformed);
    }
    let info = TstInfo::from_der(content).map_err(malformed)?;
    let seconds = i64::try_from(info.gen_time.to_unix_duration().as_secs()).map_err(|_| StampError::Malformed)?;
    let at = Timestamp::from_second(seconds).map_err(|_| StampError::Malformed)?;
    let certificates = certificates(&signed);
    let certificate =
        certificates.iter().find(|certificate| is_of(&signer.sid, certificate)).ok_or(StampError::Signer)?;
    let chain: Vec<CertificateDer<'_>> =
        certificates.iter().filter_map(|one| Some(one.to_der().ok()?.into())).collect();
    genuine(signer, content, certificate, &chain, info.gen_time.to_unix_duration(), trusted)?;
    if info.message_imprint.hash_algorithm.oid != SHA_256
        || Ok(&info.message_imprint.hashed_message) != imprint(text).as_ref().map(|asked| &asked.hashed_message)
    {
        return Err(StampError::Imprint);
    }
    let authority = certificate.tbs_certificate.subject.to_string();
    Ok((info, Stamp { authority, at }))
}

fn certificates(signed: &SignedData) -> Vec<Certificate> {
    let all = signed.certificates.iter().flat_map(|set| set.0.iter());
    all.filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate.clone()),
        CertificateChoices::Other(_) => None,
    })
    .collect()
}

fn is_of(sid: &SignerIdentifier, certificate: &Certificate) -> bool {
    let own = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == own.issuer && named.serial_number == own.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(named) => {
            matches!(own.get::<SubjectKeyIdentifier>(), Ok(Some((_, id))) if id == *named)
        }
    }
}

/// The signer: trusted at the time, meant for this alone, named by what it signed; and the signature over the content.
fn genuine(
    signer: &SignerInfo,
    content: &[u8],
    certificate: &Certificate,
    chain: &[CertificateDer<'_>],
    at: std::time::Duration,
    trusted: &Authorities,
) -> Result<(), StampError> {
    let der: CertificateDer<'_> = certificate.to_der().map_err(|_| StampError::Malformed)?.into();
    let untrusted = |_| StampError::Signer;
    let anchors: Result<Vec<_>, _> = trusted.0.iter().map(anchor_from_trusted_cert).collect();
    let leaf = EndEntityCert::try_from(&der).map_err(untrusted)?;
    let alone = matches!(certificate.tbs_certificate.get::<ExtendedKeyUsage>(),
        Ok(Some((true, purposes))) if purposes.0 == [TIME_STAMPING]);
    let time = UnixTime::since_unix_epoch(at);
    let usage = KeyUsage::required(TIME_STAMPING_BYTES);
    let all = webpki::ALL_VERIFICATION_ALGS;
    // A certificate that is itself trusted needs no other to speak for it.
    let own = trusted.0.contains(&der).then(|| is_valid(certificate, at));
    let issued = || {
        leaf.verify_for_usage(all, &anchors.map_err(untrusted)?, chain, time, usage, None, None)
            .map_err(untrusted)
            .map(drop)
    };
    match own {
        Some(true) => {}
        Some(false) => return Err(StampError::Signer),
        None => issued()?,
    }
    if !alone || !names(signer, &der) {
        return Err(StampError::Signer);
    }
    let (hash, ways) = ways(&signer.digest_alg.oid).ok_or(StampError::Signature)?;
    let told: Option<OctetString> = attribute(signer, MESSAGE_DIGEST);
    let kind: Option<ObjectIdentifier> = attribute(signer, CONTENT_TYPE);
    let whole = told.is_some_and(|told| told.as_bytes() == digest::digest(hash, content).as_ref());
    let attributes = signer.signed_attrs.as_ref().and_then(|attributes| attributes.to_der().ok());
    let attributes = attributes.filter(|_| whole && kind == Some(TST_INFO)).ok_or(StampError::Signature)?;
    let signature = signer.signature.as_bytes();
    let good = ways.iter().any(|way| leaf.verify_signature(*way, &attributes, signature).is_ok());
    if good { Ok(()) } else { Err(StampError::Signature) }
}

fn is_valid(certificate: &Certificate, at: std::time::Duration) -> bool {
    let validity = &certificate.tbs_certificate.validity;
    (validity.not_before.to_unix_duration()..=validity.not_after.to_unix_duration()).contains(&at)
}

/// The hash of a name, and the algorithms that sign it. Which of them a key can be used with, its certificate says.
fn ways(
    hash: &ObjectIdentifier,
) -> Option<(&'static digest::Algorithm, Vec<&'static dyn SignatureVerificationAlgorithm>)> {
    use algorithms::*;
    Some(match *hash {
        SHA_256 => (
            &digest::SHA256,
            vec![ECDSA_P256_SHA256, ECDSA_P384_SHA256, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ),
        SHA_384 => (
            &digest::SHA384,
            vec![ECDSA_P256_SHA384, ECDSA_P384_SHA384, RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ),
        SHA_512 => {
            (&digest::SHA512, vec![ECDSA_P521_SHA512, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA512_LEGACY_KEY])
        }
        _ => return None,
    })
}

/// The one value of the one signed attribute of a kind.
fn attribute<T: for<'a> der::DecodeValue<'a> + der::FixedTag>(
    signer: &SignerInfo,
    kind: ObjectIdentifier,
) -> Option<T> {
    let mut all = signer.signed_attrs.as_ref()?.iter().filter(|attribute| attribute.oid == kind);
    let (one, None) = (all.next()?, all.next()) else { return None };
    let [value] = one.values.as_slice() else { return None };
    value.decode_as().ok()
}

/// `SigningCertificateV2` (RFC 5035 §3).
#[derive(Sequence)]
struct SigningCertificateV2 {
    certs: Vec<CertIdV2>,
    #[asn1(optional = "true")]
    _policies: Option<Any>,
}

#[derive(Sequence)]
struct CertIdV2 {
    /// SHA-256 if it is not said.
    #[asn1(optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    value: OctetString,
    #[asn1(optional = "true")]
    _issuer: Option<Any>,
}

/// `SigningCertificate` (RFC 2634 §5.4), by SHA-1.
#[derive(Sequence)]
struct SigningCertificate {
    certs: Vec<CertId>,
    #[asn1(optional = "true")]
    _policies: Option<Any>,
}

#[derive(Sequence)]
struct CertId {
    value: OctetString,
    #[asn1(optional = "true")]
    _issuer: Option<Any>,
}

/// Whether what was signed names the signer's certificate (RFC 3161 §2.4.1, RFC 5816), so that none can take its place.
fn names(signer: &SignerInfo, certificate: &[u8]) -> bool {
    let is = |hash: ObjectIdentifier, value: &OctetString| {
        let hash = match hash {
            SHA_1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            SHA_256 => &digest::SHA256,
            SHA_384 => &digest::SHA384,
            SHA_512 => &digest::SHA512,
            _ => return false,
        };
        digest::digest(hash, certificate).as_ref() == value.as_bytes()
    };
    if let Some(named) = attribute::<SigningCertificateV2>(signer, SIGNING_CERTIFICATE_V2) {
        let hash = |first: &CertIdV2| first.hash.as_ref().map_or(SHA_256, |hash| hash.oid);
        return named.certs.first().is_some_and(|first| is(hash(first), &first.value));
    }
    let named = attribute::<SigningCertificate>(signer, SIGNING_CERTIFICATE);
    named.is_some_and(|named| named.certs.first().is_some_and(|first| is(SHA_1, &first.value)))
}

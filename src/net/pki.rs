//! A throw-away PKI: what a TPP would get from a qualified trust service provider and from the UK directory, made on the
//! spot for simulated banks. Nothing outside trusts it.
//!
//! Subjects and statements follow ETSI TS 119 495; keys follow the usual practice: EC P-256 for transport, RSA for seals,
//! since schemes such as draft-cavage signatures and OBIE's PS256 want RSA there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair, KeyUsagePurpose as Usage, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256,
};
use secrecy::{ExposeSecret, SecretString};

use crate::qc::{EXTENSION, Psd2Role, QcType, statements};
use crate::serve::PeerCertificate;
use crate::tls::{Identity, IdentityError, Roots};

/// organizationIdentifier, X.520 §6.4.4.
const ORGANIZATION_IDENTIFIER: [u64; 4] = [2, 5, 4, 97];
/// Validity of everything but the CA, in days: what browsers accept of a server certificate, and roughly an OBWAC's life.
const LEAF_DAYS: i32 = 397;
/// Validity of the CA, in days.
const CA_DAYS: i32 = 10 * 365;

/// Who the certificates are for.
#[derive(Debug, Clone)]
pub struct PkiRequest {
    /// Names and addresses of the servers: `localhost`, `127.0.0.1`, `::1`.
    pub server_names: Vec<String>,
    /// Legal name of the TPP.
    pub organization: String,
    /// `PSD` + country + `-` + NCA id + `-` + number: `PSDDE-BAFIN-999999` (TS 119 495 §5.2.1).
    pub organization_identifier: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// The domain in the transport certificate's common name and SAN.
    pub domain: String,
    /// Name of the national competent authority.
    pub nca_name: String,
    /// Its identifier: `DE-BAFIN`.
    pub nca_id: String,
    /// What the TPP may do.
    pub roles: Vec<Psd2Role>,
    /// The moment from which the certificates hold, less one day for clocks that go slow.
    pub now: Timestamp,
}

/// A certificate and its private key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The private key, PKCS#8 PEM.
    pub key_pem: SecretString,
}

impl Issued {
    /// The pair as TLS uses it.
    ///
    /// # Errors
    /// Never for what [`generate`] made.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        Identity::from_pem(self.certificate_pem.as_bytes(), self.key_pem.expose_secret().as_bytes())
    }

    /// Subject (RFC 4514) and thumbprint as a server sees them.
    ///
    /// # Errors
    /// Never for what [`generate`] made.
    pub fn as_peer(&self) -> Result<PeerCertificate, IdentityError> {
        PeerCertificate::from_der(self.identity()?.certificate_der()).ok_or(IdentityError::Certificate)
    }
}

/// The whole set.
#[derive(Debug)]
pub struct Pki {
    /// The certification authority's certificate, PEM. Its key is not kept: nothing can be issued later.
    pub ca_pem: String,
    /// For listeners of ours and of simulated banks.
    pub server: Issued,
    /// Transport, qualified website authentication.
    pub qwac: Issued,
    /// Seal, qualified; RSA.
    pub qsealc: Issued,
    /// Transport, UK directory.
    pub obwac: Issued,
    /// Seal, UK directory; RSA.
    pub obseal: Issued,
    /// Key for client assertions and request objects, EC P-256 (ES256), PKCS#8 PEM. It has no certificate.
    pub signing_key_pem: SecretString,
}

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A name cannot be put into a certificate, or a key could not be generated.
    #[error("the certificates could not be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The moment lies outside the calendar of certificates.
    #[error("the moment is outside the range of certificates")]
    Time,
}

/// Makes a CA, everything below it, and a signing key.
///
/// # Errors
/// When a name cannot be put into a certificate.
pub fn generate(request: &PkiRequest) -> Result<Pki, PkiError> {
    let day = TimeZone::UTC.to_datetime(request.now).date();
    let ca = authority(day)?;
    let server = issue(&ca, day, server_params(request)?, &PKCS_ECDSA_P256_SHA256)?;
    let qwac = issue(&ca, day, qwac_params(request)?, &PKCS_ECDSA_P256_SHA256)?;
    let qsealc = issue(&ca, day, qsealc_params(request)?, &PKCS_RSA_SHA256)?;
    let obwac = issue(&ca, day, open_banking_params(request, true)?, &PKCS_ECDSA_P256_SHA256)?;
    let obseal = issue(&ca, day, open_banking_params(request, false)?, &PKCS_RSA_SHA256)?;
    let signing_key_pem = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem().into();
    Ok(Pki { ca_pem: ca.pem(), server, qwac, qsealc, obwac, obseal, signing_key_pem })
}

fn authority(day: Date) -> Result<CertifiedIssuer<'static, KeyPair>, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Throw-away CA (trusted by nobody)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![Usage::KeyCertSign, Usage::CrlSign];
    set_validity(&mut params, day, CA_DAYS)?;
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?)
}

fn issue(
    ca: &CertifiedIssuer<'static, KeyPair>,
    day: Date,
    mut params: CertificateParams,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> Result<Issued, PkiError> {
    set_validity(&mut params, day, LEAF_DAYS)?;
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(algorithm)?;
    let certificate = params.signed_by(&key, ca)?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem().into() })
}

fn set_validity(params: &mut CertificateParams, day: Date, days: i32) -> Result<(), PkiError> {
    let calendar = |date: Date| -> Result<_, PkiError> {
        let month = u8::try_from(date.month()).map_err(|_| PkiError::Time)?;
        let day = u8::try_from(date.day()).map_err(|_| PkiError::Time)?;
        Ok(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = calendar(day.yesterday().map_err(|_| PkiError::Time)?)?;
    let end = day.checked_add(jiff::Span::new().days(days)).map_err(|_| PkiError::Time)?;
    params.not_after = calendar(end)?;
    Ok(())
}

fn server_params(request: &PkiRequest) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(request.server_names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Throw-away server");
    params.key_usages = vec![Usage::DigitalSignature];
    params.extended_key_usages = vec![Purpose::ServerAuth];
    Ok(params)
}

/// The subject of TS 119 495 §5.2: country, organisation, organizationIdentifier, common name.
fn psd2_subject(request: &PkiRequest, common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, request.country.as_str());
    name.push(DnType::OrganizationName, request.organization.as_str());
    name.push(DnType::CustomDnType(ORGANIZATION_IDENTIFIER.to_vec()), request.organization_identifier.as_str());
    name.push(DnType::CommonName, common_name);
    name
}

fn qc_extension(kind: QcType, request: &PkiRequest) -> CustomExtension {
    let value = statements(kind, &request.roles, &request.nca_name, &request.nca_id);
    CustomExtension::from_oid_content(EXTENSION, value)
}

fn qwac_params(request: &PkiRequest) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(vec![request.domain.clone()])?;
    params.distinguished_name = psd2_subject(request, &request.domain);
    params.key_usages = vec![Usage::DigitalSignature];
    params.extended_key_usages = vec![Purpose::ClientAuth, Purpose::ServerAuth];
    params.custom_extensions = vec![qc_extension(QcType::Web, request)];
    Ok(params)
}

fn qsealc_params(request: &PkiRequest) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = psd2_subject(request, &request.organization);
    params.key_usages = vec![Usage::DigitalSignature, Usage::ContentCommitment];
    params.custom_extensions = vec![qc_extension(QcType::Seal, request)];
    Ok(params)
}

/// OBWAC and OBSeal carry the same PSD2 statement; their trust comes from the directory's CA.
fn open_banking_params(request: &PkiRequest, transport: bool) -> Result<CertificateParams, PkiError> {
    let mut params = if transport { qwac_params(request)? } else { qsealc_params(request)? };
    params.distinguished_name.push(DnType::OrganizationalUnitName, "Open Banking Directory (throw-away)");
    Ok(params)
}

impl Pki {
    /// The CA as trust roots.
    ///
    /// # Errors
    /// Never for what [`generate`] made.
    pub fn roots(&self) -> Result<Roots, IdentityError> {
        Roots::from_pem(self.ca_pem.as_bytes())
    }

    /// Writes `ca.pem`, `<name>.pem` and `<name>.key` for server, qwac, qsealc, obwac and obseal, and `signing.key`.
    /// Keys are readable by their owner alone. Returns the paths written.
    ///
    /// # Errors
    /// `AlreadyExists` when any of the files is there: then nothing is written. Otherwise what the system says.
    pub fn write_to(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::create_dir_all(directory)?;
        let files = self.files();
        for (name, ..) in &files {
            if directory.join(name).try_exists()? {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} is already there")));
            }
        }
        let mut written = Vec::with_capacity(files.len());
        for (name, text, mode) in files {
            let path = directory.join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }

    fn files(&self) -> Vec<(String, &str, u32)> {
        let pairs = [
            ("server", &self.server),
            ("qwac", &self.qwac),
            ("qsealc", &self.qsealc),
            ("obwac", &self.obwac),
            ("obseal", &self.obseal),
        ];
        let mut files = vec![
            ("ca.pem".to_owned(), self.ca_pem.as_str(), 0o644),
            ("signing.key".to_owned(), self.signing_key_pem.expose_secret(), 0o600),
        ];
        for (name, issued) in pairs {
            files.push((format!("{name}.pem"), issued.certificate_pem.as_str(), 0o644));
            files.push((format!("{name}.key"), issued.key_pem.expose_secret(), 0o600));
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use x509_parser::der_parser::ber::BerObject;
    use x509_parser::der_parser::parse_der;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn request() -> PkiRequest {
        PkiRequest {
            server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
            organization: "Example AISP".to_owned(),
            organization_identifier: "PSDDE-BAFIN-999999".to_owned(),
            country: "DE".to_owned(),
            domain: "tpp.example".to_owned(),
            nca_name: "BaFin".to_owned(),
            nca_id: "DE-BAFIN".to_owned(),
            roles: vec![Psd2Role::PspAi, Psd2Role::PspPi],
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
        }
    }

    fn children<'a>(object: &BerObject<'a>) -> Vec<BerObject<'a>> {
        object.as_sequence().unwrap().clone()
    }

    fn identifier(object: &BerObject<'_>) -> String {
        object.as_oid().unwrap().to_id_string()
    }

    /// QcType, roles, nCAName and nCAId as another parser reads them.
    fn statements_of(issued: &Issued) -> (String, Vec<(String, String)>, String, String) {
        let identity = issued.identity().unwrap();
        let (_, certificate) = X509Certificate::from_der(identity.certificate_der()).unwrap();
        let oid = x509_parser::oid_registry::Oid::from(EXTENSION).unwrap();
        let extension = certificate.get_extension_unique(&oid).unwrap().unwrap();
        assert!(!extension.critical);
        let (rest, value) = parse_der(extension.value).unwrap();
        assert!(rest.is_empty());
        let [compliance, kind, psd2] = children(&value).try_into().unwrap();
        assert_eq!(identifier(&children(&compliance)[0]), "0.4.0.1862.1.1");
        let [kind_oid, kinds] = children(&kind).try_into().unwrap();
        assert_eq!(identifier(&kind_oid), "0.4.0.1862.1.6");
        let [psd2_oid, info] = children(&psd2).try_into().unwrap();
        assert_eq!(identifier(&psd2_oid), "0.4.0.19495.2");
        let [roles, name, id] = children(&info).try_into().unwrap();
        let roles = children(&roles)
            .iter()
            .map(|role| {
                let [oid, name] = children(role).try_into().unwrap();
                (identifier(&oid), name.as_str().unwrap().to_owned())
            })
            .collect();
        let text = |object: BerObject<'_>| object.as_str().unwrap().to_owned();
        (identifier(&children(&kinds)[0]), roles, text(name), text(id))
    }

    #[test]
    fn the_psd2_statements_can_be_read_back() {
        let pki = generate(&request()).unwrap();
        let roles = vec![
            ("0.4.0.19495.1.3".to_owned(), "PSP_AI".to_owned()),
            ("0.4.0.19495.1.2".to_owned(), "PSP_PI".to_owned()),
        ];
        for (issued, kind) in [
            (&pki.qwac, "0.4.0.1862.1.6.3"),
            (&pki.obwac, "0.4.0.1862.1.6.3"),
            (&pki.qsealc, "0.4.0.1862.1.6.2"),
            (&pki.obseal, "0.4.0.1862.1.6.2"),
        ] {
            let expected = (kind.to_owned(), roles.clone(), "BaFin".to_owned(), "DE-BAFIN".to_owned());
            assert_eq!(statements_of(issued), expected);
        }
    }

    #[test]
    fn every_certificate_is_fit_for_its_purpose_alone() {
        let pki = generate(&request()).unwrap();
        let (_, ca_pem) = x509_parser::pem::parse_x509_pem(pki.ca_pem.as_bytes()).unwrap();
        let ca = ca_pem.parse_x509().unwrap();
        for (issued, client, server, seal) in [
            (&pki.server, false, true, false),
            (&pki.qwac, true, true, false),
            (&pki.qsealc, false, false, true),
            (&pki.obwac, true, true, false),
            (&pki.obseal, false, false, true),
        ] {
            let identity = issued.identity().unwrap();
            let (_, certificate) = X509Certificate::from_der(identity.certificate_der()).unwrap();
            certificate.verify_signature(Some(ca.public_key())).unwrap();
            let usage = certificate.key_usage().unwrap().unwrap().value;
            assert_eq!(
                (usage.digital_signature(), usage.non_repudiation(), usage.key_cert_sign()),
                (true, seal, false)
            );
            let extended = certificate.extended_key_usage().unwrap().map(|found| found.value);
            let may = |pick: fn(&x509_parser::extensions::ExtendedKeyUsage<'_>) -> bool| extended.is_some_and(pick);
            assert_eq!((may(|e| e.client_auth), may(|e| e.server_auth)), (client, server));
            assert!(!certificate.is_ca());
            let validity = certificate.validity();
            assert_eq!(
                validity.not_before.timestamp(),
                "2026-11-20T00:00:00Z".parse::<Timestamp>().unwrap().as_second()
            );
            assert_eq!(
                validity.not_after.timestamp(),
                "2027-12-23T00:00:00Z".parse::<Timestamp>().unwrap().as_second()
            );
        }
    }

    #[test]
    fn files_are_written_once_and_keys_are_private() {
        let pki = generate(&request()).unwrap();
        let fresh: [u8; 8] = aws_lc_rs::rand::generate(&aws_lc_rs::rand::SystemRandom::new()).unwrap().expose();
        let directory = std::env::temp_dir().join(format!("net-pki-{}", u64::from_be_bytes(fresh)));
        let written = pki.write_to(&directory).unwrap();
        let mut names: Vec<String> = written.iter().map(|p| p.file_name().unwrap().to_string_lossy().into()).collect();
        names.sort();
        assert_eq!(
            names.join(" "),
            concat!(
                "ca.pem obseal.key obseal.pem obwac.key obwac.pem qsealc.key qsealc.pem qwac.key qwac.pem ",
                "server.key server.pem signing.key"
            )
        );
        for path in &written {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let key = path.extension().is_some_and(|end| end == "key");
            assert_eq!(mode & 0o077 == 0, key, "{}", path.display());
        }
        fs::remove_file(directory.join("ca.pem")).unwrap();
        assert_eq!(pki.write_to(&directory).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!directory.join("ca.pem").exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}

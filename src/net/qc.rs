//! Qualified-certificate statements (RFC 3739 §3.2.6, ETSI EN 319 412-5, ETSI TS 119 495) and the DER they need.

/// A role of a payment service provider, as a certificate names it (TS 119 495 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Psd2Role {
    /// Account servicing.
    PspAs,
    /// Payment initiation.
    PspPi,
    /// Account information.
    PspAi,
    /// Issuing of card-based payment instruments.
    PspIc,
}

impl Psd2Role {
    /// The name in the certificate.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PspAs => "PSP_AS",
            Self::PspPi => "PSP_PI",
            Self::PspAi => "PSP_AI",
            Self::PspIc => "PSP_IC",
        }
    }

    const fn arc(self) -> u64 {
        match self {
            Self::PspAs => 1,
            Self::PspPi => 2,
            Self::PspAi => 3,
            Self::PspIc => 4,
        }
    }
}

/// What a qualified certificate is for (EN 319 412-5 §4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QcType {
    /// Electronic seal: QSealC.
    Seal,
    /// Website authentication: QWAC.
    Web,
}

/// `qcStatements`, the extension's identifier.
pub(crate) const EXTENSION: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 3];

const COMPLIANCE: &[u64] = &[0, 4, 0, 1862, 1, 1];
const TYPE: &[u64] = &[0, 4, 0, 1862, 1, 6];
const PSD2: &[u64] = &[0, 4, 0, 19495, 2];

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;

/// The extension's value: QcCompliance, QcType and the PSD2 statement.
pub(crate) fn statements(kind: QcType, roles: &[Psd2Role], nca_name: &str, nca_id: &str) -> Vec<u8> {
    let kind: &[u64] = match kind {
        QcType::Seal => &[0, 4, 0, 1862, 1, 6, 2],
        QcType::Web => &[0, 4, 0, 1862, 1, 6, 3],
    };
    let roles: Vec<Vec<u8>> = roles
        .iter()
        .map(|role| sequence(&[oid(&[0, 4, 0, 19495, 1, role.arc()]), tlv(UTF8_STRING, role.name().as_bytes())]))
        .collect();
    let psd2 =
        sequence(&[sequence(&roles), tlv(UTF8_STRING, nca_name.as_bytes()), tlv(UTF8_STRING, nca_id.as_bytes())]);
    sequence(&[
        sequence(&[oid(COMPLIANCE)]),
        sequence(&[oid(TYPE), sequence(&[oid(kind)])]),
        sequence(&[oid(PSD2), psd2]),
    ])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// One DER value: tag, definite length in its shortest form (X.690 §10.1), content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match (significant.as_slice(), u8::try_from(significant.len())) {
        ([], _) => out.push(0),
        ([short], _) if *short < 0x80 => out.push(*short),
        (long, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(long);
        }
        // A length has at most eight bytes.
        (_, Err(_)) => unreachable!("a usize has more than 255 bytes"),
    }
    out.extend_from_slice(content);
    out
}

/// An object identifier (X.690 §8.19): the first two arcs in one number, then base 128.
fn oid(arcs: &[u64]) -> Vec<u8> {
    let (first, rest) = match arcs {
        [a, b, rest @ ..] => (a * 40 + b, rest),
        _ => (0, arcs),
    };
    let mut content = base128(first);
    for arc in rest {
        content.extend(base128(*arc));
    }
    tlv(OBJECT_IDENTIFIER, &content)
}

fn base128(mut number: u64) -> Vec<u8> {
    let mut groups = vec![(number & 0x7f) as u8];
    number >>= 7;
    while number > 0 {
        groups.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    groups.reverse();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        assert_eq!(tlv(4, &[])[..2], [4, 0]);
        assert_eq!(tlv(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn identifiers_are_base_128() {
        assert_eq!(oid(PSD2), [6, 6, 4, 0, 0x81, 0x98, 0x27, 2]);
        assert_eq!(oid(EXTENSION), [6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 3]);
    }
}

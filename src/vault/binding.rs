//! Where sealed bytes belong, as associated data.

use domain::ids::TenantId;

/// The place of one sealed value. Sealing binds to it, so a row copied to another tenant, subject, row or column does
/// not open there, and neither does one that claims another schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is: `table.column`, a constant of the caller.
    pub what: &'a str,
    /// The subject whose key seals it, as the bytes of its id: a line, a grant, a PSU.
    pub subject: &'a [u8],
    /// The row, as the bytes of its id.
    pub row: &'a [u8],
    /// Version of the encoding of the plain text.
    pub schema_version: u16,
}

impl Binding<'_> {
    /// The canonical bytes: every part preceded by its length in four bytes (big-endian), so that no two places share
    /// an encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let version = self.schema_version.to_be_bytes();
        let tenant = self.tenant.uuid();
        let parts: [&[u8]; 5] = [self.what.as_bytes(), tenant.as_bytes(), self.subject, self.row, &version];
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| 4 + part.len()).sum());
        for part in parts {
            // Parts are ids and short names; one of 4 GiB cannot exist, and saturating keeps the function total.
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    type Parts = (u128, String, Vec<u8>, Vec<u8>, u16);

    fn encode(parts: &Parts) -> Vec<u8> {
        let tenant = TenantId::from_uuid(Uuid::from_u128(parts.0));
        Binding { tenant, what: &parts.1, subject: &parts.2, row: &parts.3, schema_version: parts.4 }.to_bytes()
    }

    fn parts() -> impl Strategy<Value = Parts> {
        // Few values and short strings, so that near misses such as ("a", "bc") against ("ab", "c") really come up.
        let short = || proptest::collection::vec(0_u8..2, 0..4);
        (0_u128..2, "[ab]{0,3}", short(), short(), 0_u16..2)
    }

    proptest! {
        #[test]
        fn two_places_never_share_an_encoding(left in parts(), right in parts()) {
            prop_assert_eq!(left == right, encode(&left) == encode(&right));
        }
    }
}

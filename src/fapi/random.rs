//! Unguessable text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::world::World;

/// `N` random bytes as base64url without padding: only `A-Z a-z 0-9 - _`, safe in every place of the protocol.
pub(crate) fn text<const N: usize>(world: &World<'_>) -> String {
    URL_SAFE_NO_PAD.encode(world.bytes::<N>())
}

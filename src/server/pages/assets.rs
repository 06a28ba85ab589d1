//! The static files of the pages. Their names carry a digest of their content, so that they may be cached for ever.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

/// One static file.
pub struct Asset {
    /// Absolute path on this server.
    pub path: String,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// The content.
    pub body: &'static str,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        asset("river", "css", "text/css; charset=utf-8", include_str!("river.css")),
        asset("river", "svg", "image/svg+xml", include_str!("river.svg")),
        asset("console", "css", "text/css; charset=utf-8", include_str!("../console/console.css")),
    ]
});

/// The digest tells versions apart, no more: nothing trusts it.
fn asset(name: &str, extension: &str, media_type: &'static str, body: &'static str) -> Asset {
    let mut digest = DefaultHasher::new();
    body.hash(&mut digest);
    Asset { path: format!("/assets/{name}-{:016x}.{extension}", digest.finish()), media_type, body }
}

/// All static files. Serve each at its path with `Cache-Control: public, max-age=31536000, immutable`.
pub fn assets() -> &'static [Asset] {
    ASSETS.as_slice()
}

pub(super) fn style() -> &'static str {
    &ASSETS[0].path
}

/// Where the sign lies.
pub(crate) fn icon() -> &'static str {
    &ASSETS[1].path
}

/// Where the console's style lies.
pub(crate) fn console_style() -> &'static str {
    &ASSETS[2].path
}

//! The pages that a person sees between a product and a bank: link, bank picker, consent text, return, overview, stop.
//!
//! A page is a pure function from a [`view`] to HTML. This module must never know a database, a request or a session.
//! Every page works with HTML alone but [`relay`], whose one script is all that can read an answer behind a `#`. askama
//! escapes whatever a view carries.

mod assets;
mod de;
mod en;
mod es;
mod fr;
mod language;
mod statement;
pub mod theme;
pub mod view;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use assets::{Asset, assets};
pub(crate) use assets::{console_style, icon};
pub use language::Language;
pub use statement::{Section, Statement};

use view::{
    BankAnswer, BankPickerView, Brand, ConnectedView, ConsentTextView, Erasure, Keep, LinkLandingView, LoginNameField,
    Next, OverviewView, RelayView, ReturnView, Standing, StoppedView,
};

/// `Content-Security-Policy` of every page: our own style and images, no script, no frame, forms to ourselves.
pub const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The same for the pages whose form ends at a bank ([`consent_text`], [`overview`], [`returned`]): browsers hold
/// redirects after a form against `form-action`, and a bank may redirect to further hosts of its own.
pub const SECURITY_POLICY_TO_BANK: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'";

/// The script of [`relay`]: it asks for the address again with the answer where we can read it, and leaves nothing in the
/// history. An address without an answer says so, rather than coming back here.
const RELAY: &str = "location.replace(location.pathname+\"?\"+(location.hash.slice(1)||\"nothing\"))";

/// `Content-Security-Policy` of [`relay`]: that script by its hash, and nothing else that runs.
pub static RELAY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest(&SHA256, RELAY.as_bytes()));
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'sha256-{hash}'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'"
    )
});

/// What the frame around every page needs.
struct Frame<'a> {
    brand: &'a Brand,
    heading: String,
    /// Which of the four steps this is, from 1.
    step: Option<usize>,
    /// Whether the page can be asked for again in another language: a return from a bank cannot.
    switch: bool,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident($view:ident as $page:ident, $path:tt) = |$t:ident, $v:ident| $heading:expr, $step:expr, $switch:literal;)*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $page<'a> {
            t: Language,
            frame: Frame<'a>,
            view: &'a $view,
        }

        $(#[$doc])*
        pub fn $name($v: &$view) -> String {
            let $t = $v.brand.language;
            let frame = Frame { brand: &$v.brand, heading: $heading, step: $step, switch: $switch };
            draw(&$page { t: $t, frame, view: $v })
        }
    )*};
}

pages! {
    /// The page behind a link. Reading it changes nothing.
    link_landing(LinkLandingView as LinkLanding, "link_landing.html") =
        |t, view| view.bank.as_ref().map_or_else(|| t.landing_title(), |bank| t.landing_title_at(bank)), None, true;
    /// The choice of a bank, with a search that is a plain form.
    bank_picker(BankPickerView as BankPicker, "bank_picker.html") = |t, view| t.picker_title(), Some(1), true;
    /// The text a person consents to; made of the sentences of [`Statement::of`].
    consent_text(ConsentTextView as ConsentText, "consent_text.html") = |t, view| t.consent_title(&view.bank), Some(2), true;
    /// How a visit ended without a connection, and the one next step.
    returned(ReturnView as Returned, "returned.html") = |_t, view| view.words()[0].clone(), None, false;
    /// Where a bank answers behind the `#` of the address, which reaches no server: hands the answer on.
    relay(RelayView as Relay, "relay.html") = |t, view| t.relay_title(), None, false;
    /// The connection stands.
    connected(ConnectedView as Connected, "connected.html") = |t, view| t.connected_title(&view.bank), Some(4), true;
    /// What is shared, with whom, until when; each with its stop.
    overview(OverviewView as Overview, "overview.html") = |t, view| t.overview_title(), None, true;
    /// After a stop: what has happened so far, at our side, at the bank, to the data.
    stopped(StoppedView as Stopped, "stopped.html") = |t, view| t.stopped_title(&view.bank), None, true;
}

fn draw(page: &impl Template) -> String {
    page.render().expect("templates hold strings alone, and writing a string to a string cannot fail")
}

impl ReturnView {
    /// Heading, what happened, what to do.
    fn words(&self) -> [String; 3] {
        let t = self.brand.language;
        let bank = self.bank.clone().unwrap_or_else(|| t.your_bank());
        t.outcome(self.outcome, &bank, &self.brand.product)
    }
}

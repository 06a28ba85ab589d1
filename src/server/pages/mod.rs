//! The pages that a person sees between a product and a bank: link, bank picker, consent text, return, overview, stop.
//!
//! A page is a pure function from a [`view`] to HTML. This module must never know a database, a request or a session, and
//! holds no script: every page works with HTML alone. askama escapes whatever a view carries.

mod assets;
mod en;
mod statement;
pub mod view;

#[cfg(test)]
mod tests;

use askama::Template;

pub use assets::{Asset, assets};
pub use statement::{Section, Statement};

use en::En;
use view::{
    BankAnswer, BankPickerView, Brand, ConnectedView, ConsentTextView, Erasure, Keep, LinkLandingView, Next,
    OverviewView, ReturnView, Standing, StoppedView,
};

/// `Content-Security-Policy` of every page: our own style and images, no script, no frame, forms to ourselves.
pub const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// The same for the pages whose form ends at a bank ([`consent_text`], [`overview`], [`returned`]): browsers hold
/// redirects after a form against `form-action`, and a bank may redirect to further hosts of its own.
pub const SECURITY_POLICY_TO_BANK: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'";

/// What the frame around every page needs.
struct Frame<'a> {
    brand: &'a Brand,
    heading: String,
    /// Which of the four steps this is, from 1.
    step: Option<usize>,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident($view:ident as $page:ident, $path:tt) = |$v:ident| $heading:expr, $step:expr;)*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $page<'a> {
            t: En,
            frame: Frame<'a>,
            view: &'a $view,
        }

        $(#[$doc])*
        pub fn $name($v: &$view) -> String {
            let frame = Frame { brand: &$v.brand, heading: $heading, step: $step };
            draw(&$page { t: En, frame, view: $v })
        }
    )*};
}

pages! {
    /// The page behind a link. Reading it changes nothing.
    link_landing(LinkLandingView as LinkLanding, "link_landing.html") =
        |view| view.bank.as_ref().map_or_else(|| En.landing_title(), |bank| En.landing_title_at(bank)), None;
    /// The choice of a bank, with a search that is a plain form.
    bank_picker(BankPickerView as BankPicker, "bank_picker.html") = |_view| En.picker_title(), Some(1);
    /// The text a person consents to; made of the sentences of [`Statement::english`].
    consent_text(ConsentTextView as ConsentText, "consent_text.html") = |view| En.consent_title(&view.bank), Some(2);
    /// How a visit ended without a connection, and the one next step.
    returned(ReturnView as Returned, "returned.html") = |view| view.words()[0].clone(), None;
    /// The connection stands.
    connected(ConnectedView as Connected, "connected.html") = |view| En.connected_title(&view.bank), Some(4);
    /// What is shared, with whom, until when; each with its stop.
    overview(OverviewView as Overview, "overview.html") = |_view| En.overview_title(), None;
    /// After a stop: what has happened so far, at our side, at the bank, to the data.
    stopped(StoppedView as Stopped, "stopped.html") = |view| En.stopped_title(&view.bank), None;
}

fn draw(page: &impl Template) -> String {
    page.render().expect("templates hold strings alone, and writing a string to a string cannot fail")
}

impl ReturnView {
    /// Heading, what happened, what to do.
    fn words(&self) -> [String; 3] {
        let bank = self.bank.clone().unwrap_or_else(|| En.your_bank());
        En.outcome(self.outcome, &bank, &self.brand.product)
    }
}

//! The languages of the pages, each a table of its own with the same entries, and how one is chosen.

use domain::limits::{LOGIN_SECONDS, SESSION_SECONDS};
use jiff::Zoned;
use jiff::civil::Date;

use super::view::Outcome;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

/// The table of a language: its name, then each entry with its arguments and its text.
macro_rules! table {
    ($table:ident { $($name:ident ( $($arg:ident),* ) $text:literal;)* }) => {
        pub(super) struct $table;

        impl $table {$(
            pub(super) fn $name($($arg: impl ::std::fmt::Display),*) -> String {
                format!($text)
            }
        )*}
    };
}
pub(super) use table;

/// The English table, which is also the list of what a language has.
macro_rules! entries {
    ($($name:ident ( $($arg:ident),* ) $text:literal;)*) => {
        super::language::table! { En { $($name($($arg),*) $text;)* } }

        impl Language {$(
            pub(super) fn $name(self, $($arg: impl Display),*) -> String {
                match self {
                    Self::En => En::$name($($arg),*),
                    Self::De => super::de::De::$name($($arg),*),
                    Self::Fr => super::fr::Fr::$name($($arg),*),
                    Self::Es => super::es::Es::$name($($arg),*),
                }
            }
        )*}
    };
}
pub(super) use entries;

impl Language {
    /// Every language, with its name in itself.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::En, "English"), (Self::De, "Deutsch"), (Self::Fr, "Français"), (Self::Es, "Español")];

    /// BCP 47, as in links and evidence.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }

    /// The language of a code or of a range that begins with it (`de-AT`).
    pub fn parse(range: &str) -> Option<Self> {
        let primary = range.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().map(|(language, _)| language).find(|known| primary.eq_ignore_ascii_case(known.code()))
    }

    /// The best of what a browser accepts (RFC 9110 §12.5.4): the highest weight first, the earlier of equals. What has
    /// weight 0, is not known or cannot be read is passed over.
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(Self, u16)> = None;
        for range in header.split(',').take(32) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let Some(weight) = weight.trim().strip_prefix("q=").and_then(thousandths) else { continue };
            let Some(language) = Self::parse(tag).filter(|_| weight > 0) else { continue };
            if best.is_none_or(|(_, most)| weight > most) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }

    /// A day, `19 February 2027`.
    pub(super) fn date(self, date: &Date) -> String {
        let months = self.months();
        let nth = usize::try_from(date.month()).unwrap_or(1).saturating_sub(1);
        self.day(date.day(), months.split(' ').nth(nth).unwrap_or_default(), date.year())
    }

    /// A moment, `21 November 2026, 14:03 CET`.
    pub(super) fn moment(self, at: &Zoned) -> String {
        format!("{}, {}", self.date(&at.date()), at.strftime("%H:%M %Z"))
    }

    /// The four steps of a connection.
    pub(super) fn steps(self) -> [String; 4] {
        [self.step_bank(), self.step_permission(), self.step_at_bank(), self.step_done()]
    }

    /// Heading, what happened, what to do.
    pub(super) fn outcome(self, outcome: Outcome, bank: &str, product: &str) -> [String; 3] {
        let words = match outcome {
            Outcome::Denied => self.outcome_denied(bank),
            Outcome::Declined => self.outcome_declined(bank, product),
            Outcome::TimedOut => self.outcome_timed_out(bank, LOGIN_SECONDS / 60),
            Outcome::BankError => self.outcome_bank_error(bank),
            Outcome::BankUnavailable => self.outcome_bank_unavailable(bank),
            Outcome::CameTwice => self.outcome_came_twice(bank),
            Outcome::OtherBrowser => self.outcome_other_browser(bank),
            Outcome::NotTrusted => self.outcome_not_trusted(bank),
            Outcome::Unknown => self.outcome_unknown(),
            Outcome::AwaitsSigners => self.outcome_awaits_signers(bank, product),
            Outcome::AwaitsPsu => self.outcome_awaits_psu(bank, LOGIN_SECONDS / 60),
            Outcome::Withdrawn => self.outcome_withdrawn(bank, product),
            Outcome::LinkOver => self.outcome_link_over(),
            Outcome::SignedOut => self.outcome_signed_out(SESSION_SECONDS / 60),
            Outcome::OurFault => self.outcome_our_fault(),
        };
        let mut lines = words.splitn(3, '\n').map(str::to_owned);
        std::array::from_fn(|_| lines.next().unwrap_or_default())
    }

    /// The name of a country from its ISO 3166-1 alpha-2 code, or the code itself.
    pub(super) fn country(self, code: &str) -> String {
        let all = self.countries();
        let named = all.split(';').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == code);
        named.map_or(code, |(_, name)| name).to_owned()
    }
}

/// A weight, `0` to `1` with at most three decimals, in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_gets_the_best_of_what_it_accepts() {
        for (header, expected) in [
            ("de", Some(Language::De)),
            ("de-AT,de;q=0.9,en;q=0.8", Some(Language::De)),
            ("it,fr;q=0.5,es;q=0.7", Some(Language::Es)),
            ("en;q=0,ES;q=0.001", Some(Language::Es)),
            ("fr;q=2,de;q=x,*", None),
            ("", None),
            ("xx-YY", None),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }

    #[test]
    fn every_language_tells_dates_months_and_outcomes() {
        let day = jiff::civil::date(2027, 2, 19);
        let told: Vec<String> = Language::ALL.iter().map(|(language, _)| language.date(&day)).collect();
        assert_eq!(told, ["19 February 2027", "19. Februar 2027", "19 février 2027", "19 de febrero de 2027"]);
        for (language, name) in Language::ALL {
            assert_eq!(language.language(), language.code(), "{name}");
            assert!(language.consent_version().starts_with(language.code()));
            assert_eq!(language.months().split(' ').count(), 12, "{name}");
            assert_eq!(language.countries().split(';').count(), 35, "{name}");
            assert_eq!(Language::parse(language.code()), Some(language));
            for outcome in [Outcome::Denied, Outcome::Unknown, Outcome::LinkOver, Outcome::OurFault, Outcome::TimedOut]
            {
                let words = language.outcome(outcome, "Musterbank", "Pennywise");
                assert!(words.iter().all(|line| line.len() > 8 && !line.contains('\n')), "{name}: {words:?}");
            }
        }
    }
}

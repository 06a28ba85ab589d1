//! Values of keys whose types are those of other crates, which know nothing of files.

use domain::ids::InstitutionId;
use domain::rules::{DecimalMark, Rules, SignRule};
use fapi::profile::{
    Alg, Audience, ClientAuth, GrantedScope, IdTokenEncryption, IssuerParameter, RegistrationForm, RequestForm,
    ResponseForm, Security, TokenBinding, TokenDelivery,
};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use super::{MarkName, RulesSection, SignName};

pub(super) fn institution_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InstitutionId, D::Error> {
    let text = String::deserialize(deserializer)?;
    InstitutionId::new(&text).ok_or_else(|| serde::de::Error::custom("an id is 3 to 64 of a-z, 0-9 and _"))
}

pub(super) fn security<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Security, D::Error> {
    named(&String::deserialize(deserializer)?, Security::named)
}

pub(super) fn algs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Alg>>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    words.iter().map(|word| named(word, Alg::named)).collect::<Result<_, _>>().map(Some)
}

/// The value of a word of `fapi`, whose types know nothing of files.
fn named<T, E: serde::de::Error>(word: &str, values: impl Fn(&str) -> Option<T>) -> Result<T, E> {
    values(word).ok_or_else(|| E::custom("not a word that this key knows"))
}

macro_rules! optional_words {
    ($($key:ident: $of:ty,)+) => {$(
        pub(super) fn $key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<$of>, D::Error> {
            named(&String::deserialize(deserializer)?, <$of>::named).map(Some)
        }
    )+};
}

optional_words! {
    client_auth: ClientAuth,
    binding: TokenBinding,
    request: RequestForm,
    response: ResponseForm,
    audience: Audience,
    issuer_parameter: IssuerParameter,
    granted_scope: GrantedScope,
    id_token_encryption: IdTokenEncryption,
    token_delivery: TokenDelivery,
    registration: RegistrationForm,
}

pub(super) fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let not_a_day = || serde::de::Error::custom("a day is written 2026-11-21");
    let written = toml::value::Datetime::deserialize(deserializer)?;
    let (Some(day), None) = (written.date, written.time) else { return Err(not_a_day()) };
    let part = |number: u8| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(day.year).unwrap_or(0);
    Date::new(year, part(day.month), part(day.day)).map_err(|_| not_a_day())
}

pub(super) fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rules, D::Error> {
    let section = RulesSection::deserialize(deserializer)?;
    let standard = Rules::default();
    Ok(Rules {
        sign: match section.sign {
            Some(SignName::Signed) => SignRule::Signed,
            Some(SignName::Indicator) => SignRule::Indicator,
            Some(SignName::Inverted) => SignRule::Inverted,
            Some(SignName::Either) => SignRule::Either,
            None => standard.sign,
        },
        decimal_mark: match section.decimal_mark {
            Some(MarkName::Dot) => DecimalMark::Dot,
            Some(MarkName::Comma) => DecimalMark::Comma,
            None => standard.decimal_mark,
        },
        zone: section.zone,
        date_layouts: section.date_layouts,
        grammars: section.grammars,
        own_names: section.own_names,
        country: None,
    })
}

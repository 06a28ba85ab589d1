//! Who was paid and for what: a descriptor, as banks and card schemes write it, to a brand and a category.
//!
//! Brands and words are data (`data/brands_open.txt`, `data/brands_own.txt`, `data/phrases.txt`). A brand is named only
//! where whole words say so and nothing contradicts it; otherwise the row keeps a cleaned name without an identity.

use std::borrow::Cow;

mod catalogue;
#[expect(clippy::float_arithmetic, reason = "a confidence is an estimate, not money")]
mod decide;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub(crate) use decide::names_wallet;

/// One descriptor and what is known beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Descriptor<'a> {
    /// The text as the bank wrote it.
    pub text: &'a str,
    /// ISO 3166-1 alpha-2 code of the account's or the merchant's country, in any case.
    pub country: Option<&'a str>,
    /// Merchant category code (ISO 18245), four digits.
    pub mcc: Option<&'a str>,
    /// Whether the row is known to be a payment by card.
    pub card: bool,
    /// Whether the row is known to be a direct debit: a mandate names a business.
    pub mandate: bool,
    /// Whether money came in; nothing where that is not known.
    pub incoming: Option<bool>,
    /// ISO 20022 bank transaction code, `domain-family-subfamily`.
    pub btc: Option<&'a str>,
}

/// What a category was told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The brand's line of business.
    Brand,
    /// The bank transaction code.
    Code,
    /// The merchant category code.
    MerchantCode,
    /// Words of the text.
    Words,
    /// The name of a person.
    Person,
    /// Nothing: the category is open.
    Nothing,
}

/// What a descriptor says.
#[derive(Clone, Debug, PartialEq)]
pub struct Enriched {
    /// Name of the brand, else the cleaned name of a local merchant, else nothing.
    pub merchant: Option<Cow<'static, str>>,
    /// Wikidata id of the brand.
    pub wikidata: Option<&'static str>,
    /// Whether the merchant is a brand of the catalogue.
    pub catalog: bool,
    /// `primary.detailed` of the taxonomy (`data/taxonomy.json`); `other.uncategorised` where nothing decides.
    pub category: &'static str,
    /// What decided the category.
    pub evidence: Evidence,
    /// How sure merchant and category are, from 0 to 1.
    pub confidence: f32,
    /// The intermediary in front of the merchant, as the descriptor names it.
    pub via: Option<String>,
}

/// Reads one descriptor. Linear in its length; never fails.
#[must_use]
pub fn enrich(descriptor: &Descriptor<'_>) -> Enriched {
    decide::Row::new(descriptor).decide()
}

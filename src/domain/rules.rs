//! Rules as values: what a bank's profile says about reading its rows. `normalize` obeys them.

/// How the sign of an amount is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignRule {
    /// The amount carries its sign; an indicator, if any, must agree (Berlin Group).
    Signed,
    /// The amount is unsigned; an indicator tells (UK Open Banking, Enable Banking, STET).
    Indicator,
    /// Signed, but the bank counts money out as positive.
    Inverted,
    /// Signed, but a pending purchase comes without its minus.
    PendingUnsigned,
    /// Not known: a sign or an indicator is taken where there is one.
    Either,
}

/// The mark between whole units and decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecimalMark {
    /// `1234.56`, as the standards want.
    Dot,
    /// `1.234,56`.
    Comma,
}

/// Which named grammars read the remittance text, tried in order. The names are listed in `normalize`.
pub type Grammars = Vec<String>;

/// Everything that `normalize` needs to know about a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How the sign is told.
    pub sign: SignRule,
    /// The decimal mark.
    pub decimal_mark: DecimalMark,
    /// IANA zone of the bank's calendar days, for instants that must become days.
    pub zone: String,
    /// Date layouts beside ISO 8601, in `strptime` form (`%d.%m.%Y`), tried in order.
    pub date_layouts: Vec<String>,
    /// Remittance grammars, tried in order.
    pub grammars: Grammars,
    /// Names the bank uses for itself; never a counterparty.
    pub own_names: Vec<String>,
    /// ISO 3166-1 alpha-2 code of the bank's country, where known: brands differ by country.
    pub country: Option<String>,
}

impl Default for Rules {
    /// An unknown bank: the standard's rules apply, no grammar of a bank.
    fn default() -> Self {
        Self {
            sign: SignRule::Either,
            decimal_mark: DecimalMark::Dot,
            zone: "UTC".to_owned(),
            date_layouts: Vec::new(),
            grammars: Vec::new(),
            own_names: Vec::new(),
            country: None,
        }
    }
}

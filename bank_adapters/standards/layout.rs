//! Where the fields of rows stand in one format, as data: every standard has a value of each of these.

/// Dotted paths of one field, the preferred one first.
pub(crate) type Paths = &'static [Path<'static>];

/// A dotted path. In a list, `[0]` takes an element by its place and `[name=value]` the first one with this member. Every row
/// is asked for every path, so where its first name ends is found out once, by the compiler.
#[derive(Clone, Copy)]
pub(crate) struct Path<'p> {
    pub(crate) text: &'p str,
    /// Bytes of the first name, and its mark.
    pub(crate) head: usize,
    pub(crate) mark: u64,
    /// The second name, where a dot and no bracket is before it.
    pub(crate) second: Option<Second>,
}

/// A second name of a path.
#[derive(Clone, Copy)]
pub(crate) struct Second {
    /// The byte of the path behind it.
    pub(crate) end: usize,
    pub(crate) mark: u64,
}

impl<'p> Path<'p> {
    pub(crate) const fn new(text: &'p str) -> Self {
        let bytes = text.as_bytes();
        let head = end_of_name(bytes, 0);
        let second = if head < bytes.len() && bytes[head] == b'.' {
            let end = end_of_name(bytes, head + 1);
            Some(Second { end, mark: mark(bytes, head + 1, end) })
        } else {
            None
        };
        Self { text, head, mark: mark(bytes, 0, head), second }
    }
}

const fn end_of_name(path: &[u8], from: usize) -> usize {
    let mut end = from;
    while end < path.len() && path[end] != b'.' && path[end] != b'[' {
        end += 1;
    }
    end
}

/// One bit for the name between two bytes, by its length and its first and last letter. The factors tell the names of the
/// standards best from one another.
pub(crate) const fn mark(bytes: &[u8], from: usize, to: usize) -> u64 {
    let (first, last) = if from < to { (bytes[from], bytes[to - 1]) } else { (0, 0) };
    1 << (((to - from) * 6 + first as usize * 29 + last as usize * 7) % 64)
}

/// Paths of a layout, written as texts.
macro_rules! paths {
    ($($path:literal),+ $(,)?) => { &[$($crate::standards::layout::Path::new($path)),+] };
}
pub(crate) use paths;

/// Where a party's fields stand.
#[derive(Clone, Copy)]
pub(crate) struct PartyLayout {
    pub(crate) name: Paths,
    pub(crate) ultimate_name: Paths,
    pub(crate) account: Paths,
    pub(crate) agent: Paths,
}

impl PartyLayout {
    /// A party that the format does not have.
    pub(crate) const NONE: Self = Self { name: &[], ultimate_name: &[], account: &[], agent: &[] };
}

/// Where a transaction's fields stand in one format.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) status: Paths,
    pub(crate) amount: Paths,
    pub(crate) currency: Paths,
    pub(crate) indicator: Paths,
    pub(crate) booking_date: Paths,
    pub(crate) value_date: Paths,
    pub(crate) transaction_date: Paths,
    pub(crate) other_dates: Paths,
    pub(crate) creditor: PartyLayout,
    pub(crate) debtor: PartyLayout,
    pub(crate) counterparty: PartyLayout,
    /// Arrays of lines, complete but sometimes absent.
    pub(crate) remittance_lines: Paths,
    /// One string, sometimes a cut copy of the lines.
    pub(crate) remittance_string: Paths,
    pub(crate) remittance_structured: Paths,
    pub(crate) additional: Paths,
    pub(crate) transaction_id: Paths,
    pub(crate) internal_id: Paths,
    pub(crate) entry_reference: Paths,
    pub(crate) end_to_end_id: Paths,
    pub(crate) mandate_id: Paths,
    pub(crate) creditor_id: Paths,
    pub(crate) check_id: Paths,
    pub(crate) bank_transaction_code: Paths,
    /// The same in parts: domain, family, subfamily, in that order wherever they stand.
    pub(crate) code_parts: Paths,
    pub(crate) proprietary_code: Paths,
    pub(crate) purpose_code: Paths,
    pub(crate) mcc: Paths,
    pub(crate) merchant_name: Paths,
    pub(crate) balance_after: Paths,
    pub(crate) balance_after_indicator: Paths,
    pub(crate) balance_after_currency: Paths,
    /// An object or an array of objects.
    pub(crate) exchange: Paths,
    pub(crate) exchange_fields: ExchangeLayout,
}

impl Layout {
    /// A format that has nothing yet.
    pub(crate) const NONE: Self = Self {
        status: &[],
        amount: &[],
        currency: &[],
        indicator: &[],
        booking_date: &[],
        value_date: &[],
        transaction_date: &[],
        other_dates: &[],
        creditor: PartyLayout::NONE,
        debtor: PartyLayout::NONE,
        counterparty: PartyLayout::NONE,
        remittance_lines: &[],
        remittance_string: &[],
        remittance_structured: &[],
        additional: &[],
        transaction_id: &[],
        internal_id: &[],
        entry_reference: &[],
        end_to_end_id: &[],
        mandate_id: &[],
        creditor_id: &[],
        check_id: &[],
        bank_transaction_code: &[],
        code_parts: &[],
        proprietary_code: &[],
        purpose_code: &[],
        mcc: &[],
        merchant_name: &[],
        balance_after: &[],
        balance_after_indicator: &[],
        balance_after_currency: &[],
        exchange: &[],
        exchange_fields: ExchangeLayout::NONE,
    };
}

/// Names inside an exchange object.
#[derive(Clone, Copy)]
pub(crate) struct ExchangeLayout {
    pub(crate) source_currency: Paths,
    pub(crate) target_currency: Paths,
    pub(crate) unit_currency: Paths,
    pub(crate) rate: Paths,
    pub(crate) instructed_amount: Paths,
    pub(crate) instructed_currency: Paths,
}

impl ExchangeLayout {
    /// A format without exchanges.
    const NONE: Self = Self {
        source_currency: &[],
        target_currency: &[],
        unit_currency: &[],
        rate: &[],
        instructed_amount: &[],
        instructed_currency: &[],
    };
}

/// Where an account's fields stand.
pub(crate) struct AccountLayout {
    pub(crate) resource_id: Paths,
    pub(crate) iban: Paths,
    pub(crate) bban: Paths,
    pub(crate) masked_pan: Paths,
    pub(crate) other: Paths,
    pub(crate) currency: Paths,
    pub(crate) name: Paths,
    pub(crate) product: Paths,
    pub(crate) cash_account_type: Paths,
    pub(crate) owner_name: Paths,
    pub(crate) bic: Paths,
    pub(crate) status: Paths,
    pub(crate) balances: Paths,
}

impl AccountLayout {
    /// A format that has nothing yet.
    pub(crate) const NONE: Self = Self {
        resource_id: &[],
        iban: &[],
        bban: &[],
        masked_pan: &[],
        other: &[],
        currency: &[],
        name: &[],
        product: &[],
        cash_account_type: &[],
        owner_name: &[],
        bic: &[],
        status: &[],
        balances: &[],
    };
}

/// Where a balance's fields stand.
pub(crate) struct BalanceLayout {
    pub(crate) kind: Paths,
    pub(crate) amount: Paths,
    pub(crate) currency: Paths,
    pub(crate) indicator: Paths,
    pub(crate) credit_limit_included: Paths,
    pub(crate) reference_date: Paths,
    pub(crate) last_change: Paths,
}

impl BalanceLayout {
    /// A format that has nothing yet.
    pub(crate) const NONE: Self = Self {
        kind: &[],
        amount: &[],
        currency: &[],
        indicator: &[],
        credit_limit_included: &[],
        reference_date: &[],
        last_change: &[],
    };
}

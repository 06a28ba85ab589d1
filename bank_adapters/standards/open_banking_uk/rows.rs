//! One row of UK Open Banking to parsed fields (OBTransaction6, OBReadBalance1, OBAccount6), 3.1 and 4.0 alike.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout};

const LAYOUT: Layout = Layout {
    status: &["Status"],
    amount: &["Amount.Amount"],
    currency: &["Amount.Currency"],
    indicator: &["CreditDebitIndicator"],
    booking_date: &["BookingDateTime"],
    value_date: &["ValueDateTime"],
    creditor: PartyLayout {
        name: &["CreditorAccount.Name"],
        ultimate_name: &["UltimateCreditor.Name"],
        account: &["CreditorAccount.Identification"],
        agent: &["CreditorAgent.Identification"],
    },
    debtor: PartyLayout {
        name: &["DebtorAccount.Name"],
        ultimate_name: &["UltimateDebtor.Name"],
        account: &["DebtorAccount.Identification"],
        agent: &["DebtorAgent.Identification"],
    },
    remittance_string: &["TransactionInformation"],
    transaction_id: &["TransactionId"],
    entry_reference: &["TransactionReference"],
    code_parts: &["BankTransactionCode.Code", "BankTransactionCode.SubCode"],
    proprietary_code: &["ProprietaryBankTransactionCode.Code", "BankTransactionCode.Code"],
    purpose_code: &["PaymentPurposeCode"],
    mcc: &["MerchantDetails.MerchantCategoryCode"],
    merchant_name: &["MerchantDetails.MerchantName"],
    balance_after: &["Balance.Amount.Amount"],
    balance_after_indicator: &["Balance.CreditDebitIndicator"],
    exchange: &["CurrencyExchange"],
    exchange_fields: ExchangeLayout {
        source_currency: &["SourceCurrency"],
        target_currency: &["TargetCurrency"],
        unit_currency: &["UnitCurrency"],
        rate: &["ExchangeRate"],
        instructed_amount: &["InstructedAmount.Amount"],
        instructed_currency: &["InstructedAmount.Currency"],
    },
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: &["Type"],
    amount: &["Amount.Amount"],
    currency: &["Amount.Currency"],
    indicator: &["CreditDebitIndicator"],
    credit_limit_included: &["CreditLine[Included=true].Included", "CreditLine[0].Included"],
    reference_date: &["DateTime"],
    last_change: &["DateTime"],
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: &["AccountId"],
    iban: &["Account[SchemeName=UK.OBIE.IBAN].Identification", "Account[SchemeName=IBAN].Identification"],
    bban: &[
        "Account[SchemeName=UK.OBIE.SortCodeAccountNumber].Identification",
        "Account[SchemeName=SortCodeAccountNumber].Identification",
        "Account[SchemeName=UK.OBIE.BBAN].Identification",
    ],
    masked_pan: &["Account[SchemeName=UK.OBIE.PAN].Identification"],
    other: &["Account[0].Identification"],
    currency: &["Currency"],
    name: &["Nickname", "Description"],
    product: &["AccountSubType", "Description"],
    cash_account_type: &["AccountTypeCode"],
    owner_name: &["Account[0].Name"],
    bic: &["Servicer.Identification"],
    status: &["Status"],
    balances: &[],
};

/// One element of `Data.Transaction`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    let mut parsed = row::transaction(row, list, &LAYOUT);
    if parsed.status.as_ref().is_some_and(|word| matches!(word.value.as_str(), "Pending" | "PDNG")) {
        // The booking day of a pending row is the one that is expected: as in other standards, its value day.
        let expected = parsed.booking_date.take();
        parsed.value_date = parsed.value_date.or(expected);
    }
    parsed
}

/// One element of `Data.Account`.
pub fn account(row: &RawValue) -> ParsedAccount {
    let mut parsed = row::account(row, &ACCOUNT, &BALANCE);
    if parsed.iban.is_some() || parsed.bban.is_some() || parsed.masked_pan.is_some() {
        parsed.other = None;
    }
    let kind = parsed.product.as_ref().and_then(|word| Some(Text::new(cash_account_type(&word.value)?.to_owned(), "")));
    parsed.cash_account_type = parsed.cash_account_type.or(kind);
    parsed
}

/// One element of `Data.Balance`.
pub fn balance(row: &RawValue) -> ParsedBalance {
    row::balance(row, &BALANCE)
}

/// The ISO code of a word of OBExternalAccountSubType1.
fn cash_account_type(word: &str) -> Option<&'static str> {
    Some(match word {
        "CurrentAccount" => "CACC",
        "Savings" => "SVGS",
        "CreditCard" | "ChargeCard" | "PrePaidCard" => "CARD",
        "Loan" | "Mortgage" => "LOAN",
        _ => return None,
    })
}

//! One row of UK Open Banking to parsed fields (OBTransaction6, OBReadBalance1, OBAccount6), 3.1 and 4.0 alike.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Place, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["Status"],
    amount: paths!["Amount.Amount"],
    currency: paths!["Amount.Currency"],
    indicator: paths!["CreditDebitIndicator"],
    booking_date: paths!["BookingDateTime"],
    value_date: paths!["ValueDateTime"],
    creditor: PartyLayout {
        name: paths!["CreditorAccount.Name"],
        ultimate_name: paths!["UltimateCreditor.Name"],
        account: paths!["CreditorAccount.Identification"],
        agent: paths!["CreditorAgent.Identification"],
    },
    debtor: PartyLayout {
        name: paths!["DebtorAccount.Name"],
        ultimate_name: paths!["UltimateDebtor.Name"],
        account: paths!["DebtorAccount.Identification"],
        agent: paths!["DebtorAgent.Identification"],
    },
    remittance_string: paths!["TransactionInformation"],
    transaction_id: paths!["TransactionId"],
    entry_reference: paths!["TransactionReference"],
    code_parts: paths!["BankTransactionCode.Code", "BankTransactionCode.SubCode"],
    proprietary_code: paths!["ProprietaryBankTransactionCode.Code", "BankTransactionCode.Code"],
    purpose_code: paths!["PaymentPurposeCode"],
    mcc: paths!["MerchantDetails.MerchantCategoryCode"],
    merchant_name: paths!["MerchantDetails.MerchantName"],
    balance_after: paths!["Balance.Amount.Amount"],
    balance_after_indicator: paths!["Balance.CreditDebitIndicator"],
    balance_after_currency: paths!["Balance.Amount.Currency"],
    exchange: paths!["CurrencyExchange"],
    exchange_fields: ExchangeLayout {
        source_currency: paths!["SourceCurrency"],
        target_currency: paths!["TargetCurrency"],
        unit_currency: paths!["UnitCurrency"],
        rate: paths!["ExchangeRate"],
        instructed_amount: paths!["InstructedAmount.Amount"],
        instructed_currency: paths!["InstructedAmount.Currency"],
    },
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: paths!["Type"],
    amount: paths!["Amount.Amount"],
    currency: paths!["Amount.Currency"],
    indicator: paths!["CreditDebitIndicator"],
    credit_limit_included: paths!["CreditLine[Included=true].Included", "CreditLine[0].Included"],
    reference_date: paths!["DateTime"],
    last_change: paths!["DateTime"],
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["AccountId"],
    iban: paths!["Account[SchemeName=UK.OBIE.IBAN].Identification", "Account[SchemeName=IBAN].Identification"],
    bban: paths![
        "Account[SchemeName=UK.OBIE.SortCodeAccountNumber].Identification",
        "Account[SchemeName=SortCodeAccountNumber].Identification",
        "Account[SchemeName=UK.OBIE.BBAN].Identification",
    ],
    masked_pan: paths!["Account[SchemeName=UK.OBIE.PAN].Identification"],
    other: paths!["Account[0].Identification"],
    currency: paths!["Currency"],
    name: paths!["Nickname", "Description"],
    product: paths!["AccountSubType", "Description"],
    cash_account_type: paths!["AccountTypeCode"],
    owner_name: paths!["Account[0].Name"],
    bic: paths!["Servicer.Identification"],
    status: paths!["Status"],
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
    let kind = parsed
        .product
        .as_ref()
        .and_then(|word| Some(Text::new(cash_account_type(&word.value)?.to_owned(), Place::At(&""))));
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

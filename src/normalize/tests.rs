//! Whole rows: what a lender would check by hand.

use domain::records::{Operation, Party};
use proptest::prelude::*;

use super::*;

fn text(value: &str, path: &'static str) -> Option<Text> {
    Some(Text::new(value.to_owned(), path))
}

fn party(name: &str) -> Party {
    Party { name: text(name, "name"), ..Party::default() }
}

fn row(amount: &str) -> Parsed {
    Parsed {
        list: List::Booked,
        amount: text(amount, "amount"),
        currency: text("EUR", "currency"),
        booking_date: text("2031-06-05", "booking"),
        ..Parsed::default()
    }
}

fn lines(texts: &[&str]) -> Vec<Text> {
    texts.iter().map(|line| Text::new((*line).to_owned(), "text")).collect()
}

/// A row that was paid, with one line.
fn row_of(line: &str) -> Parsed {
    Parsed { remittance: lines(&[line]), ..row("-10") }
}

fn done(parsed: &Parsed, holder: &Holder) -> Normalized {
    transaction(parsed, holder, &Rules::default()).unwrap()
}

fn named(parsed: &Parsed, holder: &str) -> Option<String> {
    let holder = Holder { name: (!holder.is_empty()).then(|| holder.to_owned()), ..Holder::default() };
    done(parsed, &holder).counterparty.name
}

fn codes(issues: &[Issue]) -> Vec<&'static str> {
    issues.iter().map(|issue| issue.code).collect()
}

#[test]
fn the_other_side_follows_the_direction() {
    let both = |amount| Parsed { creditor: party("Shop"), debtor: party("Payer"), ..row(amount) };
    assert_eq!(named(&both("-1"), "").as_deref(), Some("Shop"));
    assert_eq!(named(&both("1"), "").as_deref(), Some("Payer"));
}

#[test]
fn the_holder_and_the_bank_are_passed_over() {
    let paid_to_self = Parsed { creditor: party("DOE JANE"), remittance: lines(&["VIR SEPA A Baker"]), ..row("-1") };
    assert_eq!(named(&paid_to_self, "Jane Doe").as_deref(), Some("A Baker"));
    let refund = Parsed { creditor: party("Shop"), ..row("5") };
    assert_eq!(named(&refund, "Jane Doe").as_deref(), Some("Shop"));
    let to_me = Parsed { creditor: party("Ms Jane Doe"), ..row("5") };
    assert_eq!(named(&to_me, "Jane Doe"), None);
    let card = Parsed { debtor: party("Jane Doe"), ..row("-5") };
    assert_eq!(named(&card, ""), None);
    let rules = Rules { own_names: vec!["Musterbank".into()], ..Rules::default() };
    let fee = Parsed { creditor: party("Musterbank AG"), ..row("-5") };
    let fee = transaction(&fee, &Holder::default(), &rules).unwrap();
    assert_eq!((fee.counterparty.name, codes(&fee.issues)), (None, vec!["counterparty.is_bank"]));
}

#[test]
fn a_row_without_a_certain_amount_is_refused() {
    for (amount, currency, code) in [
        (Some("--"), "EUR", "amount.malformed"),
        (Some("1,234"), "EUR", "amount.malformed"),
        (None, "EUR", "amount.missing"),
        (Some("1"), "string", "currency.unknown"),
    ] {
        let parsed = Parsed { amount: amount.and_then(|a| text(a, "a")), currency: text(currency, "c"), ..row("1") };
        let issues = transaction(&parsed, &Holder::default(), &Rules::default()).unwrap_err();
        assert_eq!(codes(&issues), [code]);
    }
}

#[test]
fn three_digits_behind_the_mark_are_refused_where_they_may_be_thousands() {
    let read = |amount: &str, currency: &str, is_number: bool| {
        let parsed = Parsed { currency: text(currency, "c"), amount_is_number: is_number, ..row(amount) };
        match transaction(&parsed, &Holder::default(), &Rules::default()) {
            Ok(row) => (Some(row.money.amount().to_string()), codes(&row.issues)),
            Err(issues) => (None, codes(&issues)),
        }
    };
    let said = |amount: Option<&str>, codes: &[&'static str]| (amount.map(str::to_owned), codes.to_vec());
    assert_eq!(read("1.234", "EUR", false), said(None, &["amount.malformed"]));
    assert_eq!(read("-12.345", "JPY", false), said(None, &["amount.malformed"]));
    assert_eq!(read("1.230", "EUR", false), said(Some("1.230"), &["amount.unusual_form"]));
    assert_eq!(read("1.234", "KWD", false), said(Some("1.234"), &[]));
    assert_eq!(read("1.234", "EUR", true), said(Some("1.234"), &["amount.precision"]));
    assert_eq!(read("1234.50", "EUR", false), said(Some("1234.50"), &[]));
}

#[test]
fn a_running_balance_is_in_its_own_currency_or_the_accounts() {
    let after = |named: Option<&str>, account: Option<Currency>| {
        let parsed = Parsed {
            currency: text("USD", "c"),
            balance_after: text("80.00", "b"),
            balance_after_currency: named.and_then(|code| text(code, "bc")),
            ..row("-1")
        };
        let holder = Holder { currency: account, ..Holder::default() };
        done(&parsed, &holder).balance_after.map(|money| money.currency().code().to_owned())
    };
    assert_eq!(after(Some("EUR"), None).as_deref(), Some("EUR"));
    assert_eq!(after(None, Some(Currency::EUR)).as_deref(), Some("EUR"));
    assert_eq!(after(None, None).as_deref(), Some("USD"));
}

#[test]
fn a_name_beside_the_own_account_is_the_holders() {
    let (own, far) = ("DE89370400440532013000", "DE02120300000000202051");
    let holder = Holder { account: Some(own.into()), ..Holder::default() };
    let side = |name: &str, account: &str| Party { account: text(account, "account"), ..party(name) };
    let both = |amount, debtor, creditor| Parsed { debtor, creditor, ..row(amount) };
    let read = |parsed: &Parsed| {
        let row = done(parsed, &holder);
        (row.counterparty.name, row.counterparty.account, row.category.unwrap_or_default())
    };
    // A payment that came back keeps its roles: the other side is the one that is not ours.
    let returned = both("-10", side("Works Ltd", far), side("J. Doe", own));
    let (name, account, category) = read(&returned);
    assert_eq!((name.as_deref(), account.as_deref()), (Some("Works Ltd"), Some(far)));
    assert_ne!(category, "transfer.internal");
    // The bank wrote the own account beside both names, once in another spelling.
    let odd = both("-10", side("DOE J", own), side("Doe, Jane", own));
    assert_eq!(read(&odd).1, None);
    // To the holder's own account elsewhere, by the name beside the own account here.
    let (name, _, category) = read(&both("-500", side("DOE JANE UND JOHN", own), side("Jane Doe", far)));
    assert_eq!((name, category.as_str()), (None, "transfer.internal"));
    // An initial may be the holder's and names nobody; it may be another's too, so that nothing tells whose money it is.
    let (name, _, category) = read(&both("500", side("Mr J Doe", far), side("Jane Doe", own)));
    assert_eq!((name, category.as_str()), (None, "other.uncategorised"));
    let (name, ..) =
        read(&Parsed { remittance: lines(&["To Jane Doe"]), ..both("-5", side("DOE JANE", own), Party::default()) });
    assert_eq!(name, None);
}

#[test]
fn the_other_holder_of_an_account_of_two_is_somebody_where_the_one_acts() {
    let both = |amount| Parsed { creditor: party("Jane Doe"), debtor: party("John Doe"), ..row(amount) };
    assert_eq!(named(&both("-5"), "Jane und John Doe").as_deref(), Some("Jane Doe"));
    assert_eq!(named(&Parsed { debtor: Party::default(), ..both("-5") }, "Jane und John Doe"), None);
    assert_eq!(named(&both("-5"), "Jane Doe"), None);
}

#[test]
fn marks_and_numbers_are_no_counterparty() {
    for name in ["-----", "DE02120300000000202051", "123456789", "XXXXXXXXXXXX1234"] {
        let parsed = Parsed { creditor: party(name), remittance: lines(&["VIR SEPA A Baker"]), ..row("-1") };
        let row = done(&parsed, &Holder::default());
        assert_eq!(
            (row.counterparty.name.as_deref(), codes(&row.issues)),
            (Some("A Baker"), vec!["counterparty.no_name"]),
            "{name}"
        );
    }
}

#[test]
fn an_intermediary_before_a_name_in_the_text_is_kept() {
    let card = Parsed { remittance: lines(&["POS   4,20 AT K1 05.06. 18:02", "SUMUP  *KAFFEE HUBER"]), ..row("-4.20") };
    let read = done(&card, &Holder::default());
    assert_eq!(
        (read.counterparty.name.as_deref(), read.intermediary.as_deref()),
        (Some("KAFFEE HUBER"), Some("SumUp"))
    );
    assert!(read.provenance.iter().any(|from| from.field == "intermediary"));
    let game = Parsed { remittance: lines(&["CARTE 04/06/31 PAYPAL *STEAM GAMES CB*0001"]), ..row("-8.50") };
    let read = done(&game, &Holder::default());
    assert_eq!((read.merchant.as_deref(), read.intermediary.as_deref()), (Some("Steam"), Some("PayPal")));
}

#[test]
fn an_intermediary_behind_a_name_is_kept_and_comes_off() {
    for parsed in [
        Parsed { creditor: party("Blumen Kurz via Mollie"), ..row("-1") },
        Parsed { remittance: lines(&["Blumen Kurz via Mollie"]), ..row("-1") },
        Parsed { remittance: lines(&["iDEAL betaling aan Blumen Kurz via Mollie"]), ..row("-1") },
    ] {
        let done = done(&parsed, &Holder::default());
        assert_eq!(done.counterparty.name.as_deref(), Some("Blumen Kurz"));
        assert_eq!(done.intermediary.as_deref(), Some("Mollie"));
    }
}

#[test]
fn a_lone_text_that_tells_a_fee_or_cash_names_nobody() {
    for text in ["ÅRSAVGIFT KORT", "RETROCESION COMISION DESCUBIERTO", "LEVANTAMENTO MB COIMBRA", "Palvelumaksu"] {
        assert_eq!(named(&Parsed { additional: lines(&[text]), ..row("-1") }, ""), None, "{text}");
    }
    let shop = Parsed { additional: lines(&["Buchhandlung Kurz"]), ..row("-1") };
    assert_eq!(named(&shop, "").as_deref(), Some("Buchhandlung Kurz"));
}

#[test]
fn a_word_that_a_field_cut_is_whole_again() {
    let joined =
        |texts: &[&str]| done(&Parsed { remittance: lines(texts), ..row("-1") }, &Holder::default()).description;
    let cut = ["901234567890/. Long description tha", "t gets cut"];
    assert_eq!(joined(&cut).as_deref(), Some("901234567890/. Long description that gets cut"));
    assert_eq!(joined(&["A baker in town", "bread and rolls"]).as_deref(), Some("A baker in town bread and rolls"));
}

#[test]
fn a_missing_currency_is_the_accounts_or_none() {
    let parsed = Parsed { currency: text("XXX", "c"), ..row("1") };
    let unnamed = done(&parsed, &Holder::default());
    assert_eq!((unnamed.money.currency().code(), codes(&unnamed.issues)), ("XXX", vec!["currency.missing"]));
    let parsed = Parsed { currency: None, ..row("1") };
    assert_eq!(done(&parsed, &Holder::default()).money.currency().code(), "XXX");
    let holder = Holder { currency: Some(Currency::EUR), ..Holder::default() };
    let known = done(&parsed, &holder);
    assert_eq!((known.money.currency().code(), codes(&known.issues)), ("EUR", vec!["currency.of_account"]));
}

#[test]
fn the_status_is_the_rows_word_then_its_list() {
    let status = |word: Option<&str>, list| {
        let parsed = Parsed { status: word.and_then(|w| text(w, "s")), list, ..row("1") };
        transaction(&parsed, &Holder::default(), &Rules::default()).map(|row| (row.status, codes(&row.issues)))
    };
    assert_eq!(status(None, List::Pending), Ok((Status::Pending, vec![])));
    assert_eq!(status(Some("BOOK"), List::Unstated), Ok((Status::Booked, vec![])));
    assert_eq!(status(Some("PDNG"), List::Booked), Ok((Status::Pending, vec!["status.conflict"])));
    assert_eq!(status(Some("???"), List::Booked), Ok((Status::Booked, vec!["status.unknown_word"])));
    assert_eq!(status(Some("RJCT"), List::Booked).map_err(|e| codes(&e)), Err(vec!["status.no_movement"]));
    assert_eq!(status(None, List::Information).map_err(|e| codes(&e)), Err(vec!["status.announced"]));
    let nothing = Parsed { booking_date: None, list: List::Unstated, ..row("1") };
    assert_eq!(done(&nothing, &Holder::default()).status, Status::Pending);
}

#[test]
fn days_and_their_doubts() {
    let mut parsed = row("-1");
    parsed.value_date = text("0001-01-01", "value");
    parsed.remittance = lines(&["KAUFUMSATZ 04.06"]);
    let read = done(&parsed, &Holder::default());
    assert_eq!(read.transaction_date.map(|day| day.to_string()).as_deref(), Some("2031-06-04"));
    assert_eq!((read.value_date, codes(&read.issues)), (None, vec!["date.filler"]));
    parsed.transaction_date = text("2031-06-03", "purchase");
    assert_eq!(
        done(&parsed, &Holder::default()).transaction_date.map(|day| day.to_string()).as_deref(),
        Some("2031-06-03")
    );
}

#[test]
fn every_field_tells_its_origin() {
    let parsed = Parsed { remittance: lines(&["CARTE 04/06/31 LIBRAIRIE DU PORT CB*0001"]), ..row("-8.50") };
    let read = done(&parsed, &Holder::default());
    let origin = |field: &str| {
        let from = read.provenance.iter().find(|from| from.field == field).unwrap();
        format!("{} by {}", from.path, from.rule)
    };
    assert_eq!(origin("counterparty"), "text by fr.card");
    assert_eq!(origin("transaction_date"), "text by fr.card");
    assert_eq!(origin("amount"), "amount by sign.kept");
    assert_eq!(origin("booking_date"), "booking by date.day");
    assert_eq!(read.money.to_plain_string(), "-8.50");
}

#[test]
fn more_digits_than_the_minor_unit_are_kept_and_told() {
    for (amount, currency, doubt) in
        [("1.0005", "EUR", true), ("1.500", "EUR", false), ("100.00", "JPY", false), ("1.005", "KWD", false)]
    {
        let parsed = Parsed { currency: text(currency, "c"), ..row(amount) };
        assert_eq!(
            codes(&done(&parsed, &Holder::default()).issues).contains(&"amount.precision"),
            doubt,
            "{amount} {currency}"
        );
    }
}

#[test]
fn balances_are_typed_and_never_turned() {
    let parsed = ParsedBalance {
        kind: text("InterimBooked", "k"),
        amount: text("-20.0", "a"),
        currency: text("EUR", "c"),
        last_change: text("2031-06-05T10:00:00", "l"),
        ..ParsedBalance::default()
    };
    let rules = Rules { sign: SignRule::Inverted, zone: "Europe/Berlin".into(), ..Rules::default() };
    let read = balance(&parsed, &rules).unwrap();
    assert_eq!((read.kind, read.money.to_plain_string().as_str()), (BalanceKind::InterimBooked, "-20.00"));
    assert_eq!(read.last_change.map(|at| at.to_string()).as_deref(), Some("2031-06-05T08:00:00Z"));
    let owed = ParsedBalance { amount: text("5", "a"), indicator: text("DBIT", "i"), ..parsed };
    assert_eq!(balance(&owed, &rules).unwrap().money.to_plain_string(), "-5.00");
    assert_eq!(codes(&balance(&ParsedBalance::default(), &rules).unwrap_err()), ["amount.missing", "currency.missing"]);
}

/// What a row is, in short: operation, merchant, intermediary, category.
fn meant(parsed: &Parsed, holder: &Holder) -> (Option<Operation>, Option<String>, Option<String>, Option<String>) {
    let rules = Rules { country: Some("DE".into()), ..Rules::default() };
    let row = transaction(parsed, holder, &rules).unwrap();
    (row.operation, row.merchant, row.intermediary, row.category)
}

#[test]
fn money_between_own_accounts_is_no_income() {
    let holder = Holder {
        name: Some("Jane Doe".into()),
        other_accounts: vec!["DE02 1203 0000 0000 2020 51".into()],
        ..Holder::default()
    };
    let from = |name: &str, account: &str| Party { account: text(account, "account"), ..party(name) };
    let by = |parsed: &Parsed| {
        let row = done(parsed, &holder);
        let rule = row.provenance.iter().find(|from| from.field == "category").map(|from| from.rule);
        (row.category.unwrap_or_default(), rule.unwrap_or_default())
    };
    let own = Parsed { debtor: from("A Bank", "DE02120300000000202051"), ..row("500") };
    assert_eq!(by(&own), ("transfer.internal".into(), "category.own_account"));
    // Whoever reads the row again need not know the account, nor when the direction was taken for the other meanwhile.
    for sign in ["500", "-500"] {
        let parsed = Parsed { debtor: from("A Bank", "DE02120300000000202051"), ..row(sign) };
        let first = done(&parsed, &holder);
        let forgotten = Holder { other_accounts: Vec::new(), ..holder.clone() };
        assert!(
            done(&parsed, &with_accounts_of(&parsed, &forgotten, &first)) == first
                && done(&parsed, &forgotten) != first
        );
    }
    let named = Parsed { creditor: party("DOE JANE"), ..row("-500") };
    assert_eq!(by(&named), ("transfer.internal".into(), "category.own_name"));
    let card = Parsed { creditor: party("Jane Doe"), mcc: text("5411", "mcc"), ..row("-5") };
    assert_eq!(by(&card), ("groceries.supermarket".into(), "category.merchant_code"));
    let other = Parsed { debtor: from("Works Ltd", "DE89370400440532013000"), ..row("500") };
    assert_ne!(by(&other).0, "transfer.internal");
}

/// Three numbers in a row, of which some are known as the holder's: a second reading knows the same ones.
#[test]
fn a_row_that_is_read_again_keeps_which_accounts_were_known() {
    let (own, saving, stranger) = ("DE89370400440532013000", "DE02120300000000202051", "NL91ABNA0417164300");
    // Another spelling of the account's number that does not tell that it is one.
    let (czech, spelled) = ("CZ6508000000192000145399", "19-2000145399/0800");
    let side = |name: &str, number: &str, path| Party { account: text(number, path), ..party(name) };
    let accounts = [Some(own), Some(czech), None];
    let known = [&[][..], &[saving], &[stranger], &[saving, stranger], &[spelled]];
    let mut seen = [0; 2];
    for amount in ["2500", "-2500"] {
        for numbers in
            [[saving, stranger, own], [stranger, saving, own], [stranger, own, saving], [spelled, saving, own]]
        {
            let [creditor, debtor, counterparty] = numbers;
            let parsed = Parsed {
                creditor: side("Jane Doe", creditor, "creditorAccount.iban"),
                debtor: side("Shipyard Ltd", debtor, "debtorAccount.iban"),
                counterparty: side("", counterparty, "account"),
                remittance: lines(&["Salary November"]),
                ..row(amount)
            };
            for (account, others) in
                accounts.iter().flat_map(|account| known.iter().map(move |others| (account, others)))
            {
                let forgotten = Holder { account: account.map(str::to_owned), ..Holder::default() };
                let others = others.iter().map(|number| (*number).to_owned()).collect();
                let first = done(&parsed, &Holder { other_accounts: others, ..forgotten.clone() });
                let again = done(&parsed, &with_accounts_of(&parsed, &forgotten, &first));
                assert!(again == first, "{amount} {numbers:?} of {account:?}: {:?}", codes(&first.issues));
                seen[0] += usize::from(codes(&first.issues).contains(&"counterparty.own_side"));
                seen[1] += usize::from(first.provenance.iter().any(|from| from.rule == "category.own_account"));
            }
        }
    }
    assert!(seen.iter().all(|rows| *rows > 10), "{seen:?}");
}

#[test]
fn a_salary_on_another_own_account_stays_one_when_it_is_read_again() {
    let holder = Holder {
        account: Some("DE89370400440532013000".into()),
        other_accounts: vec!["DE02120300000000202051".into()],
        ..Holder::default()
    };
    let parsed = Parsed {
        creditor: Party { account: text("DE02120300000000202051", "creditorAccount.iban"), ..Party::default() },
        debtor: Party { account: text("NL91ABNA0417164300", "debtorAccount.iban"), ..party("Shipyard Ltd") },
        remittance: lines(&["Salary November"]),
        ..row("2500")
    };
    let first = done(&parsed, &holder);
    assert_eq!(
        (first.category.as_deref(), codes(&first.issues)),
        (Some("income.salary"), vec!["counterparty.own_side"])
    );
    let forgotten = Holder { other_accounts: Vec::new(), ..holder };
    assert!(done(&parsed, &with_accounts_of(&parsed, &forgotten, &first)) == first);
}

#[test]
fn pay_and_rent_between_like_names_are_no_own_money() {
    for (holder, amount, other, line, category) in [
        ("Maximilian Huber", "2500", "M. Huber", "Lohn Mai", "income.salary"),
        ("Hans Huber", "2500", "Hans Huber Elektrotechnik", "Lohn", "income.salary"),
        ("Maria Huber", "-900", "Herr Huber", "Miete", "housing.rent"),
        ("Anna Martinez", "2500", "Anna Martin", "Salary May", "income.salary"),
        ("María García López", "2500", "García López", "Salary May", "income.salary"),
        ("Maria Huber", "-900", "HUBER MARIA", "Miete", "transfer.internal"),
    ] {
        let (creditor, debtor) =
            if amount.starts_with('-') { (party(other), Party::default()) } else { (Party::default(), party(other)) };
        let parsed = Parsed { creditor, debtor, remittance: lines(&[line]), ..row(amount) };
        let holder = Holder { name: Some(holder.into()), ..Holder::default() };
        assert_eq!(done(&parsed, &holder).category.as_deref(), Some(category), "{other} to {holder:?}");
    }
}

#[test]
fn a_company_is_not_its_own_other_side() {
    let transfer = Parsed { remittance: lines(&["VIR SEPA Doe Trading Ltd RENT JUNE"]), ..row("-900") };
    assert_eq!(named(&transfer, "Doe Trading Ltd"), None);
    assert_eq!(named(&transfer, "Jane Roe").as_deref(), Some("Doe Trading Ltd RENT JUNE"));
}

#[test]
fn the_other_side_is_kept_beside_the_accounts_own_number() {
    let number = "DE89370400440532013000";
    let payee = Party { account: text(number, "account"), ..party("Corner Bookshop") };
    let parsed = Parsed { creditor: payee, ..row("-12") };
    let name = |holder: Option<&str>| {
        let holder = Holder { name: holder.map(str::to_owned), account: Some(number.into()), ..Holder::default() };
        done(&parsed, &holder).counterparty.name
    };
    assert_eq!(name(Some("Jane Doe")).as_deref(), Some("Corner Bookshop"));
    assert_eq!((name(Some("Ann Corner")), name(None)), (None, None));
}

#[test]
fn an_own_account_is_no_brand() {
    for line in ["*MOBI CURRENT-034", "*MOBI SAVINGS-12", "*MOBI TO 12345"] {
        let rules = Rules { country: Some("IE".into()), ..Rules::default() };
        let parsed = Parsed { remittance: lines(&[line]), ..row("-50") };
        let row = transaction(&parsed, &Holder::default(), &rules).unwrap();
        assert_eq!((row.counterparty.name, row.merchant), (None, None), "{line}");
    }
}

#[test]
fn thousands_of_a_currency_without_decimals_are_refused() {
    for (amount, code, is_read) in [
        ("-1.200", "JPY", false),
        ("1.000", "ISK", false),
        ("-1200", "JPY", true),
        ("-1200.00", "JPY", true),
        ("-1.200", "KWD", true),
        ("-1.200", "EUR", true),
    ] {
        let parsed = Parsed { currency: text(code, "currency"), ..row(amount) };
        let read = transaction(&parsed, &Holder::default(), &Rules::default());
        assert_eq!(read.is_ok(), is_read, "{amount} {code}");
        let issues = read.map_or_else(|issues| issues, |row| row.issues);
        assert_eq!(codes(&issues).contains(&"amount.malformed"), !is_read, "{amount} {code}");
    }
}

#[test]
fn intermediaries_are_taken_off_and_kept() {
    let paypal = Parsed {
        creditor: party("PayPal Europe S.a.r.l. et Cie S.C.A"),
        remittance: lines(&["1041 PP.2211.PP . SPOTIFY, Ihr Einkauf bei SPOTIFY"]),
        references: domain::records::References { mandate_id: text("M1", "mandate"), ..Default::default() },
        ..row("-11.99")
    };
    let (operation, merchant, intermediary, category) = meant(&paypal, &Holder::default());
    assert_eq!((operation, merchant.as_deref()), (Some(Operation::DirectDebit), Some("Spotify")));
    assert_eq!((intermediary.as_deref(), category.as_deref()), (Some("PayPal"), Some("entertainment.music")));
}

#[test]
fn a_friend_is_not_the_restaurant_that_the_text_is_about() {
    let code = |code: &str| text(code, "code");
    let friend = Parsed {
        creditor: party("Maria Schneider"),
        remittance: lines(&["Burger King gestern"]),
        bank_transaction_code: code("PMNT-ICDT-ESCT"),
        ..row("-9")
    };
    let (operation, merchant, _, category) = meant(&friend, &Holder::default());
    assert_eq!((operation, merchant, category.as_deref()), (Some(Operation::Transfer), None, Some("transfer.person")));
    let landlady = Parsed { remittance: lines(&["Miete Juni"]), ..friend };
    assert_eq!(meant(&landlady, &Holder::default()).3.as_deref(), Some("housing.rent"));
}

#[test]
fn what_contradicts_a_sign_is_said_and_a_return_is_not_turned() {
    let (own, other) = ("DE89370400440532013000", "DE02120300000000202051");
    let holder = Holder { account: Some(own.into()), ..Holder::default() };
    let account = |number: &str| Party { account: text(number, "account"), ..Party::default() };
    let between = |amount: &str, debtor: &str, creditor: &str, line: &str| {
        let parsed =
            Parsed { debtor: account(debtor), creditor: account(creditor), remittance: lines(&[line]), ..row(amount) };
        let done = done(&parsed, &holder);
        (done.money.amount().to_string(), codes(&done.issues).into_iter().find(|code| code.starts_with("amount.")))
    };
    let said = |amount: &str, code| (amount.to_owned(), code);
    assert_eq!(between("10.00", own, other, "Rent"), said("-10.00", Some("amount.sign_from_accounts")));
    assert_eq!(between("10.00", own, other, "SEPA Rueckueberweisung"), said("10.00", Some("amount.sign_conflict")));
    assert_eq!(between("-10.00", other, own, "Rent"), said("-10.00", Some("amount.sign_conflict")));
    assert_eq!(between("-10.00", own, other, "Rent"), said("-10.00", None));
    assert_eq!(between("10.00", other, own, "Rent"), said("10.00", None));

    let inverted = Rules { sign: domain::rules::SignRule::Inverted, ..Rules::default() };
    for (amount, indicator, signed, conflict) in
        [("-5", "CRDT", "5", false), ("-5", "DBIT", "5", true), ("5", "DBIT", "-5", false), ("5", "CRDT", "-5", true)]
    {
        let parsed = Parsed { indicator: text(indicator, "indicator"), ..row(amount) };
        let done = transaction(&parsed, &Holder::default(), &inverted).unwrap();
        let told = codes(&done.issues).contains(&"amount.sign_conflict");
        assert_eq!((done.money.amount().to_string().as_str(), told), (signed, conflict), "{amount} {indicator}");
    }
}

#[test]
fn people_are_no_shops_and_wages_from_a_shop_are_wages() {
    let to = |name| meant(&Parsed { creditor: party(name), ..row("-10") }, &Holder::default());
    for person in ["Paul Klein", "OTTO MEIER", "Norma Schmidt", "Emma Weber"] {
        assert_eq!(to(person).1, None, "{person}");
    }
    for shop in ["OTTO GmbH", "NORMA BERLIN", "Max Mara", "Thalia Buchhandlung"] {
        assert!(to(shop).1.is_some(), "{shop}");
    }
    let wages =
        Parsed { debtor: party("Lidl Vertriebs GmbH & Co. KG"), remittance: lines(&["LOHN/GEHALT"]), ..row("2500") };
    assert_eq!(meant(&wages, &Holder::default()).3.as_deref(), Some("income.salary"));
    let payer = Parsed { purpose_code: text("SALA", "purpose"), creditor: party("Erika Muster"), ..row("-50") };
    assert!(!meant(&payer, &Holder::default()).3.unwrap().starts_with("income."));
}

#[test]
fn who_is_paid_by_card_is_a_shop_whatever_its_name() {
    let paid = |line: &str| meant(&row_of(line), &Holder::default());
    for (line, shop) in [
        ("CARTE 05/06/31 CHEZ MARIA", "Maria"),
        ("Kortköp 310605 CLARA ROSSO", "Clara"),
        ("PURCHASE AUTHORIZED ON 06/05 GEORGIA STREET FL", "Georgia"),
    ] {
        let (operation, merchant, _, category) = paid(line);
        assert_eq!((operation, category.as_deref()), (Some(Operation::Card), Some("other.uncategorised")), "{line}");
        assert!(merchant.is_some_and(|name| name.contains(shop)), "{line}");
    }
    // By code too, and beside a title; but a wallet pays friends by card.
    let code = |line: &str| Parsed { bank_transaction_code: text("PMNT-CCRD-POSD", "code"), ..row_of(line) };
    assert_ne!(meant(&code("Frau Luna"), &Holder::default()).3.as_deref(), Some("transfer.person"));
    for friend in ["PAYPAL *MARIA SCHNEIDER", "Vipps*Maria Schneider"] {
        assert_eq!(meant(&code(friend), &Holder::default()).3.as_deref(), Some("transfer.person"), "{friend}");
    }
    assert_eq!(meant(&row_of("VIR SEPA MARIA SCHNEIDER"), &Holder::default()).3.as_deref(), Some("transfer.person"));
}

#[test]
fn goods_by_card_in_norway_are_no_finnish_power() {
    let rules = Rules { country: Some("NO".into()), grammars: vec!["nordic".into()], ..Rules::default() };
    let row = transaction(&row_of("VISA VARE 05.06 KVARTALET 12 OSLO"), &Holder::default(), &rules).unwrap();
    assert_eq!(row.counterparty.name.as_deref(), Some("KVARTALET 12 OSLO"));
    assert_ne!(row.category.as_deref(), Some("utilities.energy"));
}

#[test]
fn codes_come_before_the_merchant_and_the_merchant_before_words() {
    let bought = Parsed { creditor: party("REWE Markt GmbH"), ..row("-20") };
    assert_eq!(meant(&bought, &Holder::default()).3.as_deref(), Some("groceries.supermarket"));
    let told = Parsed { purpose_code: text("RENT", "purpose"), ..bought.clone() };
    assert_eq!(meant(&told, &Holder::default()).3.as_deref(), Some("housing.rent"));
    let german = Parsed { debtor: party("Works Ltd"), proprietary_code: text("NTRF+153+9249", "code"), ..row("2800") };
    let (operation, _, _, category) = meant(&german, &Holder::default());
    assert_eq!((operation, category.as_deref()), (Some(Operation::Transfer), Some("income.salary")));
    let nothing = Parsed { creditor: party("Qwyx"), ..row("-1") };
    assert_eq!(meant(&nothing, &Holder::default()).3.as_deref(), Some("other.uncategorised"));
}

#[test]
fn lines_of_a_statement_are_no_movements() {
    let balance = |line: &str| Parsed { remittance: lines(&[line]), ..row("812.40") };
    for line in ["BALANCE BROUGHT FORWARD", "Saldo anterior", "ANFANGSSALDO 01.06.2031", "Ingående saldo"] {
        let refused = transaction(&balance(line), &Holder::default(), &Rules::default()).unwrap_err();
        assert_eq!(codes(&refused), ["row.statement_line"], "{line}");
    }
    let paid = Parsed { debtor: party("A Baker"), ..balance("Opening balance") };
    assert_eq!(done(&paid, &Holder::default()).counterparty.name.as_deref(), Some("A Baker"));
}

proptest! {
    /// Whatever stands where, in whatever order and case: the holder is never the other side.
    #[test]
    fn the_holder_is_never_the_other_side(
        amount in prop_oneof![Just("-3.10"), Just("3.10")],
        creditor in prop_oneof![Just("Jane Doe"), Just("DOE  JANE"), Just("MRS J DOE"), Just("Doe Jane u. John 0049"), Just(""), Just("Shop")],
        debtor in prop_oneof![Just("Jane Doe"), Just("doe, jane"), Just("Frau Dr. Jane M. Doe"), Just("JANEDOE"), Just(""), Just("Payer")],
        text_name in prop_oneof![Just("VIR SEPA Jane Doe"), Just("To Jane Doe"), Just("Jane Doe"), Just("Bizum to: JANE DOE"), Just("To DOE J")],
    ) {
        let side = |name: &str| if name.is_empty() { Party::default() } else { party(name) };
        let parsed = Parsed { creditor: side(creditor), debtor: side(debtor), remittance: lines(&[text_name]), ..row(amount) };
        let holder = Holder { name: Some("Jane Doe".into()), ..Holder::default() };
        let rules = Rules { grammars: vec!["from_to".into(), "lines_first".into()], ..Rules::default() };
        let name = transaction(&parsed, &holder, &rules).unwrap().counterparty.name;
        prop_assert!(name.as_deref().is_none_or(|name| matches!(name, "Shop" | "Payer")), "{:?}", name);
    }

    /// So it is in other letters, whichever of them the account or the bank writes.
    #[test]
    fn the_holder_is_never_the_other_side_in_other_letters(
        (holder, spelled) in prop_oneof![
            Just(("Đặng Thị Mỹ", "DANG THI MY")), Just(("Пётр Соколов", "PETR SOKOLOV")), Just(("Ирина Колева", "KOLEVA IRINA")),
            Just(("Кирило Гончар", "KYRYLO HONCHAR")), Just(("Σταύρος Ζαχαρίου", "STAVROS ZACHARIOU")),
            Just(("Kees van der Meer", "K VD MEER")), Just(("Marie-Claire Petit", "MC PETIT")),
        ],
        amount in prop_oneof![Just("-3.10"), Just("3.10")], turned in any::<bool>(), in_text in any::<bool>(),
    ) {
        let (own, written) = if turned && !spelled.contains(" VD ") && !spelled.starts_with("MC ") { (spelled, holder) } else { (holder, spelled) };
        let parsed = if in_text {
            Parsed { remittance: lines(&[&format!("To {written}")]), ..row(amount) }
        } else {
            Parsed { creditor: party(written), debtor: party(written), ..row(amount) }
        };
        let holder = Holder { name: Some(own.into()), ..Holder::default() };
        let rules = Rules { grammars: vec!["from_to".into()], ..Rules::default() };
        let name = transaction(&parsed, &holder, &rules).unwrap().counterparty.name;
        prop_assert_eq!(name, None, "{} is {}", written, own);
    }

    /// The amount that comes out is the one that went in, whichever way it went.
    #[test]
    fn no_cent_is_lost(cents in -10_000_000_i64..10_000_000, indicator in prop_oneof![Just(None), Just(Some("CRDT")), Just(Some("DBIT"))]) {
        let amount = Decimal::new(cents, 2);
        let parsed = Parsed { indicator: indicator.and_then(|i| text(i, "i")), ..row(&amount.to_string()) };
        prop_assert_eq!(done(&parsed, &Holder::default()).money.amount().abs(), amount.abs());
    }
}

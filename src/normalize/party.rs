//! Who is on the other side. By direction, never the holder, never the bank.

use std::borrow::Cow;

use domain::records::{Counterparty, Holder, Issue, Parsed, Party, Provenance, Text};
use domain::rules::Rules;

use crate::amount::{Direction, same_account};
use crate::names;
use crate::text::{Found, Reading};

/// Families of ISO 20022 bank transaction codes that are credit transfers: received, issued, and both in real time.
const CREDIT_TRANSFERS: [&str; 4] = ["PMNT-RCDT", "PMNT-ICDT", "PMNT-RRCT", "PMNT-IRCT"];

/// What the choice looks at.
pub(crate) struct Row<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) direction: Direction,
    pub(crate) reading: &'a Reading<'a>,
    pub(crate) holder: &'a Holder,
    pub(crate) rules: &'a Rules,
}

/// A name with its origin.
struct Named {
    name: String,
    path: Cow<'static, str>,
    rule: &'static str,
}

/// Why a name is not the other side.
enum Not {
    Holder,
    Bank,
}

impl Row<'_> {
    /// The other side and where it was found. Names that were passed over for a reason are issues.
    pub(crate) fn counterparty(self, issues: &mut Vec<Issue>) -> (Counterparty, Vec<Provenance>) {
        let other = match self.direction {
            Direction::Out => &self.parsed.creditor,
            Direction::In => &self.parsed.debtor,
        };
        let mut origin = Vec::with_capacity(2);
        let account = self.account_of(other).or_else(|| self.account_of(&self.parsed.counterparty));
        if let Some(account) = account {
            origin.push(Provenance {
                field: "counterparty_account",
                path: account.path.clone(),
                rule: "party.by_direction",
            });
        }
        let named = self.name(other, issues);
        if let Some(named) = &named {
            origin.push(Provenance { field: "counterparty", path: named.path.clone(), rule: named.rule });
        }
        let counterparty =
            Counterparty { name: named.map(|named| named.name), account: account.map(|account| account.value.clone()) };
        (counterparty, origin)
    }

    fn account_of<'p>(&self, party: &'p Party) -> Option<&'p Text> {
        let is_own = |number: &str| self.holder.account.as_deref().is_some_and(|own| same_account(own, number));
        party.account.as_ref().filter(|account| !is_own(&account.value))
    }

    fn name(&self, other: &Party, issues: &mut Vec<Issue>) -> Option<Named> {
        // What the text says costs more than a look at the fields, which most rows have.
        let mut said = self.reading.may_be_over_names().then(|| self.reading.said());
        if let Some(said) = &mut said
            && let Some(found) = said.name.take_if(|found| found.over_names)
            && let Some(named) = self.found(found, issues)
        {
            return Some(named);
        }
        let parsed = self.parsed;
        let fields = [
            (&other.ultimate_name, "party.ultimate"),
            (&other.name, "party.by_direction"),
            (&parsed.counterparty.name, "party.without_role"),
            (&parsed.merchant_name, "party.merchant_field"),
        ];
        let named = fields.into_iter().find_map(|(field, rule)| self.by_field(field.as_ref()?, rule, issues));
        if named.is_some() {
            return named;
        }
        let said = said.unwrap_or_else(|| self.reading.said());
        if said.is_nobody {
            return None;
        }
        let by_text = said.name.and_then(|found| self.found(found, issues));
        by_text.or_else(|| self.by_other_role(issues)).or_else(|| self.by_label(said.label?, issues))
    }

    fn by_field(&self, field: &Text, rule: &'static str, issues: &mut Vec<Issue>) -> Option<Named> {
        let (bare, cut) = self.reading.bare_name(&field.value);
        self.accept(names::collapse(&bare), field.path.clone(), cut.unwrap_or(rule), issues)
    }

    /// The row's only text. Of a credit transfer it is what the payer wrote and no name.
    fn by_label(&self, found: Found, issues: &mut Vec<Issue>) -> Option<Named> {
        let code = self.parsed.bank_transaction_code.as_ref().map_or("", |code| &code.value);
        if CREDIT_TRANSFERS.iter().any(|family| code.starts_with(family)) {
            return None;
        }
        let named = self.found(found, issues)?;
        issues.push(Issue::new("counterparty.from_label", "the name is the row's only text; no rule vouches for it"));
        Some(named)
    }

    fn found(&self, found: Found, issues: &mut Vec<Issue>) -> Option<Named> {
        // Free text says more than the bare name: `To Jane Doe`. All of the holder's words make it the holder's.
        if self.holder.name.as_deref().is_some_and(|holder| names::contains(&found.name, holder)) {
            issues.push(Issue::new("counterparty.is_holder", format!("{} names the holder", found.path)));
            return None;
        }
        self.accept(found.name, found.path, found.rule, issues)
    }

    /// A name in the field of the role that the holder should have. Card refunds name the shop as creditor, so a credit may
    /// take it; a debit whose only name is the debtor's has the holder there, unless we know the holder to be another.
    fn by_other_role(&self, issues: &mut Vec<Issue>) -> Option<Named> {
        let own = match self.direction {
            Direction::Out => &self.parsed.debtor,
            Direction::In => &self.parsed.creditor,
        };
        let field = own.name.as_ref()?;
        let code = self.parsed.bank_transaction_code.as_ref().map_or("", |code| &code.value);
        let is_transfer_to_holder = CREDIT_TRANSFERS.iter().any(|family| code.starts_with(family));
        let is_own_account = own.account.is_some() && self.account_of(own).is_none();
        let may = match (self.holder.name.as_deref(), self.direction) {
            (Some(holder), _) => !names::share_a_word(holder, &field.value),
            (None, Direction::In) => !is_transfer_to_holder,
            (None, Direction::Out) => false,
        };
        if !may || is_own_account {
            issues.push(Issue::new("counterparty.only_holder_role", "the only name stands in the holder's own role"));
            return None;
        }
        let named = self.by_field(field, "party.other_role", issues)?;
        issues.push(Issue::new("counterparty.role_doubt", "the name stands in the field of the other role"));
        Some(named)
    }

    fn accept(
        &self,
        name: String,
        path: Cow<'static, str>,
        rule: &'static str,
        issues: &mut Vec<Issue>,
    ) -> Option<Named> {
        match self.is_not_other(&name) {
            None => (!name.is_empty()).then_some(Named { name, path, rule }),
            Some(not) => {
                issues.push(match not {
                    Not::Holder => Issue::new("counterparty.is_holder", format!("{path} names the holder")),
                    Not::Bank => Issue::new("counterparty.is_bank", format!("{path} names the bank itself")),
                });
                None
            }
        }
    }

    fn is_not_other(&self, name: &str) -> Option<Not> {
        if self.holder.name.as_deref().is_some_and(|holder| names::same(holder, name)) {
            return Some(Not::Holder);
        }
        self.rules.own_names.iter().any(|bank| names::is_bank(name, bank)).then_some(Not::Bank)
    }
}

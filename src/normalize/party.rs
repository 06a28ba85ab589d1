//! Who is on the other side. By direction, never the holder, never the bank.

use domain::records::{Counterparty, Issue, Parsed, Party, Place, Provenance, Text};
use domain::rules::Rules;

use crate::amount::Direction;
use crate::holder::{Own, is_credit_transfer};
use crate::merchant::{Descriptor, Evidence, enrich};
use crate::names;
use crate::text::{Found, Reading};

/// What the choice looks at.
pub(crate) struct Row<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) direction: Direction,
    pub(crate) reading: &'a Reading<'a>,
    pub(crate) own: &'a Own<'a>,
    pub(crate) rules: &'a Rules,
}

/// The other side, where it was found, and who stands between.
pub(crate) struct Side {
    pub(crate) counterparty: Counterparty,
    pub(crate) origin: Vec<Provenance>,
    pub(crate) through: Option<&'static str>,
}

/// A name with its origin.
struct Named {
    name: String,
    path: Place,
    rule: &'static str,
    through: Option<&'static str>,
}

/// Why a name is not the other side.
enum Not {
    Holder,
    Bank,
    Name,
}

impl Row<'_> {
    /// The other side and where it was found. Names that were passed over for a reason are issues.
    pub(crate) fn counterparty(self, issues: &mut Vec<Issue>) -> Side {
        let (other, ours) = self.own.other_side(self.parsed, self.direction);
        let mut origin = Vec::with_capacity(2);
        let account = self.account_of(other).or_else(|| self.account_of(&self.parsed.counterparty));
        if let Some(account) = account {
            origin.push(Provenance {
                field: "counterparty_account",
                path: account.path.clone(),
                rule: "party.by_direction",
            });
        }
        let named = self.name(other, ours, issues);
        if let Some(named) = &named {
            origin.push(Provenance { field: "counterparty", path: named.path.clone(), rule: named.rule });
        }
        let through = named.as_ref().and_then(|named| named.through);
        let account = account.map(|account| account.value.clone());
        Side { counterparty: Counterparty { name: named.map(|named| named.name), account }, origin, through }
    }

    fn account_of<'p>(&self, party: &'p Party) -> Option<&'p Text> {
        party.account.as_ref().filter(|account| !self.own.is_account(&account.value))
    }

    fn name(&self, other: &Party, ours: &Party, issues: &mut Vec<Issue>) -> Option<Named> {
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
        by_text.or_else(|| self.by_other_role(ours, issues)).or_else(|| self.by_label(said.label?, issues))
    }

    fn by_field(&self, field: &Text, rule: &'static str, issues: &mut Vec<Issue>) -> Option<Named> {
        let (cut, cut_by) = self.reading.bare_name(&field.value);
        let (name, through) = cut.map_or_else(
            || {
                let name = names::collapse(&field.value);
                names::without_via(&name).map_or_else(|| (name.clone(), None), |(bare, by)| (bare.to_owned(), Some(by)))
            },
            |cut| (cut.name, cut.through),
        );
        self.accept(Named { name, path: field.path.clone(), rule: cut_by.unwrap_or(rule), through }, issues)
    }

    /// The row's only text. Of a credit transfer it is what the payer wrote and no name.
    fn by_label(&self, found: Found, issues: &mut Vec<Issue>) -> Option<Named> {
        if is_credit_transfer(self.parsed) {
            return None;
        }
        if is_charge(&found.name) {
            return None;
        }
        let named = self.found(found, issues)?;
        issues.push(Issue::new("counterparty.from_label", "the name is the row's only text; no rule vouches for it"));
        Some(named)
    }

    fn found(&self, found: Found, issues: &mut Vec<Issue>) -> Option<Named> {
        let Found { name, path, rule, through, .. } = found;
        self.accept(Named { name, path, rule, through }, issues)
    }

    /// A name in the field of the role that the holder should have. Card refunds name the shop as creditor, so a credit may
    /// take it; a debit whose only name is the debtor's has the holder there, unless we know the holder to be another.
    fn by_other_role(&self, ours: &Party, issues: &mut Vec<Issue>) -> Option<Named> {
        let field = ours.name.as_ref()?;
        let may = match (self.own.name(), self.direction) {
            (Some(holder), _) => !names::share_a_word(holder, &field.value),
            (None, Direction::In) => !is_credit_transfer(self.parsed),
            (None, Direction::Out) => false,
        };
        if !may || self.own.is_at(ours) {
            issues.push(Issue::new("counterparty.only_holder_role", "the only name stands in the holder's own role"));
            return None;
        }
        let named = self.by_field(field, "party.other_role", issues)?;
        issues.push(Issue::new("counterparty.role_doubt", "the name stands in the field of the other role"));
        Some(named)
    }

    fn accept(&self, named: Named, issues: &mut Vec<Issue>) -> Option<Named> {
        if named.name.is_empty() {
            return None;
        }
        let Some(not) = self.is_not_other(&named.name) else { return Some(named) };
        let path = named.path;
        issues.push(match not {
            Not::Holder => Issue::new("counterparty.is_holder", format!("{path} names the holder")),
            Not::Bank => Issue::new("counterparty.is_bank", format!("{path} names the bank itself")),
            Not::Name => Issue::new("counterparty.no_name", format!("{path} has no name but marks or a number")),
        });
        None
    }

    fn is_not_other(&self, name: &str) -> Option<Not> {
        if names::is_no_name(name) {
            return Some(Not::Name);
        }
        if self.own.may_be_name(name) {
            return Some(Not::Holder);
        }
        names::is_one_of(name, &self.rules.own_names).then_some(Not::Bank)
    }
}

/// Whether a text says no more than what it is: a fee of the bank, or cash.
fn is_charge(text: &str) -> bool {
    let read = enrich(&Descriptor { text, ..Descriptor::default() });
    let paid_nobody = read.category.starts_with("fees.") || read.category.starts_with("transfer.cash");
    read.merchant.is_none() && read.evidence == Evidence::Words && paid_nobody
}

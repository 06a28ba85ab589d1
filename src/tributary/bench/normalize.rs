//! A page of a bank's JSON to finished transactions.

use bytes::Bytes;
use domain::records::{Holder, Normalized};

use super::page::{bare, page};
use super::parse::Reader;
use super::{Figure, Goal, against};

/// Rows of the small and of the large page.
const FEW: usize = 500;
const MANY: usize = 5_000;

/// The whole way of a row against the bare reader, and whether its time grows with the rows and not faster.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let reader = Reader::new()?;
    let finish = |page: &Bytes| finished(&reader, page);
    let (few, many) = (page(FEW), page(MANY));
    anyhow::ensure!(finish(&few).len() == FEW, "rows of the page were refused");
    let pair = against(rounds, || finish(&few).len(), || bare(&few).is_ok());
    let growth =
        against(rounds / 3 + 1, || finish(&many).len(), || (0..MANY / FEW).map(|_| finish(&few).len()).sum::<usize>());
    Ok(vec![
        Figure {
            name: "normalize",
            what: "500 rows of JSON to finished transactions, against serde_json into bare strings",
            value: pair.ratio(),
            unit: "×",
            goal: Goal::AtMost(4.0),
            beside: pair.beside(),
        },
        Figure {
            name: "normalize-growth",
            what: "one page of 5,000 rows, against ten of 500",
            value: growth.ratio(),
            unit: "×",
            goal: Goal::AtMost(1.25),
            beside: growth.beside(),
        },
    ])
}

/// The finished transactions of a page.
pub(super) fn finished(reader: &Reader, page: &Bytes) -> Vec<Normalized> {
    let holder = Holder { name: Some("Erika Beispiel".to_owned()), ..Holder::default() };
    let rows = reader.read(page).map(|answer| answer.rows).unwrap_or_default();
    let rules = &reader.profile().rules;
    rows.into_iter().filter_map(|row| ::normalize::transaction(&row.parsed, &holder, rules).ok()).collect()
}

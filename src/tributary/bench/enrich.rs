//! A descriptor to merchant and category.

use normalize::merchant::{Descriptor, enrich};

use super::{Figure, Goal, alone};

/// Descriptors as banks of many countries write them: `country|text`; `{n}` is a number.
const DESCRIPTORS: &str = include_str!("descriptors.txt");

/// Descriptors of one round.
const MANY: usize = 10_000;

/// Descriptors a second on one core, none of them twice in a round.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let shapes: Vec<(&str, &str)> = DESCRIPTORS.lines().filter_map(|line| line.split_once('|')).collect();
    anyhow::ensure!(!shapes.is_empty(), "there are no descriptors");
    let texts: Vec<(&str, String)> = (0..MANY)
        .map(|at| (shapes[at % shapes.len()], at))
        .map(|((country, text), at)| (country, text.replace("{n}", &(1000 + at).to_string())))
        .collect();
    let round = || {
        let read = |(country, text): &(&str, String)| {
            enrich(&Descriptor { text, country: Some(country), incoming: Some(false), ..Descriptor::default() }).catalog
        };
        texts.iter().filter(|text| read(text)).count()
    };
    let spent = alone(rounds, round);
    Ok(vec![Figure {
        name: "enrich",
        what: "descriptors to merchant and category, on one core",
        value: spent.a_second(MANY),
        unit: "/s",
        goal: Goal::AtLeast(100_000.0),
        beside: vec![("ours_us", spent.micros())],
    }])
}

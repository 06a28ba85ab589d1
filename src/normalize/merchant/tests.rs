use super::*;

fn read(text: &str, country: &str) -> Enriched {
    enrich(&Descriptor { text, country: Some(country), incoming: Some(false), ..Descriptor::default() })
}

#[test]
fn brands_are_found_behind_what_banks_write() {
    for (text, country, brand, category) in [
        ("KARTENZAHLUNG ROSSMANN 4711 HANNOVER", "DE", "Rossmann", "shopping.drugstore"),
        ("CARTE 07/08 DARTY 0815 CB*9999", "FR", "Darty", "shopping.electronics"),
        ("NETFLIX.COM AMSTERDAM", "NL", "Netflix", "entertainment.video"),
        ("RECIBO ENDESA ENERGIA SA", "ES", "Endesa", "utilities.energy"),
        ("PAYPAL *SPOTIFY", "GB", "Spotify", "entertainment.music"),
        ("BURGER KING 1917 OSLO", "NO", "Burger King", "eating_out.fast_food"),
        ("TESCO PHARMACY", "GB", "Tesco", "groceries.supermarket"),
        ("COSTCO GAS", "US", "Costco", "transport.fuel"),
    ] {
        let read = read(text, country);
        assert_eq!((read.merchant.as_deref(), read.catalog, read.category), (Some(brand), true, category), "{text}");
    }
}

#[test]
fn a_town_behind_a_brand_hides_no_brand() {
    for (text, brand) in [
        ("STARBUCKS LAKE FOREST CA", "Starbucks"),
        ("MCDONALDS VALLEY STREAM NY", "McDonald's"),
        ("WALMART LAKE CHARLES LA", "Walmart"),
        ("TARGET FALLS CHURCH VA", "Target"),
        ("SHELL LAKE WORTH", "Shell"),
        ("COSTCO LAKE ZURICH", "Costco"),
        ("SUBWAY CREEK RD", "Subway"),
    ] {
        assert_eq!(read(text, "US").merchant.as_deref(), Some(brand), "{text}");
    }
}

/// Houses that share a name and nothing else are told apart by the country that the row is from.
#[test]
fn one_name_of_several_houses_is_the_one_of_the_country() {
    let of = |text, country| read(text, country).wikidata;
    for (text, one, other) in [("NETTO 1234", "DK", "FR"), ("COOP 0815", "CH", "SE")] {
        assert!(of(text, one).is_some() && of(text, other).is_some(), "{text}");
        assert_ne!(of(text, one), of(text, other), "{text}");
    }
    // Two houses of this name stand in one country; only the one's longer name tells them apart.
    assert_eq!((of("NETTO 1234", "DE"), read("NETTO 1234", "DE").catalog), (None, true));
    assert_eq!(read("NETTO MARKEN-DISCOUNT 77 ULM", "DE").merchant.as_deref(), Some("Netto Marken-Discount"));
    assert!(of("NETTO MARKEN-DISCOUNT 77 ULM", "DE").is_some_and(|id| Some(id) != of("NETTO 1234", "DK")));
    // The one house of a name in the open catalogue may be at home elsewhere.
    for (text, country) in [("TARGET 0815", "US"), ("EVN ENERGIE", "AT"), ("NOVA", "IS")] {
        assert_eq!((of(text, country), read(text, country).catalog), (None, true), "{text}");
    }
    // A card that is used abroad pays the house that is at home there.
    assert_eq!(of("COLRUYT 4711 HALLE", "DE"), of("COLRUYT 4711 HALLE", "BE"));
    assert!(of("COLRUYT 4711 HALLE", "DE").is_some());
}

#[test]
fn a_name_of_three_letters_is_no_kind_of_payment() {
    assert_ne!(read("TRAN THI HOA", "US").category, "housing.service_charge");
    assert_eq!(read("LAKESIDE HOA DUES 2031", "US").category, "housing.service_charge");
}

#[test]
fn a_place_behind_a_lone_given_name_is_a_surname() {
    for (text, country) in [
        ("Giulia Palermo", "IT"),
        ("Elena Verona", "IT"),
        ("Lukas Wien", "AT"),
        ("INES COIMBRA", "PT"),
        ("PEDRO SEVILLA", "ES"),
        ("EMILY LINCOLN", "GB"),
        ("SARAH DALLAS", "US"),
        // A name that an airline or a bakery has as well.
        ("ANA COIMBRA", "PT"),
        ("ANA CAMPOS LISBOA", "PT"),
        ("PAUL LAVAL", "FR"),
        ("Paul Berlin", "DE"),
    ] {
        let read = read(text, country);
        assert_eq!((read.merchant.as_deref(), read.category), (None, "transfer.person"), "{text}");
    }
    // What says that a shop was paid makes it a town again.
    for text in ["CARTE 11/05 PAUL LAVAL", "PAUL  LAVAL", "PAUL LAVAL FR", "PRLV PAUL LAVAL"] {
        assert_eq!(read(text, "FR").merchant.as_deref(), Some("Paul"), "{text}");
    }
    let paid = Descriptor { text: "PAUL LAVAL", country: Some("FR"), ..Descriptor::default() };
    for paid in [
        Descriptor { card: true, ..paid },
        Descriptor { mandate: true, ..paid },
        Descriptor { mcc: Some("5462"), ..paid },
    ] {
        assert_eq!(enrich(&paid).merchant.as_deref(), Some("Paul"));
    }
    for (text, country, shop) in [
        ("NORMA DRESDEN", "DE", "Norma"),
        ("PENNY BREMEN", "DE", "Penny"),
        ("CONAD VERONA", "IT", "Conad"),
        ("ROSSMANN BREMEN", "DE", "Rossmann"),
    ] {
        assert_eq!(read(text, country).merchant.as_deref(), Some(shop), "{text}");
    }
    assert_eq!(read("PENNY BRADFORD", "GB").category, "transfer.person");
}

#[test]
fn whoever_is_paid_by_card_or_has_a_legal_form_is_no_person() {
    for (text, country, name) in [
        ("CARTE 12/05 CHEZ LUCIE", "FR", "Chez Lucie"),
        ("KARTENZAHLUNG LENA STERN", "DE", "Lena Stern"),
        ("Lena Stern GmbH", "DE", "Lena Stern"),
        ("RECIBO LENA ESTRELLA", "ES", "Lena Estrella"),
    ] {
        let read = read(text, country);
        assert_eq!((read.merchant.as_deref(), read.category), (Some(name), "other.uncategorised"), "{text}");
    }
    assert_eq!(read("LENA STERN", "DE").category, "transfer.person");
}

#[test]
fn a_place_behind_a_lone_trade_word_is_its_name() {
    for (text, country, name) in [
        ("PIZZERIA PALERMO", "IT", "Pizzeria Palermo"),
        ("HOTEL VENEZIA", "IT", "Hotel Venezia"),
        ("RISTORANTE VENEZIA VERONA", "IT", "Ristorante Venezia"),
        ("CAFE PRAHA", "CZ", "Cafe Praha"),
        ("CARTE 11/05 HOTEL LISBOA PARIS", "FR", "Hotel Lisboa"),
        ("RISTORANTE STELLINA VERONA", "IT", "Ristorante Stellina"),
    ] {
        let read = read(text, country);
        assert_eq!((read.merchant.as_deref(), read.catalog), (Some(name), false), "{text}");
    }
}

#[test]
fn a_brand_behind_a_lone_given_name_is_a_surname() {
    for (text, country) in
        [("Martina Rossmann", "DE"), ("JULIA FIELMANN", "DE"), ("Nils Lindex", "SE"), ("Marie Carrefour", "FR")]
    {
        let person = read(text, country);
        assert_eq!((person.merchant.as_deref(), person.category), (None, "transfer.person"), "{text}");
        for (front, behind) in [("KARTENZAHLUNG ", ""), ("", " AG"), ("LASTSCHRIFT ", "")] {
            assert!(read(&format!("{front}{text}{behind}"), country).catalog, "{front}{text}{behind}");
        }
        let paid = Descriptor { text, country: Some(country), card: true, ..Descriptor::default() };
        assert!(enrich(&paid).catalog, "{text}");
    }
    for (text, country) in [("John Lewis", "GB"), ("Albert Heijn", "NL"), ("Jan Linders", "NL")] {
        assert_eq!(read(text, country).merchant.as_deref(), Some(text));
    }
}

#[test]
fn an_ordinary_word_before_another_and_a_legal_form_is_another_house() {
    for (text, country) in [
        ("Total Trockenbau GmbH", "DE"),
        ("SHELL CARRELAGE SARL", "FR"),
        ("Jet Metallbau GmbH", "DE"),
        ("Next Horizon Ltd", "GB"),
        ("EXTRA MALERI AS", "NO"),
        ("Action Kegel Verein", "DE"),
        ("United Baptist Church", "US"),
        ("STAR 0815", "US"),
    ] {
        let read = read(text, country);
        assert!(!read.catalog, "{text}: {read:?}");
    }
    for (text, country, brand) in [
        ("SHELL DEUTSCHLAND GMBH", "DE", "Shell"),
        ("TOTAL TANKSTELLE 0815 GMBH", "DE", "TotalEnergies"),
        ("MCFIT GLOBAL GROUP GMBH", "DE", "McFit"),
        ("STAR TANKSTELLE 0815", "DE", "Star"),
        ("NEXT PLC", "GB", "Next"),
    ] {
        assert_eq!(read(text, country).merchant.as_deref(), Some(brand), "{text}");
    }
}

#[test]
fn near_misses_get_no_brand() {
    for (text, country) in [
        ("MR P TESCO BIRTHDAY", "GB"),
        ("SHELLFISH SHACK WHITBY", "GB"),
        ("ALDINE PLUMBING LTD", "GB"),
        ("GELDAUTOMAT LIDL 03.04. KIEL", "DE"),
        ("MONTHLY ACCOUNT FEE", "GB"),
        ("SATURN APOTHEKE ULM", "DE"),
        ("BOSS PIZZA", "US"),
        ("ORANGE COUNTY DMV", "US"),
        ("THE SHELL HOUSE", "GB"),
        ("EDEKA BANK", "DE"),
        ("PUMA TAXI", "DE"),
        ("FORD BAKERY", "US"),
        ("DOUGLAS COUNTY CLERK", "US"),
    ] {
        let read = read(text, country);
        assert!(!read.catalog, "{text}: {read:?}");
    }
}

#[test]
fn local_shops_keep_a_cleaned_name() {
    let read = read("SUMUP *ELMTREE BAKERY", "GB");
    assert_eq!((read.merchant.as_deref(), read.via.as_deref()), (Some("Elmtree Bakery"), Some("SUMUP")));
    assert_eq!((read.catalog, read.category), (false, "groceries.specialist"));
}

#[test]
fn every_category_is_of_the_taxonomy() {
    let taxonomy = include_str!("../data/taxonomy.json");
    let own = include_str!("../data/brands_own.txt").lines().chain(include_str!("../data/brands_open.txt").lines());
    let own = own.filter(|line| line.starts_with('[') && !line.contains('|')).map(|line| line.trim_matches(['[', ']']));
    let phrases = include_str!("../data/phrases.txt").lines().filter(|line| line.starts_with('['));
    let phrases = phrases.filter_map(|line| line.trim_matches(['[', ']']).split(' ').nth(1));
    for category in own.filter_map(|head| head.split(' ').next()).chain(phrases) {
        assert!(category.is_empty() || taxonomy.contains(&format!("\"{category}\"")), "{category}");
    }
}

/// One line of `descriptors.txt`.
struct Line {
    text: &'static str,
    country: &'static str,
    incoming: bool,
    mcc: Option<&'static str>,
    kind: &'static str,
    names: Vec<String>,
    categories: Vec<&'static str>,
}

fn table() -> Vec<Line> {
    let line = |line: &'static str| {
        let field: Vec<&'static str> = line.split('|').collect();
        Line {
            country: field[0],
            incoming: field[1] == "+",
            mcc: Some(field[2]).filter(|code| !code.is_empty()),
            text: field[3],
            kind: field[4],
            names: field[5].split(';').filter(|name| !name.is_empty()).map(folded).collect(),
            categories: field[6].split(',').filter(|category| !category.is_empty()).collect(),
        }
    };
    include_str!("descriptors.txt").lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn folded(name: &str) -> String {
    let words = words::words(name);
    words.joined(0..words.len()).to_owned()
}

/// Counts of a run over the table, and of how often each confidence was right.
#[derive(Default, Debug)]
struct Tally {
    brands: usize,
    right: usize,
    wrong: usize,
    others: usize,
    falsely: usize,
    rows: usize,
    categories: usize,
    /// Tenths of confidence: rows and right rows.
    bins: std::collections::BTreeMap<u8, (usize, usize)>,
}

/// Descriptors of banks, brands and countries. Most were written apart from the rules, and rules were mended where they
/// failed on them; the last rows, from `CONAD ROMA` on, came together with the rules that they show. So the counts say that
/// nothing gets worse, not how well unseen rows are read. Counted, not read one by one: a rule that mends one row and breaks
/// two others turns this red.
#[allow(clippy::float_arithmetic, reason = "a confidence is an estimate, not money")]
#[test]
fn a_table_of_descriptors_is_read_as_well_as_lenders_need() {
    let mut tally = Tally::default();
    for line in table() {
        let read = enrich(&Descriptor {
            text: line.text,
            country: Some(line.country),
            mcc: line.mcc,
            incoming: Some(line.incoming),
            ..Descriptor::default()
        });
        let named = read.merchant.as_deref().map(folded);
        let is_right = read.catalog && named.is_some_and(|name| line.names.contains(&name));
        if line.kind == "B" {
            tally.brands += 1;
            tally.right += usize::from(is_right);
            tally.wrong += usize::from(read.catalog && !is_right);
        } else {
            tally.others += 1;
            tally.falsely += usize::from(read.catalog && !is_right);
        }
        let is_category = line.categories.is_empty() || line.categories.contains(&read.category);
        let has_category = !line.categories.is_empty();
        tally.rows += usize::from(has_category);
        tally.categories += usize::from(has_category && is_category);
        let all_right = is_category && if line.kind == "B" { is_right } else { !read.catalog };
        let bin = tally.bins.entry((read.confidence * 10.0).clamp(0.0, 9.0) as u8).or_default();
        *bin = (bin.0 + 1, bin.1 + usize::from(all_right));
    }
    println!("{tally:?}");
    let named = tally.right + tally.wrong + tally.falsely;
    assert!(tally.right * 100 >= named * 97, "precision {}/{named}", tally.right);
    assert!(tally.right * 100 >= tally.brands * 95, "recall {}/{}", tally.right, tally.brands);
    assert!(tally.falsely * 100 <= tally.others * 2, "false brands {}/{}", tally.falsely, tally.others);
    assert!(tally.categories * 100 >= tally.rows * 93, "categories {}/{}", tally.categories, tally.rows);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,80}", country in "[A-Z]{2}") {
        let once = read(&text, &country);
        proptest::prop_assert_eq!(&once, &read(&text, &country));
        proptest::prop_assert!((0.0..=1.0).contains(&once.confidence));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures the machine itself")]
#[ignore = "a measurement, for release builds"]
fn speed() {
    let text = "KARTENZAHLUNG 03.04. ROSSMANN FIL 4711 HANNOVER DE APPLE PAY";
    assert!(read(text, "DE").catalog);
    let rows = 200_000_u32;
    let begin = std::time::Instant::now();
    for _ in 0..rows {
        std::hint::black_box(read(std::hint::black_box(text), "DE"));
    }
    let rate = f64::from(rows) / begin.elapsed().as_secs_f64();
    assert!(rate > 100_000.0, "{rate:.0} descriptors a second");
}

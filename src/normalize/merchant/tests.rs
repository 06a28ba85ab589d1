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
    ] {
        let read = read(text, country);
        assert_eq!((read.merchant.as_deref(), read.catalog, read.category), (Some(brand), true, category), "{text}");
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

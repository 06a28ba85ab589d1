//! Reading by paths.

use super::*;
use proptest::prelude::*;

/// JSON text of any shape, some of it with numbers, some deeper than is read.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-12.50".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        "[ -~äß€]{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(11, 48, 4, |inner| {
        let member = ("[a-c]", inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn one_pass_reads_what_value_by_value_reads(json in json()) {
        let Ok(raw) = serde_json::from_str::<&RawValue>(&json) else { return Ok(()) };
        prop_assert_eq!(Node::of(raw), Node::read(raw, 0));
    }

    #[test]
    fn rows_that_are_read_on_the_way_are_the_rows_and_keep_their_bytes(rows in proptest::collection::vec(json(), 0..4)) {
        let answer = format!("[ {} ]", rows.join(" ,\n"));
        let Ok(raws) = serde_json::from_str::<Vec<&RawValue>>(&answer) else { return Ok(()) };
        let Some(found) = on_the_way(&answer) else {
            let odd = |raw: &&RawValue| !raw.get().starts_with('{') || raw.get() == "{}" || raw.get().contains(['-', '\\']);
            prop_assert!(raws.iter().any(odd), "{answer}");
            return Ok(());
        };
        prop_assert_eq!(found.len(), raws.len());
        for ((parsed, text), raw) in found.into_iter().zip(raws) {
            prop_assert_eq!(text, raw.get());
            prop_assert!(parsed == transaction(raw, List::Booked, &LAYOUT));
        }
    }
}

/// Names that rows of any shape have.
const LAYOUT: Layout =
    Layout { status: paths!["a"], amount: paths!["b.a"], additional: paths!["c", "b"], ..Layout::NONE };

/// The rows of a list and their texts, where they can be read on the way.
fn on_the_way(answer: &str) -> Option<Vec<(Parsed, &str)>> {
    let mut json = serde_json::Deserializer::from_str(answer);
    let texts = std::cell::RefCell::new(Vec::new());
    let rows = on_the_way::read(&mut json, &LAYOUT).ok()?.finish(List::Booked, answer, |_, text| {
        texts.borrow_mut().push(text);
        Some(())
    });
    Some(rows?.into_iter().map(|row| *row.parsed).zip(texts.into_inner()).collect())
}

#[test]
fn the_bytes_of_a_row_are_told_with_any_blanks_and_braces_inside() {
    for rows in [
        vec!["{\"a\":\"}{,\"}"],
        vec!["{ \n \"{a\" : {\"b\":{}} \t }", "{\"\":[{}]}"],
        vec![r#"{"a":"x","\u0062":[{}]}"#, r#"{"b":null}"#, r#"{"b":"\""}"#],
    ] {
        let answer = format!(" [\t{} \r\n]", rows.join(" \n, "));
        let texts: Vec<&str> = on_the_way(&answer).unwrap().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, rows);
    }
    for odd in ["[{}]", "[[]]", "[3]", "[null]", r#"["text"]"#, r#"[{"\u0061":"b"}]"#, r#"[{"a":1}]"#, "3"] {
        assert!(on_the_way(odd).is_none(), "{odd}");
    }
    let elsewhere = r#"[{"a":"b"}]"#.to_owned();
    let found = on_the_way::read(&mut serde_json::Deserializer::from_str(&elsewhere), &LAYOUT).unwrap();
    assert!(found.finish(List::Booked, "another text", |_, _| Some(())).is_none());
}

#[test]
fn texts_are_unescaped_and_numbers_keep_their_token() {
    let raw: Box<RawValue> =
        serde_json::from_str(r#"{"a":"x\u00e4\"","b":{"a":-12.50},"c":["\\","\ud800",7]}"#).unwrap();
    let parsed = transaction(&raw, List::Booked, &LAYOUT);
    assert_eq!(parsed.status.unwrap().value, "xä\"");
    assert_eq!((parsed.amount.unwrap().value.as_str(), parsed.amount_is_number), ("-12.50", true));
    assert_eq!(parsed.additional.iter().map(|text| text.value.as_str()).collect::<Vec<_>>(), ["\\", "7"]);
}

#[test]
fn a_member_that_stands_twice_is_told() {
    for (json, told) in [
        (r#"{"a":"1","b":{"a":"2"}}"#, false),
        (r#"{"a":"1","a":"1"}"#, true),
        (r#"{"a":1,"b":[{"c":"2","c":"3"}]}"#, true),
    ] {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        let issues = Reader::new(&raw).issues;
        assert_eq!(issues.iter().any(|issue| issue.code == "row.repeated_member"), told, "{json}");
    }
}

#[test]
fn a_path_leads_to_the_last_of_repeated_members() {
    let raw: Box<RawValue> = serde_json::from_str(r#"{"a":{"b":"1"},"a":{"b":"2","c.d":"3"},"e":"4"}"#).unwrap();
    let node = Node::of(&raw);
    let text = |path: &str| match node.at(&Path::new(path)) {
        Some(Node::Text(text)) => Some((*text).to_owned()),
        _ => None,
    };
    assert_eq!((text("a.b").as_deref(), text("e").as_deref()), (Some("2"), Some("4")));
    assert_eq!((text("a.c.d"), text("e.f"), text("a")), (None, None, None));
}

#[test]
fn an_element_of_a_list_is_found_by_place_or_by_a_member() {
    let json = r#"{"l":[{"k":"UK.OBIE.IBAN","v":"1"},{"k":"x","v":"2","t":true}],"s":"no list"}"#;
    let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
    let node = Node::of(&raw);
    let text = |path: &str| match node.at(&Path::new(path)) {
        Some(Node::Text(text)) => Some((*text).to_owned()),
        _ => None,
    };
    assert_eq!(text("l[k=UK.OBIE.IBAN].v").as_deref(), Some("1"));
    assert_eq!((text("l[1].v").as_deref(), text("l[t=true].k").as_deref()), (Some("2"), Some("x")));
    assert_eq!((text("l[2].v"), text("l[k=y].v"), text("s[0].v"), text("l[k=x")), (None, None, None, None));
}

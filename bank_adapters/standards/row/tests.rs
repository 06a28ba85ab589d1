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
        Some(Node::Text(text)) => Some(text.to_string()),
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
        Some(Node::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    assert_eq!(text("l[k=UK.OBIE.IBAN].v").as_deref(), Some("1"));
    assert_eq!((text("l[1].v").as_deref(), text("l[t=true].k").as_deref()), (Some("2"), Some("x")));
    assert_eq!((text("l[2].v"), text("l[k=y].v"), text("s[0].v"), text("l[k=x")), (None, None, None, None));
}

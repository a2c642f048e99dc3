use super::*;
use crate::indexer::IndexSet;
use crate::object::Object;
use proptest::prelude::*;
use serde_json::{Value, json};

fn keys(value: &Value, expressions: &[&str]) -> Vec<IndexKey> {
    let mut value = value.clone();
    value["metadata"]["name"] = json!("x");
    let object = Object::from_value(&value).unwrap();
    let indexes = IndexSet::new(expressions.iter().copied()).unwrap();
    indexes
        .keys(&object)
        .primary()
        .map(KeyRef::to_key)
        .collect()
}

#[test]
fn every_kind_of_value_is_a_component() {
    let value = json!({"s": {"text": "a/b", "port": 8080, "pi": 3.25, "big": u64::MAX, "neg": -1, "yes": true, "no": false,
        "null": null, "list": [1, "b"], "map": {"k": [null]}, "empty": "", "none": []}});
    for (path, expected) in [
        ("s.text", "a/b"),
        ("s.port", "8080"),
        ("s.pi", "3.25"),
        ("s.big", "18446744073709551615"),
        ("s.neg", "-1"),
        ("s.yes", "true"),
        ("s.no", "false"),
        ("s.null", ""),
        ("s.absent", ""),
        ("s.absent.deeper", ""),
        ("s.empty", ""),
        ("s.list", r#"[1,"b"]"#),
        ("s.map", r#"{"k":[null]}"#),
        ("s.none", "[]"),
        ("s.none[*]", ""),
        ("s.list[0]", "1"),
    ] {
        assert_eq!(
            keys(&value, &[path]),
            [IndexKey::from([expected])],
            "{path}"
        );
    }
}

#[test]
fn components_are_not_joined() {
    let one = keys(&json!({"a": "a/b", "b": "c"}), &["a", "b"]);
    let other = keys(&json!({"a": "a", "b": "b/c"}), &["a", "b"]);
    assert_ne!(one, other);
    assert_eq!(one[0], ["a/b", "c"]);
}

#[test]
fn an_expression_with_many_values_gives_a_key_for_each_combination() {
    let value = json!({"n": "ns", "h": ["a", "b", "a", null], "p": [1, 2]});
    let found = keys(&value, &["n", "h[*]", "p[*]"]);
    let expected: Vec<IndexKey> = [
        ["ns", "a", "1"],
        ["ns", "a", "2"],
        ["ns", "b", "1"],
        ["ns", "b", "2"],
        ["ns", "", "1"],
        ["ns", "", "2"],
    ]
    .map(IndexKey::from)
    .into();
    assert_eq!(found, expected);
}

#[test]
fn the_number_of_keys_is_bounded_and_the_object_stays_indexed() {
    let many: Vec<_> = (0..100).collect();
    let value = json!({"metadata": {"name": "x"}, "a": many, "b": many, "huge": (0..2000).collect::<Vec<_>>()});
    let object = Object::from_value(&value).unwrap();
    for expressions in [&["a[*]", "b[*]"][..], &["huge[*]"]] {
        let keys = IndexSet::new(expressions.iter().copied())
            .unwrap()
            .keys(&object);
        assert_eq!(keys.primary().count(), MAX_KEYS_PER_OBJECT);
        assert!(keys.is_truncated());
    }
    let keys = IndexSet::new(["a[*]"]).unwrap().keys(&object);
    assert_eq!((keys.primary().count(), keys.is_truncated()), (100, false));
}

#[test]
fn a_large_value_is_not_repeated_in_thousands_of_keys() {
    let value = json!({"metadata": {"name": "x"}, "large": "l".repeat(700_000), "h": (0..1000).collect::<Vec<_>>(),
        "mixed": ["m".repeat(700_000), "b", "c", "d"]});
    let object = Object::from_value(&value).unwrap();
    for expressions in [
        &["large", "h[*]"][..],
        &["h[*]", "large"],
        &["h[*]", "mixed[*]"],
    ] {
        let keys = IndexSet::new(expressions.iter().copied())
            .unwrap()
            .keys(&object);
        let lengths = keys.primary().skip(1).flat_map(KeyRef::components);
        let bytes: usize = lengths.map(str::len).sum();
        assert!(
            bytes <= MAX_KEY_BYTES_PER_OBJECT,
            "{expressions:?}: {bytes}"
        );
        assert!(keys.primary().count() >= 1 && keys.is_truncated());
    }
    // A single key is as long as its values are.
    let keys = IndexSet::new(["large", "large", "large"])
        .unwrap()
        .keys(&object);
    assert!(!keys.is_truncated());
    assert!(
        keys.primary()
            .all(|key| key.components().all(|component| component.len() == 700_000))
    );
}

#[test]
fn one_large_value_does_not_drop_the_short_ones_beside_it() {
    let large = "l".repeat(200 * 1024);
    let short: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    for position in [0, 10, 20] {
        let mut values = short.clone();
        values.insert(position, large.clone());
        let value = json!({"metadata": {"name": "x"}, "l": values});
        let object = Object::from_value(&value).unwrap();
        let keys = IndexSet::new(["l[*]"]).unwrap().keys(&object);
        assert_eq!((keys.primary().count(), keys.is_truncated()), (21, false));
    }
}

proptest! {
    #[test]
    fn a_number_is_the_text_that_serde_json_prints(text in r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
        let json = format!(r#"{{"metadata":{{"name":"x"}},"n":{text},"l":[{text}]}}"#);
        let value: Value = serde_json::from_str(&json).unwrap();
        let object = Object::from_json(json.as_bytes()).unwrap();
        let keys = IndexSet::new(["n"]).unwrap().with("l", ["l[*]"]).unwrap().keys(&object);
        let expected = value["n"].to_string();
        for index in 0..2 {
            prop_assert!(keys.of(index).eq([[expected.as_str()]]));
        }
    }
}

#[test]
fn each_index_has_its_own_keys() {
    let object = Object::from_value(&json!({"metadata": {"name": "x", "namespace": "n"}, "h": ["a", "b"], "long": "l".repeat(300)}))
        .unwrap();
    let indexes = IndexSet::new(["metadata.namespace", "metadata.name"])
        .unwrap()
        .with("host", ["h[*]"])
        .unwrap()
        .with("long", ["long"])
        .unwrap();
    let keys = indexes.keys(&object);
    let of = |index| keys.of(index).map(KeyRef::to_key).collect::<Vec<_>>();
    assert_eq!(of(0), [IndexKey::from(["n", "x"])]);
    assert_eq!(of(1), [IndexKey::from(["a"]), IndexKey::from(["b"])]);
    assert_eq!(of(2), [IndexKey::from(["l".repeat(300)])]);
    assert!(of(3).is_empty());
}

//! The process's table of recurring strings, which needs a process of its own: what one test puts into it, all others find.

use kubedex::Object;
use kubedex::indexer::{IndexSet, Indexer};

#[path = "../benches/support/mod.rs"]
mod support;

use support::data::Objects;

/// Decodes realistic objects and gives the bytes of tapes per 100 bytes of filtered JSON.
fn percent_of_text(seed: u64) -> usize {
    let indexes = IndexSet::new(["metadata.name"]).unwrap();
    let indexer = Indexer::new(indexes, ["metadata.managedFields"], None).unwrap();
    let (mut tapes, mut texts) = (0, 0);
    for json in Objects::new(seed).mixed(3000) {
        let indexed = indexer.decode(json.as_bytes(), None).unwrap();
        let object = indexed.record.object();
        tapes += object.heap_size();
        texts += object.to_json().len();
    }
    tapes * 100 / texts
}

/// The same text as a string in place and as a symbol.
fn a_string_is_the_same_whether_it_became_a_symbol_or_not() {
    let json = r#"{"metadata":{"name":"recurring-name"},"a-key":["recurring-value"]}"#;
    let objects: Vec<Object> = (0..10)
        .map(|_| Object::from_json(json.as_bytes()).unwrap())
        .collect();
    // The first was written before its strings recurred.
    assert!(objects[0].heap_size() > objects[9].heap_size());
    for other in &objects {
        assert!(objects[0] == *other && objects[0].same_content(other));
        assert_eq!(objects[0].content_hash(), other.content_hash());
        assert_eq!(other.name(), "recurring-name");
        assert_eq!(other.to_value(), objects[0].to_value());
    }
}

#[test]
fn millions_of_distinct_strings_neither_leak_nor_spoil_what_is_there() {
    a_string_is_the_same_whether_it_became_a_symbol_or_not();
    let before = percent_of_text(1);
    assert!(before < 45, "objects take {before} % of their text");
    let early = Object::from_json(br#"{"metadata":{"name":"early"},"key-of-early":"x"}"#).unwrap();

    let resident = support::process::resident_bytes();
    let mut json = String::new();
    for number in 0..200_000 {
        use std::fmt::Write;
        json.clear();
        write!(json, r#"{{"metadata":{{"name":"n-{number}","labels":{{"#).unwrap();
        for label in 0..5 {
            let comma = if label == 0 { "" } else { "," };
            write!(
                json,
                r#"{comma}"churn.example.com/label-{number}-{label}":"value-{number}-{label}""#
            )
            .unwrap();
        }
        json.push_str("}}}");
        // Twice, as an update sends it again, so that all of it recurs.
        for _ in 0..2 {
            let object = Object::from_json(json.as_bytes()).unwrap();
            if number % 1000 == 0 {
                let expected: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!(object.to_value(), expected);
                let key = format!("churn.example.com/label-{number}-4");
                assert_eq!(object.label(&key), Some(&*format!("value-{number}-4")));
            }
        }
    }
    let grown = support::process::resident_bytes().saturating_sub(resident);
    assert!(
        grown < 8 << 20,
        "two million strings left {grown} bytes behind"
    );

    // What was known before still is; objects stay as compact as they were, and what came early reads as it did.
    let after = percent_of_text(1);
    assert!(
        after <= before + 3,
        "objects take {after} % of their text, and took {before} %"
    );
    assert_eq!(
        early.root().get("key-of-early").unwrap().as_str(),
        Some("x")
    );
}

//! What must hold of any input, for the fuzzer's targets and for the tests that replay its corpus: nothing panics, however a
//! body is cut, the same comes out of it, and what is read is what `serde_json` reads.

// Each target is a program of its own and uses one of these.
#![allow(dead_code)]

use kubedex::Object;
use kubedex::indexer::{MAX_EXPRESSION_BYTES, PathExpression, validate_jsonpath};
use kubedex::object::ValueRef;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// How large the pieces are in which a body arrives.
const PIECES: [usize; 4] = [1, 2, 7, usize::MAX];

/// The body of a watch.
pub(crate) fn watch_body(data: &[u8]) {
    let [first, rest @ ..] = PIECES.map(|size| kubedex::watcher::fuzzing::watch_body(data, size));
    for other in rest {
        assert_eq!(first, other);
    }
    let lines: Vec<&[u8]> = data
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .collect();
    assert_eq!(first.len(), lines.len());
    for (read, line) in first.iter().zip(lines) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(line) else {
            assert!(read.is_none(), "an event that serde_json does not read");
            continue;
        };
        let object = match event.kind {
            "ADDED" | "MODIFIED" | "DELETED" => Some(event.object.get().as_bytes()),
            _ => None,
        };
        if let Some(object) = object {
            assert_eq!(read.as_deref(), Some(object));
        }
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The body of a list.
pub(crate) fn list_body(data: &[u8]) {
    let [first, rest @ ..] = PIECES.map(|size| kubedex::watcher::fuzzing::list_body(data, size));
    for other in rest {
        assert_eq!(first, other);
    }
    // A key may be written with escapes, which no server does and the framer does not read.
    if data.windows(2).any(|pair| pair == br"\u") {
        return;
    }
    let Ok(List { items }) = serde_json::from_slice::<List<'_>>(data) else {
        return;
    };
    // serde_json reads an array as the fields of a struct, too.
    if data.trim_ascii().first() != Some(&b'{') {
        return;
    }
    if items.iter().any(|item| !item.get().starts_with('{')) {
        assert!(first.is_err());
        return;
    }
    let Ok((found, envelope)) = first else {
        panic!("a list that serde_json reads is refused");
    };
    let expected: Vec<&[u8]> = items.iter().map(|item| item.get().as_bytes()).collect();
    assert_eq!(found, expected);
    let mut whole: Value = match serde_json::from_slice(data) {
        Ok(whole) => whole,
        // A number is out of range.
        Err(_) => return,
    };
    whole["items"] = Value::Array(Vec::new());
    assert_eq!(serde_json::from_slice::<Value>(&envelope).ok(), Some(whole));
}

/// A list with `items` once.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The text of an object.
pub(crate) fn object(data: &[u8]) {
    let expected: Result<Value, _> = serde_json::from_slice(data);
    match (Object::from_json(data), expected) {
        (Ok(object), Ok(expected)) => {
            assert_eq!(object.to_value(), expected);
            let reread: Result<Value, _> = serde_json::from_str(&object.to_json());
            // Without its feature float_roundtrip, serde_json may read a float's own text as the float beside it.
            let again: Result<Value, _> = serde_json::from_str(&expected.to_string());
            assert_eq!(reread.ok(), again.ok());
            assert_eq!(object.parse::<Value>().ok().as_ref(), Some(&expected));
            let copy = Object::from_value(&expected).expect("what was read can be read");
            assert!(copy == object && copy.same_content(&object));
            assert_eq!(copy.content_hash(), object.content_hash());
            same(object.root(), &expected);
            let name = expected.pointer("/metadata/name").and_then(Value::as_str);
            assert_eq!(Some(object.name()), name);
            let _debug = format!("{object:?}");
        }
        (Err(error), Ok(expected)) => {
            let name = expected.pointer("/metadata/name").and_then(Value::as_str);
            assert!(
                error.is_nameless() && name.unwrap_or_default().is_empty(),
                "{error}"
            );
        }
        (Ok(_), Err(error)) => panic!("serde_json says: {error}"),
        (Err(error), Err(_)) => {
            let position = error.position().expect("it stands somewhere");
            assert!(position.offset <= data.len());
        }
    }
}

fn same(one: ValueRef<'_>, other: &Value) {
    assert_eq!(one.is_null(), other.is_null());
    assert_eq!(one.as_bool(), other.as_bool());
    assert_eq!(one.as_i64(), other.as_i64());
    assert_eq!(one.as_u64(), other.as_u64());
    assert_eq!(one.as_f64(), other.as_f64());
    assert_eq!(one.as_str(), other.as_str());
    assert_eq!(one.items().count(), other.as_array().map_or(0, Vec::len));
    let entries = other.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(one.entries().count(), entries);
    for (index, other) in other.as_array().into_iter().flatten().enumerate() {
        same(one.at(index).expect("an item"), other);
    }
    for (key, other) in other.as_object().into_iter().flatten() {
        same(one.get(key).expect("an entry"), other);
    }
}

/// What paths are tried on.
const OBJECT: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","labels":{"app":"x","a.b/c":"y"}},
    "spec":{"a":[{"b":1,"c":"x"},{"b":2.5,"c":["y",null,true]}],"b":{"a":{"c":"z"}},"c":"length"}}"#;

/// A path expression.
pub(crate) fn path(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = PathExpression::parse(source);
    assert_eq!(parsed.is_ok(), validate_jsonpath(source).is_ok());
    let path = match parsed {
        Ok(path) => path,
        Err(error) => {
            assert!(error.position() <= source.len() + 1, "{error}");
            return;
        }
    };
    assert_eq!(path.as_str(), source);
    let object = Object::from_json(OBJECT.as_bytes()).expect("an object");
    let found = |path: &PathExpression| -> Vec<Value> {
        let found = path.find(object.root());
        found.iter().map(ValueRef::to_value).collect()
    };
    let values = found(&path);
    assert!(!path.is_definite() || values.len() <= 1);
    if path.normalised().len() > MAX_EXPRESSION_BYTES {
        return;
    }
    let again = PathExpression::parse(path.normalised());
    let again = again.unwrap_or_else(|error| panic!("the normal form of {source:?}: {error}"));
    assert_eq!(
        again.normalised(),
        path.normalised(),
        "the normal form of {source:?}"
    );
    assert!(again == path && again.is_definite() == path.is_definite());
    assert_eq!(found(&again), values);
}

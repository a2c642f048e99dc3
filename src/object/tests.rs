//! The laws of an object: it says what `serde_json` reads from the same text, whatever the text.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[path = "../../benches/support/data.rs"]
#[allow(dead_code)]
mod data;
mod typed;

fn object(json: &str) -> Object {
    Object::from_json(json.as_bytes()).unwrap()
}

fn decode(json: &str, mask: &Mask, type_meta: Option<&(Box<str>, Box<str>)>) -> Object {
    let options = DecodeOptions {
        mask: Some(mask),
        type_meta,
    };
    Object::decode(json.as_bytes(), options).unwrap()
}

fn with(body: &str) -> String {
    format!(r#"{{"metadata":{{"name":"x"}},"body":{body}}}"#)
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        (-300i64..300).prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        any::<f32>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        Just("-0".to_owned()),
        Just("-0.0".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("-9223372036854775809".to_owned()),
        Just("-9223372036854775808".to_owned()),
    ]
}

/// A string as it may stand in JSON text, quotes included.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z./-]{1,12}",
        2 => "[^\\x00-\\x1f\"\\\\]{1,4}",
        1 => "\\\\[\"\\\\/bfnrt]",
        1 => any::<char>().prop_map(|character| {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
        }),
        1 => "[a-zA-Z0-9]{60,140}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\"[a-f]\"",
        1 => Just("\"\\u0061\"".to_owned()),
        1 => Just("\"metadata\"".to_owned()),
        1 => Just("\"resourceVersion\"".to_owned()),
        2 => string(),
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\n\t\r ")]
}

/// Any JSON text, with duplicate keys, escapes and space.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(str::to_owned),
        number(),
        string(),
    ];
    leaf.prop_recursive(6, 96, 12, |inner| {
        let item = (space(), inner.clone(), space());
        let entry = (space(), key(), space(), space(), inner, space());
        prop_oneof![
            prop::collection::vec(item, 0..12).prop_map(|items| {
                let items: Vec<String> = items
                    .into_iter()
                    .map(|(before, item, after)| format!("{before}{item}{after}"))
                    .collect();
                format!("[{}]", items.join(","))
            }),
            prop::collection::vec(entry, 0..12).prop_map(|entries| {
                let entries: Vec<String> = entries
                    .into_iter()
                    .map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// Any JSON text that has no numbers out of range.
fn valid_document() -> impl Strategy<Value = String> {
    document().prop_filter("a number is out of range", |text| {
        serde_json::from_str::<Value>(text).is_ok()
    })
}

/// Reads a text both ways; both must refuse it, or both give the same.
fn agree(json: &[u8]) -> Result<(), TestCaseError> {
    let expected: Result<Value, _> = serde_json::from_slice(json);
    match (Object::from_json(json), expected) {
        (Ok(object), Ok(expected)) => {
            prop_assert_eq!(&object.to_value(), &expected);
            prop_assert_eq!(object.root().len(), expected.as_object().unwrap().len());
            // Without its feature float_roundtrip, serde_json may read a float's own text as the float beside it.
            prop_assert_eq!(value(&object.to_json()), value(&expected.to_string()));
            prop_assert_eq!(&serde_json::to_value(&object).unwrap(), &expected);
            prop_assert_eq!(&object.parse::<Value>().unwrap(), &expected);
            let copy = Object::from_value(&expected).unwrap();
            prop_assert!(copy == object);
            prop_assert_eq!(copy.content_hash(), object.content_hash());
            same_reading(object.root(), &expected)?;
        }
        (Err(error), Ok(expected)) => {
            let name = expected.pointer("/metadata/name").and_then(Value::as_str);
            prop_assert!(
                error.is_nameless() && name.unwrap_or_default().is_empty(),
                "{}",
                error
            );
        }
        (Ok(_), Err(error)) => prop_assert!(false, "serde_json says: {}", error),
        (Err(error), Err(_)) => {
            prop_assert!(error.position().unwrap().offset <= json.len());
        }
    }
    Ok(())
}

/// The whole reading interface against `Value`'s.
fn same_reading(one: ValueRef<'_>, other: &Value) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.is_null(), other.is_null());
    prop_assert_eq!(one.as_bool(), other.as_bool());
    prop_assert_eq!(one.as_i64(), other.as_i64());
    prop_assert_eq!(one.as_u64(), other.as_u64());
    prop_assert_eq!(one.as_f64(), other.as_f64());
    prop_assert_eq!(one.as_number(), other.as_number().cloned());
    prop_assert_eq!(one.as_str(), other.as_str());
    prop_assert_eq!(one.items().count(), other.as_array().map_or(0, Vec::len));
    prop_assert_eq!(
        one.entries().count(),
        other.as_object().map_or(0, serde_json::Map::len)
    );
    for (index, other) in other.as_array().into_iter().flatten().enumerate() {
        same_reading(one.at(index).unwrap(), other)?;
    }
    for (key, other) in other.as_object().into_iter().flatten() {
        same_reading(one.get(key).unwrap(), other)?;
        prop_assert!(one.get_key(&Key::new(key)).unwrap() == one.get(key).unwrap());
    }
    prop_assert!(one.get("no such key").is_none());
    Ok(())
}

/// Content as it was defined, the slow way.
fn content(object: &Object) -> Value {
    let mut value = object.to_value();
    let metadata = value.get_mut("metadata").unwrap().as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("managedFields");
    value
}

fn steps() -> impl Strategy<Value = Vec<MaskStep>> {
    let step = prop_oneof![
        4 => "[a-f]".prop_map(|key| MaskStep::Key(key.into())),
        1 => Just(MaskStep::Key("body".into())),
        2 => (0usize..4).prop_map(MaskStep::Index),
        2 => Just(MaskStep::Any),
    ];
    prop::collection::vec(step, 1..4).prop_map(|mut steps| {
        steps.insert(0, MaskStep::Key("body".into()));
        steps
    })
}

/// Leaves out fields the slow way.
fn masked(value: &Value, paths: &[&[MaskStep]]) -> Value {
    let inner = |matches: &dyn Fn(&MaskStep) -> bool, value: &Value| {
        let rests: Vec<&[MaskStep]> = paths
            .iter()
            .filter(|path| path.first().is_some_and(matches))
            .map(|path| &path[1..])
            .collect();
        (!rests.iter().any(|rest| rest.is_empty())).then(|| masked(value, &rests))
    };
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| {
                inner(
                    &|step| *step == MaskStep::Any || *step == MaskStep::Index(at),
                    item,
                )
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(key, value)| {
                let step = MaskStep::Key(key.as_str().into());
                let value = inner(&|other| *other == MaskStep::Any || *other == step, value)?;
                Some((key.clone(), value))
            })
            .collect(),
        scalar => scalar.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_object_says_what_serde_json_reads(body in document()) {
        agree(with(&body).as_bytes())?;
        agree(body.as_bytes())?;
    }

    #[test]
    fn a_damaged_text_is_refused_when_serde_json_refuses_it(
        body in document(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let mut json = with(&body).into_bytes();
        for (place, byte, how) in damage {
            let place = place.index(json.len());
            match how {
                0 => json[place] = byte,
                1 => json.insert(place, byte),
                2 => { json.remove(place); }
                _ => json.truncate(place.max(1)),
            }
            if json.is_empty() {
                break;
            }
            agree(&json)?;
        }
    }

    #[test]
    fn equality_and_hash_are_those_of_the_content(one in valid_document(), other in valid_document(), keep in any::<bool>()) {
        let wrap = |body: &str, version: u32| object(&format!(
            r#"{{"metadata":{{"name":"x","resourceVersion":"{version}","managedFields":[{version}]}},"body":{body}}}"#
        ));
        let one_object = wrap(&one, 1);
        let other_object = wrap(if keep { &one } else { &other }, 2);
        let equal = content(&one_object) == content(&other_object);
        prop_assert_eq!(one_object.same_content(&other_object), equal);
        prop_assert_eq!(other_object.same_content(&one_object), equal);
        prop_assert_eq!(one_object.content_hash() == other_object.content_hash(), equal);
        prop_assert!(one_object != other_object);
        prop_assert!(one_object == wrap(&one, 1));
    }

    #[test]
    fn masked_fields_are_left_out_as_if_never_sent(body in valid_document(), paths in prop::collection::vec(steps(), 0..5)) {
        let json = with(&body);
        let mut mask = Mask::default();
        for path in &paths {
            mask.insert(path.clone());
        }
        let paths: Vec<&[MaskStep]> = paths.iter().map(Vec::as_slice).collect();
        let expected = masked(&value(&json), &paths);
        let decoded = decode(&json, &mask, None);
        prop_assert_eq!(&decoded.to_value(), &expected);
        prop_assert_eq!(&object(&json).without(&mask).to_value(), &expected);
        prop_assert_eq!(&decoded.without(&mask).to_value(), &masked(&expected, &paths));
    }
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let one = object(r#"{"metadata":{"name":"x","uid":"u"},"a":1,"b":{"c":[1,2],"d":null}}"#);
    let other = object(r#"{"b":{"d":null,"c":[1,2]},"a":1,"metadata":{"uid":"u","name":"x"}}"#);
    assert!(one == other && one.same_content(&other));
    assert_eq!(one.content_hash(), other.content_hash());
    for different in [
        r#"{"b":{"d":null,"c":[2,1]},"a":1,"metadata":{"uid":"u","name":"x"}}"#,
        r#"{"b":{"d":null,"c":[1,2]},"a":1.0,"metadata":{"uid":"u","name":"x"}}"#,
        r#"{"b":{"d":null,"c":[1,2]},"metadata":{"uid":"u","name":"x"}}"#,
        r#"{"b":{"d":null,"c":[1,2],"e":1},"a":1,"metadata":{"uid":"u","name":"x"}}"#,
        r#"{"b":{"d":false,"c":[1,2]},"a":1,"metadata":{"uid":"u","name":"x"}}"#,
    ] {
        let different = object(different);
        assert!(one != different && !different.same_content(&one));
        assert_ne!(one.content_hash(), different.content_hash());
    }
}

#[test]
fn only_the_metadata_of_the_object_itself_is_left_out_of_its_content() {
    let json = |inner: u32| {
        object(&format!(
            r#"{{"metadata":{{"name":"x"}},"resourceVersion":"1","spec":{{"metadata":{{"resourceVersion":"{inner}"}}}}}}"#
        ))
    };
    assert!(!json(1).same_content(&json(2)));
    assert_ne!(json(1).content_hash(), json(2).content_hash());
    let outer = |version: u32| {
        object(&format!(
            r#"{{"metadata":{{"name":"x"}},"resourceVersion":"{version}"}}"#
        ))
    };
    assert!(!outer(1).same_content(&outer(2)));
}

#[test]
fn what_a_secret_holds_does_not_outlive_it() {
    let known = |text: &str| symbols::SYMBOLS.find(symbols::hash(text.as_bytes()), text.as_bytes());
    for at in 0..20 {
        let json = r#"{"metadata":{"name":"x"},"data":{"deep":{"password":["hunter2-of-this-test"]}},"stringData":{"password":"hunter2-of-this-test"},
            "spec":{"data":"told-twice-in-this-test"}}"#;
        let json = if at % 2 == 0 {
            json.to_owned()
        } else {
            value(json).to_string()
        };
        assert_eq!(object(&json).to_value(), value(&json));
    }
    assert!(known("hunter2-of-this-test").is_none());
    // Elsewhere it would be known by now, unless other tests have filled the table.
    let has_room = symbols::SYMBOLS.usage().symbols < symbols::MAX_SYMBOLS / 4;
    assert!(known("told-twice-in-this-test").is_some() || !has_room);
}

#[test]
fn the_last_of_many_duplicate_keys_counts() {
    let entries: Vec<String> = (0..5000)
        .map(|at| format!(r#""key-{}":{{"at":{at}}}"#, at % 70))
        .collect();
    let json = with(&format!("{{{}}}", entries.join(",")));
    assert_eq!(object(&json).to_value(), value(&json));
    assert_eq!(object(&json).root().get("body").unwrap().len(), 70);
}

#[test]
fn nesting_up_to_the_limit_is_read_and_past_it_is_an_error() {
    let nested = |levels: usize, open: &str, close: &str| {
        // One level is the object itself.
        with(&format!(
            "{}1{}",
            open.repeat(levels - 1),
            close.repeat(levels - 1)
        ))
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deepest = nested(MAX_DEPTH, open, close);
        assert_eq!(object(&deepest).to_value(), value(&deepest));
        assert!(object(&deepest) == object(&deepest));
        assert_eq!(
            object(&object(&deepest).to_json()).to_value(),
            value(&deepest)
        );
        for levels in [MAX_DEPTH + 1, 1_000_000] {
            let error = Object::from_json(nested(levels, open, close).as_bytes()).unwrap_err();
            assert!(error.is_too_deep(), "{error}");
            assert!(error.position().is_some());
        }
    }
    let mut value = json!(1);
    for _ in 0..MAX_DEPTH - 1 {
        value = json!([value]);
    }
    let document = |body: &Value| json!({"metadata": {"name": "x"}, "body": body});
    assert!(Object::from_value(&document(&value)).is_ok());
    let error = Object::from_value(&document(&json!([value]))).unwrap_err();
    assert!(error.is_too_deep(), "{error}");
}

#[test]
fn what_is_too_deep_can_be_masked() {
    let json = with(&format!("{}{}", "[".repeat(500), "]".repeat(500)));
    let mut mask = Mask::default();
    mask.insert(vec![MaskStep::Key("body".into())]);
    let object = decode(&json, &mask, None);
    assert_eq!(object.to_value(), json!({"metadata": {"name": "x"}}));
}

#[test]
fn a_text_past_the_limit_is_refused_unread() {
    let json = vec![b' '; MAX_BYTES + 1];
    let error = Object::from_json(&json).unwrap_err();
    assert!(error.is_too_large() && !error.is_syntax(), "{error}");
}

#[test]
fn errors_tell_the_place_and_nothing_of_the_content() {
    let json = "{\"metadata\":{\"name\":\"x\"},\n  \"password\":\"hunter2\", hunter3}";
    let error = Object::from_json(json.as_bytes()).unwrap_err();
    assert!(error.is_syntax());
    let position = error.position().unwrap();
    assert_eq!(
        (position.line, &json[position.offset..=position.offset]),
        (2, "h")
    );
    assert_eq!(position.column, position.offset - 26 + 1);
    for (json, question) in [
        (
            r#"{"metadata":{"name":"hunter2"#,
            DecodeError::is_truncated as fn(&DecodeError) -> bool,
        ),
        (
            r#"{"metadata":{"name":"x"}} hunter2"#,
            DecodeError::is_syntax,
        ),
        (
            r#"{"metadata":{"name":"\ud800hunter2"}}"#,
            DecodeError::is_syntax,
        ),
        (
            r#"{"metadata":{"name":{"hunter2":1}}}"#,
            DecodeError::is_nameless,
        ),
        (r#"{"metadata":{"name":""}}"#, DecodeError::is_nameless),
        (r#"["hunter2"]"#, DecodeError::is_nameless),
        (r#""hunter2""#, DecodeError::is_nameless),
        ("", DecodeError::is_truncated),
    ] {
        let error = Object::from_json(json.as_bytes()).unwrap_err();
        assert!(question(&error), "{json}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter"),
            "{error:?}"
        );
    }
}

#[test]
fn missing_type_meta_is_added_and_given_type_meta_wins() {
    let pod = ("v1".into(), "Pod".into());
    let plain = |json: &str| decode(json, &Mask::default(), Some(&pod));
    let added = plain(r#"{"metadata":{"name":"x"}}"#);
    assert_eq!((added.api_version(), added.kind()), ("v1", "Pod"));
    let given = plain(r#"{"kind":"Other","metadata":{"name":"x","kind":"no"},"apiVersion":"v2"}"#);
    assert_eq!((given.api_version(), given.kind()), ("v2", "Other"));
    assert_eq!(given.root().len(), 3);
    let half = plain(r#"{"kind":"Other","metadata":{"name":"x"}}"#);
    assert_eq!((half.api_version(), half.kind()), ("v1", "Other"));
    let mut mask = Mask::default();
    mask.insert(vec![MaskStep::Key("kind".into())]);
    let masked = decode(r#"{"metadata":{"name":"x"}}"#, &mask, Some(&pod));
    assert_eq!((masked.api_version(), masked.kind()), ("v1", ""));
}

#[test]
fn metadata_reads_as_it_was_sent() {
    let object = object(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u-1","resourceVersion":"42",
        "labels":{"app":"web","bad":1},"annotations":{"note":"x y"}}}"#,
    );
    assert_eq!(object.name(), "web");
    assert_eq!(object.namespace(), Some("shop"));
    assert_eq!(object.uid(), Some("u-1"));
    assert_eq!(object.resource_version(), Some("42"));
    assert_eq!(object.label("app"), Some("web"));
    assert_eq!(object.label("none"), None);
    assert_eq!(object.annotation("note"), Some("x y"));
    assert_eq!(object.labels().collect::<Vec<_>>(), [("app", "web")]);
    assert_eq!(object.reference(), ObjectRef::namespaced("shop", "web"));
    assert_eq!(format!("{object:?}"), "Object(Pod shop/web)");
    assert_eq!(format!("{:?}", object.root()), "ValueRef(Map)");
    assert!(object.ptr_eq(&object.clone()));
    assert!(!object.ptr_eq(&Object::from_value(&object.to_value()).unwrap()));
}

#[test]
fn threads_decode_side_by_side_to_equal_objects() {
    let texts = data::Objects::new(2).mixed(200);
    let texts = &texts;
    let decoded: Vec<Vec<Object>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let mut objects: Vec<(usize, Object)> = (0..texts.len())
                        .map(|step| (step * 7 + thread * 50) % texts.len())
                        .map(|at| (at, object(&texts[at])))
                        .collect();
                    objects.sort_by_key(|(at, _)| *at);
                    objects.into_iter().map(|(_, object)| object).collect()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(decoded[0][at].to_value(), value(text));
        for objects in &decoded {
            assert!(objects[at] == decoded[0][at]);
            assert_eq!(objects[at].content_hash(), decoded[0][at].content_hash());
        }
    }
}

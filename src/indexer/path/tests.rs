use super::*;
use serde_json::{Value, json};

fn object(value: Value) -> Object {
    let mut value = value;
    value["metadata"]["name"] = json!("x");
    Object::from_value(&value).unwrap()
}

fn found(object: &Object, path: &str) -> Vec<Value> {
    object
        .get(path)
        .unwrap()
        .into_iter()
        .map(ValueRef::to_value)
        .collect()
}

#[test]
fn every_spelling_finds_the_same() {
    let service = object(json!({"metadata": {"namespace": "shop", "labels": {
        "kubernetes.io/service-name": "cart", "it's": "quoted", "a\"b": "double", "a\\b": "backslash"}}}));
    for path in [
        "metadata.namespace",
        ".metadata.namespace",
        "{.metadata.namespace}",
        "{metadata.namespace}",
        " { $.metadata.namespace } ",
        "$.metadata.namespace",
        "$['metadata'][\"namespace\"]",
        "['metadata'].namespace",
        "metadata['namespace']",
        "{ .metadata[ 'namespace' ] }",
        "@.metadata.namespace",
    ] {
        assert_eq!(found(&service, path), [json!("shop")], "{path}");
        assert_eq!(
            path.parse::<PathExpression>().unwrap(),
            "metadata.namespace".parse().unwrap()
        );
    }
    for path in [
        "metadata.labels['kubernetes.io/service-name']",
        "metadata.labels[\"kubernetes.io/service-name\"]",
        r"metadata.labels.kubernetes\.io/service-name",
        r"{.metadata.labels.kubernetes\.io/service-name}",
        r"metadata.labels['kubernetes\.io/service-name']",
        r"metadata.labels['kubernetes.io\/service-name']",
    ] {
        assert_eq!(found(&service, path), [json!("cart")], "{path}");
    }
    assert_eq!(
        found(&service, r#"metadata.labels['it\'s']"#),
        [json!("quoted")]
    );
    assert_eq!(
        found(&service, r#"metadata.labels["it's"]"#),
        [json!("quoted")]
    );
    assert_eq!(
        found(&service, r#"metadata.labels['a"b']"#),
        [json!("double")]
    );
    assert_eq!(
        found(&service, r#"metadata.labels["a\\b"]"#),
        [json!("backslash")]
    );
}

#[test]
fn arrays_take_places_slices_unions_wildcards_and_filters() {
    let pod = object(
        json!({"spec": {"n": [0, 1, 2, 3, 4], "m": {"a": {"v": 1}, "b": {"v": 2}}},
        "status": {"conditions": [{"type": "Ready", "status": "True", "k-8": 1}, {"type": "Init", "status": "False"}]}}),
    );
    for (path, expected) in [
        ("spec.n[0]", json!([0])),
        ("spec.n[-1]", json!([4])),
        ("spec.n[5]", json!([])),
        ("spec.n[-6]", json!([])),
        ("spec.n[1:3]", json!([1, 2])),
        ("spec.n[:2]", json!([0, 1])),
        ("spec.n[3:]", json!([3, 4])),
        ("spec.n[-2:]", json!([3, 4])),
        ("spec.n[::2]", json!([0, 2, 4])),
        ("spec.n[::-1]", json!([4, 3, 2, 1, 0])),
        ("spec.n[3:0:-2]", json!([3, 1])),
        ("spec.n[-1:-3:-1]", json!([4, 3])),
        ("spec.n[::0]", json!([])),
        ("spec.n[0, 2]", json!([0, 2])),
        ("spec.n[*]", json!([0, 1, 2, 3, 4])),
        ("spec.n.*", json!([0, 1, 2, 3, 4])),
        ("spec.m.*.v", json!([1, 2])),
        ("spec.m['a','b'].v", json!([1, 2])),
        ("spec.n[?(@>2)]", json!([3, 4])),
        ("spec.n[?@ > 2 && @ != 4]", json!([3])),
        (
            r#"status.conditions[?(@.type=="Ready")].status"#,
            json!(["True"]),
        ),
        (
            r#"{.status.conditions[?(@.type == 'Ready')].status}"#,
            json!(["True"]),
        ),
        (
            r#"status.conditions[?@['type']=='Init'].status"#,
            json!(["False"]),
        ),
        ("status.conditions[?(@.k-8)].type", json!(["Ready"])),
        ("status.conditions[?(!@.k-8)].type", json!(["Init"])),
        ("status.conditions[?(@.k-8==1)].type", json!(["Ready"])),
        ("status.conditions[?(@.absent)].type", json!([])),
        ("spec.absent[*].x", json!([])),
        ("spec.n.x", json!([])),
        (
            "status.conditions[?length(@.type) == 4].type",
            json!(["Init"]),
        ),
        (
            "status.conditions[?match(@.type, 'R.*')].type",
            json!(["Ready"]),
        ),
    ] {
        assert_eq!(Value::Array(found(&pod, path)), expected, "{path}");
    }
}

#[test]
fn an_invalid_expression_is_refused_at_its_position() {
    for (path, position, word) in [
        ("", 0, "empty"),
        ("  ", 2, "empty"),
        ("{}", 1, "empty"),
        ("invalid..path", 7, "'..'"),
        ("..name", 0, "'..'"),
        ("$..name", 1, "'..'"),
        ("{.a..b}", 3, "'..'"),
        ("a[?(@..b)]", 5, "'..'"),
        ("metadata.", 8, "missing"),
        (".", 0, "missing"),
        ("a.b c", 3, "plain name"),
        ("{.a}{.b}", 3, "template"),
        ("{range .items[*]}{.a}{end}", 6, "plain name"),
        ("{.a", 0, "brace"),
        ("a}", 1, "template"),
        ("a[", 1, "never closed"),
        ("a[0", 1, "never closed"),
        ("a['x", 2, "quote"),
        ("a['x'", 1, "never closed"),
        ("a[]", 2, "empty"),
        ("a[b]", 2, "quoted name"),
        ("a[0]b", 4, "expected"),
        ("a[0 1]", 2, "place"),
        ("a['\\x']", 3, "escape"),
        ("a['\\u12']", 3, "escape"),
        ("a\\", 1, "backslash"),
        ("a[?(@.b==\"x\"]", 3, "parenthesis"),
        ("a[?(@.b=1)]", 7, "filter"),
        ("a[?]", 3, "filter"),
        ("a[?(@.b)) ]", 8, "never opened"),
        ("a[99999999999999999999]", 2, "place"),
        ("metadata.labels.app.kubernetes.io/name", 19, "quote a key"),
        (
            "a[?length(length(length(length(length(length(@)",
            44,
            "deeper",
        ),
    ] {
        let error = path.parse::<PathExpression>().expect_err(path);
        assert!(error.reason().contains(word), "{path}: {error}");
        assert_eq!(
            error.position(),
            position,
            "{path}: {error}\n{}",
            error.caret()
        );
        assert_eq!(error.expression(), path);
        assert!(path.is_empty() || error.to_string().contains(&format!("{path:?}")));
    }
}

#[test]
fn the_caret_stands_under_the_character_also_after_wide_ones() {
    let error = "größe..x".parse::<PathExpression>().unwrap_err();
    assert_eq!(error.caret(), "größe..x\n     ^");
}

/// What `jsonpath-rust` itself finds, as JSON texts.
fn reference(value: &Value, path: &PathExpression) -> Vec<String> {
    let found = jsonpath_rust::query::js_path(path.normalised(), value).unwrap();
    found
        .into_iter()
        .map(|found| found.val.to_string())
        .collect()
}

#[test]
fn conditions_hold_as_the_standard_says() {
    let many = object(
        json!({"a": [1, 1.0, -2, 2.5, "1", "b", "", null, true, false, [1], {"v": 1}, {"v": null}, {"v": [1]}, []]}),
    );
    for (condition, expected) in [
        ("@ == 1", json!([1, 1.0])),
        ("1 == @", json!([1, 1.0])),
        (
            "@ != 1",
            json!([-2, 2.5, "1", "b", "", null, true, false, [1], {"v": 1}, {"v": null}, {"v": [1]}, []]),
        ),
        ("@ < 1", json!([-2])),
        ("@ <= 1", json!([1, 1.0, -2])),
        ("1 < @", json!([2.5])),
        ("@ >= 1.0", json!([1, 1.0, 2.5])),
        ("@ < 'b'", json!(["1", ""])),
        ("@ == null", json!([null])),
        ("@ <= null", json!([null])),
        ("@ == true || @ == false", json!([true, false])),
        ("@.v", json!([{"v": 1}, {"v": null}, {"v": [1]}])),
        ("!@.v && @ == 1", json!([1, 1.0])),
        (
            "@.v == @.v && @.v",
            json!([{"v": 1}, {"v": null}, {"v": [1]}]),
        ),
        ("@.w == @.v && @ == 1", json!([1, 1.0])),
        ("@.v == null", json!([{"v": null}])),
        ("!(@.v == null) && @.v", json!([{"v": 1}, {"v": [1]}])),
        ("@[0] == 1", json!([[1]])),
        ("@.v[0] == 1", json!([{"v": [1]}])),
        ("@.v[?(@ == 1)]", json!([{"v": [1]}])),
        ("@[*]", json!([[1], {"v": 1}, {"v": null}, {"v": [1]}])),
        ("(@ == 1 || @ == 2.5) && @ != 1", json!([2.5])),
        ("1 == 1 && @ == -2", json!([-2])),
    ] {
        let path = PathExpression::parse(&format!("a[?({condition})]")).unwrap();
        assert_eq!(
            Value::Array(found(&many, path.as_str())),
            expected,
            "{condition}"
        );
        assert!(
            !format!("{:?}", path.steps()).contains("Foreign"),
            "{condition}"
        );
    }
}

#[test]
fn numbers_beyond_the_precision_of_floats_are_told_apart() {
    let big = u64::MAX;
    let pairs = object(
        json!({"a": [{"x": big, "y": big}, {"x": big, "y": big - 1}, {"x": i64::MIN + 1, "y": i64::MIN}]}),
    );
    assert_eq!(found(&pairs, "a[?(@.x == @.y)]").len(), 1);
    assert_eq!(found(&pairs, "a[?(@.x > @.y)]").len(), 2);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3_i64..6).prop_map(Value::from),
            (-3_i32..6).prop_map(|n| Value::from(f64::from(n) / 2.0)),
            "[abv1]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[abv]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn conditions() -> impl Strategy<Value = String> {
        let operand = prop_oneof![
            Just("@".to_owned()),
            Just("@.a".to_owned()),
            Just("@['b']".to_owned()),
            Just("@[0]".to_owned()),
            Just("@.v[-1]".to_owned()),
            (-3_i32..6).prop_map(|n| n.to_string()),
            Just("1.5".to_owned()),
            "'[ab1]{0,2}'",
            Just("true".to_owned()),
            Just("null".to_owned()),
        ];
        let operator = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
        // No filter inside a filter, where the reference takes the inner one for a condition on the outer value.
        let leaf = prop_oneof![
            (operand.clone(), operator, operand).prop_map(|(a, o, b)| format!("{a} {o} {b}")),
            prop::sample::select(vec![
                "@.a",
                "!@.b",
                "@[*]",
                "@.*.v",
                "@[1:]",
                "@['a','v']",
                "count(@[*]) > 1"
            ])
            .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(2, 6, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && {b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
                inner.prop_map(|a| format!("!({a})")),
            ]
        })
    }

    fn paths() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            4 => "\\.[abv]",
            2 => prop::sample::select(vec![
                "[*]", ".*", "[0]", "[-1]", "[1:]", "[:2]", "[::2]", "[::-1]", "[-2:]", "[2:0:-1]", "[-1:-3:-1]", "[1,0]", "['a','b']", "[0,'v']", "[*,0]",
            ])
            .prop_map(str::to_owned),
            1 => conditions().prop_map(|condition| format!("[?({condition})]")),
        ];
        prop::collection::vec(segment, 1..4)
            .prop_map(|segments| format!("$.r{}", segments.concat()))
    }

    proptest! {
        #[test]
        fn an_object_finds_what_the_reference_finds(value in values(), path in paths()) {
            let value = json!({"metadata": {"name": "x"}, "r": value});
            let path = PathExpression::parse(&path).unwrap();
            let found: Vec<String> = path.find(Object::from_value(&value).unwrap().root()).iter().map(ValueRef::to_json).collect();
            let (mut found, mut expected) = (found, reference(&value, &path));
            if path.normalised().contains(',') {
                // The reference puts what one selector of a union finds anywhere before what the next one finds; the
                // standard goes value by value.
                found.sort();
                expected.sort();
            }
            prop_assert_eq!(found, expected, "{}", path.normalised());
        }

        #[test]
        fn any_text_is_a_path_or_an_error_at_a_place_in_it(text in r#"([a-z.\[\]'"*?@$(){}:,=<>&|!0-9 \\-]|\PC){0,24}"#) {
            match PathExpression::build(&text, Use::Once) {
                Ok(path) => {
                    let again = PathExpression::build(path.normalised(), Use::Once).unwrap();
                    prop_assert_eq!(again.normalised(), path.normalised(), "normalising twice changes nothing");
                }
                Err(error) => {
                    prop_assert!(text.is_char_boundary(error.position()));
                    prop_assert_eq!(error.expression(), &text);
                    prop_assert!(!error.caret().is_empty());
                }
            }
        }

        #[test]
        fn every_name_can_be_quoted(name in r"\PC{1,12}") {
            let object = object(json!({"spec": {(&name): 1}}));
            for quote in ['\'', '"'] {
                let escaped: String = name.chars().flat_map(|c| {
                    (c == quote || c == '\\').then_some('\\').into_iter().chain([c])
                }).collect();
                prop_assert_eq!(found(&object, &format!("spec[{quote}{escaped}{quote}]")), [json!(1)]);
            }
            let escaped: String = name.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert_eq!(found(&object, &format!("spec.{escaped}")), [json!(1)]);
        }

        #[test]
        fn names_joined_by_dots_find_the_same_without_parsing(value in values(), path in r"\.?[abv_](\.[abv1_]{1,2}){0,3}") {
            let object = object(json!({"a": value}));
            let direct = plain::find(object.root(), &path).expect("a plain path").map(ValueRef::to_value);
            prop_assert_eq!(direct, PathExpression::parse(&path).unwrap().first(object.root()).map(ValueRef::to_value));
        }
    }
}

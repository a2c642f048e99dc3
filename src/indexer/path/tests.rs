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

use std::fs;

use super::*;

fn read(text: &str) -> Result<Manifests, Vec<String>> {
    let mut reader = Reader::new("default");
    reader.read_text("f", text, Format::of_text(text));
    reader
        .finish()
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn names(manifests: &Manifests) -> Vec<String> {
    manifests
        .objects
        .iter()
        .map(|object| format!("{} {}", object.kind(), object.reference()))
        .collect()
}

#[test]
fn documents_and_lists_of_any_kind_are_read() {
    let manifests = read(
        "# a comment\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n---\n\
         apiVersion: v1\nkind: List\nitems:\n\
         - apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Service, metadata: {name: b, namespace: n}}\n\
         - {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSliceList\nitems:\n- metadata: {name: c}\n---\n\
         apiVersion: v1\nkind: ServiceList\nitems: null\n---\n\
         apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: other}\n",
    )
    .unwrap();
    assert_eq!(
        names(&manifests),
        [
            "Service default/a",
            "Service n/b",
            "EndpointSlice default/c"
        ]
    );
    let ignored: Vec<_> = manifests.ignored.into_iter().collect();
    assert_eq!(ignored, [("Deployment".into(), 1), ("Service".into(), 1)]);
}

#[test]
fn json_documents_may_follow_each_other() {
    let manifests = read(
        r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
           {"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "b"}}]}"#,
    )
    .unwrap();
    assert_eq!(
        names(&manifests),
        ["Service default/a", "Service default/b"]
    );
}

#[test]
fn a_syntax_error_has_document_line_and_column() {
    let yaml = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\nkind: b\n  c: d\n";
    assert_eq!(
        read(yaml).unwrap_err(),
        ["f: document 2, line 6, column 4: mapping values are not allowed in this context"]
    );
    let json = "{\"kind\": \"X\", \"apiVersion\": \"v1\"}\n{\n\"kind\" 1}";
    assert_eq!(
        read(json).unwrap_err(),
        ["f: document 2, line 3, column 8: expected `:`"]
    );
    assert_eq!(read("{\n").unwrap_err().len(), 1);
}

#[test]
fn a_field_of_the_wrong_form_has_its_line_also_within_a_list() {
    let service = |port: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec:\n  ports:\n  - port: {port}\n"
        )
    };
    let text = format!("{}---\n{}", service("80"), service("http"));
    let [error] = read(&text).unwrap_err().try_into().unwrap();
    assert!(
        error.starts_with("f: document 2, line 13, column 5: Service default/a: invalid type"),
        "{error}"
    );

    let text = service("80").replace(
        "kind: Service",
        "kind: Service\nspec: {type: ClusterIP, sessionAffinity: 7}",
    );
    let text = text.replace("\nspec:\n  ports:\n  - port: 80", "");
    let [error] = read(&text).unwrap_err().try_into().unwrap();
    assert!(error.starts_with("f: document 1, line 3, "), "{error}");

    let list = "\n\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: ok}\n\
                - apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec:\n    ports:\n      http: 80\n";
    let [error] = read(list).unwrap_err().try_into().unwrap();
    assert!(error.starts_with("f: document 1, line 14, "), "{error}");
    assert!(error.contains(": Service default/b: "), "{error}");

    let json = "{}\n  {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n\
                \"metadata\": {\"name\": \"c\"}, \"spec\": {\"ports\":\n 7}}]}";
    let errors = read(json).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0], "f: document 1, line 1: it has no kind");
    assert!(
        errors[1].starts_with("f: document 2, line 4, column 2: Service default/c: invalid type"),
        "{}",
        errors[1]
    );
}

#[test]
fn everything_wrong_is_named_in_one_run() {
    let errors = read(
        "- 1\n---\nkind: Service\n---\napiVersion: v1\n---\napiVersion: v1\nkind: Service\n---\n\
         apiVersion: v1\nkind: ServiceList\nitems:\n- 1\n- metadata: {}\n",
    )
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "f: document 1, line 1: it is not an object",
            "f: document 2, line 3: Service: it has no apiVersion",
            "f: document 3, line 5: it has no kind",
            "f: document 4, line 7: Service: the object has no metadata.name",
            "f: document 5, line 10: item 1: it is not an object",
            "f: document 5, line 10: item 2, Service: the object has no metadata.name",
        ]
    );
}

#[test]
fn the_later_of_two_wins_and_both_are_named() {
    let service = |port: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: {port}}}]}}\n"
        )
    };
    let mut reader = Reader::new("default");
    reader.read_text("one", &service(1), Format::Yaml);
    reader.read_text(
        "two",
        &format!("---\n{}---\n{}", service(2), service(3)),
        Format::Yaml,
    );
    let manifests = reader.finish().unwrap();
    assert_eq!(manifests.objects.len(), 1);
    assert_eq!(
        manifests.objects[0].to_value()["spec"]["ports"][0]["port"],
        3
    );
    let duplicates: Vec<_> = manifests
        .duplicates
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        duplicates,
        [
            "Service default/a in one (document 1, line 1) is replaced by the one in two (document 1, line 2)",
            "Service default/a in two (document 1, line 2) is replaced by the one in two (document 2, line 7)",
        ]
    );
}

#[test]
fn a_directory_is_read_in_the_order_of_names_and_without_hidden_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, name: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text =
            format!(r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}"}}}}"#);
        fs::write(path, text).unwrap();
    };
    for (path, name) in [
        ("b.yml", "third"),
        ("a/z.json", "second"),
        ("a/a.yaml", "first"),
        ("c.txt", "no"),
        (".hidden.yaml", "no"),
        (".git/x.yaml", "no"),
    ] {
        write(path, name);
    }
    let mut reader = Reader::new("n");
    reader.read(folder.path(), std::io::empty());
    let manifests = reader.finish().unwrap();
    assert_eq!(
        names(&manifests),
        ["Service n/first", "Service n/second", "Service n/third"]
    );
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yaml");
    let mut reader = Reader::new("n");
    reader.read(&missing, std::io::empty());
    reader.read(folder.path(), std::io::empty());
    reader.read(Path::new(STDIN), &[0xff, 0xfe][..]);
    let errors = reader.finish().unwrap_err();
    assert_eq!(errors[0].path(), missing.display().to_string());
    assert!(errors[1].to_string().contains("no .yaml"));
    assert_eq!(errors[2].path(), "stdin");
    assert_eq!(errors.len(), 3);
}

#[test]
fn the_size_of_manifests_is_not_limited() {
    let mut text = String::from("apiVersion: v1\nkind: List\nx: [");
    text.push_str(&"1,".repeat(300_000));
    text.push_str("]\n");
    text.push_str(&"---\n{apiVersion: v1, kind: ConfigMap}\n".repeat(1_100));
    let manifests = read(&text).unwrap();
    assert_eq!(manifests.ignored["ConfigMap"], 1_100);
}

#[test]
fn anchors_that_expand_without_end_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let reference = format!("*a{}", level - 1);
        let list = [&*reference; 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert_eq!(read(&text).unwrap_err().len(), 1);
}

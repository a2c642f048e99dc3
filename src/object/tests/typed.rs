//! Objects read into types, as `serde_json` reads them from the text.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::Deserialize;
use serde_json::Value;

use super::*;

fn same_type<T>(json: &str)
where
    T: for<'de> Deserialize<'de> + Serialize + PartialEq + fmt::Debug,
{
    let expected: T = serde_json::from_str(json).unwrap();
    assert_eq!(object(json).parse::<T>().unwrap(), expected);
    let back = Object::from_typed(&expected).unwrap();
    assert_eq!(back.parse::<T>().unwrap(), expected);
}

#[test]
fn kubernetes_types_are_read_as_from_the_text() {
    let mut objects = data::Objects::new(1);
    for _ in 0..20 {
        same_type::<Pod>(&objects.one(data::Shape::Pod));
        same_type::<Service>(&objects.one(data::Shape::Service));
        same_type::<EndpointSlice>(&objects.one(data::Shape::EndpointSlice));
        same_type::<Secret>(&objects.one(data::Shape::Secret));
    }
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Choice {
    Unit,
    One(u8),
    Two(u8, String),
    Named { a: Option<bool>, b: char },
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
enum Loose {
    Number(i32),
    Text(String),
    Many(Vec<Loose>),
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Wide {
    choices: Vec<Choice>,
    loose: Loose,
    ports: BTreeMap<u16, String>,
    flags: HashMap<bool, i8>,
    optional: BTreeMap<Option<String>, f64>,
    tuple: (u8, i16, f32),
    nothing: (),
    none: Option<u8>,
    big: u128,
    wrapped: Wrapper,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Wrapper(i64);

#[test]
fn every_form_that_serde_knows_is_read_as_serde_json_does() {
    let json = r#"{"metadata":{"name":"x"},
        "choices":["unit",{"unit":null},{"one":1},{"two":[2,"b"]},{"named":{"a":null,"b":"c"}}],
        "loose":[1,"2",[3]],"ports":{"80":"http","443":"https"},"flags":{"true":-1,"false":1},"optional":{"a":1.5,"b":2},
        "tuple":[1,-2,3.5],"nothing":null,"none":null,"big":18446744073709551615,"wrapped":-5,"other":[{}]}"#;
    let expected: Wide = serde_json::from_value(value(json)).unwrap();
    assert_eq!(object(json).parse::<Wide>().unwrap(), expected);
}

#[test]
fn strings_can_be_borrowed_from_the_object() {
    #[derive(Deserialize)]
    struct Borrowed<'a> {
        kind: &'a str,
        #[serde(borrow)]
        data: HashMap<&'a str, &'a str>,
    }
    let object = object(r#"{"kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":"b"}}"#);
    let borrowed: Borrowed<'_> = object.parse().unwrap();
    assert_eq!((borrowed.kind, borrowed.data["a"]), ("ConfigMap", "b"));
}

#[test]
fn a_form_that_does_not_fit_names_the_field_and_not_the_value() {
    let parse = |json: &str| object(json).parse::<Pod>().unwrap_err().to_string();
    let error = parse(
        r#"{"metadata":{"name":"x"},"spec":{"containers":[{"name":"a"},{"name":"b","ports":[{"containerPort":"hunter2"}]}]}}"#,
    );
    assert_eq!(
        error,
        "spec.containers[1].ports[0].containerPort: expected i32, found a string"
    );
    let error = parse(r#"{"metadata":{"name":"x","labels":{"a.b/c":9}}}"#);
    assert_eq!(
        error,
        "metadata.labels['a.b/c']: expected a string, found an integer"
    );
    let wrong = with(r#"{"hunter2":1}"#);
    let error = object(&wrong).root().get("body").unwrap().parse::<Choice>();
    assert!(!error.unwrap_err().to_string().contains("hunter2"));
    let error = object(&wrong)
        .root()
        .get("body")
        .unwrap()
        .parse::<Vec<u8>>();
    assert_eq!(
        error.unwrap_err().to_string(),
        "expected a sequence, found a map"
    );
}

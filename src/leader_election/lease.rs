//! The Lease on the wire: reads and writes of one object, everything in it kept but what is ours to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use kube::client::Body;
use serde_json::{Map, Value, json};

use super::decision::{Answer, Request, Seen};
use super::record::Record;
use crate::client::{Client, ClientError, collection_path, object_path, read_body};
use crate::resource::{Gvr, ObjectRef};

/// The largest Lease that is read: as large as an object in etcd can be.
const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// One Lease and how to reach it.
pub(super) struct LeaseClient {
    client: Client,
    name: ObjectRef,
    labels: BTreeMap<String, String>,
    collection: String,
    object: String,
}

/// What came of a request.
pub(super) struct Outcome {
    pub(super) answer: Answer,
    /// The Lease, to write over the next time.
    pub(super) object: Option<Arc<Value>>,
    /// What stood in the way.
    pub(super) error: Option<ClientError>,
}

impl Outcome {
    fn failed(error: Option<ClientError>) -> Self {
        Self {
            answer: Answer::Failed,
            object: None,
            error,
        }
    }
}

impl LeaseClient {
    pub(super) fn new(client: Client, name: ObjectRef, labels: BTreeMap<String, String>) -> Self {
        let leases = Gvr::new("coordination.k8s.io", "v1", "leases");
        Self {
            client,
            collection: collection_path(&leases, name.namespace()),
            object: object_path(&leases, name.namespace(), name.name()),
            name,
            labels,
        }
    }

    /// Does a request; `last` is the Lease as last read or written, over which an update is made.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether a write is done.
    pub(super) async fn perform(&self, request: Request, last: Option<Arc<Value>>) -> Outcome {
        let (method, path, body) = match request {
            Request::Read => (Method::GET, &self.object, None),
            Request::Create(record) => (Method::POST, &self.collection, Some(self.create(&record))),
            Request::Update { base, record } => match last {
                Some(last) if version(&last) == Some(&*base) => {
                    let body = self.update((*last).clone(), &record);
                    (Method::PUT, &self.object, Some(body))
                }
                // Not what was read last: it is to be read again.
                _ => {
                    return Outcome {
                        answer: Answer::Conflict,
                        object: None,
                        error: None,
                    };
                }
            },
        };
        match self.call(&method, path, body).await {
            Ok((status, object)) => match seen(&object) {
                Some(seen) => Outcome {
                    answer: match (method, status) {
                        (Method::GET, _) => Answer::Found(seen),
                        (Method::PUT, StatusCode::CREATED) => Answer::Created(seen),
                        _ => Answer::Written(seen),
                    },
                    object: Some(Arc::new(object)),
                    error: None,
                },
                None => {
                    let operation = format!("{method} {path}");
                    let cause = std::io::Error::other("it is no Lease with a resource version");
                    Outcome::failed(Some(ClientError::malformed(operation, &cause)))
                }
            },
            Err(error) if error.is_conflict() => Outcome {
                answer: Answer::Conflict,
                object: None,
                error: None,
            },
            // Only the Lease's own absence; not that of its namespace, nor the page of a proxy.
            Err(error) if method != Method::POST && is_missing(&error) => Outcome {
                answer: Answer::Missing,
                object: None,
                error: None,
            },
            Err(error) => {
                if error.is_unauthorized() {
                    // Whatever comes of it, the next attempt tells.
                    let _ = self.client.renew().await;
                }
                Outcome {
                    answer: if error.code().is_some() {
                        Answer::Refused
                    } else {
                        Answer::Failed
                    },
                    object: None,
                    error: Some(error),
                }
            }
        }
    }

    /// What to say of a request that took too long.
    pub(super) fn timed_out(&self, after: Duration) -> Outcome {
        Outcome::failed(Some(ClientError::timeout(
            format!("lease {}", self.name),
            "no answer",
            after,
        )))
    }

    async fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), ClientError> {
        let operation = format!("{method} {path}");
        let mut request = http::Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::ACCEPT, "application/json");
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string().into_bytes())
            }
        };
        let request = request
            .body(body)
            .map_err(|error| ClientError::invalid(operation.clone(), &error))?;
        let response = self.client.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(ClientError::refusal(&operation, response).await);
        }
        let bytes = read_body(&operation, response.into_body(), BODY_LIMIT).await?;
        let object = serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::malformed(operation, &error))?;
        Ok((status, object))
    }

    fn create(&self, record: &Record) -> Value {
        let mut metadata = json!({ "name": self.name.name(), "namespace": self.name.namespace() });
        if !self.labels.is_empty() {
            metadata["labels"] = json!(self.labels);
        }
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": record.to_spec(),
        })
    }

    /// Changes the spec and adds the labels; all else stays as it was read.
    fn update(&self, mut object: Value, record: &Record) -> Value {
        if let Value::Object(object) = &mut object {
            object.insert("spec".to_owned(), record.to_spec());
            if !self.labels.is_empty()
                && let Some(Value::Object(metadata)) = object.get_mut("metadata")
            {
                let labels = metadata.entry("labels").or_insert(Value::Null);
                if !labels.is_object() {
                    *labels = Value::Object(Map::new());
                }
                if let Value::Object(labels) = labels {
                    for (key, value) in &self.labels {
                        labels.insert(key.clone(), Value::from(value.as_str()));
                    }
                }
            }
        }
        object
    }
}

fn is_missing(error: &ClientError) -> bool {
    error.code() == Some(404)
        && error.status().is_some_and(|status| {
            status.reason == "NotFound"
                && status
                    .details
                    .as_ref()
                    .is_none_or(|details| details.kind.is_empty() || details.kind == "leases")
        })
}

fn version(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("resourceVersion")?.as_str()
}

/// An object's uid; empty if it has none.
pub(super) fn uid(object: &Value) -> &str {
    let uid = object.get("metadata").and_then(|it| it.get("uid"));
    uid.and_then(Value::as_str).unwrap_or_default()
}

/// Reads an object; none if it is no Lease.
fn seen(object: &Value) -> Option<Seen> {
    if object.get("kind")?.as_str()? != "Lease" {
        return None;
    }
    let version = version(object).filter(|version| !version.is_empty())?;
    Some(Seen {
        version: version.into(),
        uid: uid(object).into(),
        record: Record::from_spec(object.get("spec")),
    })
}

//! DELETE of one object and of a collection: finalizers, grace, preconditions, propagation.

use std::sync::Arc;

use serde_json::{Value, json};

use super::update::is_finished;
use super::{Answer, Call, Content, Object};
use crate::fake::query::{DeleteOptions, ListOptions};
use crate::fake::registry::GroupResource;
use crate::fake::select::Selection;
use crate::fake::status::ApiError;
use crate::fake::store::{Entry, key, set_revision};
use crate::fake::{decode, kinds, meta};

/// Namespaces that admission keeps.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// What became of an object that was to be deleted.
enum Fate {
    Gone(Arc<Entry>),
    /// Still there, marked.
    Marked(Arc<Entry>),
}

impl Call<'_> {
    fn delete_options(&self) -> Result<DeleteOptions, ApiError> {
        if self.body.is_empty() {
            return DeleteOptions::read(self.query, None);
        }
        let document = decode::body(self.headers, self.body, "DeleteOptions")?;
        let body = document.value.as_object().ok_or_else(|| {
            ApiError::bad_request(
                "the object provided is unrecognized (must be of type DeleteOptions)",
            )
        })?;
        let kind = body
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("DeleteOptions");
        if kind != "DeleteOptions" {
            return Err(ApiError::bad_request(format!(
                "{kind} cannot be handled as a DeleteOptions"
            )));
        }
        DeleteOptions::read(self.query, Some(body))
    }

    pub(super) fn delete(&mut self) -> Result<Answer, ApiError> {
        let options = self.delete_options()?;
        let name = self.info.name.as_str();
        if self.resource.plural == GroupResource::new("", "namespaces") && IMMORTAL.contains(&name)
        {
            let reason = "this namespace may not be deleted";
            return Err(ApiError::forbidden(
                &self.resource.plural,
                Some(name),
                reason,
            ));
        }
        let entry = self.existing()?;
        let fate = self.delete_object(&entry, &options)?;
        let content = match fate {
            Fate::Marked(entry) if options.cascading => {
                return Ok(Answer {
                    code: 202,
                    content: Content::Object(entry),
                });
            }
            Fate::Marked(entry) => Content::Object(entry),
            Fate::Gone(entry) if self.resource.traits.returns_deleted => Content::Object(entry),
            Fate::Gone(entry) => {
                let mut details = self.resource.plural.details(Some(entry.name()));
                if let Value::Object(map) = &mut details {
                    map.insert("uid".to_owned(), json!(entry.uid()));
                }
                Content::Json(json!({
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": details,
                }))
            }
        };
        Ok(Answer::ok(content))
    }

    pub(in crate::fake) fn delete_collection(&mut self) -> Result<Answer, ApiError> {
        let list = ListOptions::read(self.query, false)?;
        let selection = Selection::new(&self.resource, self.served(), &list)?;
        let options = self.delete_options()?;
        let answer = self.page(&list, &selection)?;
        for entry in &answer.items {
            match self.delete_object(entry, &options) {
                Ok(_) => {}
                Err(error) if error.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::ok(Content::List(answer)))
    }

    fn delete_object(
        &mut self,
        entry: &Arc<Entry>,
        options: &DeleteOptions,
    ) -> Result<Fate, ApiError> {
        let resource = Arc::clone(&self.resource);
        let key = key(
            if resource.namespaced {
                entry.namespace()
            } else {
                ""
            },
            entry.name(),
        );
        let entry = self
            .state
            .store
            .get(&resource.plural, &key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(&resource.plural, entry.name()))?;
        self.check_preconditions(&entry, options)?;
        let mut object = entry.value.clone();
        let pod = *resource.plural.name == *"pods" && resource.group().is_empty();
        let mut graceful = false;
        if pod {
            match self.begin_grace(&mut object, options) {
                Grace::Pending => return Ok(Fate::Marked(entry)),
                Grace::Set => graceful = true,
            }
        }
        set_propagation(&mut object, options.propagation.as_deref());
        let held = !meta::finalizers(&object).is_empty();
        let namespace = resource.plural == meta::namespaces()
            && object
                .get("spec")
                .and_then(|spec| spec.get("finalizers"))
                .and_then(Value::as_array)
                .is_some_and(|finalizers| !finalizers.is_empty());
        if (held || namespace) && !meta::is_deleting(&object) {
            let now = self.state.clock.text();
            let generation = meta::number(&object, "generation");
            if let Some(metadata) = meta::of_mut(&mut object) {
                metadata.insert("deletionTimestamp".to_owned(), json!(now));
                if !namespace {
                    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(0));
                }
                if let Some(generation) = generation {
                    metadata.insert("generation".to_owned(), json!(generation + 1));
                }
            }
        }
        if namespace && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
            status.insert("phase".to_owned(), json!("Terminating"));
        }
        let marked = held || namespace || graceful && !is_finished(&resource.plural, &object);
        if options.dry_run {
            let dry = Arc::new(Entry::new(object, entry.revision));
            return Ok(if marked {
                Fate::Marked(dry)
            } else {
                Fate::Gone(dry)
            });
        }
        let mut entry = entry;
        if (marked || graceful) && object != entry.value {
            entry = self.state.store.put(&resource.plural, &key, object);
            kinds::after_write(self.state, &resource, &entry);
        }
        if marked {
            return Ok(Fate::Marked(entry));
        }
        self.state.store.delete(&resource.plural, &key);
        kinds::after_delete(self.state, &resource, &entry);
        let mut gone = entry.value.clone();
        let revision = self.state.store.revision;
        set_revision(&mut gone, revision);
        Ok(Fate::Gone(Arc::new(Entry::new(gone, revision))))
    }

    fn check_preconditions(&self, entry: &Entry, options: &DeleteOptions) -> Result<(), ApiError> {
        let conflict = |what: &str, given: &str, found: &str, hint: &str| {
            ApiError::conflict(
                &self.resource.kind,
                entry.name(),
                &format!(
                    "the {what} in the precondition ({given}) does not match the {what} in record ({found}). The object might have been {hint}"
                ),
            )
        };
        if let Some(uid) = &options.uid
            && uid != entry.uid()
        {
            return Err(conflict(
                "UID",
                uid,
                entry.uid(),
                "deleted and then recreated",
            ));
        }
        if let Some(revision) = &options.resource_version {
            let found = entry.revision.to_string();
            if *revision != found {
                return Err(conflict("ResourceVersion", revision, &found, "modified"));
            }
        }
        Ok(())
    }

    /// Pods go when their node has stopped them: the grace period starts, or gets shorter.
    fn begin_grace(&self, object: &mut Object, options: &DeleteOptions) -> Grace {
        let now = self.state.clock.seconds();
        if meta::is_deleting(object) {
            let left = meta::number(object, "deletionGracePeriodSeconds").unwrap_or_default();
            match options.grace_seconds {
                Some(asked) if asked < left => {
                    if let Some(metadata) = meta::of_mut(object) {
                        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(asked));
                        metadata.insert("deletionTimestamp".to_owned(), json!(time(now + asked)));
                    }
                    return Grace::Set;
                }
                _ => return Grace::Pending,
            }
        }
        let spec = object.get("spec");
        let text = |parent: Option<&Value>, key: &str| {
            parent
                .and_then(|value| value.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let default = spec
            .and_then(|spec| spec.get("terminationGracePeriodSeconds"))
            .and_then(Value::as_i64)
            .unwrap_or(30);
        let mut grace = options.grace_seconds.unwrap_or(default).max(0);
        let phase = text(object.get("status"), "phase");
        if text(spec, "nodeName").is_empty() || phase == "Succeeded" || phase == "Failed" {
            grace = 0;
        }
        let generation = meta::number(object, "generation");
        if let Some(metadata) = meta::of_mut(object) {
            metadata.insert("deletionTimestamp".to_owned(), json!(time(now + grace)));
            metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
            if let Some(generation) = generation {
                metadata.insert("generation".to_owned(), json!(generation + 1));
            }
        }
        Grace::Set
    }
}

enum Grace {
    /// Already going, nothing new.
    Pending,
    Set,
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Foreground and orphaning deletion leave a finalizer for the garbage collector; the two exclude each other.
fn set_propagation(object: &mut Object, policy: Option<&str>) {
    let wanted = match policy {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        Some(_) => None,
        None => return,
    };
    let mut finalizers: Vec<String> = meta::finalizers(object)
        .into_iter()
        .filter(|name| !["foregroundDeletion", "orphan"].contains(name))
        .map(str::to_owned)
        .collect();
    finalizers.extend(wanted.map(str::to_owned));
    if let Some(metadata) = meta::of_mut(object) {
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".to_owned(), json!(finalizers));
        }
    }
}

//! PUT, and what every change of an existing object goes through.

use std::sync::Arc;

use serde_json::{Value, json};

use super::list::decimal;
use super::object::Source;
use super::{Answer, Call, Content, Decoded, Object};
use crate::fake::query::WriteOptions;
use crate::fake::registry::{GroupResource, Resource};
use crate::fake::status::{ApiError, FieldFault};
use crate::fake::store::{Entry, set_revision};
use crate::fake::{decode, kinds, managed, meta};

impl Call<'_> {
    pub(super) fn update(&mut self) -> Result<Answer, ApiError> {
        let options = WriteOptions::read(self.query, "UpdateOptions", false)?;
        let kind = self.resource.kind.name.to_string();
        let document = decode::body(self.headers, self.body, &kind)?;
        let mut decoded = self.object(document, options.validation, Source::Body)?;
        self.match_namespace(&mut decoded.object)?;
        self.match_name(&decoded.object)?;
        self.drop_twin_owners(&mut decoded.object, "");
        let manager = managed::Manager::updating(self, &options);
        let existing = self.existing();
        let found = existing.as_ref().map_or("", |old| old.uid()).to_owned();
        self.check_uid(meta::text(&decoded.object, "uid"), &found)?;
        let old = match existing {
            Ok(old) => old,
            Err(_) if self.resource.traits.create_on_update && self.info.subresource.is_empty() => {
                // A creation by PUT does not mind a version.
                meta::set_text(&mut decoded.object, "resourceVersion", "");
                let entry = self.create_object(decoded, &manager, options.dry_run)?;
                return Ok(Answer::created(Content::Object(entry)));
            }
            Err(error) => return Err(error),
        };
        self.check_revision(&decoded.object, &old)?;
        let entry = self.update_object(&old, decoded, &manager, options.dry_run)?;
        Ok(Answer::ok(Content::Object(entry)))
    }

    /// An object that names a uid means that very object; one that is missing has none.
    fn check_uid(&self, given: &str, found: &str) -> Result<(), ApiError> {
        if given.is_empty() || given == found {
            return Ok(());
        }
        let reason = format!(
            "StorageError: invalid object, Code: 4, Key: {}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {found}",
            storage_prefix(&self.resource),
            self.key(),
        );
        Err(ApiError::conflict(
            &self.resource.plural,
            &self.info.name,
            &reason,
        ))
    }

    /// The optimistic lock: a resourceVersion in the object must be the present one.
    pub(in crate::fake) fn check_revision(
        &self,
        object: &Object,
        old: &Entry,
    ) -> Result<(), ApiError> {
        let plural = &self.resource.plural;
        let name = &self.info.name;
        let given = meta::text(object, "resourceVersion");
        let revision = match given {
            "" => 0,
            given => decimal(given).map_err(ApiError::internal)?,
        };
        if revision == 0 {
            if !self.resource.traits.needs_resource_version {
                return Ok(());
            }
            return Err(ApiError::invalid(
                plural,
                name,
                &[FieldFault::invalid(
                    "metadata.resourceVersion",
                    &json!(0),
                    "must be specified for an update",
                )],
            ));
        }
        if revision == old.revision {
            Ok(())
        } else {
            Err(ApiError::stale(plural, name))
        }
    }

    /// Writes a changed object: what only the server sets is kept, the rules are checked, and nothing is stored when
    /// nothing changed.
    pub(in crate::fake) fn update_object(
        &mut self,
        old: &Arc<Entry>,
        decoded: Decoded,
        manager: &managed::Manager,
        dry_run: bool,
    ) -> Result<Arc<Entry>, ApiError> {
        let Decoded {
            object: mut new,
            kind,
        } = decoded;
        let before = &old.value;
        for key in [
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            meta::keep(&mut new, before, key);
        }
        meta::set_text(&mut new, "selfLink", "");
        if meta::text(&new, "uid").is_empty() {
            meta::keep(&mut new, before, "uid");
        }
        self.isolate_subresource(before, &mut new);
        kinds::prepare_update(self, before, &mut new);
        self.count_generation(before, &mut new);
        let subresource = &self.info.subresource;
        let mut faults = meta::update_faults(&self.resource, subresource, before, &new);
        faults.extend(self.kind_faults(&kind));
        if faults.is_empty() {
            faults = kinds::validate(self, &new, Some(before));
        }
        if !faults.is_empty() {
            return Err(ApiError::invalid(&kind, &self.info.name, &faults));
        }
        if !self.resource.traits.built_in && self.info.subresource.is_empty() {
            let warnings = meta::finalizer_warnings(&new, Some(before));
            self.warnings.extend(warnings);
        }
        managed::updated(self, before, &mut new, manager);
        set_revision(&mut new, old.revision);
        let resource = Arc::clone(&self.resource);
        let key = self.key();
        if is_finished(&resource.plural, &new) {
            // The answer has the old revision: the write that removes the last finalizer is the deletion.
            if !dry_run {
                self.state.store.delete(&resource.plural, &key);
                kinds::after_delete(self.state, &resource, old);
            }
            return Ok(Arc::new(Entry::new(new, old.revision)));
        }
        if new == *before {
            return Ok(Arc::clone(old));
        }
        if dry_run {
            return Ok(Arc::new(Entry::new(new, old.revision)));
        }
        let entry = self.state.store.put(&resource.plural, &key, new);
        kinds::after_write(self.state, &resource, &entry);
        Ok(entry)
    }

    /// The object and its subresources each ignore what belongs to the other.
    fn isolate_subresource(&self, old: &Object, new: &mut Object) {
        let take = |new: &mut Object, key: &str| match old.get(key) {
            Some(value) => {
                new.insert(key.to_owned(), value.clone());
            }
            None => {
                new.remove(key);
            }
        };
        match self.info.subresource.as_str() {
            "" if self.direct && new.contains_key("status") => {}
            "" if self.has_status() => take(new, "status"),
            "status" => {
                let status = new.remove("status");
                let mut metadata = new.remove("metadata");
                *new = old.clone();
                match status {
                    Some(status) => new.insert("status".to_owned(), status),
                    None => new.remove("status"),
                };
                if self.resource.traits.built_in
                    && let Some(Value::Object(given)) = &mut metadata
                {
                    // Built-in kinds let a status writer change labels and annotations as well.
                    for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
                        let value = given.remove(key);
                        if let Some(metadata) = meta::of_mut(new) {
                            match value {
                                Some(value) => metadata.insert(key.to_owned(), value),
                                None => metadata.remove(key),
                            };
                        }
                    }
                }
            }
            "finalize" => {
                let spec = new.get("spec").cloned();
                take(new, "status");
                take(new, "spec");
                if let (Some(Value::Object(kept)), Some(Value::Object(mut given))) =
                    (new.get_mut("spec"), spec)
                {
                    match given.remove("finalizers") {
                        Some(finalizers) => kept.insert("finalizers".to_owned(), finalizers),
                        None => kept.remove("finalizers"),
                    };
                }
            }
            _ => {}
        }
    }

    /// `metadata.generation` goes up with what is desired, never with status or metadata.
    fn count_generation(&self, old: &Object, new: &mut Object) {
        if !self.resource.traits.generation {
            meta::keep(new, old, "generation");
            return;
        }
        let has_status = self.has_status();
        let desired = |object: &Object| -> Object {
            object
                .iter()
                .filter(|(key, _)| *key != "metadata" && !(has_status && *key == "status"))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let generation = meta::number(old, "generation").unwrap_or_default();
        let changed = desired(old) != desired(new);
        if let Some(metadata) = meta::of_mut(new) {
            metadata.insert(
                "generation".to_owned(),
                json!(generation + i64::from(changed)),
            );
        }
    }
}

/// Where the API server keeps a resource's objects: built-in kinds without their group, a few under an older name.
fn storage_prefix(resource: &Resource) -> String {
    let plural = &resource.plural;
    let grouped = matches!(
        &*plural.group,
        "apiextensions.k8s.io" | "apiregistration.k8s.io"
    );
    let name = match (&*plural.group, &*plural.name) {
        ("", "endpoints") => "services/endpoints",
        ("", "nodes") => "minions",
        ("", "replicationcontrollers") => "controllers",
        ("", "services") => "services/specs",
        ("networking.k8s.io", "ingresses") => "ingress",
        (group, name) if grouped || !resource.traits.built_in => {
            return format!("/registry/{group}/{name}");
        }
        (_, name) => name,
    };
    format!("/registry/{name}")
}

/// Whether an object on its way out has nothing left that holds it.
pub(super) fn is_finished(resource: &GroupResource, object: &Object) -> bool {
    let held_by_spec = *resource == meta::namespaces()
        && object
            .get("spec")
            .and_then(|spec| spec.get("finalizers"))
            .and_then(Value::as_array)
            .is_some_and(|finalizers| !finalizers.is_empty());
    meta::is_deleting(object)
        && meta::finalizers(object).is_empty()
        && meta::number(object, "deletionGracePeriodSeconds").unwrap_or_default() == 0
        && !held_by_spec
}

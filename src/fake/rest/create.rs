//! POST, and the creation that PUT and server-side apply can end in.

use std::sync::Arc;

use super::list::decimal;
use super::object::Source;
use super::{Answer, Call, Content, Decoded, Object};
use crate::fake::query::WriteOptions;
use crate::fake::route::RequestInfo;
use crate::fake::status::ApiError;
use crate::fake::store::{Entry, key};
use crate::fake::{decode, kinds, managed, meta, rbac};

impl Call<'_> {
    pub(super) fn create(&mut self) -> Result<Answer, ApiError> {
        if let Some(answer) = kinds::review(self)? {
            return Ok(answer);
        }
        let options = WriteOptions::read(self.query, "CreateOptions", false)?;
        let kind = self.resource.kind.name.to_string();
        let document = decode::body(self.headers, self.body, &kind)?;
        let mut decoded = self.object(document, options.validation, Source::Body)?;
        self.match_namespace(&mut decoded.object)?;
        if self.info.names_object {
            self.match_name(&decoded.object)?;
        }
        self.drop_twin_owners(&mut decoded.object, "");
        let manager = managed::Manager::updating(self, &options);
        let entry = self.create_object(decoded, &manager, options.dry_run)?;
        Ok(Answer::created(Content::Object(entry)))
    }

    pub(in crate::fake) fn create_object(
        &mut self,
        decoded: Decoded,
        manager: &managed::Manager,
        dry_run: bool,
    ) -> Result<Arc<Entry>, ApiError> {
        let Decoded { mut object, kind } = decoded;
        self.admit_namespace(&object)?;
        let revision = meta::text(&object, "resourceVersion").to_owned();
        self.stamp(&mut object);
        self.drop_foreign_status(&mut object);
        kinds::prepare_create(self, &mut object);
        let mut faults = meta::create_faults(&self.resource, &object);
        faults.extend(self.kind_faults(&kind));
        faults.extend(kinds::validate(self, &object, None));
        let name = meta::text(&object, "name").to_owned();
        if !faults.is_empty() {
            return Err(ApiError::invalid(&kind, &name, &faults));
        }
        // What is no number counts as none.
        if decimal(&revision).is_ok_and(|revision| revision > 0) {
            return Err(ApiError::internal(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if !self.resource.traits.built_in {
            self.warnings
                .extend(meta::finalizer_warnings(&object, None));
        }
        self.authorize_creation()?;
        let key = key(self.namespace(), &name);
        if let Some(present) = self.state.store.get(&self.resource.plural, &key) {
            let error = ApiError::already_exists(&self.resource.plural, &name);
            return Err(if meta::is_deleting(&present.value) {
                error.being_deleted()
            } else {
                error
            });
        }
        managed::created(self, &mut object, manager);
        if dry_run {
            return Ok(Arc::new(Entry::new(object, 0)));
        }
        let entry = self.state.store.put(&self.resource.plural, &key, object);
        kinds::after_write(self.state, &self.resource, &entry);
        Ok(entry)
    }

    /// A write of another verb that ends in a creation needs the right to create, too.
    fn authorize_creation(&self) -> Result<(), ApiError> {
        if self.info.verb == "create" {
            return Ok(());
        }
        let creation = RequestInfo {
            verb: "create".to_owned(),
            ..self.info.clone()
        };
        rbac::authorize(self.state, self.user, &creation)
    }

    /// Nothing is created in a namespace that is missing or going away.
    fn admit_namespace(&self, object: &Object) -> Result<(), ApiError> {
        let namespace = self.namespace();
        if namespace.is_empty() {
            return Ok(());
        }
        let namespaces = meta::namespaces();
        let Some(found) = self.state.store.get(&namespaces, namespace) else {
            return Err(ApiError::not_found(&namespaces, namespace));
        };
        if meta::is_deleting(&found.value) {
            return Err(ApiError::namespace_terminating(
                &self.resource.plural,
                meta::text(object, "name"),
                namespace,
            ));
        }
        Ok(())
    }

    /// Who creates an object does not set a status that has a path of its own.
    fn drop_foreign_status(&self, object: &mut Object) {
        if self.has_status() && !self.direct {
            object.remove("status");
        }
    }

    pub(in crate::fake) fn has_status(&self) -> bool {
        self.served()
            .subresources
            .iter()
            .any(|subresource| subresource.name == "status")
    }
}

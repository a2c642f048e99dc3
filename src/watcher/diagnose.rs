//! Runs the checks that a person would when a watcher shows nothing: is the resource served, may we list and watch it, do
//! the selectors match anything, what is in the store.

use std::fmt;

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::Watcher;
use super::rbac::{FETCH_VERBS, WATCH_VERBS};
use super::reflector::Target;
use crate::client::{ApiResource, Client, ClientError};
use crate::store::Store;

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// This keeps the watcher from working.
    Bad,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    finding: Finding,
    text: String,
}

impl Check {
    /// How it came out.
    pub fn finding(&self) -> Finding {
        self.finding
    }

    /// What was found, and what to do.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What [`Watcher::diagnose`] found; displays as one line for each check.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    watcher: String,
    checks: Vec<Check>,
}

impl Diagnosis {
    /// The checks, in the order they were made.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The worst finding.
    pub fn worst(&self) -> Finding {
        let findings: Vec<Finding> = self.checks.iter().map(Check::finding).collect();
        [Finding::Bad, Finding::Odd]
            .into_iter()
            .find(|bad| findings.contains(bad))
            .unwrap_or(Finding::Good)
    }

    fn note(&mut self, finding: Finding, text: impl Into<String>) {
        self.checks.push(Check {
            finding,
            text: text.into(),
        });
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watcher of {}", self.watcher)?;
        for check in &self.checks {
            let mark = match check.finding {
                Finding::Good => "ok  ",
                Finding::Odd => "odd ",
                Finding::Bad => "FAIL",
            };
            write!(f, "\n  {mark} {}", check.text)?;
        }
        Ok(())
    }
}

impl<S: Store> Watcher<S> {
    /// Finds out why a watcher shows what it shows. Makes some requests of its own: discovery, an access review for each
    /// verb and namespace, and lists of one object. Shows names and counts, never content.
    ///
    /// # Cancel safety
    /// Safe: nothing is changed.
    pub async fn diagnose(&self) -> Diagnosis {
        let mut diagnosis = Diagnosis {
            watcher: self.status.watcher().to_owned(),
            checks: Vec::new(),
        };
        let verbs: &[&str] = if self.store.keeps_bodies() {
            &WATCH_VERBS
        } else {
            &FETCH_VERBS
        };
        let resource = check_resource(&mut diagnosis, &self.client, &self.targets, verbs).await;
        if let Some(resource) = resource {
            for target in self.targets.iter() {
                check_access(&mut diagnosis, &self.client, target, verbs).await;
                if resource.supports("list") {
                    check_selectors(&mut diagnosis, &self.client, target).await;
                }
            }
        }
        self.check_state(&mut diagnosis);
        diagnosis
    }

    fn check_state(&self, diagnosis: &mut Diagnosis) {
        let status = self.status();
        match &status.last_error {
            Some(error) => diagnosis.note(Finding::Bad, format!("the last error: {error}")),
            None if status.is_connected() => {
                diagnosis.note(Finding::Good, "the watch is connected");
            }
            None => diagnosis.note(
                Finding::Odd,
                format!("the watch is not connected: {:?}", status.connection),
            ),
        }
        let objects = self.store.len();
        if status.synced {
            let version = status.resource_version.as_deref().unwrap_or("several");
            diagnosis.note(
                Finding::Good,
                format!("synced: {objects} objects, resource version {version}"),
            );
        } else {
            diagnosis.note(
                Finding::Odd,
                format!("not synced yet: {objects} objects so far"),
            );
        }
        if status.callback_panics > 0 {
            diagnosis.note(
                Finding::Odd,
                format!("{} calls of callbacks panicked", status.callback_panics),
            );
        }
        if status.audit_differences > 0 {
            let (found, audits) = (status.audit_differences, status.audits);
            diagnosis.note(
                Finding::Odd,
                format!("{audits} audits found {found} differences, which were repaired"),
            );
        }
    }
}

async fn check_resource(
    diagnosis: &mut Diagnosis,
    client: &Client,
    targets: &[Target],
    verbs: &[&str],
) -> Option<ApiResource> {
    let target = targets.first()?;
    let resource = match client.resolve(&target.gvr).await {
        Ok(resource) => resource,
        Err(error) => {
            diagnosis.note(Finding::Bad, error.to_string());
            return None;
        }
    };
    let scope = if resource.namespaced {
        "in namespaces"
    } else {
        "without a namespace"
    };
    diagnosis.note(
        Finding::Good,
        format!(
            "the server serves {} as kind {}, {scope}",
            target.gvr, resource.kind
        ),
    );
    for verb in verbs.iter().filter(|verb| !resource.supports(verb)) {
        diagnosis.note(Finding::Bad, format!("the server offers no {verb} for it"));
    }
    for target in targets {
        if let Err(error) = resource.check_namespace(target.namespace.as_deref()) {
            diagnosis.note(Finding::Bad, error.to_string());
        }
    }
    Some(resource)
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    allowed: bool,
    #[serde(default)]
    reason: String,
}

async fn check_access(diagnosis: &mut Diagnosis, client: &Client, target: &Target, verbs: &[&str]) {
    let place = place(target);
    for verb in verbs {
        match review(client, target, verb).await {
            Ok(ReviewStatus { allowed: true, .. }) => {
                diagnosis.note(
                    Finding::Good,
                    format!("may {verb} {}{place}", target.gvr.resource()),
                );
            }
            Ok(ReviewStatus { reason, .. }) => {
                let reason = if reason.is_empty() {
                    String::new()
                } else {
                    format!(" ({reason})")
                };
                let resource = target.gvr.resource();
                let text = format!(
                    "may not {verb} {resource}{place}{reason}; grant the verb to the user or service account"
                );
                diagnosis.note(Finding::Bad, text);
            }
            Err(error) => diagnosis.note(
                Finding::Odd,
                format!("whether it may {verb} cannot be found out: {error}"),
            ),
        }
    }
}

async fn review(client: &Client, target: &Target, verb: &str) -> Result<ReviewStatus, ClientError> {
    let attributes = json!({
        "group": target.gvr.group(), "version": target.gvr.version(), "resource": target.gvr.resource(),
        "namespace": target.namespace.as_deref().unwrap_or_default(), "verb": verb,
    });
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review: Review = client
        .write_json(Method::POST, path, body.to_string().into_bytes())
        .await?;
    Ok(review.status)
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Option<Vec<serde::de::IgnoredAny>>,
}

async fn check_selectors(diagnosis: &mut Diagnosis, client: &Client, target: &Target) {
    let place = place(target);
    let any = async |target: &Target| -> Result<bool, ClientError> {
        let page: Page = client.get_json(&target.one_object()).await?;
        Ok(page.items.is_some_and(|items| !items.is_empty()))
    };
    let selected = match any(target).await {
        Ok(selected) => selected,
        Err(error) => {
            diagnosis.note(Finding::Bad, format!("a list{place} fails: {error}"));
            return;
        }
    };
    let selectors = target.selectors_text();
    match (selected, selectors.as_deref()) {
        (true, None) => diagnosis.note(Finding::Good, format!("there are objects{place}")),
        (true, Some(selectors)) => {
            diagnosis.note(Finding::Good, format!("{selectors} matches objects{place}"));
        }
        (false, None) => diagnosis.note(Finding::Odd, format!("there are no objects{place}")),
        (false, Some(selectors)) => match any(&target.without_selectors()).await {
            Ok(true) => {
                let text = format!(
                    "{selectors} matches nothing{place}, though there are objects; compare it with their labels"
                );
                diagnosis.note(Finding::Odd, text);
            }
            Ok(false) => diagnosis.note(
                Finding::Odd,
                format!("there are no objects{place}, with {selectors} or without"),
            ),
            Err(error) => diagnosis.note(
                Finding::Odd,
                format!("a list{place} without selectors fails: {error}"),
            ),
        },
    }
}

fn place(target: &Target) -> String {
    target
        .namespace
        .as_ref()
        .map_or_else(String::new, |namespace| {
            format!(" in namespace {namespace}")
        })
}

//! What stands behind the question mark: options of every verb, and their validation.

use serde_json::{Map, Value};

use super::registry::GroupResource;
use super::status::{ApiError, FieldFault};
use crate::selector::{FieldSelector, LabelSelector};

/// Decoded `key=value` pairs, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// A value that is there and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    fn all(&self, key: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)
            .map(|value| !(value == "0" || value.eq_ignore_ascii_case("false")))
    }

    fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        self.text(key)
            .map(|value| {
                value.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "strconv.ParseInt: parsing \"{value}\": invalid syntax"
                    ))
                })
            })
            .transpose()
    }
}

/// Undoes percent encoding; what is not valid stays as it is.
pub(super) fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let escape = (byte == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escape {
            Some(value) => {
                decoded.push(value);
                index += 3;
            }
            None => {
                decoded.push(if byte == b'+' && plus_is_space {
                    b' '
                } else {
                    byte
                });
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn options_kind(kind: &str) -> GroupResource {
    GroupResource::new("meta.k8s.io", kind)
}

fn check(kind: &str, faults: &[FieldFault]) -> Result<(), ApiError> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(&options_kind(kind), "", faults))
    }
}

/// Options of list, watch and deletecollection.
#[derive(Clone, Debug)]
pub(super) struct ListOptions {
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
    pub(super) watch: bool,
    pub(super) bookmarks: bool,
    /// As given; empty when unset.
    pub(super) resource_version: String,
    pub(super) exact: bool,
    pub(super) not_older_than: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) timeout_seconds: Option<u64>,
    /// 0: none.
    pub(super) limit: usize,
    pub(super) continue_token: Option<String>,
}

impl ListOptions {
    pub(super) fn read(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let bad = |error: crate::selector::SelectorError| ApiError::bad_request(error.to_string());
        let mut matching = query.text("resourceVersionMatch").unwrap_or_default();
        let resource_version = query.get("resourceVersion").unwrap_or_default().to_owned();
        let mut send_initial_events = query.flag("sendInitialEvents");
        if watch
            && send_initial_events.is_none()
            && matching.is_empty()
            && matches!(&*resource_version, "" | "0")
        {
            // A watch from nowhere is a streaming list.
            send_initial_events = Some(true);
            matching = "NotOlderThan";
        }
        let options = Self {
            labels: query
                .text("labelSelector")
                .unwrap_or_default()
                .parse()
                .map_err(bad)?,
            fields: query
                .text("fieldSelector")
                .unwrap_or_default()
                .parse()
                .map_err(bad)?,
            watch,
            bookmarks: query.flag("allowWatchBookmarks").unwrap_or_default(),
            resource_version,
            exact: matching == "Exact",
            not_older_than: matching == "NotOlderThan",
            send_initial_events,
            timeout_seconds: query
                .number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
            limit: query
                .number("limit")?
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or_default(),
            continue_token: query.text("continue").map(str::to_owned),
        };
        check("ListOptions", &options.faults(matching))?;
        Ok(options)
    }

    fn faults(&self, matching: &str) -> Vec<FieldFault> {
        const MATCH: &str = "resourceVersionMatch";
        let mut faults = Vec::new();
        let mut forbid =
            |field: &str, reason: &str| faults.push(FieldFault::forbidden(field, reason));
        if self.watch {
            if self.send_initial_events.is_some() && !self.not_older_than {
                forbid(
                    MATCH,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            if !matching.is_empty() && self.send_initial_events.is_none() {
                forbid(
                    MATCH,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
            }
            if !matching.is_empty() && !self.not_older_than {
                faults.push(FieldFault::not_supported(
                    MATCH,
                    &Value::from(matching),
                    &["NotOlderThan"],
                ));
            }
            if !matching.is_empty() && self.continue_token.is_some() {
                faults.push(FieldFault::forbidden(
                    MATCH,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            return faults;
        }
        if !matching.is_empty() {
            if self.resource_version.is_empty() {
                forbid(
                    MATCH,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                );
            }
            if self.continue_token.is_some() {
                forbid(
                    MATCH,
                    "resourceVersionMatch is forbidden when continue is provided",
                );
            }
            if !self.exact && !self.not_older_than {
                faults.push(FieldFault::not_supported(
                    MATCH,
                    &Value::from(matching),
                    &["Exact", "NotOlderThan", ""],
                ));
            } else if self.exact && self.resource_version == "0" {
                forbid(
                    MATCH,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
        if self.send_initial_events.is_some() {
            faults.push(FieldFault::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        faults
    }

    pub(super) fn selects_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// What to do with fields that a schema does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Debug)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    pub(super) validation: FieldValidation,
    pub(super) manager: Option<String>,
    pub(super) force: bool,
}

impl WriteOptions {
    /// `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub(super) fn read(query: &Query, kind: &str, apply: bool) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let manager = query.text("fieldManager");
        let force = query.flag("force");
        if kind == "PatchOptions" {
            if apply && manager.is_none() {
                faults.push(FieldFault::required(
                    "fieldManager",
                    "is required for apply patch",
                ));
            }
            if !apply && force.is_some() {
                faults.push(FieldFault::forbidden(
                    "force",
                    "may not be specified for non-apply patch",
                ));
            }
        }
        if manager.is_some_and(|manager| manager.len() > 128) {
            faults.push(FieldFault::too_long("fieldManager", 128));
        }
        if let Some(manager) = manager
            && let Some((index, c)) = manager.char_indices().find(|(_, c)| c.is_control())
        {
            faults.push(FieldFault::invalid(
                "fieldManager",
                &Value::from(manager),
                &format!("invalid character {c:?} at position {index}"),
            ));
        }
        let dry_run = dry_run(&query.all("dryRun"), &mut faults);
        let validation = match query.get("fieldValidation").unwrap_or_default() {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                faults.push(FieldFault::not_supported(
                    "fieldValidation",
                    &Value::from(other),
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        check(kind, &faults)?;
        Ok(Self {
            dry_run,
            validation,
            manager: manager.map(str::to_owned),
            force: force.unwrap_or_default(),
        })
    }
}

fn dry_run(values: &[&str], faults: &mut Vec<FieldFault>) -> bool {
    if values.is_empty() || values == [""] {
        return false;
    }
    if values != ["All"] {
        faults.push(FieldFault::not_supported(
            "dryRun",
            &values.iter().copied().collect(),
            &["All"],
        ));
    }
    true
}

/// Options of delete.
#[derive(Clone, Debug, Default)]
pub(super) struct DeleteOptions {
    pub(super) dry_run: bool,
    pub(super) grace_seconds: Option<i64>,
    /// Said in the words of before there was a propagation policy: dependents go, too.
    pub(super) cascading: bool,
    pub(super) propagation: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

impl DeleteOptions {
    /// From the body if there is one, else from the query.
    pub(super) fn read(query: &Query, body: Option<&Map<String, Value>>) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let orphan;
        let mut options = Self::default();
        if let Some(body) = body {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            orphan = body.get("orphanDependents").and_then(Value::as_bool);
            let preconditions = body.get("preconditions");
            let inner = |key: &str| text(preconditions.and_then(|value| value.get(key)));
            let dry: Vec<&str> = body
                .get("dryRun")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            options = Self {
                dry_run: dry_run(&dry, &mut faults),
                grace_seconds: body.get("gracePeriodSeconds").and_then(Value::as_i64),
                cascading: false,
                propagation: text(body.get("propagationPolicy")),
                uid: inner("uid"),
                resource_version: inner("resourceVersion"),
            };
        } else {
            orphan = query.flag("orphanDependents");
            options.dry_run = dry_run(&query.all("dryRun"), &mut faults);
            options.grace_seconds = query.number("gracePeriodSeconds")?;
            options.propagation = query.text("propagationPolicy").map(str::to_owned);
        }
        options.cascading = orphan == Some(false);
        // A negative grace period is the shortest one.
        if options.grace_seconds.is_some_and(|seconds| seconds < 0) {
            options.grace_seconds = Some(1);
        }
        if let Some(policy) = &options.propagation {
            if orphan.is_some() {
                faults.insert(
                    0,
                    FieldFault::invalid(
                        "propagationPolicy",
                        &Value::from(policy.as_str()),
                        "orphanDependents and deletionPropagation cannot be both set",
                    ),
                );
            }
            if !["Foreground", "Background", "Orphan"].contains(&policy.as_str()) {
                faults.push(FieldFault::not_supported(
                    "propagationPolicy",
                    &Value::from(policy.as_str()),
                    &["Foreground", "Background", "Orphan", "nil"],
                ));
            }
        } else if orphan == Some(true) {
            options.propagation = Some("Orphan".to_owned());
        }
        check("DeleteOptions", &faults)?;
        Ok(options)
    }
}

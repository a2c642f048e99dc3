//! The parts of Services and EndpointSlices that translation reads, as tolerantly as the API allows.
//!
//! `null`, a missing key and, for lists and objects, an empty one mean the same. What the API server lets pass is
//! read; what it would refuse may be an error. Fields that no rule reads are not looked at.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU16;

use kubedex::Object;
use kubedex::object::ParseError;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// The label by which a slice names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// What translation reads of a Service.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) spec: ServiceSpec,
}

/// What translation reads of an EndpointSlice.
#[derive(Clone, Debug, Deserialize)]
pub struct EndpointSlice {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) metadata: Metadata,
    #[serde(default, rename = "addressType", deserialize_with = "nullable")]
    pub(super) address_type: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) endpoints: Vec<SliceEndpoint>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ports: Vec<SlicePort>,
}

impl Service {
    /// Reads a Service.
    ///
    /// # Errors
    /// When a field that translation needs does not have its form.
    pub fn read(object: &Object) -> Result<Self, ParseError> {
        object.parse()
    }
}

impl EndpointSlice {
    /// Reads an EndpointSlice.
    ///
    /// # Errors
    /// When a field that translation needs does not have its form.
    pub fn read(object: &Object) -> Result<Self, ParseError> {
        object.parse()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) namespace: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) labels: Labels,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) annotations: HashMap<Box<str>, Option<Box<str>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Labels {
    #[serde(
        default,
        rename = "kubernetes.io/service-name",
        deserialize_with = "nullable"
    )]
    pub(super) service_name: Box<str>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub(super) kind: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ports: Vec<ServicePort>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ip_families: Vec<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) session_affinity: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) session_affinity_config: SessionAffinityConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SessionAffinityConfig {
    #[serde(default, rename = "clientIP", deserialize_with = "nullable")]
    pub(super) client_ip: ClientIp,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ClientIp {
    #[serde(default, rename = "timeoutSeconds")]
    pub(super) timeout_seconds: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) protocol: Box<str>,
    #[serde(deserialize_with = "port_number")]
    pub(super) port: NonZeroU16,
    #[serde(default)]
    pub(super) target_port: Option<TargetPort>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) app_protocol: Box<str>,
}

/// A port number, or the name of a container's port. The number may be outside the range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetPort {
    Number(i64),
    Name(Box<str>),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SlicePort {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) protocol: Box<str>,
    /// The API server does not check its range.
    #[serde(default)]
    pub(super) port: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceEndpoint {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) addresses: Vec<Box<str>>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) conditions: Conditions,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) zone: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) node_name: Box<str>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) hints: Hints,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Conditions {
    #[serde(default)]
    pub(super) ready: Option<bool>,
    #[serde(default)]
    pub(super) serving: Option<bool>,
    #[serde(default)]
    pub(super) terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hints {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) for_zones: Vec<Hint>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) for_nodes: Vec<Hint>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hint {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: Box<str>,
}

/// Reads `null` as the default, as `#[serde(default)]` does for a missing key.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a port number, and says what that is if it is none.
fn port_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU16, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = NonZeroU16;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a port number from 1 to 65535")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<NonZeroU16, E> {
            u16::try_from(number)
                .ok()
                .and_then(NonZeroU16::new)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<NonZeroU16, E> {
            u16::try_from(number)
                .ok()
                .and_then(NonZeroU16::new)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }
    }

    deserializer.deserialize_any(Number)
}

impl<'de> Deserialize<'de> for TargetPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = TargetPort;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number or a port name")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TargetPort, E> {
                Ok(TargetPort::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TargetPort, E> {
                i64::try_from(number)
                    .map(TargetPort::Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TargetPort, E> {
                Ok(TargetPort::Name(name.into()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_reads_as_absent_everywhere() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": null, "labels": null},
            "addressType": null,
            "endpoints": [{"addresses": null, "conditions": null, "zone": null, "nodeName": null,
                           "hints": {"forZones": null, "forNodes": [{"name": null}]}}],
            "ports": [{"name": null, "protocol": null, "port": null}],
        }))
        .unwrap();
        assert_eq!(slice.endpoints.len(), 1);
        assert_eq!(slice.ports[0].port, None);

        let service: Service = serde_json::from_value(json!({
            "metadata": null,
            "spec": {"type": null, "ipFamilies": null, "sessionAffinity": null, "sessionAffinityConfig": null,
                     "ports": [{"name": null, "protocol": null, "port": 1, "targetPort": null, "appProtocol": null}]},
        }))
        .unwrap();
        assert_eq!(service.spec.ports[0].target_port, None);
        assert!(serde_json::from_value::<Service>(json!({"spec": null})).is_ok());
    }

    #[test]
    fn a_service_port_needs_a_number_in_range() {
        for port in [json!(0), json!(65536), json!(-1), json!("80"), json!(null)] {
            let service = json!({"spec": {"ports": [{"port": port}]}});
            assert!(
                serde_json::from_value::<Service>(service).is_err(),
                "{port}"
            );
        }
    }

    #[test]
    fn a_target_port_is_a_number_or_a_name() {
        let read = |value| serde_json::from_value::<TargetPort>(value);
        assert_eq!(read(json!(80)).unwrap(), TargetPort::Number(80));
        assert_eq!(read(json!(-80)).unwrap(), TargetPort::Number(-80));
        assert_eq!(
            read(json!("http")).unwrap(),
            TargetPort::Name("http".into())
        );
        let error = read(json!([])).unwrap_err().to_string();
        assert!(error.contains("a port number or a port name"), "{error}");
    }
}

//! A cluster in protobuf, for CDS and for EDS.
//!
//! The bytes are the same in every process: no map in them has more than one entry.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::config::cluster::v3::Cluster as EnvoyCluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::encoding::{WireType, encode_key, encode_varint, string};
use prost::{Message, Name};

use super::resources::Resource;
use crate::model::{Cluster, ContentHash};
use crate::output::envoy::upstream::{self, Locality, Upstream};

/// The key of the options for HTTP, which is also the last part of their type.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster and its assignment; `None` when Envoy cannot have it.
///
/// The assignment's version depends on the cluster's, too: Envoy starts afresh when a cluster's settings change, and
/// must then be told of its endpoints once more, even over a new connection.
pub(super) fn both(source: &Cluster, upstream_ca: Option<&str>) -> Option<(Resource, Resource)> {
    let upstream = Upstream::of(source)?;
    let cluster = cluster(&source.name, upstream, upstream_ca).encode_to_vec();
    let assignment = assignment(&source.name, &upstream::localities(source)).encode_to_vec();
    let version = ContentHash::of_bytes(&cluster);
    let whole = ContentHash::of_bytes(&[cluster.as_slice(), &assignment].concat());
    Some((
        resource(&source.name, version, &EnvoyCluster::type_url(), &cluster),
        resource(
            &source.name,
            whole,
            &endpoint::ClusterLoadAssignment::type_url(),
            &assignment,
        ),
    ))
}

/// Both forms at once: `Resource { name, version, resource: Any }`, with the `Any` at its end.
fn resource(name: &str, version: ContentHash, type_url: &str, value: &[u8]) -> Resource {
    let mut any = BytesMut::with_capacity(value.len() + type_url.len() + 12);
    string::encode(1, &type_url.to_owned(), &mut any);
    encode_key(2, WireType::LengthDelimited, &mut any);
    encode_varint(value.len() as u64, &mut any);
    any.put_slice(value);

    let mut delta = BytesMut::with_capacity(any.len() + name.len() + 48);
    string::encode(3, &name.to_owned(), &mut delta);
    string::encode(1, &version.to_string(), &mut delta);
    encode_key(2, WireType::LengthDelimited, &mut delta);
    encode_varint(any.len() as u64, &mut delta);
    let any_at = delta.len();
    delta.put_slice(&any);
    // What was reserved and is not needed goes.
    Resource::new(version, Bytes::copy_from_slice(&delta), any_at)
}

fn cluster(name: &str, upstream: Upstream, upstream_ca: Option<&str>) -> EnvoyCluster {
    let ads = core::config_source::ConfigSourceSpecifier::Ads(core::AggregatedConfigSource {});
    let lb_policy = if upstream.hashes {
        LbPolicy::RingHash
    } else {
        LbPolicy::RoundRobin
    };
    let mut options = HashMap::new();
    if upstream.http2 || upstream.tls {
        options.insert(HTTP_OPTIONS.to_owned(), any(&http_options(upstream)));
    }
    EnvoyCluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(core::ConfigSource {
                resource_api_version: core::ApiVersion::V3.into(),
                config_source_specifier: Some(ads),
                ..Default::default()
            }),
            ..Default::default()
        }),
        lb_policy: lb_policy.into(),
        // For the reasons see the files' JSON, which says the same.
        common_lb_config: Some(CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: 0.0 }),
            update_merge_window: Some(Duration::default()),
            ..Default::default()
        }),
        typed_extension_protocol_options: options,
        transport_socket: upstream.tls.then(|| core::TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(
                &tls_context(upstream, upstream_ca),
            ))),
        }),
        ..Default::default()
    }
}

fn http_options(upstream: Upstream) -> http::HttpProtocolOptions {
    use http::http_protocol_options::explicit_http_config::ProtocolConfig;
    use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};

    let version = if upstream.http2 {
        ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default())
    } else {
        ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())
    };
    http::HttpProtocolOptions {
        upstream_http_protocol_options: upstream.tls.then(|| core::UpstreamHttpProtocolOptions {
            auto_sni: true,
            ..Default::default()
        }),
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(
            ExplicitHttpConfig {
                protocol_config: Some(version),
            },
        )),
        ..Default::default()
    }
}

fn tls_context(upstream: Upstream, upstream_ca: Option<&str>) -> tls::UpstreamTlsContext {
    use tls::common_tls_context::ValidationContextType;

    let checked = upstream_ca.map(|file| {
        ValidationContextType::ValidationContext(tls::CertificateValidationContext {
            trusted_ca: Some(core::DataSource {
                specifier: Some(core::data_source::Specifier::Filename(file.to_owned())),
                ..Default::default()
            }),
            ..Default::default()
        })
    });
    tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            alpn_protocols: upstream
                .http2
                .then(|| "h2".to_owned())
                .into_iter()
                .collect(),
            validation_context_type: checked,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn assignment(name: &str, localities: &[Locality<'_>]) -> endpoint::ClusterLoadAssignment {
    endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: localities.iter().map(locality).collect(),
        ..Default::default()
    }
}

fn locality(locality: &Locality<'_>) -> endpoint::LocalityLbEndpoints {
    use endpoint::lb_endpoint::HostIdentifier;

    let hosts = locality.endpoints.iter().map(|host| {
        let socket = core::SocketAddress {
            address: host.address.to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(
                host.port.into(),
            )),
            ..Default::default()
        };
        let health = if host.drains {
            core::HealthStatus::Draining
        } else {
            core::HealthStatus::Healthy
        };
        endpoint::LbEndpoint {
            health_status: health.into(),
            host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
                address: Some(core::Address {
                    address: Some(core::address::Address::SocketAddress(socket)),
                }),
                ..Default::default()
            })),
            ..Default::default()
        }
    });
    endpoint::LocalityLbEndpoints {
        locality: locality.zone.map(|zone| core::Locality {
            zone: zone.to_owned(),
            ..Default::default()
        }),
        lb_endpoints: hosts.collect(),
        ..Default::default()
    }
}

//! NGINX: an `upstream` for each cluster; those for HTTP in `http.conf`, those for the stream module in `stream.conf`.
//!
//! Both files are always there, since an `include` of a missing one is an error. What an upstream is spoken to with is
//! said where it is used (`proxy_pass`, `grpc_pass`); a comment names it. One faulty upstream keeps NGINX from starting
//! or reloading, so nothing that it refuses is ever written.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::escape::{NGINX, comment};
use super::wire::{DefaultProtocol, Wire};
use super::{ConfigError, File, Output, Rendering, hashed, inexpressible};
use crate::model::{Cluster, Problem, Snapshot};

/// How upstreams are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NginxConfig {
    /// Whether TCP clusters without an application protocol are HTTP upstreams, which is the default, or stream
    /// upstreams.
    pub default_protocol: DefaultProtocol,
    /// Put before every name, such as `eu-1/`; empty by default.
    pub name_prefix: String,
    /// How many idle connections each worker keeps to an HTTP upstream, 1 to 65535; none by default.
    pub keepalive: Option<u16>,
}

/// Renders a snapshot as upstreams.
#[derive(Clone, Debug, Default)]
pub struct Nginx {
    config: NginxConfig,
}

/// NGINX refuses an upstream without servers; with this one alone it answers 502, without a connection.
const NOBODY: &str = "    server 127.0.0.1:1 down;\n";

impl Nginx {
    /// As the configuration says.
    ///
    /// # Errors
    /// When `keepalive` is 0.
    pub fn new(config: NginxConfig) -> Result<Self, ConfigError> {
        if config.keepalive == Some(0) {
            let what = "write 1 to 65535, or leave it out to keep none";
            return Err(ConfigError::new("keepalive", what));
        }
        Ok(Self { config })
    }

    fn upstream(&self, text: &mut String, cluster: &Cluster, name: &str, wire: Wire) {
        let app_protocol = cluster.app_protocol.as_deref();
        let used = match wire {
            Wire::Http => "proxy_pass http://",
            Wire::Https if app_protocol.is_some_and(Wire::is_http2_over_tls) => {
                "grpc_pass grpcs://"
            }
            Wire::Https => "proxy_pass https://",
            Wire::H2c => "grpc_pass grpc://",
            Wire::Tcp | Wire::Udp => "proxy_pass ",
        };
        let udp = match wire {
            Wire::Udp => ", listen with udp",
            _ => "",
        };
        let _ = writeln!(
            text,
            "\n# {}: {used}{name}{udp}\nupstream {name} {{",
            comment(&cluster.name)
        );
        if cluster.session_affinity.is_some() {
            text.push_str("    hash $remote_addr consistent;\n");
        }
        if cluster.endpoints.is_empty() {
            text.push_str(NOBODY);
        }
        for (endpoint, drains) in cluster.served() {
            let down = if drains { " down" } else { "" };
            let _ = writeln!(text, "    server {}{down};", endpoint.socket());
        }
        if let (true, Some(connections)) = (wire.is_http(), self.config.keepalive) {
            let _ = writeln!(text, "    keepalive {connections};");
        }
        text.push_str("}\n");
    }
}

/// Longer names are left out; NGINX has no more room for a token than some 4000 bytes, and for a host less.
const LONGEST: usize = 255;

fn problem(cluster: &Cluster, what: String) -> Problem {
    inexpressible("nginx", cluster, what)
}

impl Output for Nginx {
    fn format(&self) -> &'static str {
        "nginx"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let header = "# Written by kubedex-gateway; changes are overwritten.\n";
        let (mut http, mut stream) = (header.to_owned(), header.to_owned());
        let mut problems = Vec::new();
        for cluster in snapshot.clusters() {
            let Some(wire) = Wire::of(cluster, self.config.default_protocol) else {
                let protocol = &cluster.protocol;
                let what =
                    format!("there are no upstreams for {protocol}; the cluster is left out");
                problems.push(problem(cluster, what));
                continue;
            };
            let name = NGINX.escape(&format!("{}{}", self.config.name_prefix, cluster.name));
            if name.len() > LONGEST {
                let what =
                    format!("the name is longer than {LONGEST} bytes; the cluster is left out");
                problems.push(problem(cluster, what));
                continue;
            }
            let text = if wire.is_http() {
                &mut http
            } else {
                &mut stream
            };
            self.upstream(text, cluster, &name, wire);
            problems.extend(
                cluster
                    .session_affinity
                    .map(|affinity| problem(cluster, hashed(affinity))),
            );
        }
        let files = vec![
            File::text("http.conf", "text/plain", http),
            File::text("stream.conf", "text/plain", stream),
        ];
        Rendering::whole(files, problems)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_speaks_http2_alone_is_not_asked_in_http1() {
        for (app_protocol, used) in [
            ("https", "proxy_pass https://"),
            ("grpcs", "grpc_pass grpcs://"),
            ("H2", "grpc_pass grpcs://"),
            ("grpc", "grpc_pass grpc://"),
        ] {
            let mut edit = Snapshot::default().edit();
            edit.upsert(Arc::new(Cluster {
                app_protocol: Some(app_protocol.into()),
                ..Cluster::new("x", "TCP".into())
            }));
            let snapshot = edit.finish().unwrap();
            let rendering = Nginx::default().render(&snapshot, None);
            let text = String::from_utf8(rendering.files[0].bytes.to_vec()).unwrap();
            assert!(text.contains(&format!("# x: {used}x\n")), "{text}");
        }
    }
}

//! HAProxy: a backend for each cluster, with servers in stable slots (`kubedex.cfg`).
//!
//! Loaded behind the main configuration (`haproxy -f haproxy.cfg -f kubedex.cfg`), whose `defaults` it takes. One faulty
//! line keeps HAProxy from starting or reloading, so nothing that it refuses is ever written.

mod config;
mod slots;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

pub use self::config::{HaproxyConfig, TlsConfig};
pub use self::slots::{ClusterSlots, Slots};
use super::escape::{HAPROXY, comment};
use super::wire::Wire;
use super::{ConfigError, File, Output, Rendering, inexpressible};
use crate::model::{Cluster, Problem, SessionAffinity, Snapshot};

/// Renders a snapshot as backends, and remembers the slots.
#[derive(Clone, Debug)]
pub struct Haproxy {
    config: HaproxyConfig,
    slots: Slots,
}

impl Haproxy {
    /// As the configuration says, going on from these slots.
    ///
    /// # Errors
    /// When an option cannot be used; it is named.
    pub fn new(config: HaproxyConfig, slots: Slots) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self { config, slots })
    }

    /// The slots as they were last rendered.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }
}

impl Output for Haproxy {
    fn format(&self) -> &'static str {
        "haproxy"
    }

    fn render(&mut self, snapshot: &Snapshot, _last: Option<&Snapshot>) -> Rendering {
        let (rendering, slots) = render(&self.config, snapshot, &self.slots);
        self.slots = slots;
        rendering
    }
}

/// Renders a snapshot, with the slots that follow from those of the last one.
pub fn render(config: &HaproxyConfig, snapshot: &Snapshot, last: &Slots) -> (Rendering, Slots) {
    let least = usize::from(config.min_slots);
    let mut slots = Slots::default();
    let mut text = "# Written by kubedex-gateway; changes are overwritten.\n".to_owned();
    let mut problems = Vec::new();
    for cluster in snapshot.clusters() {
        match backend(config, cluster) {
            Ok(backend) => {
                let assigned = last.follow(cluster, least);
                backend.write(&mut text, &assigned);
                let lacks = backend.lacks().into_iter();
                problems.extend(lacks.map(|what| problem(cluster, what)));
                slots.keep(cluster, assigned);
            }
            Err(what) => problems.push(problem(cluster, what)),
        }
    }
    let file = File::text("kubedex.cfg", "text/plain", text);
    (Rendering::whole(vec![file], problems), slots)
}

fn problem(cluster: &Cluster, what: impl Into<Box<str>>) -> Problem {
    inexpressible("haproxy", cluster, what)
}

/// Longer names are left out: a line of HAProxy's has room for 2048 bytes.
const LONGEST: usize = 255;

/// The longest time that HAProxy remembers anything for, in seconds: what fits 31 bits in milliseconds.
const LONGEST_MEMORY: u64 = 2_147_483;

/// What a free slot has for an address; it is disabled, and nobody listens there.
const NOWHERE: &str = "127.0.0.1:1 disabled";

struct Backend<'a> {
    config: &'a HaproxyConfig,
    cluster: &'a Cluster,
    name: String,
    wire: Wire,
}

/// The backend for a cluster, or why there is none.
fn backend<'a>(config: &'a HaproxyConfig, cluster: &'a Cluster) -> Result<Backend<'a>, String> {
    let wire = match Wire::of(cluster, config.default_protocol) {
        Some(wire) if wire != Wire::Udp => wire,
        _ => {
            let protocol = &cluster.protocol;
            return Err(format!(
                "there are no backends for {protocol}; the cluster is left out"
            ));
        }
    };
    let name = HAPROXY.escape(&format!("{}{}", config.name_prefix, cluster.name));
    if name.len() > LONGEST {
        return Err(format!(
            "the name is longer than {LONGEST} bytes; the cluster is left out"
        ));
    }
    Ok(Backend {
        config,
        cluster,
        name,
        wire,
    })
}

impl Backend<'_> {
    /// What the backend does not do as the cluster wants it.
    fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.lacks_tls() {
            lacks.push(
                "TLS to its endpoints needs the option `tls`; its servers are disabled".into(),
            );
        }
        if let Some(SessionAffinity::ClientIp { timeout }) = self.cluster.session_affinity
            && timeout.as_secs() > LONGEST_MEMORY
        {
            let asked = timeout.as_secs();
            lacks.push(format!(
                "a silent client is remembered for {LONGEST_MEMORY} s at most, not for {asked} s"
            ));
        }
        lacks
    }

    fn lacks_tls(&self) -> bool {
        self.wire == Wire::Https && self.config.tls.is_none()
    }

    fn write(&self, text: &mut String, slots: &[Option<SocketAddr>]) {
        let mode = if self.wire.is_http() { "http" } else { "tcp" };
        let _ = writeln!(
            text,
            "\n# {}\nbackend {}\n    mode {mode}",
            comment(&self.cluster.name),
            self.name
        );
        self.write_affinity(text);
        if let Some(words) = &self.config.default_server {
            let _ = writeln!(text, "    default-server {words}");
        }
        match (self.wire, &self.config.tls) {
            (Wire::H2c, _) => text.push_str("    default-server proto h2\n"),
            (Wire::Https, Some(tls)) => {
                let _ = writeln!(text, "    default-server {}", tls.words());
            }
            _ => {}
        }
        self.write_servers(text, slots);
    }

    fn write_affinity(&self, text: &mut String) {
        let Some(SessionAffinity::ClientIp { timeout }) = self.cluster.session_affinity else {
            return;
        };
        // An IPv4 address is kept in its IPv6 form, so one table serves frontends of both families.
        let _ = write!(
            text,
            "    stick-table type ipv6 size {} expire {}s",
            self.config.stick_table_size,
            timeout.as_secs().clamp(1, LONGEST_MEMORY)
        );
        if let Some(peers) = &self.config.peers {
            let _ = write!(text, " peers {peers}");
        }
        text.push_str("\n    stick on src\n");
    }

    fn write_servers(&self, text: &mut String, slots: &[Option<SocketAddr>]) {
        let disabled = if self.lacks_tls() { " disabled" } else { "" };
        let draining: HashSet<SocketAddr> = self
            .cluster
            .served()
            .filter(|(_, drains)| *drains)
            .map(|(endpoint, _)| endpoint.socket())
            .collect();
        for (number, slot) in (1..).zip(slots) {
            let _ = match slot {
                // No new clients; those that stick to it still come.
                Some(socket) if draining.contains(socket) => {
                    writeln!(text, "    server s{number} {socket} weight 0{disabled}")
                }
                Some(socket) => writeln!(text, "    server s{number} {socket}{disabled}"),
                None => writeln!(text, "    server s{number} {NOWHERE}"),
            };
        }
    }
}

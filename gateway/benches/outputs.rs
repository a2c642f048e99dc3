//! What it costs to render a whole snapshot, for each output that is one document.
//!
//! ```sh
//! cargo bench -p kubedex-gateway --bench outputs             # 10,000 clusters of 3 endpoints
//! cargo bench -p kubedex-gateway --bench outputs -- 1000 20  # of another size
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubedex_gateway::model::{Cluster, Endpoint, Protocol, Snapshot, State};
use kubedex_gateway::output::Output;
use kubedex_gateway::output::backends::Backends;
use kubedex_gateway::output::haproxy::{Haproxy, HaproxyConfig, Slots};
use kubedex_gateway::output::json::Json;
use kubedex_gateway::output::nginx::Nginx;
use kubedex_gateway::output::prometheus::Prometheus;
use kubedex_gateway::output::traefik::Traefik;

/// How often each is rendered.
const ROUNDS: usize = 31;

fn main() {
    // `cargo bench` adds an option of its own.
    let mut sizes = std::env::args().filter_map(|argument| argument.parse().ok());
    let clusters: u32 = sizes.next().unwrap_or(10_000);
    let endpoints: u32 = sizes.next().unwrap_or(3);
    let snapshot = snapshot(clusters, endpoints);
    println!("{clusters} clusters of {endpoints} endpoints, {ROUNDS} rounds");
    println!(
        "{:<12} {:>10} {:>10} {:>12}",
        "output", "median", "slowest", "bytes"
    );
    for mut output in outputs() {
        let mut bytes = 0;
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                let rendering = black_box(output.render(black_box(&snapshot), None));
                let time = start.elapsed();
                bytes = rendering.files.iter().map(|file| file.bytes.len()).sum();
                time
            })
            .collect();
        times.sort_unstable();
        let [median, slowest] = [times[ROUNDS / 2], times[ROUNDS - 1]];
        let format = output.format();
        println!("{format:<12} {median:>10.2?} {slowest:>10.2?} {bytes:>12}");
    }
}

fn outputs() -> Vec<Box<dyn Output>> {
    let haproxy = Haproxy::new(HaproxyConfig::default(), Slots::default());
    let mut outputs: Vec<Box<dyn Output>> = vec![
        Box::new(Json),
        Box::new(Backends::default()),
        Box::new(Traefik::default()),
        Box::new(Prometheus),
        Box::new(Nginx::default()),
    ];
    if let Ok(haproxy) = haproxy {
        outputs.push(Box::new(haproxy));
    }
    outputs
}

fn snapshot(clusters: u32, endpoints: u32) -> Snapshot {
    let mut edit = Snapshot::default().edit();
    for number in 0..clusters {
        let endpoint = |place: u32| Endpoint {
            address: (0x0a00_0000 + number * endpoints + place)
                .to_be_bytes()
                .into(),
            port: 8080,
            state: State::Ready,
            zone: Some(format!("zone-{}", place % 3).into()),
            node: Some(format!("node-{}", (number + place) % 500).into()),
        };
        let name = format!("k8s/namespace-{}/service-{number}:http", number % 100);
        edit.upsert(Arc::new(Cluster {
            app_protocol: Some("http".into()),
            endpoints: (0..endpoints).map(endpoint).collect(),
            ..Cluster::new(name, Protocol::Tcp)
        }));
    }
    edit.finish().unwrap_or_default()
}

//! What one change costs in processor time, part by part, on one thread with nothing else running.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubedex::Object;
use kubedex_gateway::assemble::Assembly;
use kubedex_gateway::discovery::{Discovery, Inventory};
use kubedex_gateway::model::{Cluster, Origin, Snapshot};
use kubedex_gateway::output::Output;
use kubedex_gateway::output::envoy::{EnvoyFiles, EnvoyFilesConfig};
use kubedex_gateway::output::traefik::{Traefik, TraefikConfig};
use kubedex_gateway::publish;
use kubedex_gateway::translate::Options;

use super::line;
use super::objects::{service, slice};

/// Each part is measured for about this long.
const SPAN: Duration = Duration::from_millis(1_500);

pub(crate) fn measure(size: usize) {
    let mut inventory = Inventory::default();
    for number in 0..size {
        for value in [service(number), slice(number, 1)] {
            inventory.apply(Object::from_value(&value).unwrap());
        }
    }
    let mut discovery = Discovery::new(Options::default());
    let all: Vec<_> = inventory.services().cloned().collect();
    let mut assembly = Assembly::new(Origin::Static);
    assembly.apply(&discovery.refresh(&inventory, all));
    let first = assembly.commit().unwrap();
    let (publisher, _snapshots) = publish::channel();

    let mut random = fastrand::Rng::with_seed(7);
    let mut writing = 1;
    let mut change = || {
        writing = writing % 60_000 + 1;
        Object::from_value(&slice(random.usize(0..size), writing)).unwrap()
    };
    tell(
        "CPU for a change, from slice to snapshot published",
        &mut change,
        |object| {
            let touched = inventory.apply(object);
            assembly.apply(&discovery.refresh(&inventory, touched));
            if let Some(snapshot) = assembly.commit() {
                publisher.publish(snapshot);
            }
        },
    );

    // What outputs do with two snapshots between which one cluster differs in its endpoints, or is new.
    let other = one_endpoint_less(&first, size / 2);
    let more = one_more(&first);
    let files = || EnvoyFiles::new(EnvoyFilesConfig::default(), Some("/eds".as_ref())).unwrap();
    let (mut endpoints, mut clusters) = (files(), files());
    let mut traefik = Traefik::new(TraefikConfig::default());
    #[cfg(feature = "xds")]
    {
        let clusters = (0..size).map(super::objects::cluster).collect();
        let mean = super::ads::delta_cost(clusters, [&first, &other]);
        told(
            "CPU for a change of endpoints: ADS delta, client included",
            mean,
        );
    }
    for (what, next, output) in [
        (
            "CPU for a change of endpoints: EDS file",
            &other,
            &mut endpoints as &mut dyn Output,
        ),
        (
            "CPU for a cluster more or less: CDS, the whole document",
            &more,
            &mut clusters,
        ),
        (
            "CPU for any change: Traefik, the whole document",
            &other,
            &mut traefik,
        ),
    ] {
        let mut forth = false;
        let mut pair = || {
            forth = !forth;
            if forth {
                (next, &first)
            } else {
                (&first, next)
            }
        };
        tell(what, &mut pair, |(snapshot, last)| {
            black_box(output.render(snapshot, Some(last)));
        });
    }
}

/// The mean time that work takes on what is prepared for it.
fn tell<T>(what: &str, mut prepare: impl FnMut() -> T, mut work: impl FnMut(T)) {
    let (mut spent, mut times) = (Duration::ZERO, 0);
    while spent < SPAN && times < 20_000 {
        let prepared = prepare();
        let start = Instant::now();
        work(prepared);
        spent += start.elapsed();
        times += 1;
    }
    told(what, spent / times);
}

fn told(what: &str, mean: Duration) {
    line(what, &format!("{:.1} us", mean.as_secs_f64() * 1e6));
}

fn one_endpoint_less(snapshot: &Snapshot, index: usize) -> Snapshot {
    let mut cluster = Cluster::clone(snapshot.clusters().nth(index).unwrap());
    cluster.endpoints.pop();
    let mut edit = snapshot.edit();
    edit.upsert(Arc::new(cluster));
    edit.finish().unwrap()
}

fn one_more(snapshot: &Snapshot) -> Snapshot {
    let mut cluster = Cluster::clone(snapshot.clusters().next().unwrap());
    cluster.name = "k8s/shop/one-more:http".into();
    let mut edit = snapshot.edit();
    edit.upsert(Arc::new(cluster));
    edit.finish().unwrap()
}

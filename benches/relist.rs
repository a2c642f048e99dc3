//! What a relist of 100,000 objects costs in memory over the resting state: of one that finds nothing changed, of one that finds
//! one object in a hundred changed, and of the first sync. The server makes each object as it is asked for it, so that this
//! process holds no list but what the watcher holds of it.
//!
//! Prints the peak over the resting state in MiB and in per cent of the list's size; target: under 10 %.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use kubedex::watcher::InitialList;
use kubedex::{Client, Debounce, Gvr, Watcher, WatcherConfig};

use support::data::{Objects, Shape};
use support::process::{peak_resident_bytes, resident_bytes};

const OBJECTS: usize = 100_000;

/// How large the pieces are in which a list arrives.
const PIECE: usize = 64 << 10;

const SOON: Duration = Duration::from_secs(300);

/// The server's side.
#[derive(Default)]
struct Server {
    /// Each hundredth object is another one than at the start.
    changed: AtomicBool,
    /// How many bytes the lists had so far.
    sent: AtomicUsize,
    /// How many lists were begun.
    lists: AtomicUsize,
}

fn main() {
    // As libtest and criterion do: a filter that does not name this leaves it out.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    if filter.is_some_and(|filter| !"relist".contains(&filter)) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(measure()),
        Err(error) => eprintln!("no runtime: {error}"),
    }
}

async fn measure() {
    if !reset_peak() {
        println!("relist: /proc does not tell the peak of memory here; nothing is measured");
        return;
    }
    let server = Arc::new(Server::default());
    let answer = Arc::clone(&server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let response = respond(&answer, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let client = Client::from_kube(kube::Client::new(service, "default"));
    let before = resident_bytes();
    for strategy in [InitialList::Paged, InitialList::Auto] {
        server.changed.store(false, Ordering::Relaxed);
        let name = match strategy {
            InitialList::Paged => "paged",
            _ => "streamed",
        };
        let config = WatcherConfig::new(Gvr::new("discovery.k8s.io", "v1", "endpointslices"))
            .initial_list(strategy)
            .index_by(["metadata.namespace", "metadata.name"])
            .index("service", ["metadata.labels['kubernetes.io/service-name']"])
            .ignore_field("metadata.managedFields")
            .debounce(Debounce::none())
            .on_change_fn(|_, _| {});
        let start = Instant::now();
        reset_peak();
        let watcher = match Watcher::start(&client, config) {
            Ok(watcher) => watcher,
            Err(error) => return eprintln!("{error}"),
        };
        if let Err(error) = watcher.wait_for_sync(SOON).await {
            return eprintln!("{error}");
        }
        let (size, stored) = (
            server.sent.swap(0, Ordering::Relaxed),
            watcher.store().len(),
        );
        let resting = resident_bytes();
        println!(
            "{name}: a list of {stored} objects, {} MiB; at rest {} MiB over the process without it; synced in {:.1} s",
            mib(size),
            mib(resting.saturating_sub(before)),
            start.elapsed().as_secs_f64()
        );
        tell(
            &format!("{name}: first sync"),
            peak_resident_bytes().saturating_sub(resting),
            size,
        );
        for (what, changed) in [
            ("relist that finds nothing changed", false),
            ("relist that finds 1 % changed", true),
            ("relist that finds 1 % changed back", false),
        ] {
            server.changed.store(changed, Ordering::Relaxed);
            let lists = server.lists.load(Ordering::Relaxed);
            reset_peak();
            let (resting, start) = (resident_bytes(), Instant::now());
            if let Err(error) = watcher.relist().await {
                return eprintln!("{error}");
            }
            let took = start.elapsed();
            let over = peak_resident_bytes().saturating_sub(resting);
            let size = server.sent.swap(0, Ordering::Relaxed);
            assert!(
                server.lists.load(Ordering::Relaxed) > lists,
                "a list was made"
            );
            tell(
                &format!("{name}: {what}, {:.1} s", took.as_secs_f64()),
                over,
                size,
            );
        }
        watcher.shutdown().await;
    }
}

fn tell(what: &str, over: usize, size: usize) {
    println!(
        "{what}: peak {} MiB over the resting state, {:.1} % of the list's {} MiB",
        mib(over),
        over as f64 * 100.0 / size.max(1) as f64,
        mib(size)
    );
}

fn mib(bytes: usize) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// From now on the peak of resident memory counts anew; whether that can be had.
fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok() && peak_resident_bytes() > 0
}

type Answer =
    Response<StreamBody<futures::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

fn respond(server: &Arc<Server>, request: &Request<Body>) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    if !request.uri().path().ends_with("/endpointslices") {
        return text(DISCOVERY);
    }
    if parameter("sendInitialEvents").is_some() {
        server.lists.fetch_add(1, Ordering::Relaxed);
        return body(server, Written::Events, 0, OBJECTS);
    }
    if parameter("watch").is_some() {
        return stream(futures::stream::pending());
    }
    let from: usize = parameter("continue")
        .and_then(|token| token.parse().ok())
        .unwrap_or(0);
    let limit: usize = parameter("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(OBJECTS);
    if from == 0 {
        server.lists.fetch_add(1, Ordering::Relaxed);
    }
    body(server, Written::Page, from, (from + limit).min(OBJECTS))
}

const DISCOVERY: &str = r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"discovery.k8s.io/v1","resources":[
    {"name":"endpointslices","singularName":"endpointslice","namespaced":true,"kind":"EndpointSlice","verbs":["get","list","watch"]}]}"#;

fn text(text: &'static str) -> Answer {
    stream(futures::stream::iter([Ok(Frame::data(
        Bytes::from_static(text.as_bytes()),
    ))]))
}

fn stream(
    frames: impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
) -> Answer {
    let mut answer = Response::new(StreamBody::new(frames.boxed()));
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}

/// How objects are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Page,
    Events,
}

/// Objects from one place to another, made piece by piece as they are read.
fn body(server: &Arc<Server>, written: Written, from: usize, to: usize) -> Answer {
    let version = 482_000_000 + server.lists.load(Ordering::Relaxed);
    let changed = server.changed.load(Ordering::Relaxed);
    let head = match written {
        Written::Page => {
            let token = if to < OBJECTS {
                to.to_string()
            } else {
                String::new()
            };
            format!(
                r#"{{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":["#
            )
        }
        Written::Events => String::new(),
    };
    let server = Arc::clone(server);
    let pieces = futures::stream::unfold((head, from), move |(mut piece, mut at)| {
        let server = Arc::clone(&server);
        async move {
            if at > to {
                return None;
            }
            while at < to && piece.len() < PIECE {
                let object = object(at, changed);
                match written {
                    Written::Page if at > from => piece.extend([",", &object]),
                    Written::Page => piece.push_str(&object),
                    Written::Events => {
                        piece.extend([r#"{"type":"ADDED","object":"#, &object, "}\n"]);
                    }
                }
                at += 1;
            }
            if at == to && piece.len() < PIECE {
                match written {
                    Written::Page => piece.push_str("]}"),
                    Written::Events => piece.push_str(&initial_events_end(version)),
                }
                at += 1;
            }
            server.sent.fetch_add(piece.len(), Ordering::Relaxed);
            Some((Ok(Frame::data(Bytes::from(piece))), (String::new(), at)))
        }
    });
    match written {
        Written::Page => stream(pieces),
        Written::Events => stream(pieces.chain(futures::stream::pending())),
    }
}

/// The object at a place, always the same one, unless it is changed.
fn object(at: usize, changed: bool) -> String {
    let object = Objects::new(at as u64).one(Shape::EndpointSlice);
    if !changed || !at.is_multiple_of(100) {
        return object;
    }
    object
        .replacen(
            r#""resourceVersion":"481000"#,
            r#""resourceVersion":"481500"#,
            1,
        )
        .replacen(r#""labels":{"#, r#""labels":{"changed":"yes","#, 1)
}

fn initial_events_end(version: usize) -> String {
    let bookmark = format!(
        r#"{{"type":"BOOKMARK","object":{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}}"#
    );
    bookmark + "\n"
}

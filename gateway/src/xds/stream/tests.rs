//! Clients of both variants against random publications, rejections, subscriptions and reconnections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::model::{Cluster, Endpoint, Protocol, Snapshot, State};
use crate::xds::resources::Encoder;

/// Names that clusters have in these tests.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn cluster(name: &str, app_protocol: Option<&str>, endpoints: u8) -> Arc<Cluster> {
    let endpoint = |last: u8| Endpoint {
        address: [10, 0, 0, last].into(),
        port: 80,
        state: State::Ready,
        zone: None,
        node: None,
    };
    Arc::new(Cluster {
        app_protocol: app_protocol.map(Into::into),
        endpoints: (1..=endpoints).map(endpoint).collect(),
        ..Cluster::new(name, Protocol::Tcp)
    })
}

/// What is done to one name in one publication.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Remove,
    Set { is_h2c: bool, endpoints: u8 },
}

#[derive(Clone, Debug)]
enum Op {
    Publish(Vec<(usize, Edit)>),
    /// The server sends what it has to send.
    Send,
    /// The client takes the oldest answer that it has not taken yet.
    Take {
        accepts: bool,
    },
    /// The client asks for endpoints of a name of its own accord, or no longer.
    Want(usize, bool),
    /// The stream breaks and the client comes back, perhaps to the other replica.
    Reconnect {
        to_other: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let edit = prop_oneof![
        1 => Just(Edit::Remove),
        3 => (any::<bool>(), 0..3_u8)
            .prop_map(|(is_h2c, endpoints)| Edit::Set { is_h2c, endpoints }),
    ];
    prop_oneof![
        3 => prop::collection::vec((0..NAMES.len(), edit), 1..4).prop_map(Op::Publish),
        4 => Just(Op::Send),
        5 => prop::bool::weighted(0.8).prop_map(|accepts| Op::Take { accepts }),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(name, wants)| Op::Want(name, wants)),
        1 => any::<bool>().prop_map(|to_other| Op::Reconnect { to_other }),
    ]
}

/// A client that behaves as Envoy does: it asks for endpoints of the clusters it has; one whose settings changed starts
/// afresh and waits for its endpoints; endpoints of a cluster that is gone are forgotten.
struct Client {
    is_delta: bool,
    stream: Stream,
    replica: usize,
    inbox: VecDeque<Answer>,
    clusters: BTreeMap<Arc<str>, ContentHash>,
    assignments: BTreeMap<Arc<str>, ContentHash>,
    waiting: BTreeSet<Arc<str>>,
    wanted: BTreeSet<Arc<str>>,
    /// Endpoints as the server was told they are wanted.
    subscribed: BTreeSet<Arc<str>>,
    nonces: BTreeMap<Kind, String>,
    /// What it will say to answers of clusters once it waits for no endpoints: nonces, and why they are rejected.
    unsaid: Vec<(String, Option<&'static str>)>,
    /// Names asked for, which may come unchanged in answers made later: with how many had been made by then.
    asked: BTreeMap<Arc<str>, u64>,
    /// Clusters in answers that were rejected, which may come unchanged.
    rejected: BTreeSet<Arc<str>>,
}

impl Client {
    fn new(is_delta: bool) -> Self {
        Self {
            is_delta,
            stream: Stream::new(is_delta),
            replica: 0,
            inbox: VecDeque::new(),
            clusters: BTreeMap::new(),
            assignments: BTreeMap::new(),
            waiting: BTreeSet::new(),
            wanted: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            nonces: BTreeMap::new(),
            unsaid: Vec::new(),
            asked: BTreeMap::new(),
            rejected: BTreeSet::new(),
        }
    }

    fn say(
        &mut self,
        kind: Kind,
        error: Option<&str>,
        interest: Interest,
        nonce: &str,
        world: &World,
    ) {
        let type_url = match kind {
            Kind::Clusters => CLUSTERS,
            _ => ASSIGNMENTS,
        };
        let request = Request {
            type_url: type_url.to_owned(),
            nonce: nonce.to_owned(),
            error: error.map(str::to_owned),
            interest,
        };
        self.stream.receive(request, world).unwrap();
    }

    fn begin(&mut self, world: &World) {
        self.stream = Stream::new(self.is_delta);
        self.inbox.clear();
        self.nonces.clear();
        self.unsaid.clear();
        self.asked.clear();
        // A cluster that changed to and fro may be waiting for endpoints that the client has from before, and says so:
        // no server can tell. Envoy ends that by itself (`initial_fetch_timeout`).
        let assignments = &self.assignments;
        self.waiting.retain(|name| {
            let now = world.assignments.get(name).map(Resource::version);
            !self.is_delta || assignments.get(name).copied() != now
        });
        let interest = if self.is_delta {
            let versions = self.clusters.iter();
            Interest::Change {
                subscribe: Vec::new(),
                unsubscribe: Vec::new(),
                versions: versions
                    .map(|(name, at)| (name.to_string(), at.to_string()))
                    .collect(),
            }
        } else {
            Interest::All(Vec::new())
        };
        self.say(Kind::Clusters, None, interest, "", world);
        self.subscribed.clear();
        self.subscribe(true, None, world);
    }

    /// Tells the server which endpoints are wanted; `settle` is the nonce of an answer and the reason to reject it.
    fn subscribe(&mut self, begins: bool, settle: Option<(&str, Option<&str>)>, world: &World) {
        let wanted: BTreeSet<Arc<str>> =
            self.clusters.keys().chain(&self.wanted).cloned().collect();
        let joined: Vec<_> = wanted.difference(&self.subscribed).cloned().collect();
        let left: Vec<_> = self.subscribed.difference(&wanted).cloned().collect();
        if settle.is_none() && joined.is_empty() && left.is_empty() {
            return;
        }
        let texts = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
        let interest = if self.is_delta {
            let versions = self.assignments.iter().filter(|_| begins);
            Interest::Change {
                subscribe: texts(&joined),
                unsubscribe: texts(&left),
                versions: versions
                    .map(|(name, at)| (name.to_string(), at.to_string()))
                    .collect(),
            }
        } else {
            Interest::All(wanted.iter().map(ToString::to_string).collect())
        };
        for name in &left {
            self.assignments.remove(name);
            self.asked.remove(name);
        }
        if !begins {
            let answers = self.stream.answers;
            self.asked
                .extend(joined.into_iter().map(|name| (name, answers)));
        }
        self.subscribed = wanted;
        let last = self.nonces.get(&Kind::Assignments).cloned();
        let (nonce, error) = match settle {
            Some((nonce, error)) => (nonce.to_owned(), error),
            // Envoy repeats the newest nonce in state of the world, and sends none in delta.
            None => (last.filter(|_| !self.is_delta).unwrap_or_default(), None),
        };
        self.say(Kind::Assignments, error, interest, &nonce, world);
    }

    /// Takes what the server sends, and checks that it may be sent.
    fn check(&mut self, answer: &Answer, world: &World) {
        let names = |resources: &Resources| -> BTreeMap<ContentHash, Arc<str>> {
            let name =
                |(name, resource): (&Arc<str>, &Resource)| (resource.version(), Arc::clone(name));
            resources.iter().map(name).collect()
        };
        assert!(
            answer.kind == Kind::Clusters
                || !self.inbox.iter().any(|other| other.kind == answer.kind),
            "one of endpoints at most is on its way"
        );
        let known = names(world.of(answer.kind));
        let sent: BTreeSet<Arc<str>> = answer
            .resources
            .iter()
            .map(|resource| Arc::clone(&known[&resource.version()]))
            .collect();
        assert_eq!(
            sent.len(),
            answer.resources.len(),
            "each resource comes once"
        );
        if answer.kind == Kind::Clusters && !self.is_delta {
            assert_eq!(sent.len(), known.len(), "clusters are complete");
        }
    }

    fn take(&mut self, accepts: bool, world: &World) {
        let Some(answer) = self.inbox.pop_front() else {
            return;
        };
        let error = (!accepts).then_some("no");
        self.nonces.insert(answer.kind, answer.nonce.clone());
        let mut arrived = BTreeMap::new();
        for resource in &answer.resources {
            arrived.insert(name_of(resource), resource.version());
        }
        if answer.kind == Kind::Clusters {
            let gone: Vec<_> = if self.is_delta {
                answer.removed.clone()
            } else {
                let keys = self.clusters.keys();
                keys.filter(|name| !arrived.contains_key(*name))
                    .cloned()
                    .collect()
            };
            for name in gone {
                self.clusters.remove(&name);
                self.waiting.remove(&name);
            }
            for (name, version) in arrived {
                if self.is_delta && !self.rejected.remove(&name) {
                    assert_ne!(self.clusters.get(&name), Some(&version), "unchanged {name}");
                }
                if self.clusters.insert(Arc::clone(&name), version) != Some(version) {
                    self.waiting.insert(name);
                }
            }
            if !self.is_delta {
                // The newest says it all.
                self.unsaid.clear();
            }
            self.unsaid.push((answer.nonce.clone(), error));
            if !accepts {
                let names = answer.resources.iter().map(name_of);
                self.rejected.extend(names);
            }
            self.subscribe(false, None, world);
            self.say_unsaid(world);
        } else {
            for name in &answer.removed {
                assert!(
                    !self.clusters.contains_key(name),
                    "{name} leaves the clusters first"
                );
                self.assignments.remove(name);
                self.asked.remove(name);
            }
            for (name, version) in arrived {
                if !self.subscribed.contains(&name) {
                    continue;
                }
                let number = u64::from_str_radix(&answer.nonce, 16).unwrap();
                let is_asked = self.asked.get(&name).is_some_and(|asked| *asked < number);
                if is_asked {
                    self.asked.remove(&name);
                }
                let is_awaited = self.waiting.remove(&name) | is_asked;
                let before = self.assignments.insert(Arc::clone(&name), version);
                if self.is_delta && !is_awaited {
                    assert_ne!(before, Some(version), "unchanged endpoints of {name}");
                }
            }
            self.subscribe(false, Some((&answer.nonce, error)), world);
            if !accepts {
                let answers = self.stream.answers;
                let names = answer.resources.iter().map(name_of);
                self.asked.extend(names.map(|name| (name, answers)));
            }
            self.say_unsaid(world);
        }
    }

    /// As Envoy does, it says nothing to clusters while some wait for their endpoints.
    fn say_unsaid(&mut self, world: &World) {
        if !self.waiting.is_empty() {
            return;
        }
        for (nonce, error) in std::mem::take(&mut self.unsaid) {
            let interest = if self.is_delta {
                Interest::Change {
                    subscribe: Vec::new(),
                    unsubscribe: Vec::new(),
                    versions: Vec::new(),
                }
            } else {
                Interest::All(Vec::new())
            };
            self.say(Kind::Clusters, error, interest, &nonce, world);
        }
    }
}

/// The name in a resource, which begins with the key of field 3, its length, and itself.
fn name_of(resource: &Resource) -> Arc<str> {
    let bytes = resource.delta();
    assert_eq!(bytes[0], 3 << 3 | 2);
    let end = 2 + usize::from(bytes[1]);
    std::str::from_utf8(&bytes[2..end]).unwrap().into()
}

fn run(is_delta: bool, ops: Vec<Op>) {
    let mut snapshot = Snapshot::default();
    let mut encoders = [Encoder::new(None), Encoder::new(None)];
    let mut world: Option<World> = None;
    let mut client = Client::new(is_delta);
    client.begin(&World::default());
    let send = |client: &mut Client, world: &Option<World>| {
        while let Some(world) = world
            && let Some(answer) = client.stream.next(world)
        {
            client.check(&answer, world);
            client.inbox.push_back(answer);
        }
    };
    for op in ops {
        let now = world.clone().unwrap_or_default();
        match op {
            Op::Publish(edits) => {
                let mut next = snapshot.edit();
                for (name, edit) in edits {
                    match edit {
                        Edit::Remove => next.remove(NAMES[name]),
                        Edit::Set { is_h2c, endpoints } => {
                            let app_protocol = is_h2c.then_some("h2c");
                            next.upsert(cluster(NAMES[name], app_protocol, endpoints));
                        }
                    }
                }
                snapshot = next.finish().unwrap_or(snapshot);
                world = Some(encoders[client.replica].publish(&snapshot));
            }
            Op::Send => send(&mut client, &world),
            Op::Take { accepts } => client.take(accepts, &now),
            Op::Want(name, wants) => {
                if wants {
                    client.wanted.insert(NAMES[name].into());
                } else {
                    client.wanted.remove(NAMES[name]);
                }
                client.subscribe(false, None, &now);
            }
            Op::Reconnect { to_other } => {
                client.replica ^= usize::from(to_other);
                if world.is_some() {
                    world = Some(encoders[client.replica].publish(&snapshot));
                }
                client.begin(&world.clone().unwrap_or_default());
            }
        }
    }
    let world = encoders[client.replica].publish(&snapshot);
    let mut rounds = 0;
    loop {
        send(&mut client, &Some(world.clone()));
        if client.inbox.is_empty() {
            break;
        }
        client.take(true, &world);
        rounds += 1;
        assert!(rounds < 100, "it comes to rest");
    }
    let versions = |resources: &Resources| -> BTreeMap<Arc<str>, ContentHash> {
        let version =
            |(name, resource): (&Arc<str>, &Resource)| (Arc::clone(name), resource.version());
        resources.iter().map(version).collect()
    };
    assert_eq!(client.clusters, versions(&world.clusters));
    let assignments = versions(&world.assignments);
    for name in &client.subscribed {
        // In state of the world nobody says that endpoints are gone.
        let (has, is) = (client.assignments.get(name), assignments.get(name));
        assert!(has == is || (!is_delta && is.is_none()), "{name}");
    }
    assert!(
        client.waiting.is_empty(),
        "{:?} wait for ever",
        client.waiting
    );
}

/// A client that refuses whole answers for one thing in them.
fn comes_to_have_what_is_good(is_delta: bool, kind: Kind) {
    let mut edit = Snapshot::default().edit();
    for number in 0..100 {
        edit.upsert(cluster(&format!("{number:02}"), None, 1));
    }
    let snapshot = edit.finish().unwrap();
    let mut encoder = Encoder::new(None);
    let mut world = encoder.publish(&snapshot);
    let mut stream = Stream::new(is_delta);
    let names: Vec<String> = snapshot.clusters().map(|it| it.name.to_string()).collect();
    let nothing = || Interest::Change {
        subscribe: Vec::new(),
        unsubscribe: Vec::new(),
        versions: Vec::new(),
    };
    let interest = |subscribe: Vec<String>| match (is_delta, nothing()) {
        (false, _) => Interest::All(names.clone()),
        (
            true,
            Interest::Change {
                unsubscribe,
                versions,
                ..
            },
        ) => Interest::Change {
            subscribe,
            unsubscribe,
            versions,
        },
        (true, other) => other,
    };
    let request = |nonce: String, error, interest| Request {
        type_url: if kind == Kind::Clusters {
            CLUSTERS
        } else {
            ASSIGNMENTS
        }
        .to_owned(),
        nonce,
        error,
        interest,
    };
    let first = request(String::new(), None, interest(names.clone()));
    stream.receive(first, &world).unwrap();
    let bad = ["07", "50", "51"];
    let mut has = BTreeSet::new();
    let mut answers = 0;
    let mut take_all = |stream: &mut Stream, world: &World, has: &mut BTreeSet<Arc<str>>| {
        while let Some(answer) = stream.next(world) {
            answers += 1;
            assert!(answers < 60, "it comes to rest");
            let news: Vec<_> = answer.resources.iter().map(name_of).collect();
            let is_bad = news.iter().any(|name| bad.contains(&&**name));
            let error = is_bad.then(|| "no".to_owned());
            if !is_bad {
                has.extend(news);
            }
            let request = request(answer.nonce, error, interest(Vec::new()));
            stream.receive(request, world).unwrap();
        }
    };
    take_all(&mut stream, &world, &mut has);
    assert_eq!(has.len(), 97);
    // What is wrong changes, and is right or wrong by itself.
    let mut edit = snapshot.edit();
    edit.upsert(cluster("07", None, 2));
    edit.upsert(cluster("08", None, 2));
    world = encoder.publish(&edit.finish().unwrap());
    has.clear();
    take_all(&mut stream, &world, &mut has);
    if kind == Kind::Assignments {
        assert_eq!(has, BTreeSet::from(["08".into()]));
    }
}

/// What is published of clusters of these names, with so many endpoints.
fn published(names: &[&str], endpoints: u8, app_protocol: Option<&str>) -> World {
    let mut edit = Snapshot::default().edit();
    for name in names {
        edit.upsert(cluster(name, app_protocol, endpoints));
    }
    Encoder::new(None).publish(&edit.finish().unwrap())
}

#[test]
fn a_change_is_told_though_everything_was_asked_for_meanwhile_and_no_longer_is() {
    let mut stream = Stream::new(true);
    let request = |nonce: &str, subscribe: &[&str], unsubscribe: &[&str]| Request {
        type_url: CLUSTERS.to_owned(),
        nonce: nonce.to_owned(),
        error: None,
        interest: Interest::Change {
            subscribe: subscribe.iter().map(ToString::to_string).collect(),
            unsubscribe: unsubscribe.iter().map(ToString::to_string).collect(),
            versions: Vec::new(),
        },
    };
    let world = published(&["a", "b"], 1, None);
    stream.receive(request("", &["a"], &[]), &world).unwrap();
    let first = stream.next(&world).unwrap();
    stream.receive(request("", &["*"], &[]), &world).unwrap();
    let world = published(&["a", "b"], 1, Some("h2c"));
    assert!(stream.next(&world).is_none(), "the first is on its way");
    stream.receive(request("", &[], &["*"]), &world).unwrap();
    stream
        .receive(request(&first.nonce, &[], &[]), &world)
        .unwrap();
    let answer = stream.next(&world).unwrap();
    let news: Vec<_> = answer.resources.iter().map(name_of).collect();
    assert_eq!(news, ["a".into()]);
}

#[test]
fn what_is_said_to_an_answer_that_was_not_waited_for_is_heard() {
    let mut stream = Stream::new(true);
    let request = |type_url: &str, nonce: &str, error: Option<&str>, subscribe: &[&str]| Request {
        type_url: type_url.to_owned(),
        nonce: nonce.to_owned(),
        error: error.map(str::to_owned),
        interest: Interest::Change {
            subscribe: subscribe.iter().map(ToString::to_string).collect(),
            unsubscribe: Vec::new(),
            versions: Vec::new(),
        },
    };
    let world = published(&["a"], 1, None);
    let hears = |stream: &mut Stream, said| stream.receive(said, &world).unwrap();
    hears(&mut stream, request(CLUSTERS, "", None, &[]));
    let first = stream.next(&world).unwrap();
    let next = published(&["a"], 1, Some("h2c"));
    hears(&mut stream, request(ASSIGNMENTS, "", None, &["a"]));
    let second = stream.next(&next).unwrap();
    assert_eq!((first.kind, second.kind), (Kind::Clusters, Kind::Clusters));
    assert_eq!(stream.next(&next).unwrap().kind, Kind::Assignments);
    let verdict = hears(
        &mut stream,
        request(CLUSTERS, &first.nonce, Some("no"), &[]),
    )
    .unwrap();
    assert_eq!(
        (verdict.version, verdict.error.as_deref()),
        (first.version, Some("no"))
    );
    let verdict = hears(&mut stream, request(CLUSTERS, &second.nonce, None, &[])).unwrap();
    assert_eq!((verdict.version, verdict.error), (second.version, None));
}

#[test]
fn a_client_of_clusters_alone_costs_a_bounded_amount_of_memory() {
    let mut stream = Stream::new(false);
    let request = |nonce: String| Request {
        type_url: CLUSTERS.to_owned(),
        nonce,
        error: None,
        interest: Interest::All(Vec::new()),
    };
    let mut nonce = String::new();
    for round in 0..1_000 {
        let names = [format!("x{round}"), format!("y{round}")];
        let world = published(&[&names[0], &names[1]], 1, None);
        stream.receive(request(nonce), &world).unwrap();
        nonce = stream.next(&world).unwrap().nonce;
        assert!(stream.early.len() <= 4, "{}", stream.early.len());
    }
}

#[test]
fn a_client_that_refuses_whole_answers_gets_all_that_is_good_in_them() {
    comes_to_have_what_is_good(true, Kind::Assignments);
    comes_to_have_what_is_good(true, Kind::Clusters);
    comes_to_have_what_is_good(false, Kind::Assignments);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_client_of_deltas_comes_to_see_what_is_published(ops in prop::collection::vec(op(), 0..60)) {
        run(true, ops);
    }

    #[test]
    fn a_client_of_states_of_the_world_comes_to_see_what_is_published(ops in prop::collection::vec(op(), 0..60)) {
        run(false, ops);
    }
}

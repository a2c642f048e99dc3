//! The laws of assembly: it is at every step what a fresh start would give, and tells no more than what differs.

use proptest::prelude::*;

use super::*;
use crate::model::{ClusterChange, Endpoint, Protocol, State};

const NAMES: [&str; 4] = ["k8s/a/a:http", "k8s/a/b:http", "legacy", "other"];

/// A cluster that is told apart from others of its name by where it comes from and by a number.
fn cluster(name: &str, origin: Origin, number: u8) -> Arc<Cluster> {
    let net = if origin == Origin::Static { 192 } else { 10 };
    Arc::new(Cluster {
        endpoints: vec![Endpoint {
            address: [net, 0, 0, number].into(),
            port: 80,
            state: State::Ready,
            zone: None,
            node: None,
        }],
        ..Cluster::new(name, Protocol::Tcp)
    })
}

fn problem(number: u8) -> Problem {
    Problem {
        kind: ProblemKind::UnresolvedPort,
        subject: Subject::cluster(&number.to_string()),
        port: None,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Discovered(usize, Option<u8>),
    Problem(u8, bool),
    Static(BTreeMap<usize, u8>, bool),
    All(BTreeMap<usize, u8>, Vec<u8>),
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::btree_map(0..NAMES.len(), 0..3_u8, 0..4);
    prop_oneof![
        6 => (0..NAMES.len(), prop::option::weighted(0.6, 0..3_u8))
            .prop_map(|(name, number)| Step::Discovered(name, number)),
        2 => (0..3_u8, any::<bool>()).prop_map(|(number, stands)| Step::Problem(number, stands)),
        4 => (some(), any::<bool>()).prop_map(|(statics, fixed)| Step::Static(statics, fixed)),
        1 => (some(), prop::collection::vec(0..3_u8, 0..3)).prop_map(|(all, problems)| Step::All(all, problems)),
        4 => Just(Step::Commit),
    ]
}

/// What there is, without any history.
#[derive(Default)]
struct Model {
    discovered: BTreeMap<usize, u8>,
    statics: BTreeMap<usize, u8>,
    problems: Vec<u8>,
    discovered_wins: bool,
}

impl Model {
    fn prefers(&self) -> Origin {
        if self.discovered_wins {
            Origin::Discovered
        } else {
            Origin::Static
        }
    }

    fn clusters(of: &BTreeMap<usize, u8>, origin: Origin) -> Vec<Arc<Cluster>> {
        let made = of
            .iter()
            .map(|(name, number)| cluster(NAMES[*name], origin, *number));
        made.collect()
    }

    /// Clusters and problems as they are to be.
    fn state(&self) -> (Vec<Arc<Cluster>>, Vec<Problem>) {
        let mut clusters = Vec::new();
        let mut problems: Vec<_> = self.problems.iter().map(|it| problem(*it)).collect();
        for (index, name) in NAMES.into_iter().enumerate() {
            let fixed = self.statics.get(&index).map(|it| (Origin::Static, *it));
            let found = self
                .discovered
                .get(&index)
                .map(|it| (Origin::Discovered, *it));
            if fixed.is_some() && found.is_some() {
                problems.push(conflict(name, self.prefers()));
            }
            let winner = if self.discovered_wins {
                found.or(fixed)
            } else {
                fixed.or(found)
            };
            clusters.extend(winner.map(|(origin, number)| cluster(name, origin, number)));
        }
        problems.sort();
        problems.dedup();
        (clusters, problems)
    }
}

fn state(snapshot: &Snapshot) -> (Vec<Arc<Cluster>>, Vec<Problem>) {
    (
        snapshot.clusters().cloned().collect(),
        snapshot.problems().cloned().collect(),
    )
}

/// What differs when one discovered cluster is another one.
fn diff(name: usize, before: Option<u8>, after: Option<u8>) -> Diff {
    let made = |number: u8| cluster(NAMES[name], Origin::Discovered, number);
    let change = match (before.map(made), after.map(made)) {
        (None, Some(after)) => ClusterChange::Added(after),
        (Some(before), None) => ClusterChange::Removed(before),
        (Some(before), Some(after)) if before != after => ClusterChange::Updated { before, after },
        _ => return Diff::default(),
    };
    Diff {
        clusters: vec![change],
        ..Diff::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_is_at_every_step_what_a_fresh_start_would_give(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut model = Model::default();
        let mut assembly = Assembly::new(Origin::Static);
        for step in steps {
            match step {
                Step::Discovered(name, number) => {
                    let before = match number {
                        Some(number) => model.discovered.insert(name, number),
                        None => model.discovered.remove(&name),
                    };
                    assembly.apply(&diff(name, before, number));
                }
                Step::Problem(number, stands) => {
                    let stood = model.problems.contains(&number);
                    let mut diff = Diff::default();
                    if stands && !stood {
                        model.problems.push(number);
                        diff.problems_added.push(problem(number));
                    } else if stood && !stands {
                        model.problems.retain(|it| *it != number);
                        diff.problems_removed.push(problem(number));
                    }
                    assembly.apply(&diff);
                }
                Step::Static(statics, discovered_wins) => {
                    model.statics = statics;
                    model.discovered_wins = discovered_wins;
                    let clusters = Model::clusters(&model.statics, Origin::Static);
                    assembly.set_static(clusters, model.prefers());
                }
                Step::All(discovered, problems) => {
                    model.discovered = discovered;
                    model.problems = problems;
                    let clusters = Model::clusters(&model.discovered, Origin::Discovered);
                    let problems: Vec<_> = model.problems.iter().map(|it| problem(*it)).collect();
                    assembly.set_discovered(&clusters, &problems);
                    model.problems.sort_unstable();
                    model.problems.dedup();
                }
                Step::Commit => {
                    let before = assembly.snapshot().clone();
                    let told = assembly.commit();
                    let now = assembly.snapshot();
                    prop_assert_eq!(state(now), model.state());
                    prop_assert_eq!(told.is_some(), state(&before) != state(now));
                    prop_assert_eq!(told.is_some(), before.hash() != now.hash());

                    let mut fresh = Assembly::new(Origin::Static);
                    let clusters = Model::clusters(&model.statics, Origin::Static);
                    fresh.set_static(clusters, model.prefers());
                    let clusters = Model::clusters(&model.discovered, Origin::Discovered);
                    let problems: Vec<_> = model.problems.iter().map(|it| problem(*it)).collect();
                    fresh.set_discovered(&clusters, &problems);
                    fresh.commit();
                    prop_assert_eq!(fresh.snapshot().hash(), now.hash());
                    prop_assert_eq!(fresh.snapshot().totals(), now.totals());
                }
            }
        }
    }
}

#[test]
fn the_loser_of_a_name_appears_when_the_winner_goes() {
    let name = NAMES[0];
    for prefers in [Origin::Static, Origin::Discovered] {
        let (fixed, found) = (
            cluster(name, Origin::Static, 1),
            cluster(name, Origin::Discovered, 1),
        );
        let mut assembly = Assembly::new(prefers);
        assembly.apply(&diff(0, None, Some(1)));
        assembly.set_static([Arc::clone(&fixed)], prefers);
        let both = assembly.commit().unwrap();
        let (winner, loser) = match prefers {
            Origin::Static => (&fixed, &found),
            Origin::Discovered => (&found, &fixed),
        };
        assert_eq!(both.cluster(name), Some(winner));
        let texts: Vec<_> = both.problems().map(Problem::explanation).collect();
        let expected =
            format!("a static and a discovered cluster have this name; the {prefers} one is used");
        assert_eq!(texts, [expected]);

        match prefers {
            Origin::Static => assembly.set_static([], prefers),
            Origin::Discovered => assembly.apply(&diff(0, Some(1), None)),
        }
        let one = assembly.commit().unwrap();
        assert_eq!(one.cluster(name), Some(loser));
        assert_eq!(one.totals().problems, 0);
    }
}

#[test]
fn one_change_among_ten_thousand_clusters_is_one_edit() {
    let mut assembly = Assembly::new(Origin::Static);
    let clusters: Vec<_> = (0..10_000)
        .map(|number| cluster(&format!("k8s/a/s{number}:http"), Origin::Discovered, 1))
        .collect();
    assembly.set_discovered(&clusters, []);
    assembly.commit().unwrap();
    assert_eq!(assembly.edits(), 10_000);
    let before = Arc::clone(&clusters[4_711]);
    let after = cluster(&before.name, Origin::Discovered, 2);
    assembly.apply(&Diff {
        clusters: vec![ClusterChange::Updated { before, after }],
        ..Diff::default()
    });
    let next = assembly.commit().unwrap();
    assert_eq!(assembly.edits(), 10_001);
    assert_eq!(next.changes().len(), 1);
}

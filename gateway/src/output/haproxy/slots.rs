//! Slots: which server of a backend stands for which endpoint.
//!
//! An endpoint keeps its slot as long as it lives, whatever comes and goes beside it, so that a server's name means the
//! same endpoint to HAProxy, its statistics and its stick tables. Free slots are kept for endpoints to come; then only
//! addresses differ, which can be told to a running HAProxy.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Cluster, Endpoint};

/// The slots of all clusters, by the clusters' names. Its serde form is what is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    clusters: BTreeMap<Arc<str>, ClusterSlots>,
}

/// The slots of one cluster, the first of them server `s1`; `None` is free.
pub type ClusterSlots = Arc<[Option<SocketAddr>]>;

impl Slots {
    /// The slots of the cluster of that name; none if there is no such cluster.
    pub fn of(&self, cluster: &str) -> &[Option<SocketAddr>] {
        self.clusters.get(cluster).map_or(&[], |slots| &**slots)
    }

    /// The slots of a cluster as it is now, `least` or more.
    pub(super) fn follow(&self, cluster: &Cluster, least: usize) -> ClusterSlots {
        assign(self.clusters.get(&cluster.name), cluster, least)
    }

    /// Remembers the slots of a cluster.
    pub(super) fn keep(&mut self, cluster: &Cluster, slots: ClusterSlots) {
        self.clusters.insert(Arc::clone(&cluster.name), slots);
    }
}

fn assign(before: Option<&ClusterSlots>, cluster: &Cluster, least: usize) -> ClusterSlots {
    let count = cluster.endpoints.len();
    let mut waiting: HashSet<SocketAddr> = HashSet::with_capacity(count);
    waiting.extend(cluster.endpoints.iter().map(Endpoint::socket));
    // What comes from a file may name an endpoint twice; it has the first of the two.
    let mut slots: Vec<_> = before
        .into_iter()
        .flat_map(|before| before.iter().copied())
        .map(|slot| slot.filter(|socket| waiting.remove(socket)))
        .collect();
    let mut free = 0;
    for endpoint in &cluster.endpoints {
        if !waiting.remove(&endpoint.socket()) {
            continue;
        }
        while slots.get(free).is_some_and(Option::is_some) {
            free += 1;
        }
        if free == slots.len() {
            slots.push(None);
        }
        slots[free] = Some(endpoint.socket());
    }
    slots.resize(capacity(&slots, count, least), None);
    match before {
        Some(before) if **before == *slots => Arc::clone(before),
        _ => slots.into(),
    }
}

/// How many slots there are to be: a power of two, or `least`, so that few changes change it. It shrinks once three
/// quarters are free, and never takes a slot that is in use.
fn capacity(slots: &[Option<SocketAddr>], count: usize, least: usize) -> usize {
    let needed = count.next_power_of_two().max(least);
    if slots.len() < needed {
        return needed;
    }
    let used = slots
        .iter()
        .rposition(Option::is_some)
        .map_or(0, |last| last + 1);
    let roomy = used.next_power_of_two().max(least);
    if needed.saturating_mul(4) <= slots.len() {
        roomy.min(slots.len())
    } else if slots.len() == least {
        least
    } else {
        // What comes from a file may have any length.
        slots.len().next_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Protocol, State};

    fn next(slots: &Slots, least: usize, hosts: &[u8]) -> Slots {
        let endpoint = |host: &u8| Endpoint {
            address: [10, 0, 0, *host].into(),
            port: 80,
            state: State::Ready,
            zone: None,
            node: None,
        };
        let cluster = Cluster {
            endpoints: hosts.iter().map(endpoint).collect(),
            ..Cluster::new("x", Protocol::Tcp)
        };
        let mut next = Slots::default();
        next.keep(&cluster, slots.follow(&cluster, least));
        next
    }

    fn hosts(slots: &Slots) -> Vec<u8> {
        let host = |slot: &Option<SocketAddr>| match slot {
            Some(SocketAddr::V4(socket)) => socket.ip().octets()[3],
            _ => 0,
        };
        slots.of("x").iter().map(host).collect()
    }

    #[test]
    fn an_endpoint_keeps_its_slot_and_a_new_one_takes_the_first_that_is_free() {
        let slots = next(&Slots::default(), 2, &[5, 3, 9]);
        assert_eq!(hosts(&slots), [5, 3, 9, 0]);
        let slots = next(&slots, 2, &[9, 5]);
        assert_eq!(hosts(&slots), [5, 0, 9, 0]);
        let slots = next(&slots, 2, &[1, 2, 5, 9]);
        assert_eq!(hosts(&slots), [5, 1, 9, 2]);
        let slots = next(&slots, 2, &[1, 2, 3, 5, 9]);
        assert_eq!(hosts(&slots), [5, 1, 9, 2, 3, 0, 0, 0]);
    }

    #[test]
    fn slots_shrink_late_and_never_below_one_in_use() {
        let many: Vec<u8> = (1..=16).collect();
        let slots = next(&Slots::default(), 2, &many);
        assert_eq!(hosts(&slots).len(), 16);
        assert_eq!(hosts(&next(&slots, 2, &[1, 2, 3, 4, 5])).len(), 16);
        assert_eq!(hosts(&next(&slots, 2, &[1, 2, 3, 4])).len(), 4);
        assert_eq!(hosts(&next(&slots, 2, &[1, 6])).len(), 8);
        assert_eq!(hosts(&next(&slots, 2, &[16])).len(), 16);
        assert_eq!(hosts(&next(&slots, 2, &[])), [0, 0]);
    }

    #[test]
    fn what_a_file_says_twice_counts_once() {
        let text = r#"{"clusters":{"x":["10.0.0.1:80","10.0.0.1:80",null],"gone":[null]}}"#;
        let slots: Slots = serde_json::from_str(text).unwrap();
        let slots = next(&slots, 2, &[1, 2]);
        assert_eq!(hosts(&slots), [1, 2, 0, 0]);
        assert_eq!(
            serde_json::to_string(&slots).unwrap(),
            r#"{"clusters":{"x":["10.0.0.1:80","10.0.0.2:80",null,null]}}"#
        );
    }

    proptest! {
        #[test]
        fn no_endpoint_ever_moves(
            least in 1usize..10,
            steps in prop::collection::vec(prop::collection::hash_set(1u8..40, 0..40), 1..12),
        ) {
            let mut slots = Slots::default();
            for step in steps {
                let step: Vec<u8> = step.into_iter().collect();
                let before = hosts(&slots);
                slots = next(&slots, least, &step);
                let after = hosts(&slots);
                let mut found: Vec<u8> = after.iter().copied().filter(|host| *host != 0).collect();
                found.sort_unstable();
                let mut expected = step.clone();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
                for (place, host) in before.iter().enumerate().filter(|(_, host)| step.contains(host)) {
                    prop_assert_eq!(after[place], *host);
                }
                prop_assert!(after.len() == least || (after.len().is_power_of_two() && after.len() > least));
                prop_assert_eq!(&next(&slots, least, &step), &slots);
            }
        }
    }
}

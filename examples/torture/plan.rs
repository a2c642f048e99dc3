//! What a schedule consists of: pure, from a seed.

use std::time::Duration;

use kubedex::store::StoreSchema;
use kubedex::watcher::InitialList;
use kubedex::{Debounce, WatcherConfig};
use serde_json::Value;

use super::witness::Witness;
use super::world::{Kind, NAMESPACES};

/// One schedule.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) kinds: Vec<Kind>,
    pub(super) watchers: Vec<WatcherPlan>,
    /// How many things happen while faults last.
    pub(super) operations: usize,
    /// Events are dropped without a trace, which no protocol can notice: every watcher audits.
    pub(super) lossy: bool,
    /// Lists may be older than what was seen before.
    pub(super) stale: bool,
    /// The server refuses streaming lists, for good.
    pub(super) cannot_stream: bool,
    /// A kind that is served from this operation on.
    pub(super) late: Option<(usize, Kind)>,
    pub(super) random: fastrand::Rng,
}

/// One watcher of a schedule.
#[derive(Clone, Debug)]
pub(super) struct WatcherPlan {
    pub(super) kind: Kind,
    /// Empty: all.
    pub(super) namespaces: Vec<&'static str>,
    pub(super) labels: Option<Labels>,
    pub(super) fields: Option<Fields>,
    pub(super) client_side: Option<ClientSide>,
    pub(super) ignored: Vec<&'static str>,
    pub(super) metadata_only: bool,
    pub(super) by_tier: bool,
    /// In a store that keeps bodies only for a while.
    pub(super) cached: bool,
    pub(super) paged: bool,
    pub(super) page_size: u32,
    pub(super) debounce: Debounce,
    pub(super) during_sync: bool,
    pub(super) audit: Option<Duration>,
    pub(super) watch_timeout: Duration,
    /// The longest a callback takes.
    pub(super) slow: Duration,
    /// The store fails now and then, while faults last.
    pub(super) flaky_store: bool,
    /// Events that cannot be read, bodies that stall, while faults last; in ten thousandths.
    pub(super) mangled: u16,
    pub(super) stalled: u16,
    /// Bodies come in small pieces.
    pub(super) chopped: bool,
    pub(super) stream: bool,
    /// It is started, and stopped and replaced by one of the same plan, at these operations.
    pub(super) starts: usize,
    pub(super) restarts: Option<usize>,
    /// It is dropped instead of shut down.
    pub(super) dropped: bool,
    pub(super) seed: u64,
}

/// Label selectors, evaluated by the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels {
    Tier,
    TierIn,
    NoTier,
    AppButNotX,
}

/// Field selectors, evaluated by the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields {
    Name,
    NotName,
    Namespace,
}

/// Field selectors, evaluated by the watcher.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientSide {
    Data,
    NotData,
    Label,
}

fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(object, |value, step| value.get(step))
        .and_then(Value::as_str)
}

impl Labels {
    fn text(self) -> &'static str {
        match self {
            Self::Tier => "tier=x",
            Self::TierIn => "tier in (x, y)",
            Self::NoTier => "!tier",
            Self::AppButNotX => "app,tier!=x",
        }
    }

    fn matches(self, object: &Value) -> bool {
        let tier = at(object, &["metadata", "labels", "tier"]);
        match self {
            Self::Tier => tier == Some("x"),
            Self::TierIn => tier.is_some(),
            Self::NoTier => tier.is_none(),
            Self::AppButNotX => {
                at(object, &["metadata", "labels", "app"]).is_some() && tier != Some("x")
            }
        }
    }
}

impl Fields {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Name => "metadata.name=n1",
            Self::NotName => "metadata.name!=n0",
            Self::Namespace => "metadata.namespace=b",
        }
    }

    fn matches(self, object: &Value) -> bool {
        match self {
            Self::Name => at(object, &["metadata", "name"]) == Some("n1"),
            Self::NotName => at(object, &["metadata", "name"]) != Some("n0"),
            Self::Namespace => at(object, &["metadata", "namespace"]) == Some("b"),
        }
    }
}

impl ClientSide {
    fn text(self) -> &'static str {
        match self {
            Self::Data => "data.k=1",
            Self::NotData => "data.k!=0",
            Self::Label => "metadata.labels.tier=x",
        }
    }

    fn matches(self, object: &Value) -> bool {
        match self {
            Self::Data => at(object, &["data", "k"]) == Some("1"),
            Self::NotData => at(object, &["data", "k"]) != Some("0"),
            Self::Label => at(object, &["metadata", "labels", "tier"]) == Some("x"),
        }
    }
}

fn maybe<T: Copy>(random: &mut fastrand::Rng, percent: u8, of: &[T]) -> Option<T> {
    (random.u8(..100) < percent).then(|| of[random.usize(..of.len())])
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let random_ref = &mut random;
        let count = random_ref.usize(1..3);
        let mut kinds = Kind::ALL.to_vec();
        random_ref.shuffle(&mut kinds);
        kinds.truncate(count);
        let operations = random_ref.usize(30..110);
        let lossy = random_ref.u8(..100) < 10;
        let stale = random_ref.u8(..100) < 25;
        let cannot_stream = random_ref.u8(..100) < 20;
        let late = kinds
            .iter()
            .copied()
            .find(|kind| matches!(kind, Kind::Widget | Kind::Gadget))
            .filter(|_| random_ref.u8(..100) < 15)
            .map(|kind| (random_ref.usize(..operations), kind));
        let watchers = (0..random_ref.usize(2..5))
            .map(|_| {
                let kind = kinds[random_ref.usize(..kinds.len())];
                WatcherPlan::draw(random_ref, kind, operations, lossy, stale)
            })
            .collect();
        Self {
            seed,
            kinds,
            watchers,
            operations,
            lossy,
            stale,
            cannot_stream,
            late,
            random,
        }
    }
}

impl WatcherPlan {
    fn draw(
        random: &mut fastrand::Rng,
        kind: Kind,
        operations: usize,
        lossy: bool,
        stale: bool,
    ) -> Self {
        let metadata_only = random.u8(..100) < 15;
        let namespaces = match random.u8(..4) {
            0 if kind.is_namespaced() => vec!["default"],
            1 if kind.is_namespaced() => NAMESPACES[..2].to_vec(),
            _ => Vec::new(),
        };
        let all_fields = [Fields::Name, Fields::NotName, Fields::Namespace];
        let fields = if kind.is_namespaced() {
            &all_fields[..]
        } else {
            &all_fields[..2]
        };
        let all_client_side = [ClientSide::Label, ClientSide::Data, ClientSide::NotData];
        let client_side = if metadata_only || kind == Kind::Secret {
            &all_client_side[..1]
        } else {
            &all_client_side[..]
        };
        let labels = [
            Labels::Tier,
            Labels::TierIn,
            Labels::NoTier,
            Labels::AppButNotX,
        ];
        let paths = [
            "metadata.annotations",
            "metadata.labels.tier",
            "data.pad",
            "data",
        ];
        let mut ignored = vec!["metadata.managedFields"];
        ignored.extend(maybe(random, 40, &paths));
        let seconds = |seconds: u64| Duration::from_secs(seconds);
        let debounces = [
            Debounce::none(),
            Debounce::trailing(Duration::from_millis(500)),
            Debounce::trailing(seconds(3)).max_wait(seconds(4)),
            Debounce::leading(seconds(1)),
        ];
        Self {
            kind,
            labels: maybe(random, 30, &labels),
            fields: maybe(random, 20, fields),
            client_side: maybe(random, 30, client_side),
            by_tier: random.bool(),
            paged: random.u8(..100) < 50,
            page_size: [1, 2, 3, 5, 500][random.usize(..5)],
            debounce: debounces[random.usize(..debounces.len())],
            during_sync: random.bool(),
            audit: maybe(random, if lossy { 100 } else { 15 }, &[20, 60]).map(seconds),
            watch_timeout: seconds([12, 30, 60][random.usize(..3)]),
            slow: seconds([0, 0, 1, 3][random.usize(..4)]),
            flaky_store: !stale && random.u8(..100) < 10,
            mangled: maybe(random, 25, &[500, 2000]).unwrap_or_default(),
            stalled: maybe(random, 15, &[200, 1000]).unwrap_or_default(),
            chopped: random.bool(),
            stream: random.u8(..100) < 40,
            starts: maybe(random, 30, &[operations / 4, operations / 2]).unwrap_or_default(),
            restarts: maybe(random, 15, &[operations * 3 / 4]),
            dropped: random.bool(),
            cached: random.u8(..100) < 20,
            seed: random.u64(..),
            namespaces,
            ignored,
            metadata_only,
        }
    }

    /// Its configuration, but for the callbacks.
    pub(super) fn config(
        &self,
        make: impl FnOnce(&StoreSchema) -> Witness + Send + 'static,
    ) -> WatcherConfig<Witness> {
        let mut config = WatcherConfig::new(self.kind.gvr())
            .store(make)
            .ignore_fields(self.ignored.iter().copied())
            .page_size(self.page_size)
            .debounce(self.debounce)
            .call_on_change_during_sync(self.during_sync)
            .watch_timeout(self.watch_timeout)
            .wait_for_resource()
            .seed(self.seed);
        if !self.namespaces.is_empty() {
            config = config.namespaces(self.namespaces.iter().copied());
        }
        if let Some(labels) = self.labels {
            config = config.label_selector(labels.text());
        }
        if let Some(fields) = self.fields {
            config = config.field_selector(fields.text());
        }
        if let Some(client_side) = self.client_side {
            config = config.client_side_field_selector(client_side.text());
        }
        if self.by_tier {
            config = config.index("tier", ["metadata.labels.tier"]);
        }
        if self.metadata_only {
            config = config.metadata_only();
        }
        if self.paged {
            config = config.initial_list(InitialList::Paged);
        }
        if let Some(audit) = self.audit {
            config = config.audit(audit);
        }
        config
    }

    /// Whether it should hold an object that the server has.
    pub(super) fn wants(&self, object: &Value) -> bool {
        let namespace = at(object, &["metadata", "namespace"]).unwrap_or_default();
        (self.namespaces.is_empty() || self.namespaces.contains(&namespace))
            && self.labels.is_none_or(|labels| labels.matches(object))
            && self.fields.is_none_or(|fields| fields.matches(object))
            && self
                .client_side
                .is_none_or(|client_side| client_side.matches(object))
    }

    /// What it should hold of an object that the server has.
    pub(super) fn holds(&self, mut object: Value) -> Value {
        if self.metadata_only {
            object = serde_json::json!({
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadata",
                "metadata": object["metadata"].take(),
            });
        }
        for path in &self.ignored {
            let mut steps: Vec<&str> = path.split('.').collect();
            let last = steps.pop().unwrap_or_default();
            let parent = steps
                .into_iter()
                .try_fold(&mut object, |value, step| value.get_mut(step));
            if let Some(parent) = parent.and_then(Value::as_object_mut) {
                parent.remove(last);
            }
        }
        object
    }
}

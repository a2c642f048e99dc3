//! A store that checks each write as it happens: only states that the server had, and no object going back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use kubedex::indexer::{KeyRef, Keys, Record};
use kubedex::store::{
    CachedStore, Difference, MemoryStore, Scope, Store, StoreError, StoreSchema, Stored,
};
use kubedex::{Client, Object, ObjectRef, Watcher};
use parking_lot::Mutex;

use super::tap::Tap;
use super::trace::Trace;
use super::world::{History, Kind, version_of};

/// An object as reports of changes show it: its uid, and a hash of what counts as a change.
pub(super) type Shape = (Box<str>, u64);

/// What a witness needs to know.
pub(super) struct Case {
    pub(super) who: usize,
    pub(super) kind: Kind,
    pub(super) metadata_only: bool,
    pub(super) flaky: bool,
    /// Events and objects of lists may be dropped, so that one can be taken for deleted until an audit.
    pub(super) lossy: bool,
    pub(super) trace: Arc<Trace>,
    pub(super) history: History,
    pub(super) tap: Arc<Tap>,
    pub(super) random: fastrand::Rng,
    /// Keeps bodies only for a while, read by this client.
    pub(super) cached: Option<Client>,
}

/// A store under watch.
pub(super) struct Witness {
    inner: Box<dyn Store>,
    case: Case,
    pub(super) watcher: OnceLock<Weak<Watcher<Self>>>,
    state: Mutex<State>,
}

struct State {
    /// The newest version that was stored of each object.
    newest: HashMap<ObjectRef, u64>,
    gone: HashMap<ObjectRef, u64>,
    went_back: u64,
    at_sync: Option<BTreeMap<ObjectRef, Shape>>,
    /// What is stored.
    held: BTreeSet<ObjectRef>,
    flaky: bool,
    random: fastrand::Rng,
}

impl Witness {
    pub(super) fn new(schema: &StoreSchema, mut case: Case) -> Self {
        let state = State {
            newest: HashMap::new(),
            gone: HashMap::new(),
            went_back: 0,
            at_sync: None,
            held: BTreeSet::new(),
            flaky: case.flaky,
            random: case.random.fork(),
        };
        let inner: Box<dyn Store> = match &case.cached {
            None => Box::new(MemoryStore::new(schema)),
            Some(client) => Box::new(CachedStore::new(schema, client)),
        };
        Self {
            inner,
            case,
            watcher: OnceLock::new(),
            state: Mutex::new(state),
        }
    }

    /// From now on writes succeed.
    pub(super) fn heal(&self) {
        self.state.lock().flaky = false;
    }

    /// The versions of what is stored.
    pub(super) fn versions(&self) -> BTreeMap<ObjectRef, u64> {
        self.held()
            .into_iter()
            .filter_map(|reference| {
                let version = self.inner.known(&reference)?.resource_version()?.parse();
                Some((reference, version.unwrap_or_default()))
            })
            .collect()
    }

    fn held(&self) -> BTreeSet<ObjectRef> {
        self.state.lock().held.clone()
    }

    /// What is stored, as reports of changes show it.
    pub(super) fn shapes(&self) -> BTreeMap<ObjectRef, Shape> {
        self.held()
            .into_iter()
            .filter_map(|reference| {
                let known = self.inner.known(&reference)?;
                let uid = known.uid().unwrap_or_default();
                let shape = self.shape(uid, known.object(), &known.keys());
                Some((reference, shape))
            })
            .collect()
    }

    /// The shape of an object: of one without body only what else is told of it.
    pub(super) fn shape(&self, uid: &str, object: Option<&Object>, keys: &Keys) -> Shape {
        let content = match object.filter(|_| self.case.cached.is_none()) {
            None => 0,
            Some(object) if self.case.metadata_only => version_of(object),
            Some(object) => object.content_hash(),
        };
        // An index may look at a field that is not stored.
        let tier = keys.of(1).flat_map(KeyRef::components).next();
        let tier = tier.map_or(0, |tier| u64::from(tier.bytes().next().unwrap_or(1)));
        let shape = content.wrapping_mul(1009).wrapping_add(tier);
        (uid.into(), shape)
    }

    /// Whether the shape shows all that counts as a change.
    pub(super) fn shows_content(&self) -> bool {
        self.case.cached.is_none()
    }

    /// What was stored when the initial sync was complete.
    pub(super) fn at_sync(&self) -> BTreeMap<ObjectRef, Shape> {
        let kept = self.state.lock().at_sync.clone();
        kept.unwrap_or_else(|| self.shapes())
    }

    fn fail(&self, reason: String) {
        self.case.trace.fail(Some(self.case.who), reason);
    }

    fn note(&self, text: String) {
        self.case.trace.note(Some(self.case.who), text);
    }

    fn is_synced(&self) -> bool {
        let watcher = self.watcher.get().and_then(Weak::upgrade);
        watcher.is_some_and(|watcher| watcher.is_synced())
    }

    /// Before each write: what there was at the sync is kept; a flaky store fails. Says whether with this write
    /// everything may go back.
    fn before(&self) -> Result<bool, StoreError> {
        let synced = self.is_synced();
        let missing = self.state.lock().at_sync.is_none();
        if synced && missing {
            let shapes = self.shapes();
            self.state.lock().at_sync = Some(shapes);
        }
        let state = &mut *self.state.lock();
        if state.flaky && state.random.u8(..100) < 4 {
            self.note("the store fails".to_owned());
            return Err(StoreError::Failed {
                gvr: self.case.kind.gvr(),
                operation: "write".to_owned(),
                source: "this store is flaky".into(),
            });
        }
        let went_back = self.case.tap.went_back();
        let goes_back = std::mem::replace(&mut state.went_back, went_back) != went_back;
        if goes_back {
            state.newest.clear();
            state.gone.clear();
        }
        Ok(goes_back)
    }

    fn check(&self, object: &Object) {
        let (reference, version) = (object.reference(), version_of(object));
        let uid = object.uid().unwrap_or_default();
        let known = self.case.history.lock().get(&version).cloned();
        match known {
            Some((kind, known, known_uid))
                if kind == self.case.kind && known == reference && *known_uid == *uid => {}
            _ => self.fail(format!(
                "{reference} is stored at {version}, a state that the server never had"
            )),
        }
        let state = &mut *self.state.lock();
        let newest = state.newest.entry(reference.clone()).or_default();
        let is_older = version < std::mem::replace(newest, version);
        let is_revived = state
            .gone
            .remove(&reference)
            .is_some_and(|gone| version <= gone);
        if is_older {
            self.fail(format!("{reference} went back to {version}"));
        }
        if is_revived && !self.case.lossy {
            self.fail(format!(
                "{reference} was deleted and came back at {version}"
            ));
        }
    }

    fn gone(&self, reference: &ObjectRef, stored: &Stored) {
        let version = stored.resource_version().unwrap_or_default();
        let version = version.parse().unwrap_or_default();
        self.state.lock().gone.insert(reference.clone(), version);
    }
}

#[async_trait]
impl Store for Witness {
    async fn get(&self, index: &str, keys: &[&str]) -> Result<Vec<Object>, StoreError> {
        self.inner.get(index, keys).await
    }

    async fn get_ref(&self, reference: &ObjectRef) -> Result<Option<Object>, StoreError> {
        self.inner.get_ref(reference).await
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.inner.list().await
    }

    async fn update(&self, record: Record) -> Result<Option<Stored>, StoreError> {
        self.before()?;
        self.note(format!(
            "= {} @{}",
            record.object().reference(),
            version_of(record.object())
        ));
        self.check(record.object());
        let reference = record.object().reference();
        let previous = self.inner.update(record).await?;
        self.state.lock().held.insert(reference);
        Ok(previous)
    }

    async fn delete(&self, reference: &ObjectRef) -> Result<Option<Stored>, StoreError> {
        self.before()?;
        let previous = self.inner.delete(reference).await?;
        self.state.lock().held.remove(reference);
        if let Some(stored) = &previous {
            self.note(format!("= {reference} gone"));
            self.gone(reference, stored);
        }
        Ok(previous)
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.state.lock().held.clear();
        self.inner.clear().await
    }

    async fn replace(
        &self,
        scope: &Scope,
        records: Vec<Record>,
    ) -> Result<Vec<Difference>, StoreError> {
        let goes_back = self.before()?;
        let mut becomes: Vec<String> = records
            .iter()
            .map(|record| {
                let object = record.object();
                format!("{} @{}", object.reference(), version_of(object))
            })
            .collect();
        becomes.sort_unstable();
        self.note(format!("= {scope:?} becomes {}", becomes.join(", ")));
        for record in &records {
            self.check(record.object());
        }
        let differences = self.inner.replace(scope, records).await?;
        for difference in &differences {
            let reference = difference.reference.clone();
            match &difference.current {
                Some(_) => self.state.lock().held.insert(reference),
                None => self.state.lock().held.remove(&reference),
            };
            if let (Some(previous), None, false) =
                (&difference.previous, &difference.current, goes_back)
            {
                self.gone(&difference.reference, previous);
            }
        }
        Ok(differences)
    }

    fn known(&self, reference: &ObjectRef) -> Option<Stored> {
        self.inner.known(reference)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn modification_count(&self) -> u64 {
        self.inner.modification_count()
    }

    fn keeps_bodies(&self) -> bool {
        self.inner.keeps_bodies()
    }

    fn kept(&self, reference: &ObjectRef) -> Option<Record> {
        self.inner.kept(reference)
    }

    fn digest(&self, record: Record) -> Record {
        self.inner.digest(record)
    }

    fn set_resource_version(&self, resource_version: &str) {
        self.inner.set_resource_version(resource_version);
    }
}

//! A configuration file while it is read: its tree, and the faults found so far.
//!
//! Reading goes on after a fault: what is wrong is taken out, and the rest is read again, so that one run names all.

use serde::de::DeserializeOwned;
use serde_saphyr::{Budget, Options, Spanned};

use super::error::Fault;
use super::node::{Node, Path, Step, Value};
use super::read::{Kind, Reader, unknown_key};

/// What is wrong with a key that has nothing after it. It would read as if it were not there, which may mean much more.
pub(super) const NOTHING: &str = "nothing stands here; leave the key out";

/// How many faults one section may have before the rest of it is not looked at.
const PER_SECTION: usize = 20;

/// Mappings and lists within each other. What is configured here has some six.
const DEPTH: usize = 32;

/// What aliases may repeat, added up: anchors are for a few lines, not for growth without end.
const REPEATED: usize = 50_000;

pub(super) struct Document {
    root: Node,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl Document {
    /// The tree of a text.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut documents: Vec<Spanned<Value>> =
            serde_saphyr::from_multiple_with_options(text, options())
                .map_err(|error| syntax(&error))?;
        if documents.len() > 1 {
            let second: Node = documents.swap_remove(1).into();
            let reason = "this is a second document, and one is all there may be";
            return Err(Fault::new(second.place, &Path::default(), reason));
        }
        let root = documents.pop().map(Node::from).ok_or_else(|| {
            Fault::of_file("it is empty; the least is `publish: [{format: json, stdout: {}}]`")
        })?;
        if !matches!(root.value, Value::Map(_)) {
            let reason = "it is not a mapping, such as `publish: [{format: json, stdout: {}}]`";
            return Err(Fault::new(root.place, &Path::default(), reason));
        }
        Ok(Self {
            root,
            faults: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Notes what is wrong with what stands at a path; if nothing does, it is told at what lacks it.
    pub(super) fn fault(&mut self, path: &Path, reason: impl Into<String>) {
        let place = self.root.place_of(path);
        self.faults.push(Fault::new(place, path, reason));
    }

    /// Notes what works and may not be meant.
    pub(super) fn warn(&mut self, path: &Path, reason: impl Into<String>) {
        let place = self.root.place_of(path);
        self.warnings.push(Fault::new(place, path, reason));
    }

    /// Whether something stands there, be it nothing but a key.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.root.at(path).is_some()
    }

    /// Whether a value stands there.
    pub(super) fn has_value(&self, path: &Path) -> bool {
        let node = self.root.at(path);
        node.is_some_and(|node| !matches!(node.value, Value::Null))
    }

    /// Faults for all keys of a mapping but these, and for what is no mapping.
    pub(super) fn allow(&mut self, path: &Path, known: &[&str]) {
        let Some(node) = self.root.at(path) else {
            return;
        };
        match &node.value {
            Value::Map(entries) => {
                let unknown = entries
                    .iter()
                    .filter(|(key, _)| !known.contains(&key.name.as_str()))
                    .map(|(key, _)| {
                        let reason = unknown_key(&key.name, known);
                        Fault::new(key.place, &path.key(&key.name), reason)
                    });
                self.faults.extend(unknown);
            }
            Value::Null => {}
            _ => self.fault(path, "a mapping is wanted here"),
        }
    }

    /// The paths of a list's elements. What is no list is a fault; an absent one is empty.
    pub(super) fn items(&mut self, path: &Path) -> Vec<Path> {
        match self.root.at(path).map(|node| &node.value) {
            Some(Value::List(items)) => items
                .iter()
                .map(|(number, _)| path.index(*number))
                .collect(),
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                self.fault(path, "a list is wanted here");
                Vec::new()
            }
        }
    }

    /// Reads what stands there. `None` if it is absent, or if it is wrong, which is noted, as is a key with nothing after
    /// it.
    pub(super) fn read<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        if self.has_value(path) {
            return self.read_present(path);
        }
        if self.has(path) {
            self.fault(path, NOTHING);
        }
        None
    }

    /// As [`Document::read`] for what must be there; what is said if it is not is noted at what lacks it.
    pub(super) fn require<T: DeserializeOwned>(
        &mut self,
        path: &Path,
        key: &str,
        missing: &str,
    ) -> Option<T> {
        let at = path.key(key);
        if !self.has_value(&at) {
            self.fault(path, missing);
            return None;
        }
        self.read_present(&at)
    }

    /// As [`Document::read`]; a key with nothing after it, and also an absent one, reads as an empty mapping.
    pub(super) fn read_section<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        if self.has(path) {
            return self.read_present(path);
        }
        let empty = Node {
            place: self.root.place_of(path),
            value: Value::Map(Vec::new()),
        };
        self.read_node(path, empty)
    }

    fn read_present<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        let node = self.root.at(path)?.clone();
        self.read_node(path, node)
    }

    fn read_node<T: DeserializeOwned>(&mut self, path: &Path, mut node: Node) -> Option<T> {
        let before = self.faults.len();
        let mut taken: Vec<Path> = Vec::new();
        for _ in 0..PER_SECTION {
            let error = match T::deserialize(Reader(&node)) {
                Ok(value) => return (self.faults.len() == before).then_some(value),
                Err(error) => error,
            };
            let within = error.path();
            if let Kind::Missing(field) = error.kind {
                // It may be missing because it was wrong and taken out.
                if taken.contains(&within.key(field)) {
                    break;
                }
            }
            let place = error.place.unwrap_or(node.place);
            self.faults
                .push(Fault::new(place, &path.join(&within), error.message));
            if error.kind != Kind::Wrong || !node.remove(&within) {
                break;
            }
            taken.push(within);
        }
        None
    }
}

/// As strict as JSON, but for quotes: what is not `true` or `false` is no boolean. The text's size is bounded by who read
/// it, so that static clusters may be many.
fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = DEPTH;
    budget.max_events = usize::MAX;
    budget.max_nodes = usize::MAX;
    serde_saphyr::options! {
        budget: Some(budget),
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED },
        strict_booleans: true,
        with_snippet: false,
    }
}

fn syntax(error: &serde_saphyr::Error) -> Fault {
    let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    match error.location() {
        Some(at) => {
            let suffix = format!(" at line {}, column {}", at.line(), at.column());
            let message = message.strip_suffix(&suffix).unwrap_or(&message);
            Fault::new(at.into(), &Path::default(), message)
        }
        None => Fault::of_file(message),
    }
}

/// Steps for tests and for those who have a field's name.
impl From<&str> for Path {
    fn from(key: &str) -> Self {
        Self(vec![Step::Key(key.to_owned())])
    }
}

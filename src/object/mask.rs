//! Which fields to leave out of a document.
//!
//! The paths are compiled to a tree in which every place has one answer, so that decoding asks once per key and goes no
//! deeper than the masks do. Places in arrays are those of the original document: leaving out element 0 does not make
//! element 1 the first.

use std::sync::Arc;

/// One step of a masked path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MaskStep {
    /// The value under this key of a map.
    Key(Box<str>),
    /// The element at this place of an array.
    Index(usize),
    /// Every element of an array and every value of a map.
    Any,
}

/// A set of paths to leave out; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(Option<Arc<Compiled>>);

#[derive(Debug)]
struct Compiled {
    paths: Vec<Vec<MaskStep>>,
    root: Node,
}

impl Mask {
    /// Leaves out one more path. The empty path stands for nothing: a document cannot lack itself.
    pub(crate) fn insert(&mut self, steps: Vec<MaskStep>) {
        if steps.is_empty() {
            return;
        }
        let mut paths = self
            .0
            .take()
            .map_or_else(Vec::new, |compiled| compiled.paths.clone());
        paths.push(steps);
        let rests: Vec<&[MaskStep]> = paths.iter().map(Vec::as_slice).collect();
        let root = Node::compile(&rests);
        self.0 = Some(Arc::new(Compiled { paths, root }));
    }

    /// Whether nothing is left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What to do with the document itself.
    pub(super) fn root(&self) -> Verdict<'_> {
        match &self.0 {
            Some(compiled) => Verdict::Within(&compiled.root),
            None => Verdict::Keep,
        }
    }
}

/// What to do with one value.
#[derive(Clone, Copy)]
pub(super) enum Verdict<'m> {
    /// Keep it with all that is in it.
    Keep,
    /// Leave it out.
    Drop,
    /// Keep it, and ask for each value in it.
    Within(&'m Node),
}

impl<'m> Verdict<'m> {
    /// For the value under a key of this one.
    #[inline]
    pub(super) fn key(self, key: &[u8]) -> Verdict<'m> {
        match self {
            Verdict::Within(node) => node
                .keys
                .iter()
                .find(|(masked, _)| masked.as_bytes() == key)
                .map_or(&node.any, |(_, branch)| branch)
                .verdict(),
            verdict => verdict,
        }
    }

    /// For the element of this one at a place.
    #[inline]
    pub(super) fn index(self, index: usize) -> Verdict<'m> {
        match self {
            Verdict::Within(node) => node
                .indices
                .iter()
                .find(|(masked, _)| *masked == index)
                .map_or(&node.any, |(_, branch)| branch)
                .verdict(),
            verdict => verdict,
        }
    }
}

/// What is left out under one place.
#[derive(Debug)]
pub(super) struct Node {
    keys: Vec<(Box<str>, Branch)>,
    indices: Vec<(usize, Branch)>,
    /// For every other key and place.
    any: Branch,
}

#[derive(Debug)]
enum Branch {
    Keep,
    Drop,
    Within(Box<Node>),
}

impl Branch {
    fn compile(rests: &[&[MaskStep]]) -> Self {
        if rests.is_empty() {
            Self::Keep
        } else if rests.iter().any(|rest| rest.is_empty()) {
            Self::Drop
        } else {
            Self::Within(Box::new(Node::compile(rests)))
        }
    }

    fn verdict(&self) -> Verdict<'_> {
        match self {
            Self::Keep => Verdict::Keep,
            Self::Drop => Verdict::Drop,
            Self::Within(node) => Verdict::Within(node),
        }
    }
}

impl Node {
    /// A branch that a path names also follows the paths that say [`MaskStep::Any`] there, so that one look is enough.
    fn compile(paths: &[&[MaskStep]]) -> Self {
        let after = |matches: &dyn Fn(&MaskStep) -> bool| {
            let rests: Vec<&[MaskStep]> = paths
                .iter()
                .filter_map(|path| {
                    let (step, rest) = path.split_first()?;
                    (*step == MaskStep::Any || matches(step)).then_some(rest)
                })
                .collect();
            Branch::compile(&rests)
        };
        let mut keys: Vec<(Box<str>, Branch)> = Vec::new();
        let mut indices: Vec<(usize, Branch)> = Vec::new();
        for path in paths {
            match path.first() {
                Some(step @ MaskStep::Key(key)) if keys.iter().all(|(known, _)| known != key) => {
                    keys.push((key.clone(), after(&|other| other == step)));
                }
                Some(step @ MaskStep::Index(index))
                    if indices.iter().all(|(known, _)| known != index) =>
                {
                    indices.push((*index, after(&|other| other == step)));
                }
                _ => {}
            }
        }
        Self {
            keys,
            indices,
            any: after(&|_| false),
        }
    }
}

//! The four ways to patch.

pub(super) mod apply;
pub(super) mod json;
pub(super) mod merge;
pub(super) mod strategic;

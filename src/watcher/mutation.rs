//! Faults that are built into the watcher on purpose, one at a time, to show that its tests would notice each.
//!
//! Switched on for one thread, at run time, and only with the private feature `__mutations`; without it `is_on` is a
//! constant `false` and none of this is compiled in.

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A bookmark does not move the version to resume from.
    BookmarksIgnored,
    /// A watch resumes from one version further than was read.
    ResumedTooFar,
    /// 410 is retried like a failing server.
    GoneRetried,
    /// Every failure of a watch is followed by a list.
    FailuresRelist,
    /// A garbled line is an end of the watch like any other.
    GarbledIsEnd,
    /// A garbled line is passed over.
    GarbledSkipped,
    /// An expired page is followed by pages again.
    ExpiredPagesRestart,
    /// The second half of a list whose first page broke off is taken with the first half of the first attempt.
    BrokenPageKept,
    /// There are no waits.
    NoBackoff,
    /// Events are applied in whatever order they come.
    DisorderIgnored,
    /// A watch may be silent forever.
    SilenceEndured,
    /// An event whose object cannot be read is passed over.
    UnreadableSkipped,
    /// The first list that is older than what was seen is believed.
    StaleListBelieved,
    /// A relist does not delete.
    RelistKeepsDeleted,
    /// A relist keeps what is stored of an object in another version.
    RelistKeepsOldState,
    /// What a relist changes is not told.
    RelistNotTold,
    /// What a void attempt at the first list stored stays.
    VoidListKept,
    /// What a void attempt at a relist gathered stays.
    PartialListKept,
    /// An object that the client-side selector no longer matches stays.
    UnselectedKept,
    /// An object that was deleted and created anew counts as modified.
    UidIgnored,
    /// What comes within the interval after a call is not told.
    LateChangesLost,
    /// What has gathered at a shutdown is not told.
    FlushForgotten,
}

/// Whether a fault is switched on in this thread.
#[cfg(not(feature = "__mutations"))]
pub(super) const fn is_on(_: Mutation) -> bool {
    false
}

#[cfg(feature = "__mutations")]
pub(super) use switch::is_on;
#[cfg(feature = "__mutations")]
pub use switch::with;

#[cfg(feature = "__mutations")]
mod switch {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Whether a fault is switched on in this thread.
    pub(crate) fn is_on(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }

    /// Runs something with a fault switched on in this thread.
    pub fn with<R>(mutation: Mutation, run: impl FnOnce() -> R) -> R {
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        ON.set(Some(mutation));
        let _off = Off;
        run()
    }

    impl Mutation {
        /// All of them.
        pub const ALL: [Self; 22] = [
            Self::BookmarksIgnored,
            Self::ResumedTooFar,
            Self::GoneRetried,
            Self::FailuresRelist,
            Self::GarbledIsEnd,
            Self::GarbledSkipped,
            Self::ExpiredPagesRestart,
            Self::BrokenPageKept,
            Self::NoBackoff,
            Self::DisorderIgnored,
            Self::SilenceEndured,
            Self::UnreadableSkipped,
            Self::StaleListBelieved,
            Self::RelistKeepsDeleted,
            Self::RelistKeepsOldState,
            Self::RelistNotTold,
            Self::VoidListKept,
            Self::PartialListKept,
            Self::UnselectedKept,
            Self::UidIgnored,
            Self::LateChangesLost,
            Self::FlushForgotten,
        ];
    }
}

//! The API server as far as one Lease goes: resource versions, preconditions, and what people do to it by hand.

use std::collections::VecDeque;
use std::sync::Arc;

use super::plan::Nanos;
use crate::leader_election::decision::{Answer, Request, Seen};
use crate::leader_election::record::{MicroTime, Record};

/// Who wrote a record: a candidate and which of its lives; none for a person.
pub(super) type Writer = Option<(usize, u32)>;

/// How many old states reads may still see.
const MEMORY: usize = 4;

/// The Lease as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) seen: Seen,
    pub(super) writer: Writer,
    /// When its spec was last written.
    pub(super) written: Nanos,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) stored: Option<Stored>,
    memory: VecDeque<Option<Stored>>,
    version: u64,
    uids: u64,
    /// Until when it is away, and whether it then refuses (or is silent).
    pub(super) away_until: Nanos,
    /// Whether it takes writes that were made for another version.
    careless: bool,
}

/// What a write did.
pub(super) struct Applied {
    pub(super) before: Option<Stored>,
    pub(super) after: Stored,
}

impl Server {
    pub(super) fn new(careless: bool) -> Self {
        Self {
            careless,
            ..Self::default()
        }
    }

    /// Reads; `stale` gives one of the last states.
    pub(super) fn read(&self, stale: Option<usize>) -> Option<&Stored> {
        match stale.and_then(|back| self.memory.iter().rev().nth(back)) {
            Some(old) => old.as_ref(),
            None => self.stored.as_ref(),
        }
    }

    /// Does a write, or says why not. `odd` chooses what an update of a missing Lease is answered with.
    pub(super) fn write(
        &mut self,
        now: Nanos,
        writer: Writer,
        request: Request,
        odd: u8,
    ) -> Result<Applied, Answer> {
        let careless = self.careless;
        let (uid, record) = match (request, &self.stored) {
            (Request::Read, _) => return Err(Answer::Failed),
            (Request::Create(_), Some(_)) if !careless => return Err(Answer::Conflict),
            (Request::Create(record), _) => (None, record),
            (Request::Update { base, record }, Some(stored)) => {
                if *base != *stored.seen.version && !careless {
                    return Err(Answer::Conflict);
                }
                (Some(Arc::clone(&stored.seen.uid)), record)
            }
            (Request::Update { record, .. }, None) => match odd % 4 {
                0 => return Err(Answer::Conflict),
                1 => return Err(Answer::Missing),
                2 => return Err(Answer::Refused),
                _ => (None, record),
            },
        };
        let uid = uid.unwrap_or_else(|| {
            self.uids += 1;
            self.uids.to_string().into()
        });
        Ok(self.store(now, writer, uid, record))
    }

    fn store(&mut self, now: Nanos, writer: Writer, uid: Arc<str>, record: Record) -> Applied {
        let after = Stored {
            seen: Seen {
                version: self.next_version(),
                uid,
                record,
            },
            writer,
            written: now,
        };
        let before = self.replace(Some(after.clone()));
        Applied { before, after }
    }

    /// Somebody changes the spec by hand; nothing, if there is none.
    pub(super) fn edit(&mut self, now: Nanos, change: impl FnOnce(&mut Record)) -> bool {
        let Some(stored) = &self.stored else {
            return false;
        };
        let (uid, mut record) = (Arc::clone(&stored.seen.uid), stored.seen.record.clone());
        change(&mut record);
        if record == stored.seen.record {
            return false;
        }
        // No two edits leave the same behind: a record that is back as it was has not changed to who missed it.
        let edit = ("edit".to_owned(), self.version.into());
        record.other = Some(Arc::new([edit].into_iter().collect()));
        self.store(now, None, uid, record);
        true
    }

    /// Somebody changes metadata by hand.
    pub(super) fn annotate(&mut self) {
        if self.stored.is_some() {
            let version = self.next_version();
            let mut changed = self.stored.clone();
            if let Some(stored) = &mut changed {
                stored.seen.version = version;
            }
            self.replace(changed);
        }
    }

    /// Somebody deletes it.
    pub(super) fn delete(&mut self) -> bool {
        self.next_version();
        self.replace(None).is_some()
    }

    fn replace(&mut self, stored: Option<Stored>) -> Option<Stored> {
        let before = std::mem::replace(&mut self.stored, stored);
        if self.memory.len() == MEMORY {
            self.memory.pop_front();
        }
        self.memory.push_back(before.clone());
        before
    }

    fn next_version(&mut self) -> Arc<str> {
        self.version += 1;
        // Versions of all lengths, since they are not compared as text.
        (self.version + 95).to_string().into()
    }
}

/// What a release looks like.
pub(super) fn released(record: &mut Record, stamp: MicroTime) {
    record.holder = "".into();
    record.seconds = Some(1);
    record.renewed = Some(stamp);
}

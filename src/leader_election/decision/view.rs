//! What a candidate knows of the Lease: what it saw, and what it wrote itself.

use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Flaw, Now, Seen};
use crate::leader_election::record::Record;

/// How many times its own lease a candidate takes for an unusually long one.
const UNUSUAL: u32 = 4;

/// How many writes of unknown outcome are remembered. Who forgets one takes its record for a stranger's and waits it out.
const MOST_PENDING: usize = 16;

/// What was seen of the Lease.
#[derive(Debug, Default)]
pub(super) struct View {
    /// As last read; none if it was missing then.
    current: Option<Seen>,
    /// The last one there was.
    last: Option<Seen>,
    /// Until then somebody else may still hold the lease, by the local clock. What this candidate wrote itself leaves it as
    /// it is: it can only wait for others.
    held_until: Duration,
    /// The last holder there was, while it is there.
    leader: Option<Arc<str>>,
}

/// What is worth telling after something was seen.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) leader: Option<Option<Arc<str>>>,
    pub(super) long: Option<Effect>,
}

impl View {
    /// Takes in what was read or written: `wrote` if the record is one that this candidate wrote. A record that does not
    /// say how long it holds does so for `own`.
    pub(super) fn observe(
        &mut self,
        now: Now,
        seen: Option<Seen>,
        wrote: bool,
        own: Duration,
        flaw: Option<Flaw>,
    ) -> News {
        let mut news = News::default();
        let leader = seen
            .as_ref()
            .map(|seen| &seen.record.holder)
            .filter(|holder| !holder.is_empty());
        if leader != self.leader.as_ref() {
            self.leader = leader.cloned();
            news.leader = Some(self.leader.clone());
        }
        let Some(seen) = seen else {
            // Whoever held it may not know yet: `held_until` stays.
            self.current = None;
            if flaw == Some(Flaw::HastyCreate) {
                self.held_until = Duration::ZERO;
            }
            return news;
        };
        let last = self.last.as_ref();
        let changed = last.is_none_or(|last| {
            last.uid != seen.uid
                || last.record != seen.record
                || (flaw == Some(Flaw::AnyChangeRenews) && last.version != seen.version)
        });
        if changed {
            let record = &seen.record;
            let mut duration = record.seconds.map_or(own, seconds);
            if flaw == Some(Flaw::ShortenedDuration) {
                duration = duration.min(own);
            }
            if record.is_released() {
                self.held_until = now.local;
            } else if !record.holder.is_empty() && !wrote {
                let until = now.local.saturating_add(duration);
                // Only who acquired the lease in the regular way has waited for the one before. A duration that was
                // shortened otherwise does not end a lease that was seen to be longer.
                let regular = last.is_none_or(|last| {
                    last.uid == seen.uid && record.transitions > last.record.transitions
                });
                self.held_until = if regular {
                    until
                } else {
                    self.held_until.max(until)
                };
                let is_new = last.is_none_or(|last| {
                    (&last.record.holder, last.record.seconds) != (&record.holder, record.seconds)
                });
                if is_new && duration > own.saturating_mul(UNUSUAL) {
                    news.long = Some(Effect::LongLease {
                        holder: Arc::clone(&record.holder),
                        duration,
                    });
                }
            }
            // An empty holder that is no release: somebody removed it, and who was seen before may not know.
        }
        if flaw == Some(Flaw::WallClock)
            && let (Some(renewed), Some(lasts)) = (seen.record.renewed, seen.record.seconds)
        {
            let left = renewed.micros() + lasts * 1_000_000 - now.wall.micros();
            let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
            self.held_until = now.local + left;
        }
        self.last = Some(seen.clone());
        self.current = Some(seen);
        news
    }

    /// The Lease as last read.
    pub(super) fn current(&self) -> Option<&Seen> {
        self.current.as_ref()
    }

    /// Whether nobody else can hold the lease.
    pub(super) fn is_free(&self, now: Duration) -> bool {
        now >= self.held_until
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// What this candidate wrote.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// The last record known to have been stored.
    confirmed: Option<Written>,
    /// Writes since then whose outcome is not known, oldest first.
    pending: Vec<Written>,
}

#[derive(Debug)]
struct Written {
    /// None for one that creates the Lease.
    uid: Option<Arc<str>>,
    record: Record,
    sent: Duration,
}

impl Written {
    fn is(&self, seen: &Seen) -> bool {
        self.record == seen.record && self.uid.as_ref().is_none_or(|uid| *uid == seen.uid)
    }
}

impl Own {
    /// A write is about to be sent.
    pub(super) fn writing(&mut self, sent: Duration, uid: Option<Arc<str>>, record: Record) {
        if self.pending.len() == MOST_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(Written { uid, record, sent });
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When the write that made this record was sent, if it was one of ours.
    pub(super) fn sent(&self, seen: &Seen) -> Option<Duration> {
        self.pending
            .iter()
            .rev()
            .chain(&self.confirmed)
            .find(|written| written.is(seen))
            .map(|written| written.sent)
    }

    /// A record was seen: if a pending write made it, that one is done, and those before it will never be.
    pub(super) fn confirm(&mut self, seen: &Seen) {
        if let Some(index) = self.pending.iter().rposition(|written| written.is(seen)) {
            self.confirmed = self.pending.drain(..=index).next_back();
        }
    }
}

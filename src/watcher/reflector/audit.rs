//! Compares the store with the server now and then, if asked to: a list at exactly the version that the store has reached
//! must find no difference. What it finds is reported and repaired. The watch waits meanwhile, its events unread.

use std::cmp::Ordering;

use tokio::time::Instant;

use super::machine::{Input, MOST_PAGES, Refusal};
use super::{Event, Reflector, Sink, Stop};
use crate::resource::compare_resource_versions;
use crate::watcher::error::Problem;

const AUDIT: &str = "audit";

/// How many audits may be left out in a row before that is told.
const AUDITS_LEFT_OUT: u8 = 3;

impl<K: Sink> Reflector<K> {
    /// When the next audit is due.
    pub(super) fn audit_due(&mut self) -> Option<Instant> {
        let every = self.audit?;
        Some(*self.audit_due.get_or_insert_with(|| Instant::now() + every))
    }

    /// Makes an audit. One that cannot be made, most likely because the server no longer has that version, is left for
    /// the next time; only what the store cannot take, and a version that lies in the server's future, are faults.
    pub(super) async fn run_audit(&mut self) -> Result<(), Stop> {
        let ahead = self
            .ahead
            .as_deref()
            .and_then(|ahead| compare_resource_versions(ahead, self.machine.version()));
        let outcome = if ahead == Some(Ordering::Greater) || !self.unread.is_settled() {
            // Some objects were read by themselves and are newer than the watch, or are still to be read.
            self.audits_left_out = self.audits_left_out.saturating_add(1);
            if self.audits_left_out == AUDITS_LEFT_OUT {
                tracing::warn!(
                    watcher = self.status.watcher(),
                    "no audit for {AUDITS_LEFT_OUT} times: some objects are still to be read by themselves"
                );
            }
            Ok(())
        } else {
            self.audits_left_out = 0;
            self.make_audit().await
        };
        // From its end: one that takes longer than the time between two must not leave the watch unread.
        self.audit_due = self.audit.map(|every| Instant::now() + every);
        outcome
    }

    async fn make_audit(&mut self) -> Result<(), Stop> {
        match self.audit_list().await {
            Ok(()) => {
                self.accept(AUDIT, Event::AuditDone).await?;
                self.reread_unread(false).await
            }
            Err(Stop::Fault(fault)) => match fault.input {
                Input::NotStored => Err(Stop::Fault(fault)),
                Input::Refused(Refusal { too_new: true, .. }) => {
                    Err(Stop::fault(AUDIT, fault.problem, Input::Disorder))
                }
                _ => {
                    tracing::debug!(watcher = self.status.watcher(), problem = %fault.problem, "no audit this time");
                    // What it left to be read is void, too; there was none before it.
                    self.unread.abandon();
                    self.accept(AUDIT, Event::InitAbort).await
                }
            },
            Err(Stop::Over) => Err(Stop::Over),
        }
    }

    async fn audit_list(&mut self) -> Result<(), Stop> {
        self.accept(AUDIT, Event::Init { doubted: true }).await?;
        let version = self.machine.version().to_owned();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let envelope = self
                .page(AUDIT, self.target.list_at(&version, token.as_deref()))
                .await?;
            if envelope.version() != version {
                let found = format!("one of resource version {}", envelope.version());
                return Err(Stop::failed(
                    AUDIT,
                    Problem::Foreign {
                        expected: format!("list as of {version}"),
                        found,
                    },
                ));
            }
            if envelope.token().is_none() || envelope.token() == token.as_deref() {
                return Ok(());
            }
            token = envelope.token().map(str::to_owned);
        }
        let found = format!("one of more than {MOST_PAGES} pages");
        let expected = "list with an end".to_owned();
        Err(Stop::failed(AUDIT, Problem::Foreign { expected, found }))
    }
}

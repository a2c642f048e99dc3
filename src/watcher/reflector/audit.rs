//! Compares the store with the server now and then, if asked to: a list at exactly the version that the store has reached
//! must find no difference. What it finds is reported and repaired. The watch waits meanwhile, its events unread.

use tokio::time::Instant;

use super::machine::Input;
use super::{Event, Reflector, Sink, Stop};

const AUDIT: &str = "audit";

impl<K: Sink> Reflector<K> {
    /// When the next audit is due.
    pub(super) fn audit_due(&mut self) -> Option<Instant> {
        let every = self.audit?;
        Some(*self.audit_due.get_or_insert_with(|| Instant::now() + every))
    }

    /// Makes an audit. One that cannot be made, most likely because the server no longer has that version, is left for
    /// the next time; only what the store cannot take is a fault.
    pub(super) async fn run_audit(&mut self) -> Result<(), Stop> {
        self.audit_due = self.audit.map(|every| Instant::now() + every);
        let listed = self.audit_list().await;
        let event = if listed.is_ok() {
            Event::AuditDone
        } else {
            Event::InitAbort
        };
        match listed {
            Ok(()) => {}
            Err(Stop::Fault(fault)) if fault.input != Input::NotStored => {
                tracing::debug!(watcher = self.status.watcher(), problem = %fault.problem, "no audit this time");
            }
            Err(stop) => return Err(stop),
        }
        self.accept(AUDIT, event).await
    }

    async fn audit_list(&mut self) -> Result<(), Stop> {
        self.accept(AUDIT, Event::Init).await?;
        let version = self.machine.version().to_owned();
        let mut token = None;
        loop {
            let envelope = self
                .page(AUDIT, self.target.list_at(&version, token.as_deref()))
                .await?;
            token = envelope.token().map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
    }
}

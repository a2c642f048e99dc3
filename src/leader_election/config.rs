//! How to campaign: plain data, checked as a whole when the elector starts.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::clock::{BootClock, Clock};
use super::decision::Settings;
use super::error::ConfigError;
use super::timing::Timing;
use super::token::FencingToken;
use crate::client::Client;
use crate::resource::{is_dns_label, is_dns_subdomain};

/// The longest identity that is taken, in bytes. A Lease bears more, people who read it do not.
const MOST_IDENTITY: usize = 1024;

pub(super) type OnStarted = Box<dyn Fn(FencingToken) -> BoxFuture<'static, ()> + Send + Sync>;
pub(super) type OnStopped = Box<dyn Fn() + Send + Sync>;
pub(super) type OnNewLeader = Box<dyn Fn(&str) + Send + Sync>;

/// What is called when.
#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) on_started: Option<OnStarted>,
    pub(super) on_stopped: Option<OnStopped>,
    pub(super) on_new_leader: Option<OnNewLeader>,
}

/// The configuration of a [`LeaderElector`](super::LeaderElector).
///
/// Everything has a default but the Lease's name. Setters only note what they are given;
/// [`LeaderElector::start`](super::LeaderElector::start) checks all of it.
#[must_use]
pub struct LeaderElectionConfig {
    name: String,
    namespace: Option<String>,
    identity: Option<String>,
    timing: Timing,
    release: bool,
    campaign_again: bool,
    labels: BTreeMap<String, String>,
    callbacks: Callbacks,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    seed: Option<u64>,
}

/// A configuration that was checked, in parts that work.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) settings: Settings,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) callbacks: Callbacks,
    pub(super) stop: CancellationToken,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: u64,
}

impl LeaderElectionConfig {
    /// A campaign for the Lease of this name. All candidates name the same one, and it is used for nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            namespace: None,
            identity: None,
            timing: Timing::default(),
            release: true,
            campaign_again: true,
            labels: BTreeMap::new(),
            callbacks: Callbacks::default(),
            stop: CancellationToken::new(),
            clock: Arc::new(BootClock),
            seed: None,
        }
    }

    /// The Lease's namespace; the client's own unless set.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Who this candidate is. Unless set: `POD_NAME` from the environment, or else the host's name, followed by `_` and
    /// sixteen random hexadecimal digits.
    ///
    /// It should differ from that of every other process, earlier ones included. One that does not is no danger, but a
    /// process that comes back under the same identity has to wait for its own earlier lease to run out.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// How long others wait after a leader's last renewal; whole seconds.
    /// [`DEFAULT_LEASE_DURATION`](super::DEFAULT_LEASE_DURATION) unless set.
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.timing.lease = duration;
        self
    }

    /// How long a leader stays one without a renewal. Together with the stop timeout less than the lease duration, and
    /// more than 1.2 retry periods. [`DEFAULT_RENEW_DEADLINE`](super::DEFAULT_RENEW_DEADLINE) unless set.
    pub fn renew_deadline(mut self, deadline: Duration) -> Self {
        self.timing.renew = deadline;
        self
    }

    /// How often a leader renews, and about how often others look.
    /// [`DEFAULT_RETRY_PERIOD`](super::DEFAULT_RETRY_PERIOD) unless set.
    pub fn retry_period(mut self, period: Duration) -> Self {
        self.timing.retry = period;
        self
    }

    /// How long work has to end after it was told to; then it is aborted.
    /// [`DEFAULT_STOP_TIMEOUT`](super::DEFAULT_STOP_TIMEOUT) unless set.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.timing.stop = timeout;
        self
    }

    /// By how much the clock of one candidate may run faster than that of another: the lease duration by the sum of
    /// renew deadline and stop timeout. 1.15 by default; clocks of machines differ by less than 1.001.
    #[must_use]
    pub fn tolerated_clock_ratio(&self) -> f64 {
        self.timing.tolerated_clock_ratio()
    }

    /// Whether to empty the Lease when it is given up, so that another candidate need not wait for it to run out. On by
    /// default.
    pub fn release_on_cancel(mut self, release: bool) -> Self {
        self.release = release;
        self
    }

    /// Whether to campaign again after leadership was lost. On by default; off, the elector ends then.
    pub fn campaign_again(mut self, again: bool) -> Self {
        self.campaign_again = again;
        self
    }

    /// A label of the Lease. Others that it has are kept.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Called when this candidate becomes the leader; the future is the work.
    ///
    /// It runs in a task of its own. When the token is cancelled ([`FencingToken::cancelled`]) it has the stop timeout to
    /// return, and is aborted after that, at its next await; until it has ended, the lease is not released and the candidate does
    /// not campaign. Blocking work, and work that it spawns, should hold a [`FencingToken::guard`]. It may return early:
    /// the candidate stays the leader. If it panics, leadership is given up.
    pub fn on_started_leading<F, R>(mut self, callback: F) -> Self
    where
        F: Fn(FencingToken) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.callbacks.on_started = Some(Box::new(move |token| Box::pin(callback(token))));
        self
    }

    /// Called when this candidate was the leader, is it no more, and its work has ended. It must not block. A panic is
    /// caught and logged.
    pub fn on_stopped_leading(mut self, callback: impl Fn() + Send + Sync + 'static) -> Self {
        self.callbacks.on_stopped = Some(Box::new(callback));
        self
    }

    /// Called with the identity of each new leader, this candidate included. It must not block. A panic is caught and
    /// logged.
    pub fn on_new_leader(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.callbacks.on_new_leader = Some(Box::new(callback));
        self
    }

    /// Ends the campaign when the token is cancelled, as [`LeaderElector::shutdown`](super::LeaderElector::shutdown) does.
    pub fn stop_on(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// By which clock to judge, for tests. [`BootClock`] unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Seeds the jitter of waits, for tests that are to be repeated exactly.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    pub(super) fn has_work(&self) -> bool {
        self.callbacks.on_started.is_some()
    }

    pub(super) fn invalid(&self, field: &'static str, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(&self.name, field, reason)
    }

    /// Checks all that can be checked without a client, whose namespace is used if none is set.
    ///
    /// # Errors
    /// What [`LeaderElector::start`](super::LeaderElector::start) would refuse.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !is_dns_subdomain(&self.name) {
            let reason = format!("{:?} is not the name of a Lease", self.name);
            return Err(self.invalid("name", reason));
        }
        if let Some(namespace) = &self.namespace {
            self.check_namespace(namespace)?;
        }
        if let Some(identity) = &self.identity {
            self.check_identity(identity)?;
        }
        self.timing
            .check()
            .map_err(|(field, reason)| self.invalid(field, reason))?;
        for (key, value) in &self.labels {
            if !is_label_key(key) || !is_label_value(value) {
                let reason = format!("{key:?}={value:?} is not a label");
                return Err(self.invalid("label", reason));
            }
        }
        Ok(())
    }

    fn check_namespace(&self, namespace: &str) -> Result<(), ConfigError> {
        if is_dns_label(namespace) {
            return Ok(());
        }
        let reason = format!("{namespace:?} is not the name of a namespace");
        Err(self.invalid("namespace", reason))
    }

    fn check_identity(&self, identity: &str) -> Result<(), ConfigError> {
        if identity.trim().is_empty() {
            return Err(self.invalid(
                "identity",
                "it is empty, which is how a Lease says that nobody holds it",
            ));
        }
        if identity.len() > MOST_IDENTITY || identity.chars().any(char::is_control) {
            let reason = format!("it has more than {MOST_IDENTITY} bytes, or control characters");
            return Err(self.invalid("identity", reason));
        }
        Ok(())
    }

    /// Checks everything.
    pub(super) fn check(self, client: &Client) -> Result<Checked, ConfigError> {
        self.validate()?;
        let namespace = match &self.namespace {
            Some(namespace) => namespace.as_str(),
            None => client.default_namespace(),
        };
        self.check_namespace(namespace)?;
        let namespace = namespace.to_owned();
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => default_identity(),
        };
        self.check_identity(&identity)?;
        Ok(Checked {
            name: self.name,
            namespace,
            settings: Settings {
                identity: identity.into(),
                timing: self.timing,
                release: self.release,
                campaign_again: self.campaign_again,
            },
            labels: self.labels,
            callbacks: self.callbacks,
            stop: self.stop,
            clock: self.clock,
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..)),
        })
    }
}

/// The pod's name, or the host's, and something random: names come back, processes do not.
fn default_identity() -> String {
    let pod = std::env::var("POD_NAME").ok();
    let name = pod
        .filter(|name| !name.trim().is_empty())
        .or_else(host_name)
        .unwrap_or_else(|| "kubedex".to_owned());
    format!("{}_{:016x}", name.trim(), fastrand::u64(..))
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    let name = std::env::var("COMPUTERNAME").ok()?;
    (!name.is_empty()).then_some(name)
}

/// A name of at most 63 characters, letters and digits at its ends, after an optional domain and a slash.
fn is_label_key(key: &str) -> bool {
    let name = match key.split_once('/') {
        Some((domain, name)) if is_dns_subdomain(domain) => name,
        Some(_) => return false,
        None => key,
    };
    !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    value.len() <= 63
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && is_end(value.as_bytes().first())
        && is_end(value.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_the_default_identity_names_the_host_and_never_comes_back() {
        let (one, two) = (default_identity(), default_identity());
        assert_ne!(one, two);
        let (name, random) = one.rsplit_once('_').unwrap();
        assert!(!name.is_empty() && random.len() == 16, "{one}");
    }

    #[test]
    fn l14_what_no_server_takes_as_a_label_is_told_from_what_it_does() {
        for (key, value, valid) in [
            ("app", "web", true),
            ("app.kubernetes.io/name", "web", true),
            ("app", "", true),
            ("", "web", false),
            ("a/b/c", "web", false),
            ("App Name", "web", false),
            ("app", "-web", false),
            ("app", "w b", false),
        ] {
            assert_eq!(
                is_label_key(key) && is_label_value(value),
                valid,
                "{key}={value}"
            );
        }
    }
}

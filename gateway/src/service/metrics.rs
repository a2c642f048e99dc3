//! `/metrics`: a view in the text forms of Prometheus.
//!
//! Nothing is counted here: what the parts of the service count is read when somebody asks, so that metrics cannot
//! differ from what the parts themselves say.

#[cfg(feature = "xds")]
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::view::View;

/// What all names begin with.
const PREFIX: &str = "kubedex_gateway";

/// The media type of OpenMetrics, in which answers go to who asks for it.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of the classic form.
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A view as OpenMetrics.
pub(super) fn open_metrics(view: View) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Metrics(view)));
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = text::encode(&mut out, &registry);
    out
}

/// A view in the classic form, which older readers and `promtool` take.
pub(super) fn classic(view: View) -> String {
    let mut out = String::new();
    let open = open_metrics(view);
    let mut help_of = None;
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some("EOF" | "UNIT"), ..] => {}
            // There the help comes first and names the family; here it names the samples.
            [Some("#"), Some("HELP"), Some(name), help] => {
                help_of = Some((name, help.unwrap_or_default()));
            }
            [Some("#"), Some("TYPE"), Some(name), Some(kind)] => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                if let Some((_, help)) = help_of.take() {
                    let _ = writeln!(out, "# HELP {name}{suffix} {help}");
                }
                let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
            }
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

#[derive(Debug)]
struct Metrics(View);

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Encoder(encoder);
        self.service(&mut out)?;
        self.snapshot(&mut out)?;
        self.publications(&mut out)?;
        #[cfg(feature = "xds")]
        self.xds(&mut out)?;
        Ok(())
    }
}

impl Metrics {
    fn service(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let view = &self.0;
        out.info(
            "build",
            "The version of the program.",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        let engine = &view.engine;
        out.flag(
            "ready",
            "Whether everything that existed at the start is known.",
            engine.synced,
        )?;
        out.flag(
            "connected",
            "Whether changes of the cluster are heard of.",
            engine.is_connected(),
        )?;
        out.flag(
            "switching",
            "Whether a reloaded configuration's objects are still being read, while the last one's are published.",
            engine.switching,
        )?;
        let held = engine.held.is_some();
        out.flag(
            "guard_holding",
            "Whether a sudden loss of endpoints is held back until it is confirmed.",
            held,
        )?;
        out.counter(
            "translations",
            "Services translated, one each time something of it changed.",
            engine.translations,
        )?;
        let reloads = &view.reloads;
        let outcomes = [("ok", reloads.succeeded), ("failed", reloads.failed)];
        out.counters(
            "config_reloads",
            "Changes of the configuration file taken up, by outcome.",
            outcomes.map(|(outcome, count)| ([("outcome", outcome)], count)),
        )?;
        let intact = reloads.error.is_none();
        out.flag(
            "config_last_reload_successful",
            "Whether the configuration file as it is now can be used.",
            intact,
        )?;
        if let Some((leads, reaches)) = view.election {
            out.flag("leader", "Whether this replica leads.", leads)?;
            out.flag(
                "leader_election_reachable",
                "Whether the Lease could be read and written when it was tried last.",
                reaches,
            )?;
        }
        Ok(())
    }

    fn snapshot(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let view = &self.0;
        out.counter(
            "snapshots",
            "Snapshots published to the outputs.",
            view.engine.publications,
        )?;
        let Some(published) = &view.published else {
            return Ok(());
        };
        let totals = published.snapshot.totals();
        out.gauge(
            "snapshot_version",
            "The number of the newest snapshot in this process.",
            published.snapshot.version(),
        )?;
        out.seconds(
            "snapshot_age",
            "How long ago the newest snapshot was published.",
            published.at.elapsed(),
        )?;
        out.gauge("clusters", "Clusters.", totals.clusters as u64)?;
        let states = [("ready", totals.ready), ("draining", totals.draining)];
        out.gauges(
            "endpoints",
            "Endpoints of all clusters, by state.",
            states.map(|(state, count)| ([("state", state)], count as u64)),
        )?;
        out.gauge(
            "problems",
            "What keeps declared traffic from its endpoints.",
            totals.problems as u64,
        )
    }

    fn publications(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let publications = &self.0.publications;
        if publications.is_empty() {
            return Ok(());
        }
        macro_rules! each {
            (|$status:ident| $value:expr) => {
                publications
                    .iter()
                    .filter_map(|(name, $status)| Some(([("publication", &**name)], $value?)))
            };
        }
        out.counters(
            "publication_writes",
            "Writes that succeeded.",
            each!(|status| Some(status.writes)),
        )?;
        out.counters(
            "publication_failures",
            "Writes that failed.",
            each!(|status| Some(status.failures)),
        )?;
        out.counters(
            "publication_written_files",
            "Files written.",
            each!(|status| Some(status.written.files as u64)),
        )?;
        out.counters(
            "publication_removed_files",
            "Files removed.",
            each!(|status| Some(status.written.removed as u64)),
        )?;
        out.counters_in(
            "publication_written",
            "Bytes in the files written.",
            &Unit::Bytes,
            each!(|status| Some(status.written.bytes)),
        )?;
        out.gauges(
            "publication_snapshot_version",
            "The number of the newest snapshot that the sink has.",
            each!(|status| status.version),
        )?;
        out.gauges_in(
            "publication_last_success_age",
            "How long ago the sink was last known to have the newest snapshot.",
            &Unit::Seconds,
            each!(|status| status.at.map(|at| at.elapsed().as_secs_f64())),
        )?;
        out.gauges(
            "publication_behind",
            "Whether the sink is to have something that it has not.",
            each!(|status| Some(u64::from(status.is_behind))),
        )?;
        out.gauges(
            "publication_problems",
            "What the output cannot say.",
            each!(|status| Some(status.problems.len() as u64)),
        )
    }
}

#[cfg(feature = "xds")]
impl Metrics {
    fn xds(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let Some(status) = &self.0.xds else {
            return Ok(());
        };
        out.gauge(
            "xds_streams",
            "Streams that are open.",
            status.streams as u64,
        )?;
        let problems = status.problems.len() as u64;
        out.gauge("xds_problems", "What Envoy cannot be told.", problems)?;
        let intact = status.tls_error.is_none();
        out.flag(
            "xds_certificates_readable",
            "Whether the certificates could be read when they were last looked at.",
            intact,
        )?;
        // Several nodes may have the same id in different clusters.
        let mut nodes: BTreeMap<(&str, &str, &str), [u64; 2]> = BTreeMap::new();
        for node in &status.nodes {
            for (of, counts) in [("clusters", &node.clusters), ("endpoints", &node.endpoints)] {
                let sums = nodes.entry((&node.id, &node.cluster, of)).or_default();
                sums[0] += counts.acks;
                sums[1] += counts.nacks;
            }
        }
        let families = [
            ("xds_acks", "Answers that a node accepted."),
            ("xds_nacks", "Answers that a node rejected."),
        ];
        for (number, (name, help)) in families.into_iter().enumerate() {
            let mut encoder = out
                .0
                .encode_descriptor(name, help, None, MetricType::Counter)?;
            for ((node, cluster, resources), sums) in &nodes {
                let labels = [
                    ("node", *node),
                    ("cluster", *cluster),
                    ("resources", *resources),
                ];
                ConstCounter::new(sums[number]).encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Writes families of metrics.
struct Encoder<'a>(DescriptorEncoder<'a>);

type Labels<'l> = [(&'static str, &'l str); 1];

impl Encoder<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str); 1]) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        encoder.encode_info(labels)
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) -> fmt::Result {
        self.gauge(name, help, u64::from(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(signed(value));
        gauge.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Gauge)?,
        )
    }

    fn seconds(&mut self, name: &str, help: &str, value: Duration) -> fmt::Result {
        let gauge = ConstGauge::new(value.as_secs_f64());
        let unit = Some(&Unit::Seconds);
        gauge.encode(
            self.0
                .encode_descriptor(name, help, unit, MetricType::Gauge)?,
        )
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Counter)?,
        )
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(signed(value)).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges_in<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: &Unit,
        values: impl IntoIterator<Item = (Labels<'l>, f64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, Some(unit), MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters_in<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: &Unit,
        values: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, Some(unit), MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Gauges are signed there; nothing here counts so far.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

//! `/metrics`: the counters of the data plane and the status, as Prometheus text (exposition format 0.0.4).
//!
//! [`FAMILIES`] is the list of everything that is shown; `docs/metrics.md` describes each, and a test compares the two.
//! Labels are names from the configuration, addresses of brokers, api names and close reasons: all bounded.

mod text;

use pointsman_core::{
    metrics::{ApiMetrics, CloseReason, LATENCY_BOUNDS_US, VirtualClusterMetrics},
    status::{BrokerStatus, ClusterStatus, Status, SwitchStatus, VirtualClusterStatus},
};
use std::sync::Arc;
use text::Page;

/// The counters of every virtual cluster, by name.
pub type AllMetrics = Vec<(Arc<str>, Arc<VirtualClusterMetrics>)>;

/// A metric family.
#[derive(Debug)]
pub struct Family {
    /// Name, with its unit.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// One line for people.
    pub help: &'static str,
    samples: fn(&Input<'_>, &mut Page),
}

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The status as of now.
    pub status: &'a Status,
    /// The counters.
    pub metrics: &'a [(Arc<str>, Arc<VirtualClusterMetrics>)],
}

/// The page.
pub fn render(input: Input<'_>) -> String {
    let mut page = Page::default();
    for family in FAMILIES {
        page.family(family.name, family.kind, family.help);
        (family.samples)(&input, &mut page);
    }
    page.finish()
}

const fn family(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Input<'_>, &mut Page),
) -> Family {
    Family { name, kind, help, samples }
}

/// Everything that is shown, in order.
pub const FAMILIES: &[Family] = &[
    family("pointsman_build_info", "gauge", "Always 1; the version is a label.", |i, p| {
        p.sample(&[("version", i.status.version)], 1.0);
    }),
    family("pointsman_uptime_seconds", "gauge", "Time since the process started.", |i, p| {
        p.sample(&[], i.status.uptime_s);
    }),
    family("pointsman_state_write_failures_total", "counter", "Failed writes of the state store.", |i, p| {
        p.sample(&[], number(i.status.state_write_failures));
    }),
    family("pointsman_generation", "gauge", "Generation of the newest snapshot.", |i, p| {
        p.sample(&[], number(i.status.generation));
    }),
    family(
        "pointsman_cluster_quorum",
        "gauge",
        "1 when enough brokers of the cluster are healthy.",
        |i, p| {
            clusters(i, p, |c| flag(c.quorum));
        },
    ),
    family("pointsman_cluster_healthy_brokers", "gauge", "Healthy brokers of the cluster.", |i, p| {
        clusters(i, p, |c| count(c.healthy));
    }),
    family("pointsman_cluster_needed_brokers", "gauge", "Healthy brokers that quorum needs.", |i, p| {
        clusters(i, p, |c| count(c.needed));
    }),
    family("pointsman_cluster_topics", "gauge", "Topics known of the cluster.", |i, p| {
        clusters(i, p, |c| count(c.topics));
    }),
    family(
        "pointsman_broker_healthy",
        "gauge",
        "1 when the broker is healthy; 0 also while unknown.",
        |i, p| {
            brokers(i, p, |b| Some(flag(b.state == "healthy")));
        },
    ),
    family(
        "pointsman_broker_recovery",
        "gauge",
        "1 when the broker is in recovery mode: unhealthy, but its Kafka port is open.",
        |i, p| {
            brokers(i, p, |b| Some(flag(b.state == "recovery")));
        },
    ),
    family("pointsman_broker_probe_seconds", "gauge", "Duration of the last successful probe.", |i, p| {
        brokers(i, p, |b| b.probe_ms.map(|ms| ms / 1e3));
    }),
    family(
        "pointsman_active_cluster",
        "gauge",
        "1 for the cluster that serves, 0 for the others of its chain.",
        active,
    ),
    family(
        "pointsman_cluster_pinned",
        "gauge",
        "1 while an operator's command holds the active cluster.",
        |i, p| {
            virtuals(i, p, |v| Some(flag(v.pinned)));
        },
    ),
    family("pointsman_switches_total", "counter", "Changes of the active cluster, by cause.", switches),
    family(
        "pointsman_last_switch_timestamp_seconds",
        "gauge",
        "When the active cluster last changed.",
        |i, p| {
            last_switch(i, p, |s| Some(number(s.at_ms) / 1e3));
        },
    ),
    family(
        "pointsman_last_switch_decision_seconds",
        "gauge",
        "From the first sign of trouble to the decision.",
        |i, p| {
            last_switch(i, p, |s| s.decided_in_ms.map(|ms| ms / 1e3));
        },
    ),
    family(
        "pointsman_topic_differences",
        "gauge",
        "Topics that a standby lacks or has otherwise.",
        differences,
    ),
    family(
        "pointsman_offsets_age_seconds",
        "gauge",
        "Time since end offsets of the cluster were last polled.",
        |i, p| {
            i.status
                .clusters
                .iter()
                .filter_map(|c| c.offsets_age_s.map(|age| (c, age)))
                .for_each(|(c, age)| p.sample(&[("cluster", &c.name)], age));
        },
    ),
    family(
        "pointsman_consumers_draining",
        "gauge",
        "1 while consumers stay on a cluster that produces have left.",
        |i, p| {
            virtuals(i, p, |v| Some(flag(v.draining.is_some())));
        },
    ),
    family(
        "pointsman_consumer_drains_total",
        "counter",
        "Times that consumers stayed on a cluster that produces had left, by how it ended.",
        drains,
    ),
    family(
        "pointsman_stranded_records",
        "gauge",
        "Records that groups have not read on a cluster that traffic left, estimated.",
        stranded,
    ),
    family("pointsman_groups_seen", "gauge", "Groups seen since the process started.", |i, p| {
        virtuals(i, p, |v| Some(count(v.groups_seen)));
    }),
    family(
        "pointsman_group_positions_given_total",
        "counter",
        "Partitions for which a group was given a position that the active cluster does not have.",
        |i, p| {
            counters(i, p, |m| m.positions_given.value());
        },
    ),
    family(
        "pointsman_older_epochs_answered_total",
        "counter",
        "Partitions of which an epoch of an older generation was answered with the switch point.",
        |i, p| {
            counters(i, p, |m| m.epochs_answered.value());
        },
    ),
    family("pointsman_connections", "gauge", "Open client connections.", |i, p| {
        counters(i, p, |m| m.connections.value());
    }),
    family("pointsman_connections_accepted_total", "counter", "Client connections accepted.", |i, p| {
        counters(i, p, |m| m.accepted.value());
    }),
    family("pointsman_connections_closed_total", "counter", "Client connections closed, by reason.", closed),
    family("pointsman_upstream_connections", "gauge", "Open connections to brokers.", |i, p| {
        counters(i, p, |m| m.upstreams.value());
    }),
    family("pointsman_received_bytes_total", "counter", "Bytes from clients.", |i, p| {
        counters(i, p, |m| m.bytes_in.value());
    }),
    family("pointsman_sent_bytes_total", "counter", "Bytes to clients.", |i, p| {
        counters(i, p, |m| m.bytes_out.value());
    }),
    family("pointsman_slots", "gauge", "Passthrough: slots that lead to the cluster.", slots),
    family(
        "pointsman_slots_ejected",
        "gauge",
        "Passthrough: slots whose broker has lost them, because connections to it failed.",
        |i, p| {
            passed(i, p, |v| Some(count(v.slots.iter().filter(|s| s.ejected.is_some()).count())));
        },
    ),
    family(
        "pointsman_ejections_total",
        "counter",
        "Passthrough: how often a broker has lost its slots.",
        |i, p| {
            counters(i, p, |m| m.ejections.value());
        },
    ),
    family(
        "pointsman_split_requests_total",
        "counter",
        "Requests that were split over several brokers.",
        |i, p| {
            counters(i, p, |m| m.splits.value());
        },
    ),
    family("pointsman_requests_total", "counter", "Requests received from clients, by api.", |i, p| {
        apis(i, p, |p, labels, api| p.sample(labels, number(api.requests.value())));
    }),
    family(
        "pointsman_request_errors_total",
        "counter",
        "Requests that Pointsman answered with an error itself.",
        |i, p| {
            apis(i, p, |p, labels, api| p.sample(labels, number(api.local_errors.value())));
        },
    ),
    family(
        "pointsman_request_duration_seconds",
        "histogram",
        "From a complete request to its complete response.",
        |i, p| {
            apis(i, p, latency);
        },
    ),
];

/// Above 2^53 a sample is rounded, as everything in Prometheus is.
#[allow(clippy::cast_precision_loss)]
fn number(value: u64) -> f64 {
    value as f64
}

fn count(value: usize) -> f64 {
    number(u64::try_from(value).unwrap_or(u64::MAX))
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn clusters(input: &Input<'_>, page: &mut Page, value: impl Fn(&ClusterStatus) -> f64) {
    for cluster in &input.status.clusters {
        page.sample(&[("cluster", &cluster.name)], value(cluster));
    }
}

fn brokers(input: &Input<'_>, page: &mut Page, value: impl Fn(&BrokerStatus) -> Option<f64>) {
    for cluster in &input.status.clusters {
        for broker in &cluster.brokers {
            if let Some(value) = value(broker) {
                page.sample(&[("cluster", &cluster.name), ("broker", &broker.address)], value);
            }
        }
    }
}

fn virtuals(input: &Input<'_>, page: &mut Page, value: impl Fn(&VirtualClusterStatus) -> Option<f64>) {
    for virtual_cluster in &input.status.virtual_clusters {
        if let Some(value) = value(virtual_cluster) {
            page.sample(&[("virtual_cluster", &virtual_cluster.name)], value);
        }
    }
}

fn passed(input: &Input<'_>, page: &mut Page, value: impl Fn(&VirtualClusterStatus) -> Option<f64>) {
    virtuals(input, page, |v| value(v).filter(|_| v.mode == "passthrough"));
}

fn slots(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in input.status.virtual_clusters.iter().filter(|v| v.mode == "passthrough") {
        for cluster in &virtual_cluster.chain {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("cluster", cluster)];
            let there = virtual_cluster.slots.iter().filter(|s| s.cluster.as_ref() == Some(cluster));
            page.sample(&labels, count(there.count()));
        }
    }
}

fn last_switch(input: &Input<'_>, page: &mut Page, value: impl Fn(&SwitchStatus) -> Option<f64>) {
    virtuals(input, page, |v| v.switches.first().and_then(&value));
}

fn active(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in &input.status.virtual_clusters {
        for cluster in &virtual_cluster.chain {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("cluster", cluster)];
            page.sample(&labels, flag(virtual_cluster.active.as_ref() == Some(cluster)));
        }
    }
}

fn switches(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in &input.status.virtual_clusters {
        for (cause, switches) in &virtual_cluster.switches_by_cause {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("cause", cause.word())];
            page.sample(&labels, number(*switches));
        }
    }
}

fn drains(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in &input.status.virtual_clusters {
        for (ended, drains) in &virtual_cluster.drains {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("ended", ended.word())];
            page.sample(&labels, number(*drains));
        }
    }
}

fn differences(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in &input.status.virtual_clusters {
        for standby in &virtual_cluster.topic_differences {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("cluster", &standby.cluster)];
            page.sample(&labels, count(standby.total));
        }
    }
}

fn stranded(input: &Input<'_>, page: &mut Page) {
    for virtual_cluster in &input.status.virtual_clusters {
        for left in &virtual_cluster.stranded {
            let labels = [("virtual_cluster", &*virtual_cluster.name), ("cluster", &left.cluster)];
            page.sample(&labels, number(left.records));
        }
    }
}

fn counters(input: &Input<'_>, page: &mut Page, value: impl Fn(&VirtualClusterMetrics) -> u64) {
    for (name, metrics) in input.metrics {
        page.sample(&[("virtual_cluster", name)], number(value(metrics)));
    }
}

fn closed(input: &Input<'_>, page: &mut Page) {
    for (name, metrics) in input.metrics {
        for (reason, counter) in CloseReason::ALL.iter().zip(&metrics.closed) {
            let labels = [("virtual_cluster", &**name), ("reason", reason.word())];
            page.sample(&labels, number(counter.value()));
        }
    }
}

/// Each api that was ever asked for.
fn apis(input: &Input<'_>, page: &mut Page, sample: impl Fn(&mut Page, &[(&str, &str)], &ApiMetrics)) {
    for (name, metrics) in input.metrics {
        for (key, api) in (0_i16..).zip(&metrics.apis) {
            if api.requests.value() > 0 {
                let key_text = key.to_string();
                let word = pointsman_wire::tables::api(key).map_or(&*key_text, |api| api.name);
                sample(page, &[("virtual_cluster", name), ("api", word)], api);
            }
        }
    }
}

fn latency(page: &mut Page, labels: &[(&str, &str)], api: &ApiMetrics) {
    let (buckets, sum_us) = api.latency.values();
    let mut total = 0;
    for (bucket, bound_us) in buckets.iter().zip(LATENCY_BOUNDS_US) {
        total += bucket;
        page.bucket(labels, &(number(bound_us) / 1e6).to_string(), number(total));
    }
    total += buckets[LATENCY_BOUNDS_US.len()];
    page.bucket(labels, "+Inf", number(total));
    page.part("_sum", labels, number(sum_us) / 1e6);
    page.part("_count", labels, number(total));
}

#[cfg(test)]
mod tests;

//! The settings of topics and brokers that the sandbox knows: their defaults, types, and what a value may be.

use std::collections::BTreeMap;

/// Where a value comes from, in Kafka's numbers.
pub(crate) const DYNAMIC_TOPIC: i8 = 1;
pub(crate) const DYNAMIC_BROKER: i8 = 2;
pub(crate) const DYNAMIC_DEFAULT_BROKER: i8 = 3;
pub(crate) const STATIC_BROKER: i8 = 4;
pub(crate) const DEFAULT: i8 = 5;

/// The type of a setting, in Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// A setting: name, default, type.
pub(crate) type Setting = (&'static str, &'static str, Kind);

/// Settings of topics. Those in [`CHOICES`] take only the values listed there.
pub(crate) const TOPIC: [Setting; 27] = [
    ("cleanup.policy", "delete", Kind::List),
    ("compression.gzip.level", "-1", Kind::Int),
    ("compression.lz4.level", "9", Kind::Int),
    ("compression.type", "producer", Kind::String),
    ("compression.zstd.level", "3", Kind::Int),
    ("delete.retention.ms", "86400000", Kind::Long),
    ("file.delete.delay.ms", "60000", Kind::Long),
    ("flush.messages", "9223372036854775807", Kind::Long),
    ("flush.ms", "9223372036854775807", Kind::Long),
    ("follower.replication.throttled.replicas", "", Kind::List),
    ("index.interval.bytes", "4096", Kind::Int),
    ("leader.replication.throttled.replicas", "", Kind::List),
    ("max.compaction.lag.ms", "9223372036854775807", Kind::Long),
    ("max.message.bytes", "1048588", Kind::Int),
    ("message.timestamp.after.max.ms", "3600000", Kind::Long),
    ("message.timestamp.before.max.ms", "9223372036854775807", Kind::Long),
    ("message.timestamp.type", "CreateTime", Kind::String),
    ("min.cleanable.dirty.ratio", "0.5", Kind::Double),
    ("min.compaction.lag.ms", "0", Kind::Long),
    ("min.insync.replicas", "1", Kind::Int),
    ("preallocate", "false", Kind::Boolean),
    ("retention.bytes", "-1", Kind::Long),
    ("retention.ms", "604800000", Kind::Long),
    ("segment.bytes", "1073741824", Kind::Int),
    ("segment.index.bytes", "10485760", Kind::Int),
    ("segment.ms", "604800000", Kind::Long),
    ("unclean.leader.election.enable", "false", Kind::Boolean),
];

const CHOICES: [(&str, &[&str]); 2] = [
    ("compression.type", &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
    ("message.timestamp.type", &["CreateTime", "LogAppendTime"]),
];

/// Settings of brokers that tools look for.
pub(crate) const BROKER: [Setting; 12] = [
    ("auto.create.topics.enable", "false", Kind::Boolean),
    ("background.threads", "10", Kind::Int),
    ("default.replication.factor", "1", Kind::Int),
    ("log.cleanup.policy", "delete", Kind::List),
    ("log.retention.bytes", "-1", Kind::Long),
    ("log.retention.ms", "604800000", Kind::Long),
    ("log.segment.bytes", "1073741824", Kind::Int),
    ("message.max.bytes", "1048588", Kind::Int),
    ("min.insync.replicas", "1", Kind::Int),
    ("num.io.threads", "8", Kind::Int),
    ("num.network.threads", "3", Kind::Int),
    ("num.partitions", "1", Kind::Int),
];

/// Is there such a setting of topics, and may it be this?
pub(crate) fn check_topic(key: &str, value: &str) -> Result<(), String> {
    let setting = TOPIC.iter().find(|(name, ..)| *name == key);
    let (_, _, kind) = setting.ok_or_else(|| format!("Unknown topic config name: {key}"))?;
    check(key, value, *kind)
}

/// The same for brokers.
pub(crate) fn check_broker(key: &str, value: &str) -> Result<(), String> {
    match BROKER.iter().find(|(name, ..)| *name == key) {
        Some((_, _, kind)) => check(key, value, *kind),
        None => Ok(()),
    }
}

fn check(key: &str, value: &str, kind: Kind) -> Result<(), String> {
    let right = match kind {
        Kind::Boolean => matches!(value, "true" | "false"),
        Kind::Int => value.parse::<i32>().is_ok(),
        Kind::Long => value.parse::<i64>().is_ok(),
        Kind::Double => value.parse::<f64>().is_ok(),
        Kind::String | Kind::List => {
            CHOICES.iter().find(|(name, _)| *name == key).is_none_or(|(_, choices)| choices.contains(&value))
        }
    };
    let number = |least: i64| value.parse::<i64>().is_ok_and(|n| n < least);
    let least = match key {
        "retention.bytes" | "retention.ms" => -1,
        "min.insync.replicas" => 1,
        _ if matches!(kind, Kind::Int | Kind::Long) && !key.starts_with("compression.") => 0,
        _ => i64::MIN,
    };
    if right && !number(least) {
        Ok(())
    } else {
        Err(format!("Invalid value {value} for configuration {key}"))
    }
}

/// Every setting of a topic with its value and source.
pub(crate) fn of_topic(
    set: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&'static str, String, i8)> + '_ {
    TOPIC.iter().map(|(name, default, _)| match set.get(*name) {
        Some(value) => (*name, value.clone(), DYNAMIC_TOPIC),
        None => (*name, (*default).to_owned(), DEFAULT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_name_and_type() {
        assert_eq!(check_topic("retention.ms", "1000"), Ok(()));
        assert_eq!(check_topic("retention.ms", "-1"), Ok(()));
        for (key, value) in [
            ("retention.ms", "soon"),
            ("retention.ms", "-2"),
            ("min.insync.replicas", "0"),
            ("message.timestamp.type", "Wall"),
            ("no.such.thing", "1"),
        ] {
            assert!(check_topic(key, value).is_err(), "{key}={value}");
        }
    }
}

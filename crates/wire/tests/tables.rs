//! The generated tables: versions, entities, ids, and the header rules that follow from them.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_wire::cursor::MAX_DEPTH;
use pointsman_wire::{Entity, Field, HeaderKind, Message, Type, response_header_len, tables};

/// (key, name, first version of Kafka 3.9 or 4.3.1, last version of 4.3.1, flexible from or −1).
const CATALOGUE: &[(i16, &str, i16, i16, i16)] = &[
    (0, "Produce", 0, 13, 9),
    (1, "Fetch", 0, 18, 12),
    (2, "ListOffsets", 0, 11, 6),
    (3, "Metadata", 0, 13, 9),
    (8, "OffsetCommit", 0, 10, 8),
    (9, "OffsetFetch", 0, 10, 6),
    (10, "FindCoordinator", 0, 6, 3),
    (11, "JoinGroup", 0, 9, 6),
    (12, "Heartbeat", 0, 4, 4),
    (13, "LeaveGroup", 0, 5, 4),
    (14, "SyncGroup", 0, 5, 4),
    (15, "DescribeGroups", 0, 6, 5),
    (16, "ListGroups", 0, 5, 3),
    (17, "SaslHandshake", 0, 1, -1),
    (18, "ApiVersions", 0, 4, 3),
    (19, "CreateTopics", 0, 7, 5),
    (20, "DeleteTopics", 0, 6, 4),
    (21, "DeleteRecords", 0, 2, 2),
    (22, "InitProducerId", 0, 6, 2),
    (23, "OffsetForLeaderEpoch", 0, 4, 4),
    (24, "AddPartitionsToTxn", 0, 5, 3),
    (25, "AddOffsetsToTxn", 0, 4, 3),
    (26, "EndTxn", 0, 5, 3),
    (27, "WriteTxnMarkers", 0, 2, 1),
    (28, "TxnOffsetCommit", 0, 5, 3),
    (29, "DescribeAcls", 0, 3, 2),
    (30, "CreateAcls", 0, 3, 2),
    (31, "DeleteAcls", 0, 3, 2),
    (32, "DescribeConfigs", 0, 4, 4),
    (33, "AlterConfigs", 0, 2, 2),
    (34, "AlterReplicaLogDirs", 0, 2, 2),
    (35, "DescribeLogDirs", 0, 5, 2),
    (36, "SaslAuthenticate", 0, 2, 2),
    (37, "CreatePartitions", 0, 3, 2),
    (38, "CreateDelegationToken", 0, 3, 2),
    (39, "RenewDelegationToken", 0, 2, 2),
    (40, "ExpireDelegationToken", 0, 2, 2),
    (41, "DescribeDelegationToken", 0, 3, 2),
    (42, "DeleteGroups", 0, 2, 2),
    (43, "ElectLeaders", 0, 2, 2),
    (44, "IncrementalAlterConfigs", 0, 1, 1),
    (45, "AlterPartitionReassignments", 0, 1, 0),
    (46, "ListPartitionReassignments", 0, 0, 0),
    (47, "OffsetDelete", 0, 0, -1),
    (48, "DescribeClientQuotas", 0, 1, 1),
    (49, "AlterClientQuotas", 0, 1, 1),
    (50, "DescribeUserScramCredentials", 0, 0, 0),
    (51, "AlterUserScramCredentials", 0, 0, 0),
    (55, "DescribeQuorum", 0, 2, 0),
    (57, "UpdateFeatures", 0, 2, 0),
    (60, "DescribeCluster", 0, 2, 0),
    (61, "DescribeProducers", 0, 0, 0),
    (64, "UnregisterBroker", 0, 0, 0),
    (65, "DescribeTransactions", 0, 0, 0),
    (66, "ListTransactions", 0, 2, 0),
    (68, "ConsumerGroupHeartbeat", 0, 1, 0),
    (69, "ConsumerGroupDescribe", 0, 1, 0),
    (71, "GetTelemetrySubscriptions", 0, 0, 0),
    (72, "PushTelemetry", 0, 0, 0),
    (74, "ListConfigResources", 0, 1, 0),
    (75, "DescribeTopicPartitions", 0, 0, 0),
    (76, "ShareGroupHeartbeat", 0, 1, 0),
    (77, "ShareGroupDescribe", 0, 1, 0),
    (78, "ShareFetch", 0, 2, 0),
    (79, "ShareAcknowledge", 0, 2, 0),
    (80, "AddRaftVoter", 0, 1, 0),
    (81, "RemoveRaftVoter", 0, 0, 0),
    (83, "InitializeShareGroupState", 0, 0, 0),
    (84, "ReadShareGroupState", 0, 0, 0),
    (85, "WriteShareGroupState", 0, 1, 0),
    (86, "DeleteShareGroupState", 0, 0, 0),
    (87, "ReadShareGroupStateSummary", 0, 1, 0),
    (88, "StreamsGroupHeartbeat", 0, 0, 0),
    (89, "StreamsGroupDescribe", 0, 0, 0),
    (90, "DescribeShareGroupOffsets", 0, 1, 0),
    (91, "AlterShareGroupOffsets", 0, 0, 0),
    (92, "DeleteShareGroupOffsets", 0, 0, 0),
];

#[test]
fn the_broker_apis_and_their_versions_are_those_of_the_catalogue() {
    let brokers: Vec<_> = tables::apis().iter().filter(|api| api.broker).collect();
    assert_eq!(brokers.len(), CATALOGUE.len());
    for (api, (key, name, first, last, flexible)) in brokers.into_iter().zip(CATALOGUE) {
        assert_eq!((api.key, api.name), (*key, *name));
        assert_eq!((api.versions.min, api.versions.max), (*first, *last), "{name}");
        for version in *first..=*last {
            let flexible = *flexible >= 0 && version >= *flexible;
            for message in [tables::request(*key, version), tables::response(*key, version)] {
                let message = message.unwrap_or_else(|| panic!("no {name} {version}"));
                assert_eq!(message.is_flexible(version), flexible, "{} {version}", message.name);
            }
        }
        assert!(tables::request(*key, last + 1).is_none() && tables::response(*key, first - 1).is_none());
    }
    let unstable: Vec<_> =
        tables::apis().iter().filter_map(|api| Some((api.key, api.unstable_from?))).collect();
    assert_eq!(unstable, [(22, 6)]);
}

#[test]
fn the_versions_of_definitions_do_not_overlap() {
    for api in tables::apis() {
        for messages in [api.requests, api.responses] {
            for version in api.versions.min..=api.versions.max {
                let found = messages.iter().filter(|message| message.versions.contains(version)).count();
                assert_eq!(found, 1, "{} {version}", api.name);
            }
        }
    }
}

#[test]
fn a_path_has_one_id_in_all_definitions_and_an_id_one_path() {
    for api in tables::apis() {
        for messages in [api.requests, api.responses] {
            let (mut ids, mut paths) = (BTreeMap::new(), BTreeMap::new());
            for message in messages {
                each_field(message.fields, "", &mut |path, field| {
                    assert_eq!(
                        *ids.entry(path.to_owned()).or_insert(field.id),
                        field.id,
                        "{} {path}",
                        message.name
                    );
                    assert_eq!(paths.entry(field.id).or_insert_with(|| path.to_owned()), path);
                });
            }
        }
    }
    assert_eq!(find(tables::request(0, 9), "TopicData.PartitionData.Records"), {
        tables::produce_request::TOPIC_DATA_PARTITION_DATA_RECORDS
    });
    assert_eq!(find(tables::response(1, 12), "Responses.Partitions.CurrentLeader.LeaderId"), {
        tables::fetch_response::RESPONSES_PARTITIONS_CURRENT_LEADER_LEADER_ID
    });
}

#[test]
fn identifiers_are_marked_as_the_reviewed_list_says() {
    let mut expected = BTreeSet::new();
    for line in include_str!("entities.txt").lines().filter(|line| !line.starts_with('#')) {
        expected.insert(line.to_owned());
    }
    let mut found = BTreeSet::new();
    for api in tables::apis().iter().filter(|api| api.broker) {
        for (direction, messages) in [("request", api.requests), ("response", api.responses)] {
            each_field(messages[0].fields, "", &mut |path, field| {
                if is_reviewed(field.entity) {
                    found.insert(format!("{} {direction} {path} {:?}", api.key, field.entity));
                }
            });
        }
    }
    let missing: Vec<_> = expected.difference(&found).collect();
    let extra: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:#?}, not in the list {extra:#?}");
}

#[test]
fn an_old_definition_marks_what_the_newest_marks() {
    for api in tables::apis() {
        for messages in [api.requests, api.responses] {
            let mut marks = BTreeMap::new();
            each_field(messages[0].fields, "", &mut |path, field| {
                marks.insert(path.to_owned(), field.entity);
            });
            for message in &messages[1..] {
                each_field(message.fields, "", &mut |path, field| {
                    if let Some(entity) = marks.get(path) {
                        assert_eq!(*entity, field.entity, "{} {path}", message.name);
                    }
                });
            }
        }
    }
}

#[test]
fn no_message_nests_deeper_than_the_cursor_goes() {
    let depth = |messages: &[&Message]| messages.iter().map(|message| nesting(message.fields)).max();
    let deepest =
        tables::apis().iter().flat_map(|api| [depth(api.requests), depth(api.responses)]).flatten().max();
    assert!(deepest.is_some_and(|deepest| deepest < MAX_DEPTH), "{deepest:?} of {MAX_DEPTH}");
}

#[test]
fn every_structure_takes_bytes_in_every_version() {
    for api in tables::apis() {
        for message in api.requests.iter().chain(api.responses) {
            for version in message.versions.min..=message.versions.max {
                each_field(message.fields, "", &mut |path, field| {
                    let fields = field.ty.fields();
                    let empty = !fields.is_empty() && !fields.iter().any(|field| field.in_sequence(version));
                    let here = field.versions.contains(version) && !message.is_flexible(version);
                    assert!(!(empty && here), "{} {version} {path} would take no byte", message.name);
                });
            }
        }
    }
}

#[test]
fn a_response_header_has_tags_when_flexible_except_of_api_versions() {
    assert_eq!(response_header_len(18, 0), HeaderKind::V0);
    assert_eq!(response_header_len(18, 4), HeaderKind::V0);
    assert_eq!(response_header_len(17, 1), HeaderKind::V0);
    assert_eq!(response_header_len(0, 8), HeaderKind::V0);
    assert_eq!(response_header_len(0, 9), HeaderKind::V1);
    assert_eq!(response_header_len(3, 13), HeaderKind::V1);
}

fn is_reviewed(entity: Entity) -> bool {
    use Entity as E;
    matches!(
        entity,
        E::BrokerId
            | E::Host
            | E::Port
            | E::Rack
            | E::ClusterId
            | E::DirectoryId
            | E::TopicName
            | E::TopicId
            | E::LeaderEpoch
    )
}

fn each_field(fields: &'static [Field], parent: &str, visit: &mut dyn FnMut(&str, &Field)) {
    for field in fields {
        let path = if parent.is_empty() { field.name.to_owned() } else { format!("{parent}.{}", field.name) };
        visit(&path, field);
        each_field(field.ty.fields(), &path, visit);
    }
}

fn find(message: Option<&'static Message>, path: &str) -> u16 {
    let mut found = None;
    each_field(message.expect("a known version").fields, "", &mut |here, field| {
        if here == path {
            found = Some(field.id);
        }
    });
    found.expect("a known path")
}

/// Frames that the cursor needs: structure, tagged field, array, and a blob at the end.
fn nesting(fields: &[Field]) -> usize {
    let deepest = fields.iter().map(|field| {
        let tagged = usize::from(field.tag.is_some());
        let own = match field.ty {
            Type::Array(Type::Struct(fields)) => 1 + nesting(fields),
            Type::Struct(fields) => nesting(fields),
            _ => 1,
        };
        tagged + own
    });
    1 + deepest.max().unwrap_or(0)
}

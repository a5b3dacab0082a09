//! The rules by api key. Apis that need nothing of their own stand here in one line.

use super::{
    Fail, Route, Rule, error, k00_produce, k01_fetch, k02_list_offsets, k03_metadata, k08_offset_commit,
    k09_offset_fetch, k10_find_coordinator, k11_join_group, k15_describe_groups, k16_list_groups,
    k18_api_versions, k19_create_topics, k21_delete_records, k22_init_producer_id,
    k23_offset_for_leader_epoch, k24_add_partitions_to_txn, k27_write_txn_markers, k28_txn_offset_commit,
    k32_describe_configs, k34_alter_replica_log_dirs, k35_describe_log_dirs, k42_delete_groups,
    k55_describe_quorum, k60_describe_cluster, k61_describe_producers, k65_describe_transactions,
    k66_list_transactions, k69_consumer_group_describe, k77_share_group_describe, k78_share_fetch,
    k79_share_acknowledge, k89_streams_group_describe, k90_describe_share_group_offsets,
};
use crate::topology::CoordinatorKind::{Group, Transaction};

/// After a switch the group does not know the member: telling so at once saves the client a round to the coordinator.
pub(super) const MEMBER: Fail = Fail::TopLevel(error::NOT_COORDINATOR, error::UNKNOWN_MEMBER_ID);
const COORDINATOR: Fail = Fail::TopLevel(error::NOT_COORDINATOR, error::NOT_COORDINATOR);

const fn group(key: i16, fail: Fail) -> Rule {
    Rule::new(key, Route::Coordinator(Group), fail)
}

const fn transaction(key: i16) -> Rule {
    Rule::new(key, Route::Coordinator(Transaction), COORDINATOR)
}

/// Reads: asking again is harmless.
const fn read(key: i16) -> Rule {
    Rule::new(key, Route::Any, Fail::Replay)
}

const fn controller(key: i16) -> Rule {
    Rule::new(key, Route::Controller, Fail::Close)
}

/// What a client may push is asked of it again by whichever broker gets it; subscriptions are computed alike by all brokers of a
/// cluster (KIP-714).
const TELEMETRY: Fail = Fail::TopLevel(error::UNKNOWN_SUBSCRIPTION_ID, error::UNKNOWN_SUBSCRIPTION_ID);

static RULES: &[Rule] = &[
    k00_produce::RULE,
    k01_fetch::RULE,
    k02_list_offsets::RULE,
    k03_metadata::RULE,
    k08_offset_commit::RULE,
    k09_offset_fetch::RULE,
    k10_find_coordinator::RULE,
    k11_join_group::RULE,
    group(12, MEMBER), // Heartbeat
    group(13, MEMBER), // LeaveGroup
    group(14, MEMBER), // SyncGroup
    k15_describe_groups::RULE,
    k16_list_groups::RULE,
    k18_api_versions::RULE,
    k19_create_topics::RULE,
    controller(20), // DeleteTopics
    k21_delete_records::RULE,
    k22_init_producer_id::RULE,
    k23_offset_for_leader_epoch::RULE,
    k24_add_partitions_to_txn::RULE,
    transaction(25), // AddOffsetsToTxn
    transaction(26), // EndTxn
    k27_write_txn_markers::RULE,
    k28_txn_offset_commit::RULE,
    read(29),       // DescribeAcls
    controller(30), // CreateAcls
    controller(31), // DeleteAcls
    k32_describe_configs::DESCRIBE,
    k32_describe_configs::ALTER,
    k34_alter_replica_log_dirs::RULE,
    k35_describe_log_dirs::RULE,
    controller(37), // CreatePartitions
    controller(38), // CreateDelegationToken
    controller(39), // RenewDelegationToken
    controller(40), // ExpireDelegationToken
    read(41),       // DescribeDelegationToken
    k42_delete_groups::RULE,
    controller(43), // ElectLeaders
    k32_describe_configs::INCREMENTAL_ALTER,
    controller(45),         // AlterPartitionReassignments
    read(46),               // ListPartitionReassignments
    group(47, COORDINATOR), // OffsetDelete
    read(48),               // DescribeClientQuotas
    controller(49),         // AlterClientQuotas
    read(50),               // DescribeUserScramCredentials
    controller(51),         // AlterUserScramCredentials
    k55_describe_quorum::RULE,
    controller(57), // UpdateFeatures
    k60_describe_cluster::RULE,
    k61_describe_producers::RULE,
    controller(64), // UnregisterBroker
    k65_describe_transactions::RULE,
    k66_list_transactions::RULE,
    group(68, MEMBER), // ConsumerGroupHeartbeat
    k69_consumer_group_describe::RULE,
    read(71),                             // GetTelemetrySubscriptions
    Rule::new(72, Route::Any, TELEMETRY), // PushTelemetry
    k32_describe_configs::LIST,           // ListConfigResources
    read(75),                             // DescribeTopicPartitions
    group(76, MEMBER),                    // ShareGroupHeartbeat
    k77_share_group_describe::RULE,
    k78_share_fetch::RULE,
    k79_share_acknowledge::RULE,
    group(88, MEMBER), // StreamsGroupHeartbeat
    k89_streams_group_describe::RULE,
    k90_describe_share_group_offsets::RULE,
    group(91, COORDINATOR), // AlterShareGroupOffsets
    group(92, COORDINATOR), // DeleteShareGroupOffsets
    group(93, COORDINATOR), // StreamsGroupTopologyDescriptionUpdate
];

/// The rule of an api, or `None`: the api is not offered.
pub fn rule(key: i16) -> Option<&'static Rule> {
    RULES.binary_search_by_key(&key, |r| r.key).ok().map(|i| &RULES[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_the_order_of_their_keys() {
        assert!(RULES.is_sorted_by(|a, b| a.key < b.key));
    }
}

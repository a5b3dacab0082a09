//! The handlers, through bytes: every request and response is encoded and decoded on its way.

use super::fixture::{DELAY, protocols};
use crate::group::{
    GroupConfig, Groups, Ticket,
    handlers::{Call, Reply, View, finish, handle},
};
use bytes::Bytes;
use pointsman_wire::{
    Struct, Value, decode_request, decode_response, encode_request, encode_response, tables,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

const T: [u8; 16] = [7; 16];

/// A cluster with topic `t` of two partitions. Groups whose names begin with `-` are coordinated elsewhere, with `~` they are
/// just being loaded.
struct Cluster;

impl View for Cluster {
    fn topic_name(&self, id: [u8; 16]) -> Option<String> {
        (id == T).then(|| "t".to_owned())
    }

    fn topic_id(&self, name: &str) -> Option<[u8; 16]> {
        (name == "t").then_some(T)
    }

    fn topic_names(&self) -> Vec<String> {
        vec!["t".to_owned()]
    }

    fn partitions(&self, name: &str) -> Option<i32> {
        (name == "t").then_some(2)
    }

    fn coordinates(&self, group: &str) -> Result<(), i16> {
        match group.as_bytes().first() {
            Some(b'-') => Err(16),
            Some(b'~') => Err(14),
            _ => Ok(()),
        }
    }
}

struct Broker {
    groups: Groups,
    now: Instant,
}

impl Broker {
    fn new() -> Self {
        Self { groups: Groups::new(GroupConfig::default()), now: Instant::now() }
    }

    fn send(&mut self, key: i16, version: i16, request: &Struct) -> Reply {
        let frame = encode_request(key, version, 1, Some("client"), request).expect("a request");
        let (_, _, _, client_id, request) = decode_request(&Bytes::from(frame).slice(4..)).expect("itself");
        let call = Call {
            now: self.now,
            version,
            client_id: client_id.as_deref().unwrap_or_default(),
            client_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            view: &Cluster,
            transaction: Ok(()),
            request: &request,
        };
        handle(key, &mut self.groups, &call).expect("an api of groups")
    }

    fn ask(&mut self, key: i16, version: i16, request: &Struct) -> Struct {
        match self.send(key, version, request) {
            Reply::Ready(response) => through(key, version, &response),
            Reply::Later(ticket) => panic!("an answer of {key} v{version} at once, not {ticket:?}"),
        }
    }

    fn later(&mut self, key: i16, version: i16, request: &Struct) -> Ticket {
        match self.send(key, version, request) {
            Reply::Later(ticket) => ticket,
            Reply::Ready(response) => panic!("a ticket, not {response:?}"),
        }
    }

    fn finish(&mut self, key: i16, version: i16, ticket: Ticket) -> Struct {
        let answer = self.groups.ready(ticket).expect("an answer");
        through(key, version, &finish(version, &answer))
    }

    fn pass_join_phase(&mut self) {
        self.now += DELAY;
        self.groups.tick(self.now);
    }

    /// One member of group `g` that has joined; the response of its JoinGroup.
    fn joined(&mut self, version: i16) -> Struct {
        let mut request = join("");
        if version >= 4 {
            let refused = self.ask(11, version, &request);
            assert_eq!(refused.i16("ErrorCode"), 79);
            request.set("MemberId", refused.str("MemberId"));
        }
        let ticket = self.later(11, version, &request);
        self.pass_join_phase();
        self.finish(11, version, ticket)
    }

    /// One member of group `g` that has its assignment; its id.
    fn stable(&mut self) -> String {
        let joined = self.joined(9);
        let id = joined.str("MemberId").to_owned();
        let synced = self.ask(14, 5, &sync(&id, 1));
        assert_eq!(synced.i16("ErrorCode"), 0);
        id
    }
}

fn through(key: i16, version: i16, response: &Struct) -> Struct {
    let frame = encode_response(key, version, 1, response).expect("a response");
    decode_response(key, version, &Bytes::from(frame).slice(4..)).expect("itself").1
}

/// The versions that Apache Kafka 4 has or had in common with its newest.
fn versions(key: i16) -> std::ops::RangeInclusive<i16> {
    let versions = tables::api(key).expect("an api").requests[0].versions;
    versions.min..=versions.max
}

fn join(member_id: &str) -> Struct {
    let protocol = protocols(&["range"]).remove(0);
    let protocol = Struct::new().with("Name", protocol.name).with("Metadata", protocol.metadata);
    Struct::new()
        .with("GroupId", "g")
        .with("SessionTimeoutMs", 10_000)
        .with("RebalanceTimeoutMs", 60_000)
        .with("MemberId", member_id)
        .with("ProtocolType", "consumer")
        .with("Protocols", vec![protocol])
}

fn sync(member_id: &str, generation: i32) -> Struct {
    let assignment = Struct::new().with("MemberId", member_id).with("Assignment", Bytes::from_static(b"all"));
    Struct::new()
        .with("GroupId", "g")
        .with("GenerationId", generation)
        .with("MemberId", member_id)
        .with("ProtocolType", "consumer")
        .with("ProtocolName", "range")
        .with("Assignments", vec![assignment])
}

fn member(group: &str, member_id: &str, generation: i32) -> Struct {
    Struct::new().with("GroupId", group).with("GenerationId", generation).with("MemberId", member_id)
}

/// Partitions 0 of `t`, 2 of `t` (there is none) and 0 of `x` (there is none), for any version.
fn commit(group: &str, member_id: &str, generation: i32) -> Struct {
    let partition = |index: i32| {
        let metadata = if index == 0 { Value::from("note") } else { Value::Null };
        Struct::new()
            .with("PartitionIndex", index)
            .with("CommittedOffset", 42)
            .with("CommittedLeaderEpoch", 3)
            .with("CommittedMetadata", metadata)
    };
    let topic = |name: &str, id: [u8; 16], partitions: Vec<Struct>| {
        Struct::new().with("Name", name).with("TopicId", id).with("Partitions", partitions)
    };
    Struct::new()
        .with("GroupId", group)
        .with("GenerationIdOrMemberEpoch", generation)
        .with("MemberId", member_id)
        .with(
            "Topics",
            vec![topic("t", T, vec![partition(0), partition(2)]), topic("x", [8; 16], vec![partition(0)])],
        )
}

/// The error codes of all partitions, in order.
fn partition_errors(response: &Struct) -> Vec<i16> {
    let topics = response.structs("Topics");
    topics.flat_map(|topic| topic.structs("Partitions")).map(|partition| partition.i16("ErrorCode")).collect()
}

#[test]
fn a_member_joins_and_syncs_in_every_version() {
    for version in versions(11) {
        let mut broker = Broker::new();
        let joined = broker.joined(version);
        let id = joined.str("MemberId").to_owned();
        assert_eq!((joined.i16("ErrorCode"), joined.i32("GenerationId"), joined.str("Leader")), (0, 1, &*id));
        assert_eq!((joined.str("ProtocolName"), joined.array("Members").len()), ("range", 1), "v{version}");
        let synced = broker.ask(14, version.min(5), &sync(&id, 1));
        assert_eq!(synced.bytes("Assignment").expect("bytes"), "all");
        assert_eq!(broker.ask(12, version.min(4), &member("g", &id, 1)).i16("ErrorCode"), 0);
    }
}

#[test]
fn a_follower_gets_the_response_of_its_own_version() {
    for version in versions(14) {
        let mut broker = Broker::new();
        let id = broker.stable();
        let first = broker.later(11, 3, &join(""));
        let leader = broker.ask(11, 9, &join(&id));
        let follower = broker.finish(11, 3, first).str("MemberId").to_owned();
        let ticket = broker.later(14, version, &sync(&follower, 2));
        assert_eq!(broker.ask(14, 5, &sync(leader.str("MemberId"), 2)).i16("ErrorCode"), 0);
        let synced = broker.finish(14, version, ticket);
        assert_eq!(synced.bytes("Assignment").map(Bytes::len), Some(0), "the leader named itself alone");
        assert_eq!(synced.opt_str("ProtocolName"), (version >= 5).then_some("range"));
    }
}

#[test]
fn a_join_that_fails_names_no_protocol() {
    for version in versions(11) {
        let mut broker = Broker::new();
        let mut request = join("x");
        let failed = broker.ask(11, version, &request);
        assert_eq!(
            (failed.i16("ErrorCode"), failed.i32("GenerationId"), failed.str("MemberId")),
            (25, -1, "x")
        );
        assert_eq!(failed.get("ProtocolName").is_null(), version >= 7);
        request.set("GroupId", "");
        assert_eq!(broker.ask(11, version, &request).i16("ErrorCode"), 24);
        request.set("GroupId", "-g");
        assert_eq!(broker.ask(11, version, &request).i16("ErrorCode"), 16);
        request.set("GroupId", "g");
        request.set("SessionTimeoutMs", -1);
        assert_eq!(broker.ask(11, version, &request).i16("ErrorCode"), 26);
    }
}

#[test]
fn a_sync_names_its_protocol_from_version_5_on() {
    for version in versions(14) {
        let mut broker = Broker::new();
        let id = broker.stable();
        let mut request = sync(&id, 1);
        request.remove("ProtocolName");
        let error = broker.ask(14, version, &request).i16("ErrorCode");
        assert_eq!(error, if version >= 5 { 23 } else { 0 });
        let at = |broker: &mut Broker, group: &str| {
            broker.ask(14, version, &sync(&id, 1).with("GroupId", group)).i16("ErrorCode")
        };
        assert_eq!((at(&mut broker, ""), at(&mut broker, "-g"), at(&mut broker, "x")), (24, 16, 25));
    }
}

#[test]
fn heartbeats_are_sent_to_the_coordinator() {
    let mut broker = Broker::new();
    for version in versions(12) {
        let mut error = |group: &str| broker.ask(12, version, &member(group, "x", 1)).i16("ErrorCode");
        assert_eq!((error(""), error("-g"), error("~g"), error("g")), (24, 16, 0, 25));
    }
}

#[test]
fn one_member_leaves_before_version_3_and_several_from_then_on() {
    for version in versions(13) {
        let mut broker = Broker::new();
        let id = broker.stable();
        let leaver = |id: &str| Struct::new().with("MemberId", id);
        let request = |group: &str, id: &str| {
            let members = vec![leaver(id), leaver("x")];
            Struct::new().with("GroupId", group).with("MemberId", id).with("Members", members)
        };
        let mut errors = |group: &str, id: &str| -> Vec<i16> {
            let response = broker.ask(13, version, &request(group, id));
            let members = response.structs("Members").map(|member| member.i16("ErrorCode"));
            std::iter::once(response.i16("ErrorCode")).chain(members).collect()
        };
        assert_eq!((errors("", &id), errors("-g", &id)), (vec![24], vec![16]));
        if version < 3 {
            assert_eq!((errors("g", "x"), errors("g", &id), errors("x", &id)), (vec![25], vec![0], vec![25]));
        } else {
            assert_eq!((errors("g", &id), errors("x", &id)), (vec![0, 0, 25], vec![0, 25, 25]));
        }
    }
}

#[test]
fn offsets_are_committed_in_every_version() {
    for version in versions(8) {
        let mut broker = Broker::new();
        let response = broker.ask(8, version, &commit("g", "", -1));
        let unknown = if version >= 10 { 100 } else { 3 };
        assert_eq!(partition_errors(&response), [0, 3, unknown], "v{version}");
        let stored = broker.groups.committed("g", "t", 0).expect("an offset");
        let epoch = if version >= 6 { 3 } else { -1 };
        assert_eq!((stored.offset, stored.leader_epoch, stored.metadata.as_str()), (42, epoch, "note"));
        assert_eq!(broker.groups.all_committed("g").count(), 1);
    }
}

#[test]
fn a_commit_that_fails_says_so_for_each_partition() {
    for version in versions(8) {
        let mut broker = Broker::new();
        let unknown = if version >= 10 { 100 } else { 3 };
        let mut first =
            |group: &str| partition_errors(&broker.ask(8, version, &commit(group, "x", 1)))[..].to_vec();
        let missing = if version >= 9 { 69 } else { 22 };
        assert_eq!(first("g"), [missing, 3, unknown], "v{version}");
        assert_eq!(first("-g"), [16, 3, unknown]);
        let id = broker.stable();
        assert_eq!(partition_errors(&broker.ask(8, version, &commit("g", &id, 1)))[0], 0);
        assert_eq!(partition_errors(&broker.ask(8, version, &commit("g", &id, 2)))[0], 22);
        assert_eq!(partition_errors(&broker.ask(8, version, &commit("g", "x", 1)))[0], 25);
    }
}

/// An OffsetFetch of `version` for partitions 0 and 1 of `t` and 0 of `x`, or of everything.
fn fetch(version: i16, groups: &[&str], all: bool) -> Struct {
    let topic = |name: &str, id: [u8; 16], indexes: &[i32]| {
        let indexes: Vec<Value> = indexes.iter().map(|index| Value::from(*index)).collect();
        Struct::new().with("Name", name).with("TopicId", id).with("PartitionIndexes", indexes)
    };
    let named = || vec![topic("t", T, &[0, 1]), topic("x", [8; 16], &[0])];
    let topics = || if all { Value::Null } else { named().into() };
    if version < 8 {
        let mut request = Struct::new().with("GroupId", groups[0]).with("Topics", topics());
        request.structs_mut("Topics").for_each(|topic| assert!(topic.remove("TopicId").is_some()));
        return request;
    }
    let groups = groups.iter().map(|group| Struct::new().with("GroupId", *group).with("Topics", topics()));
    Struct::new().with("Groups", groups.collect::<Vec<_>>())
}

/// (offset, error) of all partitions, in order.
fn fetched(response: &Struct) -> Vec<(i64, i16)> {
    let partitions = response.structs("Topics").flat_map(|topic| topic.structs("Partitions"));
    partitions.map(|partition| (partition.int("CommittedOffset"), partition.i16("ErrorCode"))).collect()
}

#[test]
fn offsets_of_one_group_are_fetched_before_version_8() {
    for version in 0..8 {
        let mut broker = Broker::new();
        broker.ask(8, 9, &commit("g", "", -1));
        let response = broker.ask(9, version, &fetch(version, &["g"], false));
        assert_eq!(fetched(&response), [(42, 0), (-1, 0), (-1, 0)]);
        let unknown = broker.ask(9, version, &fetch(version, &["x"], false));
        assert_eq!((fetched(&unknown), unknown.i16("ErrorCode")), (vec![(-1, 0); 3], 0));
        let elsewhere = broker.ask(9, version, &fetch(version, &["-g"], false));
        if version < 2 {
            assert_eq!(fetched(&elsewhere), [(-1, 16); 3]);
        } else {
            assert_eq!((fetched(&elsewhere), elsewhere.i16("ErrorCode")), (vec![], 16));
            assert_eq!(fetched(&broker.ask(9, version, &fetch(version, &["g"], true))), [(42, 0)]);
            assert_eq!(fetched(&broker.ask(9, version, &fetch(version, &["x"], true))), []);
        }
    }
}

#[test]
fn offsets_of_several_groups_are_fetched_from_version_8_on() {
    for version in 8..=*versions(9).end() {
        let mut broker = Broker::new();
        broker.ask(8, 9, &commit("g", "", -1));
        let response = broker.ask(9, version, &fetch(version, &["g", "x", "-g"], false));
        let groups: Vec<&Struct> = response.structs("Groups").collect();
        let of_x = if version >= 10 { (-1, 100) } else { (-1, 0) };
        assert_eq!(fetched(groups[0]), [(42, 0), (-1, 0), of_x]);
        assert_eq!(fetched(groups[1]), [(-1, 0), (-1, 0), of_x]);
        assert_eq!((fetched(groups[2]), groups[2].i16("ErrorCode")), (vec![], 16));
        let names: Vec<&str> = groups.iter().map(|group| group.str("GroupId")).collect();
        assert_eq!(names, ["g", "x", "-g"]);
        let all = broker.ask(9, version, &fetch(version, &["g"], true));
        let group = all.structs("Groups").next().expect("a group");
        assert_eq!(fetched(group), [(42, 0)]);
        let topic = group.structs("Topics").next().expect("a topic");
        assert!(if version >= 10 { topic.uuid("TopicId") == T } else { topic.str("Name") == "t" });
        let partition = topic.structs("Partitions").next().expect("a partition");
        assert_eq!((partition.str("Metadata"), partition.i32("CommittedLeaderEpoch")), ("note", 3));
    }
}

#[test]
fn a_topic_without_an_id_is_not_among_all_from_version_10_on() {
    let mut broker = Broker::new();
    broker.ask(8, 9, &commit("g", "", -1));
    broker.groups.topic_deleted("t");
    let committed = crate::group::Committed { offset: 1, leader_epoch: -1, metadata: String::new() };
    let gone = crate::group::NewOffset { topic: "gone".into(), partition: 0, committed };
    let nobody = crate::group::MemberRef { group: "g".into(), generation: -1, ..Default::default() };
    assert_eq!(broker.groups.commit(broker.now, &nobody, 22, vec![gone]), Ok(vec![0]));
    let mut count = |version: i16| {
        let response = broker.ask(9, version, &fetch(version, &["g"], true));
        response.structs("Groups").flat_map(|group| group.structs("Topics")).count()
    };
    assert_eq!((count(9), count(10)), (1, 0));
}

fn names(field: &'static str, names: &[&str]) -> Struct {
    Struct::new().with(field, names.iter().map(|name| Value::from(*name)).collect::<Vec<_>>())
}

#[test]
fn groups_are_described_in_every_version() {
    for version in versions(15) {
        let mut broker = Broker::new();
        let id = broker.stable();
        let request = names("Groups", &["g", "x", "-g"]).with("IncludeAuthorizedOperations", true);
        let response = broker.ask(15, version, &request);
        let groups: Vec<&Struct> = response.structs("Groups").collect();
        assert_eq!((groups[0].str("GroupState"), groups[0].str("ProtocolData")), ("Stable", "range"));
        let member = groups[0].structs("Members").next().expect("a member");
        assert_eq!((member.str("MemberId"), member.str("ClientId")), (&*id, "client"));
        assert_eq!(member.str("ClientHost"), "/127.0.0.1");
        assert_eq!(member.bytes("MemberAssignment").expect("bytes"), "all");
        assert_eq!(groups[1].str("GroupState"), "Dead");
        assert_eq!(groups[1].i16("ErrorCode"), if version >= 6 { 69 } else { 0 });
        assert_eq!(groups[1].opt_str("ErrorMessage"), (version >= 6).then_some("Group x not found."));
        assert_eq!(groups[2].i16("ErrorCode"), 16);
        if version >= 3 {
            assert_eq!(groups[0].i32("AuthorizedOperations"), 3400);
            assert_eq!(groups[2].i32("AuthorizedOperations"), i32::MIN);
        }
    }
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut broker = Broker::new();
    broker.stable();
    broker.ask(8, 9, &commit("simple", "", -1));
    let elsewhere = crate::group::MemberRef { group: "-g".into(), generation: -1, ..Default::default() };
    assert_eq!(broker.groups.commit(broker.now, &elsewhere, 22, Vec::new()), Ok(Vec::new()));
    for version in versions(16) {
        let mut listed = |states: &[&str], types: &[&str]| -> Vec<String> {
            let filter = |names: &[&str]| names.iter().map(|name| Value::from(*name)).collect::<Vec<_>>();
            let request =
                Struct::new().with("StatesFilter", filter(states)).with("TypesFilter", filter(types));
            let response = broker.ask(16, version, &request);
            assert_eq!(response.i16("ErrorCode"), 0);
            response.structs("Groups").map(|group| group.str("GroupId").to_owned()).collect()
        };
        assert_eq!(listed(&[], &[]), ["g", "simple"]);
        if version >= 4 {
            assert_eq!(listed(&["stable"], &[]), ["g"]);
            assert_eq!(listed(&["Empty", "Dead"], &[]), ["simple"]);
            assert_eq!(listed(&["nonsense"], &[]), [""; 0]);
        }
        if version >= 5 {
            assert_eq!(listed(&[], &["Classic"]), ["g", "simple"]);
            assert_eq!(listed(&[], &["consumer"]), [""; 0]);
        }
    }
}

#[test]
fn groups_are_deleted_in_every_version() {
    for version in versions(42) {
        let mut broker = Broker::new();
        broker.stable();
        broker.ask(8, 9, &commit("simple", "", -1));
        let request = names("GroupsNames", &["g", "simple", "simple", "x", "-g"]);
        let response = broker.ask(42, version, &request);
        let results: Vec<(&str, i16)> = response
            .structs("Results")
            .map(|result| (result.str("GroupId"), result.i16("ErrorCode")))
            .collect();
        assert_eq!(results, [("g", 68), ("simple", 0), ("x", 69), ("-g", 16)]);
    }
}

#[test]
fn offsets_are_deleted() {
    let mut broker = Broker::new();
    let partition = |index: i32| Struct::new().with("PartitionIndex", index);
    let topic =
        |name: &str, partitions: Vec<Struct>| Struct::new().with("Name", name).with("Partitions", partitions);
    let request = |group: &str| {
        let topics = vec![topic("t", vec![partition(0), partition(2)]), topic("x", vec![partition(0)])];
        Struct::new().with("GroupId", group).with("Topics", topics)
    };
    for (group, error) in [("", 24), ("-g", 16), ("g", 69)] {
        let response = broker.ask(47, 0, &request(group));
        assert_eq!((response.i16("ErrorCode"), response.array("Topics").len()), (error, 0));
    }
    broker.ask(8, 9, &commit("g", "", -1));
    let id = broker.stable();
    assert_eq!(partition_errors(&broker.ask(47, 0, &request("g"))), [86, 3, 3]);
    broker.ask(13, 2, &Struct::new().with("GroupId", "g").with("MemberId", id));
    assert_eq!(partition_errors(&broker.ask(47, 0, &request("g"))), [0, 3, 3]);
    assert_eq!(broker.groups.committed("g", "t", 0), None);
}

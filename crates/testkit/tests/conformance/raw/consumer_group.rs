//! Groups of the consumer protocol (KIP-848): the coordinator assigns, and members follow it from epoch to epoch.

use std::collections::BTreeSet;

use pointsman_wire::{Struct, Value};

use super::conn::Conn;
use super::topic::Topic;
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    // First, because they wait longest.
    ("consumer_group_session_ends", session_ends),
    ("consumer_group_revocation_ends", revocation_ends),
    ("consumer_group_features", features),
    ("consumer_group_alone", alone),
    ("consumer_group_two_members", two_members),
    ("consumer_group_range", range),
    ("consumer_group_refused", refused),
    ("consumer_group_epochs", epochs),
    ("consumer_group_static_member", static_member),
    ("consumer_group_new_partitions", new_partitions),
    ("consumer_group_regex", regex),
    ("consumer_group_offsets", offsets),
    ("consumer_group_described", described),
    ("consumer_group_not_coordinator", not_coordinator),
    ("consumer_group_after_classic", after_classic),
];

const HEARTBEAT: i16 = 68;
const DESCRIBE: i16 = 69;
/// The epochs with which members leave: for good, and to come back.
const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;

/// A member that follows its coordinator.
pub(super) struct Member<'a, 'b> {
    context: &'a Context<'b>,
    pub(super) conn: Conn,
    group: String,
    id: String,
    instance: Option<&'static str>,
    assignor: Option<&'static str>,
    topics: Vec<String>,
    rebalance_timeout: i32,
    epoch: i32,
    /// What it was told to have.
    assigned: BTreeSet<i32>,
}

impl<'a, 'b> Member<'a, 'b> {
    pub(super) fn new(
        context: &'a Context<'b>,
        group: &str,
        id: &str,
        topics: &[&Topic],
    ) -> Result<Self, String> {
        let group = format!("raw-{group}");
        let conn = context.broker(super::group::coordinator(context, &group)?)?;
        Ok(Self {
            context,
            conn,
            group,
            id: id.to_owned(),
            instance: None,
            assignor: None,
            topics: topics.iter().map(|topic| topic.name.clone()).collect(),
            rebalance_timeout: 30_000,
            epoch: 0,
            assigned: BTreeSet::new(),
        })
    }

    /// A heartbeat that says everything; `owned` is what the member has.
    fn request(&self, owned: &[Struct]) -> Struct {
        let topics: Vec<Value> = self.topics.iter().map(|name| Value::from(name.as_str())).collect();
        Struct::new()
            .with("GroupId", self.group.as_str())
            .with("MemberId", self.id.as_str())
            .with("MemberEpoch", self.epoch)
            .with("InstanceId", self.instance)
            .with("RebalanceTimeoutMs", self.rebalance_timeout)
            .with("SubscribedTopicNames", topics)
            .with("ServerAssignor", self.assignor)
            .with("TopicPartitions", owned.to_vec())
    }

    fn call(&mut self, request: &Struct) -> Result<Struct, String> {
        self.conn.call(HEARTBEAT, self.context.newest(HEARTBEAT), request)
    }

    /// Joins. A coordinator that was just made loads (14, 15, 16).
    fn join(&mut self) -> Result<Struct, String> {
        let request = self.request(&[]);
        let answer = eventually(|| {
            let answer = self.call(&request)?;
            check(![14, 15, 16].contains(&answer.i16("ErrorCode")), || format!("{answer:?}"))?;
            Ok(answer)
        })?;
        self.take(&answer);
        Ok(answer)
    }

    pub(super) fn joined(mut self) -> Result<Self, String> {
        let answer = self.join()?;
        same(&format!("join: {}", answer.str("ErrorMessage")), answer.i16("ErrorCode"), 0)?;
        Ok(self)
    }

    fn take(&mut self, answer: &Struct) {
        if answer.i16("ErrorCode") == 0 {
            self.epoch = answer.i32("MemberEpoch");
            if let Some(assignment) = answer.nested("Assignment") {
                self.assigned = partitions(assignment);
            }
        }
    }

    /// The error of a heartbeat in which the member has all that it was told to have, of one topic.
    fn beat(&mut self, topic: &Topic) -> Result<i16, String> {
        let owned = owned(topic, &self.assigned);
        let request = self.request(&owned);
        let answer = self.call(&request)?;
        self.take(&answer);
        Ok(answer.i16("ErrorCode"))
    }

    /// The error of a heartbeat that says nothing but that the member lives.
    pub(super) fn short_beat(&mut self) -> Result<i16, String> {
        let request = Struct::new()
            .with("GroupId", self.group.as_str())
            .with("MemberId", self.id.as_str())
            .with("MemberEpoch", self.epoch)
            .with("InstanceId", self.instance)
            .with("SubscribedTopicNames", Value::Null)
            .with("TopicPartitions", Value::Null);
        let answer = self.call(&request)?;
        self.take(&answer);
        Ok(answer.i16("ErrorCode"))
    }

    /// Error and epoch of leaving with one of the epochs for that.
    fn leave(&mut self, epoch: i32) -> Result<(i16, i32), String> {
        let request = Struct::new()
            .with("GroupId", self.group.as_str())
            .with("MemberId", self.id.as_str())
            .with("InstanceId", self.instance)
            .with("MemberEpoch", epoch)
            .with("SubscribedTopicNames", Value::Null)
            .with("TopicPartitions", Value::Null);
        let answer = self.call(&request)?;
        Ok((answer.i16("ErrorCode"), answer.i32("MemberEpoch")))
    }

    fn describe(&mut self) -> Result<Struct, String> {
        let request = Struct::new().with("GroupIds", vec![Value::from(self.group.as_str())]);
        let answer = self.conn.call(DESCRIBE, self.context.newest(DESCRIBE), &request)?;
        only("groups", answer.structs("Groups")).cloned()
    }
}

/// The partitions of an assignment, of all topics.
fn partitions(assignment: &Struct) -> BTreeSet<i32> {
    let topics = assignment.structs("TopicPartitions");
    let indexes = topics.flat_map(|t| t.array("Partitions").iter().filter_map(Value::as_int));
    indexes.filter_map(|index| i32::try_from(index).ok()).collect()
}

fn owned(topic: &Topic, indexes: &BTreeSet<i32>) -> Vec<Struct> {
    let indexes: Vec<Value> = indexes.iter().map(|index| Value::from(*index)).collect();
    let of = Struct::new().with("TopicId", topic.id).with("Partitions", indexes.clone());
    if indexes.is_empty() { Vec::new() } else { vec![of] }
}

/// Both follow their coordinator until each has so many partitions.
fn share(
    one: &mut Member<'_, '_>,
    two: &mut Member<'_, '_>,
    topic: &Topic,
    each: (usize, usize),
) -> Result<(), String> {
    eventually(|| {
        same("heartbeats", (one.beat(topic)?, two.beat(topic)?), (0, 0))?;
        same("partitions", (one.assigned.len(), two.assigned.len()), each)?;
        check(one.assigned.is_disjoint(&two.assigned), || "both have one partition".to_owned())
    })
}

fn features(context: &Context<'_>) -> Result<(), String> {
    same("ConsumerGroupHeartbeat", context.versions(HEARTBEAT), 0..=1)?;
    same("ConsumerGroupDescribe", context.versions(DESCRIBE), 0..=1)?;
    let named = Struct::new().with("ClientSoftwareName", "conformance").with("ClientSoftwareVersion", "1.0");
    let answer = context.broker(0)?.call(18, context.newest(18), &named)?;
    let level = answer.structs("FinalizedFeatures").find(|f| f.str("Name") == "group.version");
    same("group.version", level.map(|f| f.i16("MaxVersionLevel")), Some(1))
}

/// The first member gets everything with its first heartbeat, in every version; in v0 it may leave its id to the broker.
fn alone(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-alone", 3, 3, &[])?;
    each(context.versions(HEARTBEAT), |version| {
        let id = if version == 0 { "" } else { "member" };
        let mut member = Member::new(context, &format!("consumer-alone-{version}"), id, &[&topic])?;
        let request = member.request(&[]);
        let answer = eventually(|| {
            let answer = member.conn.call(HEARTBEAT, version, &request)?;
            same("error", answer.i16("ErrorCode"), 0)?;
            Ok(answer)
        })?;
        check(!answer.str("MemberId").is_empty(), || "no member id".to_owned())?;
        check(answer.i32("HeartbeatIntervalMs") > 0, || "no heartbeat interval".to_owned())?;
        member.id = answer.str("MemberId").to_owned();
        member.take(&answer);
        eventually(|| {
            same("heartbeat", member.beat(&topic)?, 0)?;
            same("partitions", member.assigned.len(), 3)
        })?;
        // What is not news is not told.
        let request = member.request(&owned(&topic, &member.assigned)).with("RebalanceTimeoutMs", -1);
        let request = request.with("SubscribedTopicNames", Value::Null).with("TopicPartitions", Value::Null);
        let answer = member.call(&request)?;
        check(answer.nested("Assignment").is_none(), || format!("{answer:?}"))?;
        same("leave", member.leave(LEAVES)?, (0, LEAVES))?;
        same("after leaving", member.short_beat()?, 25)
    })
}

/// A newcomer gets its partitions when the other one has given them up, and not before.
fn two_members(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-two", 4, 3, &[])?;
    let mut one = Member::new(context, "consumer-two", "one", &[&topic])?.joined()?;
    eventually(|| {
        same("heartbeat", one.beat(&topic)?, 0)?;
        same("partitions", one.assigned.len(), 4)
    })?;
    let all = one.assigned.clone();
    let mut two = Member::new(context, "consumer-two", "two", &[&topic])?.joined()?;
    same("at first", two.assigned.len(), 0)?;
    // The first one is told to give two up, and still says that it has them.
    eventually(|| {
        let request = one.request(&owned(&topic, &all));
        let answer = one.call(&request)?;
        let told = answer.nested("Assignment").map(partitions).ok_or("no assignment")?;
        same("what it may keep", told.len(), 2)?;
        one.assigned = told;
        Ok(())
    })?;
    let epoch = one.epoch;
    same("heartbeat", two.beat(&topic)?, 0)?;
    same("while they are not given up", two.assigned.len(), 0)?;
    share(&mut one, &mut two, &topic, (2, 2))?;
    check(one.epoch > epoch, || format!("epoch {} after {epoch}", one.epoch))?;
    same("epochs", one.epoch, two.epoch)?;
    same("the first one leaves", one.leave(LEAVES)?, (0, LEAVES))?;
    eventually(|| {
        same("heartbeat", two.beat(&topic)?, 0)?;
        same("partitions", two.assigned.len(), 4)
    })
}

/// The assignor "range" gives neighbours, the same of every topic.
fn range(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-range", 5, 3, &[])?;
    let new = |id: &str| {
        let mut member = Member::new(context, "consumer-range", id, &[&topic])?;
        member.assignor = Some("range");
        member.joined()
    };
    let (mut one, mut two) = (new("a")?, new("b")?);
    share(&mut one, &mut two, &topic, (3, 2))?;
    same("of the first", &one.assigned, &BTreeSet::from([0, 1, 2]))?;
    same("of the second", &two.assigned, &BTreeSet::from([3, 4]))
}

/// Requests that no member sends (42), an unknown assignor (112), an expression that is none (128).
fn refused(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-refused", 1, 3, &[])?;
    let mut member = Member::new(context, "consumer-refused", "member", &[&topic])?;
    eventually(|| {
        let request = Struct::new().with("GroupIds", vec![Value::from(member.group.as_str())]);
        let answer = member.conn.call(DESCRIBE, context.newest(DESCRIBE), &request)?;
        same("describe", only("groups", answer.structs("Groups"))?.i16("ErrorCode"), 69)
    })?;
    let good = member.request(&[]);
    let one = owned(&topic, &BTreeSet::from([0]));
    let cases = [
        ("no group", good.clone().with("GroupId", ""), 42),
        ("no member", good.clone().with("MemberId", ""), 42),
        ("an empty instance", good.clone().with("InstanceId", ""), 42),
        ("no time-out", good.clone().with("RebalanceTimeoutMs", -1), 42),
        ("partitions of before", good.clone().with("TopicPartitions", one), 42),
        ("unknown partitions", good.clone().with("TopicPartitions", Value::Null), 42),
        ("no topics", good.clone().with("SubscribedTopicNames", Value::Null), 42),
        ("an impossible epoch", good.clone().with("MemberEpoch", -3), 42),
        ("no instance that could come back", good.clone().with("MemberEpoch", LEAVES_FOR_A_WHILE), 42),
        ("an unknown assignor", good.clone().with("ServerAssignor", "mine"), 112),
        ("a member of no group", good.clone().with("MemberEpoch", 3), 69),
        ("no expression", good.with("SubscribedTopicRegex", "("), 128),
    ];
    for (what, request, error) in cases {
        same(what, member.call(&request)?.i16("ErrorCode"), error)?;
    }
    let member = member.joined()?;
    let mut stranger = Member::new(context, "consumer-refused", "stranger", &[&topic])?;
    stranger.epoch = member.epoch;
    same("a stranger", stranger.beat(&topic)?, 25)?;
    same("a stranger leaves", stranger.leave(LEAVES)?.0, 25)
}

/// An epoch that is ahead is fenced (110), and so is one that is far behind; the one before is a retry.
fn epochs(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-epochs", 2, 3, &[])?;
    let mut one = Member::new(context, "consumer-epochs", "one", &[&topic])?.joined()?;
    eventually(|| {
        same("heartbeat", one.beat(&topic)?, 0)?;
        same("partitions", one.assigned.len(), 2)
    })?;
    one.epoch += 1;
    same("ahead", one.short_beat()?, 110)?;
    one.epoch -= 1;
    same("the right one", one.short_beat()?, 0)?;
    let before = one.epoch;
    let mut two = Member::new(context, "consumer-epochs", "two", &[&topic])?.joined()?;
    share(&mut one, &mut two, &topic, (1, 1))?;
    same("two leaves", two.leave(LEAVES)?.0, 0)?;
    eventually(|| {
        same("heartbeat", one.beat(&topic)?, 0)?;
        same("partitions", one.assigned.len(), 2)
    })?;
    check(one.epoch > before + 1, || format!("epoch {} after {before}", one.epoch))?;
    let now = one.epoch;
    one.epoch = before;
    same("far behind", one.short_beat()?, 110)?;
    one.epoch = now;
    same("the right one", one.short_beat()?, 0)
}

/// A static member that is away for a while keeps its partitions, and whoever comes back with its instance id gets them. While
/// it is there nobody else may (111); afterwards the member of before is fenced (82).
fn static_member(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-static", 4, 3, &[])?;
    let new = |id: &str, instance: &'static str| {
        let mut member = Member::new(context, "consumer-static", id, &[&topic])?;
        member.instance = Some(instance);
        Ok::<_, String>(member)
    };
    let mut one = new("one", "i")?.joined()?;
    let mut two = new("two", "j")?.joined()?;
    share(&mut one, &mut two, &topic, (2, 2))?;
    let mut again = new("again", "i")?;
    same("while it is there", again.join()?.i16("ErrorCode"), 111)?;
    let epoch = two.epoch;
    same("away", one.leave(LEAVES_FOR_A_WHILE)?, (0, LEAVES_FOR_A_WHILE))?;
    let had = one.assigned.clone();
    let mut again = again.joined()?;
    same("what it had", &again.assigned, &had)?;
    same("the other", (two.beat(&topic)?, two.epoch), (0, epoch))?;
    same("heartbeat", again.beat(&topic)?, 0)?;
    same("the member of before", one.short_beat()?, 82)?;
    let mut nobody = new("again", "k")?;
    nobody.epoch = again.epoch;
    same("an instance that nobody has", nobody.short_beat()?, 25)
}

/// Partitions that are added to a topic are assigned.
fn new_partitions(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-more", 1, 3, &[])?;
    let mut member = Member::new(context, "consumer-more", "member", &[&topic])?.joined()?;
    eventually(|| {
        same("heartbeat", member.beat(&topic)?, 0)?;
        same("partitions", member.assigned.len(), 1)
    })?;
    let epoch = member.epoch;
    let more =
        Struct::new().with("Name", topic.name.as_str()).with("Count", 3).with("Assignments", Value::Null);
    let request = Struct::new().with("Topics", vec![more]).with("TimeoutMs", 30_000);
    let answer = context.broker(0)?.call(37, context.newest(37), &request)?;
    same("error", only("topics", answer.structs("Results"))?.i16("ErrorCode"), 0)?;
    eventually(|| {
        same("heartbeat", member.beat(&topic)?, 0)?;
        same("partitions", member.assigned.len(), 3)
    })?;
    check(member.epoch > epoch, || format!("epoch {} after {epoch}", member.epoch))
}

/// A member may subscribe by an expression, which must match whole names.
fn regex(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-regex-1", 2, 3, &[])?;
    let other = context.topic("consumer-regex-2", 1, 3, &[])?;
    let mut member = Member::new(context, "consumer-regex", "member", &[])?;
    let join = member.request(&[]).with("SubscribedTopicRegex", "raw-consumer-regex-.*");
    let answer = eventually(|| {
        let answer = member.call(&join)?;
        same("join", answer.i16("ErrorCode"), 0)?;
        Ok(answer)
    })?;
    member.take(&answer);
    eventually(|| {
        same("heartbeat", member.short_beat()?, 0)?;
        let seen = member.describe()?;
        let of = only("members", seen.structs("Members"))?;
        let target = of.nested("TargetAssignment").ok_or("no assignment")?;
        let names: BTreeSet<&str> = target.structs("TopicPartitions").map(|t| t.str("TopicName")).collect();
        same("topics", names, BTreeSet::from([topic.name.as_str(), other.name.as_str()]))
    })
}

/// A commit needs the member's epoch: another one is stale (113). Up to v8 a member cannot say it: 35. The same for OffsetFetch
/// from v9 on.
fn offsets(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-offsets", 1, 3, &[])?;
    let mut member = Member::new(context, "consumer-offsets", "member", &[&topic])?.joined()?;
    let (group, epoch) = (member.group.clone(), member.epoch);
    let mut commit = |version: i16, id: &str, epoch: i32, offset: i64| {
        let partition = Struct::new()
            .with("PartitionIndex", 0)
            .with("CommittedOffset", offset)
            .with("CommittedLeaderEpoch", 0)
            .with("CommittedMetadata", "note");
        let of = Struct::new()
            .with("Name", topic.name.as_str())
            .with("TopicId", topic.id)
            .with("Partitions", vec![partition]);
        let request = Struct::new()
            .with("GroupId", group.as_str())
            .with("GenerationIdOrMemberEpoch", epoch)
            .with("MemberId", id)
            .with("Topics", vec![of]);
        let answer = member.conn.call(8, version, &request)?;
        let partitions = answer.structs("Topics").flat_map(|t| t.structs("Partitions"));
        Ok::<_, String>(only("partitions", partitions)?.i16("ErrorCode"))
    };
    each(9..=context.newest(8), |version| {
        same("the member", commit(version, "member", epoch, 7)?, 0)?;
        same("ahead", commit(version, "member", epoch + 1, 7)?, 113)?;
        same("a stranger", commit(version, "stranger", epoch, 7)?, 25)?;
        same("nobody", commit(version, "", -1, 7)?, 25)
    })?;
    same("an older version, ahead", commit(8, "member", epoch + 1, 7)?, 35)?;
    each(9..=context.newest(9), |version| {
        let mut fetch = |id: &str, epoch: i32| {
            let of = Struct::new()
                .with("Name", topic.name.as_str())
                .with("TopicId", topic.id)
                .with("PartitionIndexes", vec![Value::from(0)]);
            let group = Struct::new()
                .with("GroupId", group.as_str())
                .with("MemberId", id)
                .with("MemberEpoch", epoch)
                .with("Topics", vec![of]);
            let answer = member.conn.call(9, version, &Struct::new().with("Groups", vec![group]))?;
            let group = only("groups", answer.structs("Groups"))?;
            let partition = group.structs("Topics").flat_map(|t| t.structs("Partitions")).next();
            Ok::<_, String>((group.i16("ErrorCode"), partition.map_or(-2, |p| p.int("CommittedOffset"))))
        };
        same("the member", fetch("member", epoch)?, (0, 7))?;
        same("ahead", fetch("member", epoch + 1)?.0, 113)?;
        same("a stranger", fetch("stranger", epoch)?.0, 25)
    })
}

/// ConsumerGroupDescribe, ListGroups and DescribeGroups, which does not know groups of this protocol.
fn described(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-described", 2, 3, &[])?;
    let mut member = Member::new(context, "consumer-described", "member", &[&topic])?.joined()?;
    eventually(|| {
        same("heartbeat", member.beat(&topic)?, 0)?;
        same("state", member.describe()?.str("GroupState"), "Stable")
    })?;
    let seen = member.describe()?;
    same("assignor", seen.str("AssignorName"), "uniform")?;
    same("epochs", (seen.i32("GroupEpoch"), seen.i32("AssignmentEpoch")), (member.epoch, member.epoch))?;
    let of = only("members", seen.structs("Members"))?;
    let who = (of.str("MemberId"), of.str("ClientId"), of.str("ClientHost"), of.i32("MemberEpoch"));
    same("member", who, ("member", "conformance", "/127.0.0.1", member.epoch))?;
    for assignment in ["Assignment", "TargetAssignment"] {
        let of = of.nested(assignment).ok_or("no assignment")?;
        let topics = only("topics", of.structs("TopicPartitions"))?;
        same("topic", (topics.uuid("TopicId"), topics.str("TopicName")), (topic.id, topic.name.as_str()))?;
        same(assignment, partitions(of).len(), 2)?;
    }
    let request = Struct::new().with("TypesFilter", vec![Value::from("consumer")]);
    let answer = member.conn.call(16, context.newest(16), &request)?;
    let listed = answer.structs("Groups").find(|g| g.str("GroupId") == member.group).ok_or("not listed")?;
    let how = (listed.str("ProtocolType"), listed.str("GroupState"), listed.str("GroupType"));
    same("listed", how, ("consumer", "Stable", "consumer"))?;
    let request = Struct::new().with("Groups", vec![Value::from(member.group.as_str())]);
    let answer = member.conn.call(15, context.newest(15), &request)?;
    same("DescribeGroups", only("groups", answer.structs("Groups"))?.i16("ErrorCode"), 69)?;
    let delete = Struct::new().with("GroupsNames", vec![Value::from(member.group.as_str())]);
    let answer = member.conn.call(42, context.newest(42), &delete)?;
    same("delete", only("groups", answer.structs("Results"))?.i16("ErrorCode"), 68)?;
    same("leave", member.leave(LEAVES)?.0, 0)?;
    eventually(|| same("state", member.describe()?.str("GroupState"), "Empty"))?;
    let answer = member.conn.call(42, context.newest(42), &delete)?;
    same("delete", only("groups", answer.structs("Results"))?.i16("ErrorCode"), 0)
}

fn not_coordinator(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-elsewhere", 1, 3, &[])?;
    let mut member = Member::new(context, "consumer-elsewhere", "member", &[&topic])?.joined()?;
    let other = (super::group::coordinator(context, &member.group)? + 1) % 3;
    member.conn = context.broker(other)?;
    same("heartbeat", member.beat(&topic)?, 16)?;
    same("describe", member.describe()?.i16("ErrorCode"), 16)
}

/// A group that classic members have left becomes one of the consumer protocol, and keeps its offsets.
fn after_classic(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-after", 1, 3, &[])?;
    let mut classic = super::group::Member::alone(context, "consumer-after")?;
    same("leave", classic.leave(context.newest(13))?, 0)?;
    let mut member = Member::new(context, "consumer-after", "member", &[&topic])?.joined()?;
    same("described", member.describe()?.i16("ErrorCode"), 0)?;
    same("leave", member.leave(LEAVES)?.0, 0)?;
    let again = super::group::Member::alone(context, "consumer-after")?;
    check(again.generation > 0, || "no generation".to_owned())?;
    eventually(|| same("described", member.describe()?.i16("ErrorCode"), 69))
}

/// A member that falls silent is gone after its session, and its partitions are another's.
fn session_ends(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-silent", 2, 3, &[])?;
    let mut one = Member::new(context, "consumer-silent", "one", &[&topic])?.joined()?;
    let mut two = Member::new(context, "consumer-silent", "two", &[&topic])?.joined()?;
    share(&mut one, &mut two, &topic, (1, 1))?;
    eventually(|| {
        same("heartbeat", two.beat(&topic)?, 0)?;
        same("partitions", two.assigned.len(), 2)
    })?;
    same("the silent one", one.short_beat()?, 25)
}

/// A member that lives but does not give its partitions up is gone when its own time-out has passed.
fn revocation_ends(context: &Context<'_>) -> Result<(), String> {
    let topic = context.topic("consumer-stubborn", 2, 3, &[])?;
    let mut one = Member::new(context, "consumer-stubborn", "one", &[&topic])?;
    one.rebalance_timeout = 2_000;
    let mut one = one.joined()?;
    eventually(|| {
        same("heartbeat", one.beat(&topic)?, 0)?;
        same("partitions", one.assigned.len(), 2)
    })?;
    let mut two = Member::new(context, "consumer-stubborn", "two", &[&topic])?.joined()?;
    let all = owned(&topic, &BTreeSet::from([0, 1]));
    eventually(|| {
        let request = one.request(&all);
        same("the stubborn one", one.call(&request)?.i16("ErrorCode"), 25)
    })?;
    eventually(|| {
        same("heartbeat", two.beat(&topic)?, 0)?;
        same("partitions", two.assigned.len(), 2)
    })
}

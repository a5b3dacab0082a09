//! Classic consumer groups: joining, synchronising, heartbeats, leaving, and members that fall silent.

use bytes::Bytes;
use pointsman_wire::{Struct, Value};

use super::conn::Conn;
use super::{Case, Context, check, each, eventually, only, same};

pub(crate) const CASES: &[Case] = &[
    // First, because they wait longest.
    ("group_session_timeout", session_timeout),
    ("group_silent_member_is_removed", silent_member_is_removed),
    ("group_member_id_required", member_id_required),
    ("group_every_version", every_version),
    ("group_two_members", two_members),
    ("group_follower_waits_for_sync", follower_waits_for_sync),
    ("group_rebalance_in_progress", rebalance_in_progress),
    ("group_wrong_generation", wrong_generation),
    ("group_unknown_member", unknown_member),
    ("group_not_coordinator", not_coordinator),
    ("group_inconsistent_protocol", inconsistent_protocol),
    ("group_session_timeout_limits", session_timeout_limits),
    ("group_static_member", static_member),
    ("group_leave", leave),
    ("group_described", described),
    ("group_deleted", deleted),
];

/// A consumer's subscription of version 0: no topics, no user data. The broker reads it; a join whose metadata it cannot
/// read is never answered.
const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 0, 255, 255, 255, 255];

const JOIN: i16 = 11;
const HEARTBEAT: i16 = 12;
const LEAVE: i16 = 13;
const SYNC: i16 = 14;

/// The index of the broker that coordinates a group.
pub(super) fn coordinator(context: &Context<'_>, group: &str) -> Result<usize, String> {
    let request = Struct::new().with("Key", group);
    eventually(|| {
        let answer = context.broker(0)?.call(10, context.at_most(10, 3), &request)?;
        same("FindCoordinator", answer.i16("ErrorCode"), 0)?;
        context.index(answer.i32("NodeId"))
    })
}

/// A member of a group on a connection of its own.
pub(super) struct Member<'a, 'b> {
    context: &'a Context<'b>,
    pub(super) conn: Conn,
    pub(super) group: String,
    pub(super) id: String,
    instance: Option<&'static str>,
    pub(super) generation: i32,
    session_timeout: i32,
}

impl<'a, 'b> Member<'a, 'b> {
    pub(super) fn new(context: &'a Context<'b>, group: &str) -> Result<Self, String> {
        let group = format!("raw-{group}");
        let conn = context.broker(coordinator(context, &group)?)?;
        let member = Self {
            context,
            conn,
            group,
            id: String::new(),
            instance: None,
            generation: -1,
            session_timeout: 30_000,
        };
        // A coordinator that still loads its groups answers 14 (but heartbeats with 0, so that members stay calm), or 16
        // when it does not know yet that it is one.
        eventually(|| {
            let error = member.describe()?.i16("ErrorCode");
            check(![14, 15, 16].contains(&error), || format!("coordinator: {error}"))
        })?;
        Ok(member)
    }

    fn join_request(&self, protocol: &str) -> Struct {
        let protocol =
            Struct::new().with("Name", protocol).with("Metadata", Bytes::from_static(SUBSCRIPTION));
        Struct::new()
            .with("GroupId", self.group.as_str())
            .with("SessionTimeoutMs", self.session_timeout)
            .with("RebalanceTimeoutMs", 30_000)
            .with("MemberId", self.id.as_str())
            .with("GroupInstanceId", self.instance)
            .with("ProtocolType", "consumer")
            .with("Protocols", vec![protocol])
    }

    /// Sends a join; the answer comes when all members have joined.
    fn send_join(&mut self) -> Result<(), String> {
        self.conn.send(JOIN, self.context.newest(JOIN), &self.join_request("range")).map(drop)
    }

    fn receive_join(&mut self) -> Result<Struct, String> {
        let (_, answer) = self.conn.receive(JOIN, self.context.newest(JOIN))?;
        self.id = answer.str("MemberId").to_owned();
        self.generation = answer.i32("GenerationId");
        Ok(answer)
    }

    /// Joins in the newest version, with the first answer that only gives the id. Waits for the other members.
    pub(super) fn join(&mut self) -> Result<Struct, String> {
        self.introduce()?;
        self.send_join()?;
        let answer = self.receive_join()?;
        same("join", answer.i16("ErrorCode"), 0)?;
        Ok(answer)
    }

    /// Takes the member id that the broker gives out.
    fn introduce(&mut self) -> Result<(), String> {
        if self.id.is_empty() && self.instance.is_none() {
            self.send_join()?;
            same("first join", self.receive_join()?.i16("ErrorCode"), 79)?;
        }
        Ok(())
    }

    fn sync_request(&self, assignments: &[(&str, &'static str)]) -> Struct {
        let assignments: Vec<Struct> = assignments
            .iter()
            .map(|(id, bytes)| {
                Struct::new().with("MemberId", *id).with("Assignment", Bytes::from_static(bytes.as_bytes()))
            })
            .collect();
        Struct::new()
            .with("GroupId", self.group.as_str())
            .with("GenerationId", self.generation)
            .with("MemberId", self.id.as_str())
            .with("GroupInstanceId", self.instance)
            .with("ProtocolType", "consumer")
            .with("ProtocolName", "range")
            .with("Assignments", assignments)
    }

    fn send_sync(&mut self, assignments: &[(&str, &'static str)]) -> Result<(), String> {
        let request = self.sync_request(assignments);
        self.conn.send(SYNC, self.context.newest(SYNC), &request).map(drop)
    }

    /// Error and assignment.
    fn receive_sync(&mut self) -> Result<(i16, String), String> {
        let (_, answer) = self.conn.receive(SYNC, self.context.newest(SYNC))?;
        let bytes = answer.bytes("Assignment").cloned().unwrap_or_default();
        Ok((answer.i16("ErrorCode"), String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(super) fn sync(&mut self, assignments: &[(&str, &'static str)]) -> Result<(i16, String), String> {
        self.send_sync(assignments)?;
        self.receive_sync()
    }

    /// The only member of a new group, assigned "all".
    pub(super) fn alone(context: &'a Context<'b>, group: &str) -> Result<Self, String> {
        let mut member = Self::new(context, group)?;
        member.settle()?;
        Ok(member)
    }

    fn settle(&mut self) -> Result<(), String> {
        self.join()?;
        let id = self.id.clone();
        same("sync", self.sync(&[(&id, "all")])?, (0, "all".to_owned()))
    }

    /// The error of a heartbeat in `version`, −1: the newest.
    fn beat(&mut self, version: i16) -> Result<i16, String> {
        let version = if version < 0 { self.context.newest(HEARTBEAT) } else { version };
        let request = Struct::new()
            .with("GroupId", self.group.as_str())
            .with("GenerationId", self.generation)
            .with("MemberId", self.id.as_str())
            .with("GroupInstanceId", self.instance);
        Ok(self.conn.call(HEARTBEAT, version, &request)?.i16("ErrorCode"))
    }

    /// The error of a heartbeat in the newest version.
    pub(super) fn heartbeat(&mut self) -> Result<i16, String> {
        self.beat(-1)
    }

    pub(super) fn leave(&mut self, version: i16) -> Result<i16, String> {
        let member = Struct::new().with("MemberId", self.id.as_str()).with("GroupInstanceId", self.instance);
        let request = Struct::new().with("GroupId", self.group.as_str());
        let request = match version {
            ..=2 => request.with("MemberId", self.id.as_str()),
            _ => request.with("Members", vec![member]),
        };
        let answer = self.conn.call(LEAVE, version, &request)?;
        same("leave", answer.i16("ErrorCode"), if version < 3 { answer.i16("ErrorCode") } else { 0 })?;
        let of_member = answer.structs("Members").next();
        Ok(of_member.map_or(answer.i16("ErrorCode"), |member| member.i16("ErrorCode")))
    }

    fn describe(&self) -> Result<Struct, String> {
        let request = Struct::new().with("Groups", vec![Value::from(self.group.as_str())]);
        let mut conn = self.context.broker(coordinator(self.context, &self.group)?)?;
        let answer = conn.call(15, self.context.newest(15), &request)?;
        only("groups", answer.structs("Groups")).cloned()
    }
}

/// From v4 on a member without an id only gets one (79) and must join again with it; before, it joins at once.
fn member_id_required(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(JOIN), |version| {
        let mut member = Member::new(context, &format!("required-{version}"))?;
        let request = member.join_request("range");
        let answer = member.conn.call(JOIN, version, &request)?;
        same("error", answer.i16("ErrorCode"), if version < 4 { 0 } else { 79 })?;
        check(!answer.str("MemberId").is_empty(), || "no member id".to_owned())?;
        let id = answer.str("MemberId");
        check(id.starts_with("conformance-"), || format!("{id:?} does not begin with the client id"))
    })
}

/// A group of one, in every version of every api.
fn every_version(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(JOIN), |version| {
        let mut member = Member::new(context, &format!("versions-{version}"))?;
        let mut answer = member.conn.call(JOIN, version, &member.join_request("range"))?;
        if version >= 4 {
            member.id = answer.str("MemberId").to_owned();
            answer = member.conn.call(JOIN, version, &member.join_request("range"))?;
        }
        same("join", answer.i16("ErrorCode"), 0)?;
        member.id = answer.str("MemberId").to_owned();
        member.generation = answer.i32("GenerationId");
        same("generation", member.generation, 1)?;
        same("leader", answer.str("Leader"), member.id.as_str())?;
        same("protocol", answer.str("ProtocolName"), "range")?;
        let members = only("members", answer.structs("Members"))?;
        same("metadata", members.bytes("Metadata").map(|b| &b[..]), Some(SUBSCRIPTION))?;
        let sync = version.min(context.newest(SYNC));
        let id = member.id.clone();
        let answer = member.conn.call(SYNC, sync, &member.sync_request(&[(&id, "all")]))?;
        same("sync", answer.i16("ErrorCode"), 0)?;
        same("assignment", answer.bytes("Assignment").map(|b| &b[..]), Some(&b"all"[..]))?;
        each(context.versions(HEARTBEAT), |v| same("heartbeat", member.beat(v)?, 0))?;
        same("leave", member.leave(version.min(context.newest(LEAVE)))?, 0)?;
        same("after leaving", member.beat(-1)?, 25)
    })
}

/// Two members: a generation each time one joins, the first stays the leader, each gets what the leader assigned.
fn two_members(context: &Context<'_>) -> Result<(), String> {
    let mut one = Member::alone(context, "two")?;
    let mut two = Member::new(context, "two")?;
    two.introduce()?;
    two.send_join()?;
    eventually(|| same("heartbeat of the first", one.beat(-1)?, 27))?;
    let answer = one.join()?;
    let other = two.receive_join()?;
    same("generations", (one.generation, two.generation), (2, 2))?;
    same("leader", (answer.str("Leader"), other.str("Leader")), (one.id.as_str(), one.id.as_str()))?;
    same("members that each sees", (answer.array("Members").len(), other.array("Members").len()), (2, 0))?;
    two.send_sync(&[])?;
    let ids = (one.id.clone(), two.id.clone());
    same("of the leader", one.sync(&[(&ids.0, "left"), (&ids.1, "right")])?, (0, "left".to_owned()))?;
    same("of the follower", two.receive_sync()?, (0, "right".to_owned()))?;
    same("both are well", (one.beat(-1)?, two.beat(-1)?), (0, 0))?;
    // The assignment can be asked for again.
    same("again", two.sync(&[])?, (0, "right".to_owned()))?;
    same("the first leaves", one.leave(context.newest(LEAVE))?, 0)?;
    eventually(|| same("heartbeat of the second", two.beat(-1)?, 27))?;
    let answer = two.join()?;
    same("alone", (two.generation, answer.str("Leader")), (3, two.id.as_str()))
}

/// A follower's SyncGroup is answered only when the leader's has come.
fn follower_waits_for_sync(context: &Context<'_>) -> Result<(), String> {
    let mut one = Member::alone(context, "sync-waits")?;
    let mut two = Member::new(context, "sync-waits")?;
    two.introduce()?;
    two.send_join()?;
    eventually(|| same("heartbeat", one.beat(-1)?, 27))?;
    one.join()?;
    two.receive_join()?;
    two.send_sync(&[])?;
    // While assignments are awaited the group is rebalancing, but a heartbeat is well.
    let state = one.describe()?;
    same("state", state.str("GroupState"), "CompletingRebalance")?;
    same("heartbeat meanwhile", one.beat(-1)?, 0)?;
    let ids = (one.id.clone(), two.id.clone());
    one.sync(&[(&ids.0, "left"), (&ids.1, "right")])?;
    same("of the follower", two.receive_sync()?, (0, "right".to_owned()))
}

/// During a rebalance heartbeats and syncs of the old generation are told to join again (27).
fn rebalance_in_progress(context: &Context<'_>) -> Result<(), String> {
    let mut one = Member::alone(context, "rebalance")?;
    let mut two = Member::new(context, "rebalance")?;
    two.introduce()?;
    two.send_join()?;
    eventually(|| each(context.versions(HEARTBEAT), |version| same("heartbeat", one.beat(version)?, 27)))?;
    same("sync", one.sync(&[])?.0, 27)?;
    same("state", one.describe()?.str("GroupState"), "PreparingRebalance")
}

fn wrong_generation(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::alone(context, "generation")?;
    member.generation = 7;
    each(context.versions(HEARTBEAT), |version| same("heartbeat", member.beat(version)?, 22))?;
    same("sync", member.sync(&[])?.0, 22)?;
    member.generation = 1;
    same("the right one", member.beat(-1)?, 0)
}

fn unknown_member(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::alone(context, "unknown-member")?;
    member.id = "somebody-else".to_owned();
    each(context.versions(HEARTBEAT), |version| same("heartbeat", member.beat(version)?, 25))?;
    same("sync", member.sync(&[])?.0, 25)?;
    each(context.versions(LEAVE), |version| same("leave", member.leave(version)?, 25))?;
    let request = member.join_request("range");
    same("join", member.conn.call(JOIN, context.newest(JOIN), &request)?.i16("ErrorCode"), 25)?;
    // A group that does not exist knows nobody.
    let mut nobody = Member::new(context, "no-such-group")?;
    nobody.id = "somebody".to_owned();
    nobody.generation = 1;
    same("heartbeat of no group", nobody.beat(-1)?, 25)
}

/// Only the coordinator serves a group; everybody else says 16.
fn not_coordinator(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::alone(context, "elsewhere")?;
    let other = (coordinator(context, &member.group)? + 1) % 3;
    member.conn = context.broker(other)?;
    same("heartbeat", member.beat(-1)?, 16)?;
    same("sync", member.sync(&[])?.0, 16)?;
    let request = member.join_request("range");
    same("join", member.conn.call(JOIN, context.newest(JOIN), &request)?.i16("ErrorCode"), 16)?;
    let request = Struct::new().with("Groups", vec![Value::from(member.group.as_str())]);
    let answer = member.conn.call(15, context.newest(15), &request)?;
    same("describe", only("groups", answer.structs("Groups"))?.i16("ErrorCode"), 16)
}

/// A member without a protocol in common is refused with 23.
fn inconsistent_protocol(context: &Context<'_>) -> Result<(), String> {
    let _one = Member::alone(context, "protocols")?;
    let mut two = Member::new(context, "protocols")?;
    two.introduce_with("other", context)
}

impl Member<'_, '_> {
    fn introduce_with(&mut self, protocol: &str, context: &Context<'_>) -> Result<(), String> {
        let request = self.join_request(protocol);
        same("join", self.conn.call(JOIN, context.newest(JOIN), &request)?.i16("ErrorCode"), 23)
    }
}

/// Session time-outs outside the broker's limits (6 s to 30 min) are refused with 26.
fn session_timeout_limits(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::new(context, "limits")?;
    for (timeout, error) in [(5_999, 26), (1_800_001, 26), (6_000, 79)] {
        member.session_timeout = timeout;
        let request = member.join_request("range");
        let answer = member.conn.call(JOIN, context.newest(JOIN), &request)?;
        same(&format!("{timeout} ms"), answer.i16("ErrorCode"), error)?;
    }
    Ok(())
}

/// A member that falls silent is gone after its session time-out, and the group is empty.
fn session_timeout(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::new(context, "silent")?;
    member.session_timeout = 6_000;
    member.settle()?;
    same("state", member.describe()?.str("GroupState"), "Stable")?;
    eventually(|| same("state", member.describe()?.str("GroupState"), "Empty"))?;
    same("heartbeat", member.beat(-1)?, 25)
}

/// The one that still speaks is told to join again and gets all.
fn silent_member_is_removed(context: &Context<'_>) -> Result<(), String> {
    let mut one = Member::alone(context, "silent-two")?;
    let mut two = Member::new(context, "silent-two")?;
    two.session_timeout = 6_000;
    two.introduce()?;
    two.send_join()?;
    eventually(|| same("heartbeat", one.beat(-1)?, 27))?;
    one.join()?;
    two.receive_join()?;
    let ids = (one.id.clone(), two.id.clone());
    one.sync(&[(&ids.0, "left"), (&ids.1, "right")])?;
    same("before", one.beat(-1)?, 0)?;
    eventually(|| same("heartbeat", one.beat(-1)?, 27))?;
    one.settle()?;
    same("generation", one.generation, 3)
}

/// A static member that joins again without its id takes its old place: a new id, the same generation, no rebalance; the
/// old id is fenced (82).
fn static_member(context: &Context<'_>) -> Result<(), String> {
    let mut one = Member::new(context, "static")?;
    one.instance = Some("one");
    one.settle()?;
    let mut again = Member::new(context, "static")?;
    again.instance = Some("one");
    let answer = again.join()?;
    same("generation", again.generation, 1)?;
    check(again.id != one.id, || "the same member id".to_owned())?;
    // The leader of before is named, so that nobody assigns again; from v9 on SkipAssignment says it in words.
    same("leader", answer.str("Leader"), again.id.as_str())?;
    same("skip", answer.bool("SkipAssignment"), true)?;
    same("the assignment of before", again.sync(&[])?, (0, "all".to_owned()))?;
    same("the old one", one.beat(-1)?, 82)?;
    same("the new one", again.beat(-1)?, 0)
}

fn leave(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(LEAVE), |version| {
        let mut member = Member::alone(context, &format!("leave-{version}"))?;
        same("leave", member.leave(version)?, 0)?;
        same("state", member.describe()?.str("GroupState"), "Empty")
    })
}

/// DescribeGroups and ListGroups. A group that does not exist is "Dead", and from v6 on an error (69).
fn described(context: &Context<'_>) -> Result<(), String> {
    let mut member = Member::alone(context, "described")?;
    each(context.versions(15), |version| {
        let groups = vec![Value::from(member.group.as_str()), Value::from("raw-no-such-group")];
        let answer = member.conn.call(15, version, &Struct::new().with("Groups", groups))?;
        let found = answer.structs("Groups").find(|g| g.str("GroupId") == member.group).ok_or("missing")?;
        let seen = (
            found.i16("ErrorCode"),
            found.str("GroupState"),
            found.str("ProtocolType"),
            found.str("ProtocolData"),
        );
        same("group", seen, (0, "Stable", "consumer", "range"))?;
        let of = only("members", found.structs("Members"))?;
        same("member", (of.str("MemberId"), of.str("ClientId")), (member.id.as_str(), "conformance"))?;
        same("host", of.str("ClientHost"), "/127.0.0.1")
    })?;
    each(context.versions(16), |version| {
        let answer = member.conn.call(16, version, &Struct::new())?;
        same("error", answer.i16("ErrorCode"), 0)?;
        let found =
            answer.structs("Groups").find(|g| g.str("GroupId") == member.group).ok_or("not listed")?;
        same("protocol type", found.str("ProtocolType"), "consumer")?;
        check(version < 4 || found.str("GroupState") == "Stable", || "another state".to_owned())?;
        check(version < 5 || found.str("GroupType") == "classic", || {
            format!("type {}", found.str("GroupType"))
        })
    })?;
    each(4..=context.newest(16), |version| {
        let request = Struct::new().with("StatesFilter", vec![Value::from("Empty")]);
        let answer = member.conn.call(16, version, &request)?;
        check(answer.structs("Groups").all(|g| g.str("GroupId") != member.group), || {
            "not filtered".to_owned()
        })
    })?;
    let missing = Member::new(context, "no-such-group-2")?;
    let found = missing.describe()?;
    same("a missing group", (found.i16("ErrorCode"), found.str("GroupState")), (69, "Dead"))
}

fn deleted(context: &Context<'_>) -> Result<(), String> {
    each(context.versions(42), |version| {
        let mut member = Member::alone(context, &format!("deleted-{version}"))?;
        let delete = |member: &mut Member<'_, '_>| {
            let request = Struct::new().with("GroupsNames", vec![Value::from(member.group.as_str())]);
            let answer = member.conn.call(42, version, &request)?;
            Ok::<_, String>(only("groups", answer.structs("Results"))?.i16("ErrorCode"))
        };
        same("with a member", delete(&mut member)?, 68)?;
        member.leave(context.newest(LEAVE))?;
        same("empty", delete(&mut member)?, 0)?;
        same("gone", delete(&mut member)?, 69)
    })
}

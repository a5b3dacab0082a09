//! ConsumerGroupDescribe: groups of the consumer protocol, with what their members have and are to have.

use super::{Call, k15_describe_groups::ALL_OPERATIONS, strings};
use crate::group::{
    Groups, codes,
    consumer::{DescribedMember, Held},
};
use pointsman_wire::{Struct, Value};

/// `MemberType` of members that use this protocol.
const CONSUMER: i8 = 1;

pub(super) fn handle(groups: &Groups, call: &Call<'_>) -> Struct {
    let described = strings(call.request, "GroupIds").map(|id| describe(groups, call, id));
    Struct::new().with("Groups", described.collect::<Vec<_>>())
}

fn describe(groups: &Groups, call: &Call<'_>, id: &str) -> Struct {
    let response = Struct::new().with("GroupId", id);
    if let Err(error) = call.view.coordinates(id) {
        return response.with("ErrorCode", error);
    }
    let Some(group) = groups.describe_consumers(id) else {
        let message = format!("Group {id} is no group of the consumer protocol.");
        return response.with("ErrorCode", codes::GROUP_ID_NOT_FOUND).with("ErrorMessage", message);
    };
    let members: Vec<Struct> = group.members.iter().map(|member| told(call, member)).collect();
    let response = response
        .with("GroupState", group.state)
        .with("GroupEpoch", group.epoch)
        .with("AssignmentEpoch", group.assignment_epoch)
        .with("AssignorName", group.assignor)
        .with("Members", members);
    if call.request.bool("IncludeAuthorizedOperations") {
        return response.with("AuthorizedOperations", ALL_OPERATIONS);
    }
    response
}

fn told(call: &Call<'_>, member: &DescribedMember) -> Struct {
    let topics: Vec<Value> = member.topics.iter().map(|topic| Value::from(topic.as_str())).collect();
    Struct::new()
        .with("MemberId", member.id.as_str())
        .with("InstanceId", member.instance_id.clone())
        .with("MemberEpoch", member.epoch)
        .with("ClientId", member.client_id.as_str())
        .with("ClientHost", member.client_host.as_str())
        .with("SubscribedTopicNames", topics)
        .with("SubscribedTopicRegex", member.pattern.clone())
        .with("Assignment", Value::Struct(assignment(call, &member.assigned)))
        .with("TargetAssignment", Value::Struct(assignment(call, &member.target)))
        .with("MemberType", CONSUMER)
}

/// A topic that is gone has no name, and is left out.
fn assignment(call: &Call<'_>, held: &Held) -> Struct {
    let topics = super::by_topic(held).into_iter().filter_map(|(id, indexes)| {
        let name = call.view.topic_name(id)?;
        let indexes: Vec<Value> = indexes.into_iter().map(Value::from).collect();
        Some(Struct::new().with("TopicId", id).with("TopicName", name).with("Partitions", indexes))
    });
    Struct::new().with("TopicPartitions", topics.collect::<Vec<_>>())
}

//! The range assignor: each topic's partitions in contiguous ranges over the members that want it, in their order.

use std::collections::BTreeMap;

use super::protocol::Partitions;

/// The name under which members agree on it.
pub const RANGE: &str = "range";

/// Who gets what, by member id: `subscriptions` are the topics that each member wants, `counts` the partitions that each
/// topic has. A topic that is not there is given to nobody. Members that come first in the order of their ids get one
/// partition more when it does not come out even, as with Kafka's `RangeAssignor`.
#[must_use]
pub fn assign(
    subscriptions: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Partitions> {
    let mut assignments: BTreeMap<String, Partitions> =
        subscriptions.keys().map(|member| (member.clone(), Partitions::new())).collect();
    for (topic, count) in counts {
        let wanting = subscriptions.iter().filter(|(_, topics)| topics.contains(topic));
        let members: Vec<&String> = wanting.map(|(member, _)| member).collect();
        for (place, member) in members.iter().enumerate() {
            let range: Vec<i32> = range(*count, members.len(), place).collect();
            if let Some(assignment) = assignments.get_mut(*member).filter(|_| !range.is_empty()) {
                assignment.insert(topic.clone(), range);
            }
        }
    }
    assignments
}

fn range(count: usize, members: usize, place: usize) -> impl Iterator<Item = i32> {
    let (each, more) = (count / members, count % members);
    let first = each * place + place.min(more);
    let len = each + usize::from(place < more);
    (first..first + len).filter_map(|index| i32::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given = Vec<(String, Vec<i32>)>;

    fn assigned(members: &[(&str, &[&str])], counts: &[(&str, usize)]) -> Vec<(String, Given)> {
        let owned = |topics: &[&str]| topics.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let subscriptions = members.iter().map(|(m, topics)| ((*m).to_owned(), owned(topics))).collect();
        let counts = counts.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect();
        let assigned = assign(&subscriptions, &counts);
        assigned.into_iter().map(|(member, p)| (member, p.into_iter().collect())).collect()
    }

    fn one(topic: &str, partitions: &[i32]) -> (String, Vec<i32>) {
        (topic.to_owned(), partitions.to_vec())
    }

    #[test]
    fn the_first_members_get_one_more() {
        let two = assigned(&[("b", &["t"]), ("a", &["t"])], &[("t", 5)]);
        assert_eq!(two, [("a".into(), vec![one("t", &[0, 1, 2])]), ("b".into(), vec![one("t", &[3, 4])])]);
    }

    #[test]
    fn each_topic_is_divided_for_itself() {
        let all = assigned(&[("a", &["t", "u"]), ("b", &["t", "u"])], &[("t", 3), ("u", 3)]);
        assert_eq!(all[0].1, [one("t", &[0, 1]), one("u", &[0, 1])]);
        assert_eq!(all[1].1, [one("t", &[2]), one("u", &[2])]);
    }

    #[test]
    fn members_get_only_what_they_want_and_what_there_is() {
        let all = assigned(&[("a", &["t"]), ("b", &["u", "gone"]), ("c", &["t"])], &[("t", 1), ("u", 2)]);
        assert_eq!(all[0].1, [one("t", &[0])]);
        assert_eq!(all[1].1, [one("u", &[0, 1])]);
        assert_eq!(all[2].1, []);
    }
}

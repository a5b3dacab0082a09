//! A consumer that comes back to a cluster does not wait for its own ghost in the group.

use crate::harness::{Rig, cluster, primary_topics};
use pointsman_core::{rules, topology::CoordinatorKind::Group};
use pointsman_wire::value::Struct;

const JOIN_GROUP: i16 = 11;
const LEAVE_GROUP: i16 = 13;

fn join() -> Struct {
    Struct::new().with("GroupId", "g").with("ProtocolType", "consumer")
}

/// The member `id` has joined group `g` of the cluster that is active.
fn joined(rig: &mut Rig, id: &str) {
    rig.ask(JOIN_GROUP, 5, &join());
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("MemberId", id).with("GenerationId", 1));
    assert_eq!(rig.reply().str("MemberId"), id);
}

fn coordinated(rig: &Rig) {
    rig.primary.topology.set_coordinator(Group, "g", Some(2));
    rig.secondary.topology.set_coordinator(Group, "g", Some(1));
}

#[test]
fn its_former_self_leaves_before_it_joins_again() {
    for newest in [2, 5] {
        let mut offer = rules::ours();
        offer.apis.insert(LEAVE_GROUP, (0, newest));
        let mut rig = Rig::offering(cluster("primary", Some(primary_topics())), offer);
        coordinated(&rig);
        joined(&mut rig, "old");
        rig.switch();
        joined(&mut rig, "elsewhere");

        rig.switch_back();
        rig.ask(JOIN_GROUP, 5, &join());

        let sent = rig.sent();
        let keys: Vec<_> = sent.iter().map(|s| (s.node, s.key)).collect();
        assert_eq!(keys, [(2, LEAVE_GROUP), (2, JOIN_GROUP)], "in this order, on one connection");
        let named = sent[0]
            .body
            .structs("Members")
            .next()
            .map_or(sent[0].body.str("MemberId"), |m| m.str("MemberId"));
        assert_eq!((sent[0].body.str("GroupId"), named), ("g", "old"));
        rig.answer(&sent[0], &Struct::new());
        assert!(rig.replies().is_empty(), "the client asked for no leave");
        rig.answer(&sent[1], &Struct::new().with("MemberId", "new"));
        assert_eq!(rig.reply().str("MemberId"), "new");
    }
}

/// After an outage coordinators move, so the first broker that is asked may be the wrong one, or not ready, or go away.
#[test]
fn a_ghost_that_a_broker_did_not_take_out_leaves_before_the_next_join() {
    const NOT_COORDINATOR: i16 = 16;
    const MEMBER_ID_REQUIRED: i16 = 79;
    let mut rig = Rig::new();
    coordinated(&rig);
    rig.ask(JOIN_GROUP, 5, &join());
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("MemberId", "old").with("ErrorCode", MEMBER_ID_REQUIRED));
    rig.reply();
    rig.switch();
    rig.switch_back();

    let refused = Struct::new().with("ErrorCode", NOT_COORDINATOR);
    let member = Struct::new().with("MemberId", "old").with("ErrorCode", NOT_COORDINATOR);
    let answers = [refused.clone(), Struct::new().with("Members", vec![member])];
    for answer in answers {
        rig.ask(JOIN_GROUP, 5, &join());
        let sent = rig.sent();
        assert_eq!(sent.iter().map(|s| s.key).collect::<Vec<_>>(), [LEAVE_GROUP, JOIN_GROUP]);
        rig.answer(&sent[0], &answer);
        rig.answer(&sent[1], &refused);
        rig.reply();
        coordinated(&rig);
    }
    rig.ask(JOIN_GROUP, 5, &join());
    assert_eq!(rig.sent().len(), 2, "and again");
    rig.fail(2, 0);
    rig.replies();
    coordinated(&rig);

    rig.ask(JOIN_GROUP, 5, &join());
    let sent = rig.sent();
    assert_eq!(sent.iter().map(|s| s.key).collect::<Vec<_>>(), [LEAVE_GROUP, JOIN_GROUP]);
    rig.answer(&sent[0], &Struct::new());
    rig.answer(&sent[1], &Struct::new().with("MemberId", "new"));
    rig.reply();
    rig.ask(JOIN_GROUP, 5, &join().with("MemberId", "new"));
    assert_eq!(rig.sent_one().key, JOIN_GROUP, "there is no ghost any more");
}

#[test]
fn a_member_that_left_by_itself_is_no_ghost() {
    let mut rig = Rig::new();
    coordinated(&rig);
    joined(&mut rig, "old");
    let member = Struct::new().with("MemberId", "old");
    rig.ask(LEAVE_GROUP, 3, &Struct::new().with("GroupId", "g").with("Members", vec![member.clone()]));
    let sent = rig.sent_one();
    rig.answer(&sent, &Struct::new().with("Members", vec![member]));
    rig.reply();

    rig.switch();
    rig.switch_back();

    joined(&mut rig, "new");
}

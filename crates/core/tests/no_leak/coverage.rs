//! The page `docs/coverage.md`: written from the rules, the tables, and from what the translation really changes.

use crate::{
    identifiers::{Face, differ},
    world::{World, offered},
};
use pointsman_core::{
    rules::{self, Fail, Route, Rule},
    topology::CoordinatorKind,
};
use pointsman_wire::{
    tables,
    value::{self, Struct, Value},
};
use std::{collections::BTreeSet, fs, path::Path};

const HEAD: &str = "# Coverage\n
What Pointsman does with each api of Kafka in `mode: kafka`. This page is generated (`cargo xtask coverage`) from the rules and the
schema tables; the fields are those that really change when every field of every version is filled and sent through a session.

Clients are offered an api in the versions that Pointsman (this table) **and every broker of every cluster of the chain** have;
features likewise: a feature is on at the lowest level at which it is on everywhere. A cluster that is upgraded under running clients
is noticed by its probes: new connections get the new intersection, those that are open keep what they have. A request in a version
that is not offered closes the connection.

- **Pass**: forwarded as it is. **Edit**: identifiers are rewritten. **Split**: may go to several brokers, whose answers become one.
  **Local**: answered here.
- *Fields rewritten*: node ids (slots on the client's side), addresses, topic ids, leader epochs, producer ids, the cluster id.
  In the first term of a chain leader epochs and producer ids are the same on both sides.
- *At a switch*: what a request that was under way is answered with. The same holds when its broker is lost, but for membership of
  groups, where that is 16 `NOT_COORDINATOR`.

| key | api | versions | how | goes to | fields rewritten in requests | fields rewritten in responses | at a switch |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

const TAIL: &str = "
## What is special

- A node id that is no slot names nobody: brokers get −1, never the id of a broker that happens to have that number.
- A broker keeps its slot for as long as it is known (`forget_after`), whoever comes or goes, and over a restart with the state file: a
  slot in a request names the same broker as before. A new broker takes the lowest place that no known one has.
- Where brokers outnumber slots, several brokers share one: a slot in a request names the first of them, ListGroups and
  ListTransactions ask all of them. Where slots outnumber brokers, only one slot lists what a broker has.
- A topic that is deleted and made again gets another topic id, as with a broker; also when that happens while Pointsman is not running, as
  far as the state file has room for the ids of topics that clients were shown (40,000).
- Log directories are those of the broker behind the slot that the client is connected to. With one port for all slots that cannot be
  known: with more than one broker such requests are answered with 42 `INVALID_REQUEST`.
- DescribeQuorum numbers controllers that are no brokers above the slots and shows no listeners of theirs.
- Values of configurations: addresses are shown as null, `node.id` and `broker.id` as the slot, and the brokers in
  `leader.` and `follower.replication.throttled.replicas` are translated both ways.
- A consumer's rack is blanked in Fetch, so that the leader itself answers it: any slot leads to the leader.
- Endpoints (KIP-951, KIP-932) in responses too large to be collected are blanked instead of translated: clients then ask for
  metadata.
- Leader epochs in fetched batches are rewritten, and producer ids in produced ones, with their checksum. Records are never read.
- Topic ids in share coordinator keys are for brokers; FindCoordinator with key type 2 is answered with 31
  `CLUSTER_AUTHORIZATION_FAILED`.
- ThrottleTimeMs passes; of a split request it is the longest. A delegation token is valid on the cluster that issued it, and its
  apis go to the active one. Telemetry may be pushed to any broker; at another cluster clients ask for the subscription again.
- WriteTxnMarkers ends a transaction that hangs (`kafka-transactions.sh abort`). It takes the producer id that DescribeProducers shows; a
  marker for one of another term is answered with 59 `UNKNOWN_PRODUCER_ID`. If the transaction hangs on the cluster that is active, DescribeProducers shows
  by which id it can be ended.
- ApiVersions 5 (KIP-1242) is not offered; a client that tries it is answered as Kafka does, and goes on with an older one.
- Texts of errors pass as brokers write them.

## Not offered

| key | api | why |
| --- | --- | --- |
";

/// Why apis of a broker's listener are not offered.
const NOT_OFFERED: [(&[i16], &str); 3] = [
    (&[17, 36], "clients cannot authenticate in this mode yet"),
    (&[83, 84, 85, 86, 87], "between brokers: the state of share groups"),
    (&[80, 81], "changes the metadata quorum of one cluster"),
];

#[derive(Default)]
struct Changed {
    requests: BTreeSet<String>,
    responses: BTreeSet<String>,
}

/// The names of fields that differ.
fn changes(one: &Struct, other: &Struct, found: &mut BTreeSet<String>) {
    for (name, value) in one.fields() {
        change(name, value, other.get(name), found);
    }
}

fn change(name: &str, one: &Value, other: &Value, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Struct(one), Value::Struct(other)) => changes(one, other, found),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).for_each(|(one, other)| change(name, one, other, found));
        }
        _ if differ(other, one, name).is_none() => {}
        _ => drop(found.insert(format!("`{name}`"))),
    }
}

/// What changes in an api over all its versions.
fn changed(key: i16) -> Changed {
    let mut changed = Changed::default();
    for (_, version) in offered().into_iter().filter(|(k, _)| *k == key) {
        let mut world = World::new();
        let asked = world.request(key, version, Face::Asked);
        let sent = world.ask(key, version);
        let (.., got) = value::decode_request(&sent.frame.slice(4..)).expect("a broker can decode it");
        changes(&asked, &got, &mut changed.requests);
        let told = world.response(key, version, Face::Real);
        let shown = world.respond(key, version, &sent, &told);
        changes(&told, &shown, &mut changed.responses);
    }
    changed
}

fn how(rule: &Rule, changed: &Changed) -> &'static str {
    match rule.route {
        Route::Local => "Local",
        Route::Leaders(_) | Route::Coordinators(..) | Route::All(_) => "Split",
        _ if changed.requests.is_empty() && changed.responses.is_empty() => "Pass",
        _ => "Edit",
    }
}

fn goes_to(route: Route) -> &'static str {
    match route {
        Route::Local => "nobody",
        Route::Any => "any broker",
        Route::Slot(_) => "the slot's broker",
        Route::Controller => "the controller",
        Route::Leaders(_) => "the leader of each partition",
        Route::Coordinator(CoordinatorKind::Group) => "the group's coordinator",
        Route::Coordinator(CoordinatorKind::Transaction) => "the transaction's coordinator",
        Route::Coordinators(CoordinatorKind::Group, _) => "the coordinator of each group",
        Route::Coordinators(CoordinatorKind::Transaction, _) => "the coordinator of each transaction",
        Route::All(_) => "every broker behind the slot",
        Route::ConfigResources => "the broker named, or any",
        Route::ShareSession(_) => "the share session's broker",
    }
}

fn at_a_switch(rule: &Rule) -> String {
    let name = |code: i16| match code {
        6 => "6 `NOT_LEADER_OR_FOLLOWER`",
        14 => "14 `COORDINATOR_LOAD_IN_PROGRESS`",
        16 => "16 `NOT_COORDINATOR`",
        25 => "25 `UNKNOWN_MEMBER_ID`",
        117 => "117 `UNKNOWN_SUBSCRIPTION_ID`",
        122 => "122 `SHARE_SESSION_NOT_FOUND`",
        code => panic!("error {code} has no name here"),
    };
    match rule.fail {
        _ if matches!(rule.route, Route::Local) => "nothing to answer".into(),
        Fail::Replay => "asked again at the new cluster".into(),
        Fail::Partitions(_, code) => format!("{}, each partition", name(code)),
        Fail::Keys(_, code) => format!("{}, each key", name(code)),
        Fail::TopLevel(_, code) => name(code).into(),
        Fail::Close => "the connection is closed".into(),
    }
}

fn page() -> String {
    let mut page = String::from(HEAD);
    let list = |names: &BTreeSet<String>| match names.is_empty() {
        true => "–".into(),
        false => names.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    for (key, (min, max)) in rules::ours().apis {
        let (rule, api) = (rules::rule(key).expect("offered"), tables::api(key).expect("known"));
        let changed = changed(key);
        let versions = if min == max { min.to_string() } else { format!("{min}–{max}") };
        page += &format!(
            "| {key} | {} | {versions} | {} | {} | {} | {} | {} |\n",
            api.name,
            how(rule, &changed),
            goes_to(rule.route),
            list(&changed.requests),
            list(&changed.responses),
            at_a_switch(rule)
        );
    }
    page += TAIL;
    for api in tables::apis().iter().filter(|api| api.broker && rules::rule(api.key).is_none()) {
        let reason = NOT_OFFERED.iter().find(|(keys, _)| keys.contains(&api.key));
        let (_, reason) =
            reason.unwrap_or_else(|| panic!("say why api {} ({}) is not offered", api.key, api.name));
        page += &format!("| {} | {} | {reason} |\n", api.key, api.name);
    }
    page
}

#[test]
fn the_page_is_what_would_be_written_now() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coverage.md");
    let page = page();
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/coverage.md is not what the rules say; write it with: cargo xtask coverage"
    );
}

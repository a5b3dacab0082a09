"""The conformance cases of kafka-python."""

import json
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    AlterConfigOp,
    ConfigResource,
    KafkaAdminClient,
    OffsetSpec,
    ResourcePattern,
    ResourceType,
)
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from conformance import BASE, SHAPES, Members, Suite, eventually, expect_shape, seen

# kafka-python forgets the assignment when it arrives between two polls, so a poll must outlast a rebalance.
POLL_MS = 2000

suite = Suite()
common = {"bootstrap_servers": suite.bootstrap.split(",")}


def admin():
    """A client of its own for each case: cases run side by side."""
    return KafkaAdminClient(**common)


def code(of):
    """The protocol's number of an error, given as an exception, as its class, or by name."""
    if isinstance(of, str):
        import kafka.errors

        of = getattr(kafka.errors, of.split("(")[0].split(":")[0].split("]")[-1].strip())
    return getattr(of, "errno", of)


def error(call):
    """The number of the error that this ends with; 0 when it works."""
    try:
        call()
        return 0
    except KafkaError as e:
        return code(e)


def create(name, partitions, configs=None):
    spec = {"num_partitions": partitions, "replication_factor": 3, "configs": configs or {}}
    with_admin(lambda a: a.create_topics({name: spec}))


def with_admin(act):
    one = admin()
    try:
        return act(one)
    finally:
        one.close()


def topic(of, partitions=1, configs=None):
    name = suite.name(of)
    create(name, partitions, configs)
    # Until the leaders serve it, records of acks=0 are lost.
    ends = {TopicPartition(name, p): OffsetSpec.LATEST for p in range(partitions)}
    offsets = lambda: sorted(end.offset for end in with_admin(lambda a: a.list_partition_offsets(ends)).values())
    seen("leaders", offsets, [0] * partitions)
    return name


def describe(name):
    return with_admin(lambda a: a.describe_topics([name]))[0]


def produce(records, **settings):
    producer = KafkaProducer(**common, **settings)
    try:
        futures = [producer.send(**record) for record in records]
        return [future.get(20).offset for future in futures]
    finally:
        producer.close(timeout=5)


def fill(name, count, **settings):
    """Writes records v0, v1, … to partition 0, a second after the other."""
    value = lambda i: f"v{i}".encode()
    stamp = lambda i: BASE + (i + 1) * 1000
    return produce(
        [{"topic": name, "partition": 0, "value": value(i), "timestamp_ms": stamp(i)} for i in range(count)],
        **settings,
    )


def consumer(**settings):
    return KafkaConsumer(**{**common, "auto_offset_reset": "earliest", "enable_auto_commit": False, **settings})


def take(one, count):
    records, deadline = [], time.monotonic() + 60
    while len(records) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"read {len(records)} of {count}")
        for batch in one.poll(timeout_ms=1000).values():
            records.extend(batch)
    return records


def assigned(name, offset=None, **settings):
    one = consumer(**settings)
    one.assign([TopicPartition(name, 0)])
    if offset is not None:
        one.seek(TopicPartition(name, 0), offset)
    return one


def read(name, count, offset=None, **settings):
    one = assigned(name, offset, **settings)
    try:
        return take(one, count)
    finally:
        one.close()


@suite.case
def topic_lifecycle(facts):
    name = topic("lifecycle", 3)
    partitions = eventually("metadata", lambda: describe(name)["partitions"])
    facts["partitions"], facts["replicas"] = len(partitions), len(partitions[0]["replica_nodes"])
    facts["again"] = error(lambda: create(name, 1))
    with_admin(lambda a: a.delete_topics([name]))
    facts["deleted"] = eventually("deletion", lambda: describe(name)["error_code"])


@suite.case
def create_partitions(facts):
    name = topic("partitions")
    with_admin(lambda a: a.create_partitions({name: 3}))
    facts["partitions"] = seen("three partitions", lambda: len(describe(name)["partitions"]), 3)
    facts["fewer"] = error(lambda: with_admin(lambda a: a.create_partitions({name: 2})))


def config(kind, of, key):
    found = with_admin(lambda a: a.describe_configs([ConfigResource(kind, of, [key])], config_filter="all"))
    return found.get(kind, {}).get(of, {}).get(key, {}).get("value")


@suite.case
def topic_configs(facts):
    name = topic("configs")
    # A broker that has not heard of the topic yet names no settings.
    facts["retention_before"] = eventually("the topic", lambda: config("topic", name, "retention.ms"))

    def set_to(value):
        resource = ConfigResource("topic", name, {"retention.ms": (AlterConfigOp.SET, value)})
        return with_admin(lambda a: a.alter_configs([resource], incremental=True))["topic"][name]

    set_to("1234567")
    facts["retention_after"] = seen("the new value", lambda: config("topic", name, "retention.ms"), "1234567")
    facts["refused"] = code(set_to("soon"))


@suite.case
def broker_config(facts):
    node = str(with_admin(lambda a: a.describe_cluster())["brokers"][0]["broker_id"])
    for key in ["auto.create.topics.enable", "min.insync.replicas"]:
        facts[key] = config("broker", node, key)


@suite.case
def describe_cluster(facts):
    cluster = with_admin(lambda a: a.describe_cluster())
    nodes = [broker["broker_id"] for broker in cluster["brokers"]]
    facts["brokers"], facts["controller_is_a_broker"] = len(nodes), cluster["controller_id"] in nodes


@suite.case
def delete_records(facts):
    name = topic("delete-records")
    fill(name, 5)
    at = TopicPartition(name, 0)
    facts["low"] = with_admin(lambda a: a.delete_records({at: 3}))[at]["low_watermark"]
    one = consumer()
    facts["beginning"] = one.beginning_offsets([at])[at]
    one.close()
    facts["first_read"] = read(name, 1)[0].offset


@suite.case
def unknown_topic(facts):
    # The producer only says that no metadata came in time.
    facts["error"] = describe(suite.name("none"))["error_code"]


def produced(of, count, **settings):
    def run(facts):
        name = topic(of)
        offsets = fill(name, count, **settings)
        facts["offsets_in_order"] = offsets == list(range(count))
        facts["read"] = sum(m.value == f"v{m.offset}".encode() for m in read(name, count))

    return run


for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
    of = codec or "none"
    suite.cases[f"codec_{of}"] = produced(f"codec-{of}", 20, compression_type=codec)
for acks in [0, 1, "all"]:
    suite.cases[f"acks_{acks}"] = produced(f"acks-{acks}", 10, acks=acks, enable_idempotence=False)
suite.cases["idempotent"] = produced("idempotent", 100, enable_idempotence=True)


@suite.case
def record_shapes(facts):
    name = topic("shapes")
    produce([{"topic": name, "partition": 0, "key": k, "value": v, "headers": h} for k, v, h in SHAPES])
    expect_shape(facts, [(m.key, m.value, m.headers) for m in read(name, len(SHAPES))])


def stamped(name):
    produce([{"topic": name, "partition": 0, "value": b"v", "timestamp_ms": 1_500_000_000_000}])
    record = read(name, 1)[0]
    return record.timestamp_type, record.timestamp


@suite.case
def create_time(facts):
    facts["type"], facts["timestamp"] = stamped(topic("create-time", 1, {"retention.ms": "-1"}))


@suite.case
def log_append_time(facts):
    facts["type"], stamp = stamped(topic("append-time", 1, {"message.timestamp.type": "LogAppendTime"}))
    facts["broker_time"] = abs(stamp - time.time() * 1000) < 60_000


@suite.case
def large_record(facts):
    name = topic("large")
    produce([{"topic": name, "partition": 0, "value": b"x" * 1_000_000}])
    facts["size"] = len(read(name, 1)[0].value)


@suite.case
def record_too_large(facts):
    name = topic("too-large", 1, {"max.message.bytes": "1000"})
    facts["error"] = error(lambda: produce([{"topic": name, "partition": 0, "value": b"x" * 5000}]))


def from_reset(reset):
    def run(facts):
        name = topic(f"from-{reset}")
        fill(name, 10)
        one = assigned(name, auto_offset_reset=reset)
        try:
            one.position(TopicPartition(name, 0))
            fill(name, 1)
            facts["first"] = take(one, 1)[0].offset
        finally:
            one.close()

    return run


suite.cases["from_earliest"] = from_reset("earliest")
suite.cases["from_latest"] = from_reset("latest")


@suite.case
def from_timestamp(facts):
    name = topic("from-timestamp")
    fill(name, 10)
    at = TopicPartition(name, 0)
    one = consumer()
    offset = one.offsets_for_times({at: BASE + 5500})[at].offset
    after = one.offsets_for_times({at: BASE + 99_000})[at]
    one.close()
    facts["first"] = read(name, 1, offset)[0].offset
    facts["after_the_last"] = after and after.offset


@suite.case
def from_offset(facts):
    name = topic("from-offset")
    fill(name, 10)
    facts["first"] = read(name, 1, 7)[0].offset


@suite.case
def end_offsets(facts):
    name = topic("end-offsets", 2)
    fill(name, 10)
    both = [TopicPartition(name, p) for p in range(2)]
    one = consumer()
    facts["beginning"] = [one.beginning_offsets(both)[p] for p in both]
    facts["end"] = [one.end_offsets(both)[p] for p in both]
    one.close()


@suite.case
def out_of_range(facts):
    name = topic("out-of-range")
    fill(name, 2)
    facts["error"] = error(lambda: read(name, 1, 50, auto_offset_reset="none"))


@suite.case
def long_poll(facts):
    name = topic("long-poll")
    fill(name, 1)
    one = assigned(name, fetch_max_wait_ms=15_000)
    try:
        take(one, 1)
        one.poll(timeout_ms=200)
        fill(name, 1)
        begun = time.monotonic()
        take(one, 1)
        facts["prompt"] = time.monotonic() - begun < 5
    finally:
        one.close()


class Member(Members, ConsumerRebalanceListener):
    """A member of a group, with what it was assigned."""

    def __init__(self, name, group, **settings):
        self.assigned, self.revoked = set(), 0
        self.consumer = consumer(group_id=group, heartbeat_interval_ms=300, **settings)
        self.consumer.subscribe([name], listener=self)
        super().__init__(self._poll, self.consumer.close)
        self.start()

    def on_partitions_revoked(self, revoked):
        self.revoked += len(revoked)

    def on_partitions_assigned(self, assigned):
        pass

    def _poll(self):
        self.consumer.poll(timeout_ms=POLL_MS)
        self.assigned = {p.partition for p in self.consumer.assignment()}


def share(members, each):
    eventually(f"shares {each}", lambda: [len(m.assigned) for m in members] == each)


@suite.case
def group_resume(facts):
    name, group = topic("resume"), suite.name("resume")
    fill(name, 10)
    at = TopicPartition(name, 0)
    for when in ["first", "second"]:
        one = consumer(group_id=group, max_poll_records=5)
        one.subscribe([name])
        facts[when] = [m.offset for m in take(one, 5)]
        one.commit()
        if when == "first":
            facts["committed"] = one.committed(at)
        one.close()


@suite.case
def group_of_two(facts):
    name, group = topic("two", 4), suite.name("two")
    one, two = Member(name, group), Member(name, group)
    share([one, two], [2, 2])
    facts["both"] = [len(one.assigned), len(two.assigned)]
    one.close()
    share([two], [4])
    facts["alone"] = len(two.assigned)
    two.close()


@suite.case
def static_membership(facts):
    name, group = topic("static", 4), suite.name("static")
    other = Member(name, group, group_instance_id="other")
    one = Member(name, group, group_instance_id="one")
    share([one, other], [2, 2])
    before, revoked = one.assigned, other.revoked
    one.close()
    again = Member(name, group, group_instance_id="one")
    share([again], [2])
    facts["same_partitions"] = again.assigned == before
    facts["revocations_of_the_other"] = other.revoked - revoked
    again.close()
    other.close()


def listed(group):
    return any(group in (one.get("group_id"), one.get("group")) for one in with_admin(lambda a: a.list_groups()))


def described(group):
    return with_admin(lambda a: a.describe_groups([group]))[group]


def delete(group):
    outcome = with_admin(lambda a: a.delete_groups([group]))[group]
    return 0 if outcome == "OK" else code(outcome)


@suite.case
def groups(facts):
    name, group = topic("groups", 2), suite.name("groups")
    one = Member(name, group)
    share([one], [2])
    facts["listed"] = listed(group)
    found = described(group)
    facts["state"], facts["members"] = found["group_state"].lower(), len(found["members"])
    facts["not_empty"] = delete(group)
    one.close()
    facts["after"] = described(group)["group_state"].lower()
    facts["deleted"] = delete(group)
    facts["gone"] = not listed(group)


@suite.case
def group_offsets(facts):
    name, group = topic("group-offsets"), suite.name("group-offsets")
    fill(name, 10)
    at = TopicPartition(name, 0)
    with_admin(lambda a: a.alter_group_offsets(group, {at: OffsetAndMetadata(7, "", -1)}))
    facts["altered"] = with_admin(lambda a: a.list_group_offsets({group: None}))[group][at].offset
    one = consumer(group_id=group)
    one.subscribe([name])
    facts["resumed_at"] = take(one, 1)[0].offset
    one.close()


UNCOMMITTED = {"isolation_level": "read_uncommitted"}
COMMITTED = {"isolation_level": "read_committed"}


def transactional(of):
    one = KafkaProducer(**common, transactional_id=suite.name(of))
    one.init_transactions()
    return one


def send(one, name, *values):
    for value in values:
        one.send(name, value.encode(), partition=0).get(20)


def values(name, count):
    return [record.value.decode() for record in read(name, count, **COMMITTED)]


def end(name, isolation):
    one, at = consumer(**isolation), TopicPartition(name, 0)
    try:
        return one.end_offsets([at])[at]
    finally:
        one.close()


def stable(name, expected):
    """The last stable offset: markers are written after the commit is answered."""
    return seen("stable offset", lambda: end(name, COMMITTED), expected)


@suite.case
def txn_commit_abort(facts):
    name = topic("txn-both")
    one = transactional("txn-both")
    one.begin_transaction()
    send(one, name, "x0", "x1")
    one.abort_transaction()
    one.begin_transaction()
    send(one, name, "v0", "v1", "v2")
    one.commit_transaction()
    facts["committed"] = values(name, 3)
    facts["all"] = len(read(name, 5, **UNCOMMITTED))


@suite.case
def txn_open(facts):
    name = topic("txn-open")
    one = transactional("txn-open")
    one.begin_transaction()
    send(one, name, "v0")
    one.commit_transaction()
    one.begin_transaction()
    send(one, name, "v1")
    facts["stable_end"], facts["end"] = stable(name, 2), end(name, UNCOMMITTED)
    one.commit_transaction()
    facts["stable_after"] = stable(name, 4)


@suite.case
def txn_fencing(facts):
    name = topic("txn-fencing")
    old = transactional("txn-fencing")
    old.begin_transaction()
    send(old, name, "old")
    new = transactional("txn-fencing")
    new.begin_transaction()
    send(new, name, "new")
    new.commit_transaction()
    facts["fenced"] = error(old.commit_transaction) in [47, 90]
    facts["read"] = values(name, 1)


@suite.case
def txn_offsets(facts):
    name, group = topic("txn-offsets"), suite.name("txn-offsets")
    fill(name, 10)
    at, one = TopicPartition(name, 0), transactional("txn-offsets")
    reader = consumer(group_id=group, max_poll_records=5)
    reader.subscribe([name])
    take(reader, 5)
    for fact, finish in [("aborted", one.abort_transaction), ("committed", one.commit_transaction)]:
        one.begin_transaction()
        one.send_offsets_to_transaction({at: OffsetAndMetadata(5, "", -1)}, reader.group_metadata())
        finish()
        look = lambda: -1 if (found := reader.committed(at)) is None else found
        facts[fact] = seen("the end of the transaction", look, 5 if fact == "committed" else -1)
    reader.close()


@suite.case
def acls(facts):
    of = ResourcePattern(ResourceType.TOPIC, suite.name("acls"))
    acl = ACL("User:alice", "*", ACLOperation.READ, ACLPermissionType.ALLOW, of)
    any_of = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, of)
    found = lambda: len(with_admin(lambda a: a.describe_acls(any_of))[0])
    with_admin(lambda a: a.create_acls([acl]))
    facts["created"] = seen("the ACL", found, 1)
    facts["deleted"] = len(with_admin(lambda a: a.delete_acls([any_of]))[0][1])
    facts["left"] = seen("no ACL", found, 0)


@suite.case
def broker_config_set(facts):
    """A setting of the last broker alone."""
    last = str(max(broker["broker_id"] for broker in with_admin(lambda a: a.describe_cluster())["brokers"]))
    key = "log.cleaner.backoff.ms"
    for name, op, expected in [("set", AlterConfigOp.SET, "15001"), ("deleted", AlterConfigOp.DELETE, "15000")]:
        resource = ConfigResource("broker", last, {key: (op, expected if name == "set" else None)})
        with_admin(lambda a: a.alter_configs([resource], incremental=True))
        facts[name] = seen(name, lambda: config("broker", last, key), expected)


@suite.case
def log_dirs(facts):
    name = topic("log-dirs", 2)
    look = lambda: json.dumps(with_admin(lambda a: a.describe_log_dirs([name])), default=str)
    facts["brokers"] = len(with_admin(lambda a: a.describe_log_dirs([name])))
    # A broker may not have made its replica yet.
    facts["replicas"] = seen("every replica", lambda: look().count('"partition_index"'), 6)


@suite.case
def delete_group_offsets(facts):
    at, group = TopicPartition(topic("delete-offsets"), 0), suite.name("delete-offsets")
    offset = lambda: with_admin(lambda a: a.list_group_offsets({group: [at]}))[group][at].offset
    with_admin(lambda a: a.alter_group_offsets(group, {at: OffsetAndMetadata(7, "", -1)}))
    facts["before"] = offset()
    with_admin(lambda a: a.delete_group_offsets(group, [at]))
    facts["after"] = offset() < 0


@suite.case
def quorum(facts):
    found = with_admin(lambda a: a.describe_metadata_quorum())["topics"][0]["partitions"][0]
    voters = [voter["replica_id"] for voter in found["current_voters"]]
    facts["voters"], facts["leader_is_a_voter"] = len(voters), found["leader_id"] in voters


suite.run()

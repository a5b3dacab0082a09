"""The conformance cases of librdkafka, through confluent-kafka."""

import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

from conformance import BASE, SHAPES, Members, Suite, eventually, expect_shape, seen

suite = Suite()
common = {"bootstrap.servers": suite.bootstrap, "log_level": 0}
admin = AdminClient(common)


def made(futures):
    return [future.result(30) for future in futures.values()]


def afresh(ask):
    """Asks with a new client: one that has asked a broker which had not heard of the topic yet remembers that."""
    one = AdminClient(common)
    return made(ask(one))


def error(call):
    """The protocol's number of the error that this ends with; 0 when it works."""
    try:
        call()
        return 0
    except KafkaException as e:
        return e.args[0].code()


def topic(of, partitions=1, configs=None):
    name = suite.name(of)
    made(admin.create_topics([NewTopic(name, partitions, 3, config=configs or {})]))
    # Until the leaders serve it, records of acks=0 are lost.
    ends = {TopicPartition(name, p): OffsetSpec.latest() for p in range(partitions)}
    seen("leaders", lambda: [end.offset for end in afresh(lambda a: a.list_offsets(ends))], [0] * partitions)
    return name


def describe(name):
    return admin.list_topics(name, 30).topics[name]


def produce(records, **settings):
    """Sends (arguments of produce) and gives the offsets; raises the first error."""
    producer = Producer({**common, **settings})
    offsets, errors = [], []

    def report(e, message):
        (errors if e is not None else offsets).append(e if e is not None else message.offset())

    for record in records:
        producer.produce(**record, on_delivery=report)
    producer.flush(30)
    if errors:
        raise KafkaException(errors[0])
    return offsets


def fill(name, count, **settings):
    """Writes records v0, v1, … to partition 0, a second after the other."""
    stamp = lambda i: BASE + (i + 1) * 1000
    return produce(
        [{"topic": name, "partition": 0, "value": f"v{i}", "timestamp": stamp(i)} for i in range(count)],
        **settings,
    )


def consumer(**settings):
    merged = {"group.id": suite.name("reader"), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({**common, **merged, **settings})


def take(one, count):
    records, deadline = [], time.monotonic() + 60
    while len(records) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"read {len(records)} of {count}")
        message = one.poll(0.1)
        if message is None:
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        records.append(message)
    return records


def read(name, count, offset=OFFSET_BEGINNING, **settings):
    one = consumer(**settings)
    try:
        one.assign([TopicPartition(name, 0, offset)])
        return take(one, count)
    finally:
        one.close()


@suite.case
def topic_lifecycle(facts):
    name = topic("lifecycle", 3)
    partitions = eventually("metadata", lambda: describe(name).partitions)
    facts["partitions"], facts["replicas"] = len(partitions), len(partitions[0].replicas)
    facts["again"] = error(lambda: topic("lifecycle", 1))
    made(admin.delete_topics([name]))
    facts["deleted"] = eventually("deletion", lambda: describe(name).error).code()


@suite.case
def create_partitions(facts):
    name = topic("partitions")
    made(admin.create_partitions([NewPartitions(name, 3)]))
    facts["partitions"] = seen("three partitions", lambda: len(describe(name).partitions), 3)
    facts["fewer"] = error(lambda: made(admin.create_partitions([NewPartitions(name, 2)])))


def config(kind, of, name):
    return made(admin.describe_configs([ConfigResource(kind, of)]))[0][name].value


@suite.case
def topic_configs(facts):
    name = topic("configs")
    retention = lambda: config(ResourceType.TOPIC, name, "retention.ms")
    facts["retention_before"] = seen("the topic", retention, "604800000")

    def set_to(value):
        entry = ConfigEntry("retention.ms", value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        made(admin.incremental_alter_configs([resource]))

    set_to("1234567")
    facts["retention_after"] = seen("the new value", retention, "1234567")
    facts["refused"] = error(lambda: set_to("soon"))


@suite.case
def broker_config(facts):
    node = str(next(iter(admin.list_topics(timeout=30).brokers)))
    for name in ["auto.create.topics.enable", "min.insync.replicas"]:
        facts[name] = config(ResourceType.BROKER, node, name)


@suite.case
def describe_cluster(facts):
    cluster = admin.describe_cluster().result(30)
    facts["brokers"] = len(cluster.nodes)
    facts["controller_is_a_broker"] = cluster.controller.id in [node.id for node in cluster.nodes]


@suite.case
def delete_records(facts):
    name = topic("delete-records")
    fill(name, 5)
    low = lambda: afresh(lambda a: a.delete_records([TopicPartition(name, 0, 3)]))[0].low_watermark
    facts["low"] = seen("the low watermark", low, 3)
    at = TopicPartition(name, 0)
    facts["beginning"] = afresh(lambda a: a.list_offsets({at: OffsetSpec.earliest()}))[0].offset
    facts["first_read"] = read(name, 1)[0].offset()


@suite.case
def unknown_topic(facts):
    # librdkafka has its own number for it, because it asks the metadata before it sends.
    code = error(lambda: produce([{"topic": suite.name("none"), "value": "v"}], **{"message.timeout.ms": 5000,
                                 "topic.metadata.propagation.max.ms": 500}))
    facts["error"] = 3 if code == KafkaError._UNKNOWN_TOPIC else code


def produced(of, count, **settings):
    def run(facts):
        name = topic(of)
        offsets = fill(name, count, **settings)
        facts["offsets_in_order"] = offsets == list(range(count))
        facts["read"] = sum(m.value() == f"v{m.offset()}".encode() for m in read(name, count))

    return run


for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    suite.cases[f"codec_{codec}"] = produced(f"codec-{codec}", 20, **{"compression.type": codec})
for acks in ["0", "1", "all"]:
    suite.cases[f"acks_{acks}"] = produced(f"acks-{acks}", 10, acks=acks)
suite.cases["idempotent"] = produced("idempotent", 100, **{"enable.idempotence": True})


@suite.case
def record_shapes(facts):
    name = topic("shapes")
    produce([{"topic": name, "partition": 0, "key": k, "value": v, "headers": h} for k, v, h in SHAPES])
    expect_shape(facts, [(m.key(), m.value(), m.headers() or []) for m in read(name, len(SHAPES))])


def stamped(name):
    produce([{"topic": name, "partition": 0, "value": "v", "timestamp": 1_500_000_000_000}])
    kind, time_ms = read(name, 1)[0].timestamp()
    # librdkafka counts the types from 1.
    return kind - 1, time_ms


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
    # The client's limit counts the whole batch.
    produce([{"topic": name, "partition": 0, "value": "x" * 1_000_000}], **{"message.max.bytes": 1_040_000})
    facts["size"] = len(read(name, 1)[0].value())


@suite.case
def record_too_large(facts):
    name = topic("too-large", 1, {"max.message.bytes": "1000"})
    facts["error"] = error(lambda: produce([{"topic": name, "partition": 0, "value": "x" * 5000}]))


def from_reset(reset):
    def run(facts):
        name = topic(f"from-{reset}")
        fill(name, 10)
        one = consumer(**{"auto.offset.reset": reset})
        try:
            one.assign([TopicPartition(name, 0)])
            first = one.poll(1)
            if first is None:
                fill(name, 1)
                first = take(one, 1)[0]
            facts["first"] = first.offset()
        finally:
            one.close()

    return run


suite.cases["from_earliest"] = from_reset("earliest")
suite.cases["from_latest"] = from_reset("latest")


@suite.case
def from_timestamp(facts):
    name = topic("from-timestamp")
    fill(name, 10)
    one = consumer()
    at = one.offsets_for_times([TopicPartition(name, 0, BASE + 5500)], 20)[0].offset
    facts["first"] = read(name, 1, at)[0].offset()
    after = one.offsets_for_times([TopicPartition(name, 0, BASE + 99_000)], 20)[0].offset
    # After the last record librdkafka says "the end".
    facts["after_the_last"] = after if after >= 0 else None
    one.close()


@suite.case
def from_offset(facts):
    name = topic("from-offset")
    fill(name, 10)
    facts["first"] = read(name, 1, 7)[0].offset()


@suite.case
def end_offsets(facts):
    name = topic("end-offsets", 2)
    fill(name, 10)
    one = consumer()
    both = [one.get_watermark_offsets(TopicPartition(name, p), 20, cached=False) for p in range(2)]
    facts["beginning"], facts["end"] = [low for low, _ in both], [high for _, high in both]
    one.close()


@suite.case
def out_of_range(facts):
    name = topic("out-of-range")
    fill(name, 2)
    try:
        read(name, 1, 50, **{"auto.offset.reset": "error"})
    except KafkaException as e:
        # librdkafka reports a number of its own, and the broker's error in words.
        told = e.args[0]
        right = told.code() == KafkaError._AUTO_OFFSET_RESET and "Offset out of range" in told.str()
        facts["error"] = 1 if right else str(told)


@suite.case
def long_poll(facts):
    name = topic("long-poll")
    fill(name, 1)
    one = consumer(**{"fetch.wait.max.ms": 15_000})
    try:
        one.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
        take(one, 1)
        one.poll(0.2)
        fill(name, 1)
        begun = time.monotonic()
        take(one, 1)
        facts["prompt"] = time.monotonic() - begun < 5
    finally:
        one.close()


class Member(Members):
    """A member of a group, with what it was assigned."""

    def __init__(self, name, group, **settings):
        self.assigned, self.revoked = set(), 0
        # Members of the consumer protocol do not choose their heartbeats.
        pace = {} if "group.protocol" in settings else {"heartbeat.interval.ms": 300}
        self.consumer = consumer(**{"group.id": group, **pace, **settings})
        self.consumer.subscribe([name], on_revoke=self._on_revoke)
        super().__init__(self._poll, self.consumer.close)
        self.start()

    def _on_revoke(self, _, partitions):
        self.revoked += len(partitions)

    def _poll(self):
        self.consumer.poll(0.05)
        self.assigned = {p.partition for p in self.consumer.assignment()}


def share(members, each):
    eventually(f"shares {each}", lambda: [len(m.assigned) for m in members] == each)


CONSUMER = {"group.protocol": "consumer"}


@suite.case
def group_resume(facts, of="resume", **settings):
    name, group = topic(of), suite.name(of)
    fill(name, 10)
    for when in ["first", "second"]:
        one = consumer(**{"group.id": group, **settings})
        one.subscribe([name])
        messages = take(one, 5)
        facts[when] = [m.offset() for m in messages]
        one.commit(message=messages[-1], asynchronous=False)
        if when == "first":
            facts["committed"] = one.committed([TopicPartition(name, 0)], 20)[0].offset
        one.close()


@suite.case
def group_of_two(facts, of="two", **settings):
    name, group = topic(of, 4), suite.name(of)
    one, two = Member(name, group, **settings), Member(name, group, **settings)
    share([one, two], [2, 2])
    facts["both"] = [len(one.assigned), len(two.assigned)]
    one.close()
    share([two], [4])
    facts["alone"] = len(two.assigned)
    two.close()


@suite.case
def static_membership(facts, of="static", **settings):
    name, group = topic(of, 4), suite.name(of)
    other = Member(name, group, **{"group.instance.id": "other", **settings})
    one = Member(name, group, **{"group.instance.id": "one", **settings})
    share([one, other], [2, 2])
    before, revoked = one.assigned, other.revoked
    one.close()
    again = Member(name, group, **{"group.instance.id": "one", **settings})
    share([again], [2])
    facts["same_partitions"] = again.assigned == before
    facts["revocations_of_the_other"] = other.revoked - revoked
    again.close()
    other.close()


@suite.case
def consumer_group_resume(facts):
    group_resume(facts, "consumer-resume", **CONSUMER)


@suite.case
def consumer_group_of_two(facts):
    group_of_two(facts, "consumer-two", **CONSUMER)


@suite.case
def consumer_group_static(facts):
    static_membership(facts, "consumer-static", **CONSUMER)


@suite.case
def cooperative(facts):
    name, group = topic("cooperative", 4), suite.name("cooperative")
    settings = {"partition.assignment.strategy": "cooperative-sticky"}
    one = Member(name, group, **settings)
    share([one], [4])
    two = Member(name, group, **settings)
    share([one, two], [2, 2])
    facts["kept"], facts["given_up"], facts["newcomer"] = len(one.assigned), one.revoked, len(two.assigned)
    one.close()
    two.close()


def listed(group):
    return any(one.group_id == group for one in admin.list_consumer_groups().result(30).valid)


def described(group):
    return admin.describe_consumer_groups([group])[group].result(30)


@suite.case
def groups(facts):
    name, group = topic("groups", 2), suite.name("groups")
    one = Member(name, group)
    share([one], [2])
    facts["listed"] = listed(group)
    found = described(group)
    facts["state"], facts["members"] = found.state.name.lower(), len(found.members)
    facts["not_empty"] = error(lambda: made(admin.delete_consumer_groups([group])))
    one.close()
    facts["after"] = described(group).state.name.lower()
    made(admin.delete_consumer_groups([group]))
    facts["gone"] = not listed(group)


@suite.case
def group_offsets(facts):
    name, group = topic("group-offsets"), suite.name("group-offsets")
    fill(name, 10)
    made(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 7)])]))
    found = made(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))[0]
    facts["altered"] = found.topic_partitions[0].offset
    one = consumer(**{"group.id": group})
    one.subscribe([name])
    facts["resumed_at"] = take(one, 1)[0].offset()
    one.close()


UNCOMMITTED = {"isolation.level": "read_uncommitted"}
COMMITTED = {"isolation.level": "read_committed"}


def transactional(of):
    one = Producer({**common, "transactional.id": suite.name(of)})
    one.init_transactions(30)
    return one


def send(one, name, *values):
    errors = []
    for value in values:
        one.produce(name, value, partition=0, on_delivery=lambda e, _: errors.append(e) if e else None)
    one.flush(30)
    if errors:
        raise KafkaException(errors[0])


def values(name, count):
    return [message.value().decode() for message in read(name, count, **COMMITTED)]


def end(name, isolation):
    asked = {TopicPartition(name, 0): OffsetSpec.latest()}
    one = AdminClient(common)
    return made(one.list_offsets(asked, isolation_level=isolation))[0].offset


def stable(name, expected):
    """The last stable offset: markers are written after the commit is answered."""
    return seen("stable offset", lambda: end(name, IsolationLevel.READ_COMMITTED), expected)


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
    facts["stable_end"], facts["end"] = stable(name, 2), end(name, IsolationLevel.READ_UNCOMMITTED)
    one.commit_transaction()
    facts["stable_after"] = stable(name, 4)


def is_fenced(call):
    try:
        call()
        return False
    except KafkaException as e:
        return e.args[0].code() in [KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH]


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
    facts["fenced"] = is_fenced(lambda: old.commit_transaction(20))
    facts["read"] = values(name, 1)


@suite.case
def txn_offsets(facts):
    name, group = topic("txn-offsets"), suite.name("txn-offsets")
    fill(name, 10)
    reader, one = consumer(**{"group.id": group}), transactional("txn-offsets")
    reader.subscribe([name])
    take(reader, 5)
    at = TopicPartition(name, 0, 5)
    for fact, finish in [("aborted", one.abort_transaction), ("committed", one.commit_transaction)]:
        one.begin_transaction()
        one.send_offsets_to_transaction([at], reader.consumer_group_metadata(), 20)
        finish(20)
        look = lambda: max(reader.committed([TopicPartition(name, 0)], 20)[0].offset, -1)
        facts[fact] = seen("the end of the transaction", look, 5 if fact == "committed" else -1)
    reader.close()


@suite.case
def kip848_of_two(facts):
    name, group = topic("kip848-two", 4), suite.name("kip848-two")
    one, two = NextMember(name, group), NextMember(name, group)
    share([one, two], [2, 2])
    facts["both"] = [len(one.assigned), len(two.assigned)]
    one.close()
    share([two], [4])
    facts["alone"] = len(two.assigned)
    two.close()


class NextMember(Members):
    """A member of a group of KIP-848: the broker says how often it must be heard."""

    def __init__(self, name, group):
        self.assigned = set()
        self.consumer = consumer(**{"group.id": group, "group.protocol": "consumer"})
        self.consumer.subscribe([name])
        super().__init__(self._poll, self.consumer.close)
        self.start()

    def _poll(self):
        self.consumer.poll(0.05)
        self.assigned = {p.partition for p in self.consumer.assignment()}


@suite.case
def kip848_resume(facts):
    name, group = topic("kip848-resume"), suite.name("kip848-resume")
    fill(name, 10)
    for when in ["first", "second"]:
        one = consumer(**{"group.id": group, "group.protocol": "consumer"})
        one.subscribe([name])
        records = take(one, 5)
        facts[when] = [m.offset() for m in records]
        one.commit(message=records[-1], asynchronous=False)
        if when == "first":
            facts["committed"] = one.committed([TopicPartition(name, 0)], 30)[0].offset
        one.close()


@suite.case
def acls(facts):
    pattern = (ResourceType.TOPIC, suite.name("acls"), ResourcePatternType.LITERAL)
    acl = AclBinding(*pattern, "User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW)
    any_of = AclBindingFilter(*pattern, None, None, AclOperation.ANY, AclPermissionType.ANY)
    found = lambda: len(admin.describe_acls(any_of).result(30))
    made(admin.create_acls([acl]))
    facts["created"] = seen("the ACL", found, 1)
    facts["deleted"] = len(made(admin.delete_acls([any_of]))[0])
    facts["left"] = seen("no ACL", found, 0)


@suite.case
def broker_config_set(facts):
    """A setting of the last broker alone."""
    last = str(max(admin.list_topics(timeout=30).brokers))
    key = "log.cleaner.backoff.ms"
    for fact, operation, expected in [
        ("set", AlterConfigOpType.SET, "15001"),
        ("deleted", AlterConfigOpType.DELETE, "15000"),
    ]:
        entry = ConfigEntry(key, expected, incremental_operation=operation)
        made(admin.incremental_alter_configs([ConfigResource(ResourceType.BROKER, last, incremental_configs=[entry])]))
        look = lambda: made(admin.describe_configs([ConfigResource(ResourceType.BROKER, last)]))[0][key].value
        facts[fact] = seen(fact, look, expected)


suite.run()

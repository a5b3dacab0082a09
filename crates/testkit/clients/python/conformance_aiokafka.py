"""The cases of aiokafka: what its users do, without an administrator's work."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, ProducerFenced

from conformance import BASE, SHAPES, Suite, expect_shape

suite = Suite()
# A rebalance lasts as long as the slowest member takes to notice.
LIMIT = 30


def case(function):
    """An asynchronous case runs in a loop of its own."""
    suite.cases[function.__name__] = lambda facts: asyncio.run(asyncio.wait_for(function(facts), LIMIT * 2))
    return function


async def eventually(what, check):
    for _ in range(LIMIT * 20):
        if check():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(what)


async def topic(of, partitions=1, configs=None):
    name = suite.name(of)
    admin = AIOKafkaAdminClient(bootstrap_servers=suite.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 3, topic_configs=configs or {})])
    await admin.close()
    # Until the leaders serve it, records of acks=0 are lost.
    async with consumer() as one:
        at = [TopicPartition(name, p) for p in range(partitions)]
        for _ in range(LIMIT * 20):
            try:
                await one.end_offsets(at)
                return name
            except KafkaError:
                await asyncio.sleep(0.05)
    raise TimeoutError(f"leaders of {name}")


def consumer(*topics, **settings):
    defaults = {"auto_offset_reset": "earliest", "enable_auto_commit": False}
    return AIOKafkaConsumer(*topics, bootstrap_servers=suite.bootstrap, **{**defaults, **settings})


def producer(**settings):
    return AIOKafkaProducer(bootstrap_servers=suite.bootstrap, **settings)


async def fill(name, count, **settings):
    """Writes records v0, v1, … to partition 0, a second after the other. With acks=1, its default, the end may not show them yet."""
    async with producer(**{"acks": "all", **settings}) as one:
        sent = [await one.send(name, f"v{i}".encode(), partition=0, timestamp_ms=BASE + (i + 1) * 1000) for i in range(count)]
        metas = await asyncio.gather(*sent)
        return [meta.offset if meta else -1 for meta in metas]


async def take(one, count):
    return [await one.getone() for _ in range(count)]


async def read(name, count, offset=0, **settings):
    async with consumer(**settings) as one:
        at = TopicPartition(name, 0)
        one.assign([at])
        one.seek(at, offset)
        return await take(one, count)


def produced(of, count, **settings):
    async def run(facts):
        name = await topic(of)
        await fill(name, count, **settings)
        facts["read"] = sum(m.value == f"v{m.offset}".encode() for m in await read(name, count))

    return run


def named(name, run):
    run.__name__ = name
    case(run)


for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
    of = codec or "none"
    named(f"codec_{of}", produced(f"codec-{of}", 20, compression_type=codec))
for acks in [0, 1, "all"]:
    named(f"acks_{acks}", produced(f"acks-{acks}", 10, acks=acks))


@case
async def idempotent(facts):
    name = await topic("idempotent")
    offsets = await fill(name, 100, enable_idempotence=True)
    facts["offsets_in_order"] = offsets == list(range(100))
    facts["read"] = len(await read(name, 100))


@case
async def record_shapes(facts):
    name = await topic("shapes")
    async with producer() as one:
        for key, value, headers in SHAPES:
            await one.send_and_wait(name, value, key=key, partition=0, headers=headers)
    expect_shape(facts, [(m.key, m.value, m.headers) for m in await read(name, len(SHAPES))])


@case
async def large_record(facts):
    name = await topic("large")
    async with producer(max_request_size=2_000_000) as one:
        await one.send_and_wait(name, b"x" * 1_000_000, partition=0)
    facts["size"] = len((await read(name, 1))[0].value)


@case
async def from_timestamp(facts):
    name = await topic("from-timestamp")
    await fill(name, 10)
    async with consumer() as one:
        at = TopicPartition(name, 0)
        facts["first"] = (await one.offsets_for_times({at: BASE + 5500}))[at].offset
        after = (await one.offsets_for_times({at: BASE + 99_000}))[at]
        facts["after_the_last"] = after and after.offset


@case
async def from_offset(facts):
    name = await topic("from-offset")
    await fill(name, 10)
    facts["first"] = (await read(name, 1, 7))[0].offset


@case
async def end_offsets(facts):
    name = await topic("end-offsets", 2)
    await fill(name, 10)
    at = [TopicPartition(name, p) for p in range(2)]
    async with consumer() as one:
        beginning, end = await one.beginning_offsets(at), await one.end_offsets(at)
        facts["beginning"], facts["end"] = [beginning[p] for p in at], [end[p] for p in at]


@case
async def group_resume(facts):
    name, group = await topic("resume"), suite.name("resume")
    await fill(name, 10)
    for when in ["first", "second"]:
        async with consumer(name, group_id=group, max_poll_records=1) as one:
            facts[when] = [m.offset for m in await take(one, 5)]
            await one.commit()
            if when == "first":
                facts["committed"] = await one.committed(TopicPartition(name, 0))


@case
async def group_of_two(facts):
    name, group = await topic("two", 4), suite.name("two")
    members = [consumer(name, group_id=group, heartbeat_interval_ms=300) for _ in range(2)]
    for one in members:
        await one.start()
    await eventually("two share", lambda: [len(one.assignment()) for one in members] == [2, 2])
    facts["both"] = [len(one.assignment()) for one in members]
    await members[0].stop()
    await eventually("one has all", lambda: len(members[1].assignment()) == 4)
    facts["alone"] = len(members[1].assignment())
    await members[1].stop()


async def values(name, count, isolation="read_committed"):
    return [record.value.decode() for record in await read(name, count, isolation_level=isolation)]


async def send(one, name, *texts):
    for text in texts:
        await one.send_and_wait(name, text.encode(), partition=0)


def transactional(of):
    return producer(transactional_id=suite.name(of))


async def stable(name, expected):
    """The last stable offset: markers are written after the commit is answered."""
    at = TopicPartition(name, 0)
    async with consumer(isolation_level="read_committed") as one:
        for _ in range(LIMIT * 20):
            found = (await one.end_offsets([at]))[at]
            if found == expected:
                break
            await asyncio.sleep(0.05)
        return found


@case
async def txn_commit_abort(facts):
    name = await topic("txn-both")
    async with transactional("txn-both") as one:
        await one.begin_transaction()
        await send(one, name, "x0", "x1")
        await one.abort_transaction()
        async with one.transaction():
            await send(one, name, "v0", "v1", "v2")
    facts["committed"] = await values(name, 3)
    facts["all"] = len(await values(name, 5, "read_uncommitted"))


@case
async def txn_open(facts):
    name = await topic("txn-open")
    async with transactional("txn-open") as one:
        async with one.transaction():
            await send(one, name, "v0")
        await one.begin_transaction()
        await send(one, name, "v1")
        facts["stable_end"] = await stable(name, 2)
        async with consumer() as reader:
            at = TopicPartition(name, 0)
            facts["end"] = (await reader.end_offsets([at]))[at]
        await one.commit_transaction()
    facts["stable_after"] = await stable(name, 4)


@case
async def txn_fencing(facts):
    name = await topic("txn-fencing")
    old = transactional("txn-fencing")
    await old.start()
    await old.begin_transaction()
    await send(old, name, "old")
    async with transactional("txn-fencing") as successor:
        async with successor.transaction():
            await send(successor, name, "new")
    try:
        await old.commit_transaction()
        facts["fenced"] = False
    except ProducerFenced:
        facts["fenced"] = True
    try:
        await old.stop()
    except KafkaError:
        # It has said so already.
        pass
    facts["read"] = await values(name, 1)


@case
async def txn_offsets(facts):
    name, group = await topic("txn-offsets"), suite.name("txn-offsets")
    at = TopicPartition(name, 0)
    async with transactional("txn-offsets") as one, consumer(group_id=group) as reader:
        reader.assign([at])
        for fact, finish, expected in [("aborted", one.abort_transaction, -1), ("committed", one.commit_transaction, 5)]:
            await one.begin_transaction()
            await one.send_offsets_to_transaction({at: 5}, group)
            await finish()
            for _ in range(LIMIT * 20):
                found = await reader.committed(at)
                facts[fact] = -1 if found is None else found
                if facts[fact] == expected:
                    break
                await asyncio.sleep(0.05)


suite.run()

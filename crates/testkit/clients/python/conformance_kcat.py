"""The cases of kcat: each is run as people run it in a shell, and what it prints is looked at.

It cannot make topics or look at groups; that is done by kafka-python here. The argument before the last one is the program."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from conformance import Suite, eventually

suite = Suite()
KCAT = sys.argv[-2]
LIMIT = 60
BLOCK = 4096


def command(*args):
    return [KCAT, "-b", suite.bootstrap, *args]


def kcat(*args, stdin=""):
    """What kcat prints; a failing one raises."""
    done = subprocess.run(command(*args), input=stdin, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode != 0:
        raise RuntimeError(f"kcat {' '.join(args)}: exit {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


def start(*args):
    pipe = subprocess.PIPE
    return subprocess.Popen(command(*args), stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)


def with_admin(act):
    one = KafkaAdminClient(bootstrap_servers=suite.bootstrap.split(","))
    try:
        return act(one)
    finally:
        one.close()


def topic(of, partitions=1, configs=None):
    name = suite.name(of)
    spec = {"num_partitions": partitions, "replication_factor": 3, "configs": configs or {}}
    with_admin(lambda one: one.create_topics({name: spec}))

    # Until the leaders serve it, records of acks=0 are lost.
    def served():
        try:
            return [offset(name, -1, p) for p in range(partitions)] == [0] * partitions
        except (RuntimeError, ValueError):
            return False

    eventually(f"leaders of {name}", served)
    return name


def offset(name, at, partition=0, isolation="read_uncommitted"):
    """The offset at a time in milliseconds; -1: the end, -2: the beginning."""
    text = kcat("-Q", "-t", f"{name}:{partition}:{at}", "-X", f"isolation.level={isolation}")
    found = re.search(r"offset (-?\d+)", text)
    if not found:
        raise ValueError(text)
    return int(found.group(1))


def produce(name, values, *more):
    kcat("-P", "-t", name, "-p", "0", *more, stdin="".join(f"{value}\n" for value in values))


def read(name, count, *more, at="beginning"):
    """Records of partition 0, as (offset, value)."""
    text = kcat("-C", "-t", name, "-p", "0", "-o", str(at), "-c", str(count), "-q", "-f", "%o %s\n", *more)
    return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in text.splitlines()]


def shown(name, count):
    text = kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-c", str(count), "-q", "-J")
    return [json.loads(line) for line in text.splitlines()]


def produced(of, count, *more):
    def run(facts):
        name = topic(of)
        produce(name, [f"v{i}" for i in range(count)], *more)
        found = read(name, count)
        facts["offsets_in_order"] = [at for at, _ in found] == list(range(count))
        facts["read"] = sum(value == f"v{at}" for at, value in found)

    return run


for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    suite.cases[f"codec_{codec}"] = produced(f"codec-{codec}", 20, "-z", codec)
for acks in ["0", "1", "all"]:
    suite.cases[f"acks_{acks}"] = produced(f"acks-{acks}", 10, "-X", f"acks={acks}")
suite.cases["idempotent"] = produced("idempotent", 100, "-X", "enable.idempotence=true")


@suite.case
def record_shapes(facts):
    name = topic("shapes")
    headers = [part for header in ["a=1", "b=2", "a=3"] for part in ("-H", header)]
    produce(name, ["k:v"], "-K", ":", *headers)
    produce(name, ["k:"], "-K", ":")
    produce(name, ["k:"], "-K", ":", "-Z")
    produce(name, ["v"])
    first, empty, null, keyless = shown(name, 4)
    facts["plain"] = f"{first['key']}:{first['payload']}"
    parts = first["headers"]
    facts["headers"] = ",".join(f"{parts[i]}={parts[i + 1]}" for i in range(0, len(parts), 2))
    facts["empty_value"], facts["null_value"], facts["null_key"] = empty["payload"], null["payload"], keyless["key"]


@suite.case
def log_append_time(facts):
    name = topic("append-time", configs={"message.timestamp.type": "LogAppendTime"})
    produce(name, ["v"])
    (found,) = shown(name, 1)
    facts["broker_time"] = abs(found["ts"] / 1000 - time.time()) < 60
    facts["type"] = {"create": 0, "logappend": 1}.get(found["tstype"], found["tstype"])


def produce_file(name, size, *more):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("x" * size)
        file.flush()
        kcat("-P", "-t", name, "-p", "0", *more, file.name)


@suite.case
def large_record(facts):
    name = topic("large")
    produce_file(name, 1_000_000, "-X", "message.max.bytes=2000000")
    facts["size"] = len(read(name, 1)[0][1])


@suite.case
def record_too_large(facts):
    name = topic("too-large", configs={"max.message.bytes": "1000"})
    try:
        produce_file(name, 5000)
    except RuntimeError as e:
        facts["error"] = 10 if "Message size too large" in str(e) else str(e)


@suite.case
def from_earliest(facts):
    name = topic("from-earliest")
    produce(name, [f"v{i}" for i in range(10)])
    facts["first"] = read(name, 1)[0][0]


@suite.case
def from_timestamp(facts):
    """It stamps records with the time of now, so the time between is the time asked for."""
    name = topic("from-timestamp")
    produce(name, [f"v{i}" for i in range(5)])
    last = shown(name, 5)[-1]["ts"]
    eventually("a later millisecond", lambda: time.time() * 1000 > last + 2)
    produce(name, [f"v{i}" for i in range(5, 10)])
    facts["first"] = read(name, 1, at=f"s@{last + 1}")[0][0]
    after = offset(name, int(time.time() * 1000) + 600_000)
    # Where nothing is found, it prints the end, -1.
    facts["after_the_last"] = None if after == -1 else after


@suite.case
def from_offset(facts):
    name = topic("from-offset")
    produce(name, [f"v{i}" for i in range(10)])
    facts["first"] = read(name, 1, at=7)[0][0]


@suite.case
def end_offsets(facts):
    name = topic("end-offsets", 2)
    produce(name, [f"v{i}" for i in range(10)])
    facts["beginning"] = [offset(name, -2, p) for p in range(2)]
    facts["end"] = [offset(name, -1, p) for p in range(2)]


@suite.case
def out_of_range(facts):
    name = topic("out-of-range")
    produce(name, ["v0", "v1"])
    try:
        found = read(name, 1, "-X", "topic.auto.offset.reset=error", at=50)
        facts["error"] = f"read {found}"
    except RuntimeError as e:
        facts["error"] = 1 if "out of range" in str(e).lower() else str(e)


def committed(group, name):
    at = with_admin(lambda one: one.list_group_offsets({group: None}))[group].get(TopicPartition(name, 0))
    return at.offset if at else -1


@suite.case
def group_resume(facts):
    name, group = topic("resume"), suite.name("resume")
    produce(name, [f"v{i}" for i in range(10)])
    for when in ["first", "second"]:
        more = ["-X", "auto.offset.reset=earliest", "-c", "5", "-q", "-f", "%o\n"]
        facts[when] = [int(line) for line in kcat("-G", group, *more, name).splitlines()]
        if when == "first":
            facts["committed"] = committed(group, name)


class Member:
    """A member that runs until it is closed; what it says of rebalances tells what it has."""

    def __init__(self, name, group):
        self.name, self.partitions = name, []
        self.process = start("-G", group, "-X", "heartbeat.interval.ms=300", name)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stderr:
            if "assigned:" in line:
                self.partitions = re.findall(rf"{re.escape(self.name)} \[(\d+)\]", line.split("assigned:")[1])
            elif "revoked:" in line:
                self.partitions = []

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT)


@suite.case
def group_of_two(facts):
    name, group = topic("two", 4), suite.name("two")
    one, two = Member(name, group), Member(name, group)
    try:
        eventually("two share", lambda: [len(one.partitions), len(two.partitions)] == [2, 2])
        facts["both"] = [len(one.partitions), len(two.partitions)]
        one.close()
        eventually("one has all", lambda: len(two.partitions) == 4)
        facts["alone"] = len(two.partitions)
    finally:
        one.process.kill()
        two.close()


def transaction(name, of):
    return start("-P", "-t", name, "-p", "0", "-m", "30", "-X", f"transactional.id={suite.name(of)}", "-X", "linger.ms=0")


def write(process, *values, at_once=False):
    """It reads its input in blocks, so what is to be sent before the end of it must fill them."""
    texts = [f"{value.ljust(BLOCK - 1) if at_once else value}\n" for value in values]
    process.stdin.write("".join(texts))
    process.stdin.flush()


def finish(process):
    """The end of the input commits. What it said, if that failed."""
    _, said = process.communicate(timeout=LIMIT)
    return said if process.returncode != 0 else None


@suite.case
def txn_commit_abort(facts):
    name = topic("txn-both")
    lost = transaction(name, "txn-both")
    write(lost, "x0", "x1", at_once=True)
    eventually("two records", lambda: offset(name, -1) >= 2)
    lost.send_signal(signal.SIGINT)
    # It looks at the signal when its read of the input ends.
    lost.communicate(timeout=LIMIT)
    kept = transaction(name, "txn-both")
    write(kept, "v0", "v1", "v2")
    said = finish(kept)
    if said is not None:
        raise RuntimeError(said[-300:])
    committed = read(name, 3, "-X", "isolation.level=read_committed")
    facts["committed"] = [value for _, value in committed]
    facts["all"] = len(read(name, 5, "-X", "isolation.level=read_uncommitted"))


@suite.case
def txn_open(facts):
    name = topic("txn-open")
    first = transaction(name, "txn-open")
    write(first, "v0")
    said = finish(first)
    if said is not None:
        raise RuntimeError(said[-300:])
    second = transaction(name, "txn-open")
    write(second, "v1", at_once=True)

    # Markers are written after the commit is answered.
    def stable(expected):
        eventually("the last stable offset", lambda: offset(name, -1, isolation="read_committed") == expected)
        return expected

    eventually("three records", lambda: offset(name, -1) == 3)
    facts["stable_end"], facts["end"] = stable(2), offset(name, -1)
    said = finish(second)
    if said is not None:
        raise RuntimeError(said[-300:])
    facts["stable_after"] = stable(4)


@suite.case
def txn_fencing(facts):
    name = topic("txn-fencing")
    old = transaction(name, "txn-fencing")
    write(old, "old", at_once=True)
    eventually("a record", lambda: offset(name, -1) >= 1)
    successor = transaction(name, "txn-fencing")
    write(successor, "new")
    said = finish(successor)
    if said is not None:
        raise RuntimeError(said[-300:])
    said = finish(old)
    facts["said"] = said
    facts["fenced"] = said is not None and "fenced" in said.lower()
    facts["read"] = [value for _, value in read(name, 1, "-X", "isolation.level=read_committed")]


@suite.case
def topic_lifecycle(facts):
    """It sees what others made and deleted."""
    name = topic("lifecycle", 3)
    look = lambda: json.loads(kcat("-L", "-J", "-t", name))["topics"][0]
    eventually("three partitions", lambda: len(look()["partitions"]) == 3)
    made = look()["partitions"]
    facts["partitions"], facts["replicas"] = len(made), len(made[0]["replicas"])
    try:
        topic("lifecycle")
        facts["again"] = 0
    except Exception as e:
        facts["again"] = getattr(e, "errno", str(e))
    with_admin(lambda one: one.delete_topics([name]))
    eventually("deleted", lambda: "Unknown topic" in look().get("error", ""))
    facts["deleted"] = 3


@suite.case
def describe_cluster(facts):
    seen = json.loads(kcat("-L", "-J"))
    ids = [broker["id"] for broker in seen["brokers"]]
    facts["brokers"] = len(ids)
    facts["controller_is_a_broker"] = seen["controllerid"] in ids


suite.run()

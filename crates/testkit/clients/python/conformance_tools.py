"""The cases of Kafka's own command-line tools: each is run as administrators run it, and what it prints is looked at.

The arguments before the last one are the java command; a tool is one of its classes."""

import re
import subprocess
import sys
import tempfile

from conformance import Suite, eventually

suite = Suite()
JAVA = sys.argv[1:-1]
TOOLS = "org.apache.kafka.tools."
# A JVM on a busy machine.
LIMIT = 60


def tool(name, *args, stdin=""):
    """What a tool prints; a failing one raises."""
    command = [*JAVA, name if name.startswith("kafka.") else TOOLS + name, "--bootstrap-server", suite.bootstrap, *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: exit {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}")
    return done.stdout


def until(what, run, holds):
    """Any broker may answer, and each hears of a change in its own time."""
    found = [""]

    def check():
        try:
            found[0] = run()
        except RuntimeError as e:
            found[0] = str(e)
        return holds(found[0])

    eventually(f"{what}: {found[0]}", check, LIMIT)
    return found[0]


def topic(of, partitions=1):
    name = suite.name(of)
    tool("TopicCommand", "--create", "--topic", name, "--partitions", str(partitions), "--replication-factor", "3")
    until("leaders", lambda: tool("TopicCommand", "--describe", "--topic", name), lambda text: "Leader: none" not in text)
    return name


def produce(name, values, *more):
    tool("ConsoleProducer", "--topic", name, *more, stdin="".join(f"{value}\n" for value in values))


def consume(name, count, *more):
    args = ["--topic", name, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "30000", *more]
    return tool("consumer.ConsoleConsumer", *args).split()


def rows(text, word):
    return sum(word in line for line in text.splitlines())


@suite.case
def tool_topics(facts):
    name = topic("topics", 2)
    tool("TopicCommand", "--alter", "--topic", name, "--partitions", "3")
    described = until(
        "three partitions",
        lambda: tool("TopicCommand", "--describe", "--topic", name),
        lambda text: "PartitionCount: 3" in text,
    )
    facts["partitions"] = rows(described, "Leader: ")
    facts["listed"] = name in tool("TopicCommand", "--list").split()
    tool("TopicCommand", "--delete", "--topic", name)
    until("deleted", lambda: tool("TopicCommand", "--list"), lambda text: name not in text.split())
    facts["deleted"] = True


@suite.case
def tool_configs(facts):
    name = topic("configs")
    of = ["--entity-type", "topics", "--entity-name", name]
    config = lambda *args: tool("kafka.admin.ConfigCommand", *args)
    config("--alter", *of, "--add-config", "retention.ms=1234567")
    found = until("set", lambda: config("--describe", *of), lambda text: "retention.ms=1234567" in text)
    facts["set"] = "retention.ms=1234567" in found


@suite.case
def tool_console(facts):
    name = topic("console", 2)
    values = [f"v{i}" for i in range(10)]
    produce(name, values, "--compression-codec", "zstd")
    facts["read"] = sorted(consume(name, 10)) == sorted(values)


@suite.case
def tool_groups(facts):
    name, group = topic("groups"), suite.name("groups")
    produce(name, ["a", "b", "c"])
    consume(name, 3, "--group", group)
    groups = lambda *args: tool("consumer.group.ConsumerGroupCommand", *args)
    described = groups("--describe", "--group", group)
    line = next(line for line in described.splitlines() if name in line).split()
    facts["committed"], facts["lag"] = line[3], line[5]
    facts["state"] = "Empty" in groups("--describe", "--group", group, "--state")
    groups("--reset-offsets", "--group", group, "--topic", name, "--to-earliest", "--execute")
    described = groups("--describe", "--group", group)
    facts["reset"] = next(line for line in described.splitlines() if name in line).split()[3]
    groups("--delete", "--group", group)
    facts["gone"] = group not in groups("--list").split()


@suite.case
def tool_acls(facts):
    of = ["--topic", suite.name("acls")]
    acls = lambda *args: tool("AclCommand", *args)
    acls("--add", "--allow-principal", "User:alice", "--operation", "Read", *of)
    facts["listed"] = "User:alice" in until("added", lambda: acls("--list", *of), lambda text: "User:alice" in text)
    acls("--remove", "--force", *of)
    until("removed", lambda: acls("--list", *of), lambda text: "User:alice" not in text)
    facts["left"] = False


@suite.case
def tool_offsets(facts):
    name = topic("offsets")
    produce(name, ["a", "b", "c"])
    facts["latest"] = tool("GetOffsetShell", "--topic", name).strip().split(":")[-1]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write('{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 2}]}' % name)
        file.flush()
        tool("DeleteRecordsCommand", "--offset-json-file", file.name)
    facts["earliest"] = tool("GetOffsetShell", "--topic", name, "--time", "-2").strip().split(":")[-1]


@suite.case
def tool_log_dirs(facts):
    name = topic("dirs", 2)
    look = lambda: tool("LogDirsCommand", "--describe", "--topic-list", name)
    # A broker may not have made its replica yet.
    described = until("every replica", look, lambda text: text.count('"partition":') == 6)
    facts["brokers"] = len(re.findall(r'"broker":', described))
    facts["replicas"] = len(re.findall(r'"partition":', described))


@suite.case
def tool_quorum(facts):
    described = tool("MetadataQuorumCommand", "describe", "--status")
    facts["voters"] = described.split("CurrentVoters")[1].split("\n")[0].count('"id"')


@suite.case
def tool_features(facts):
    described = tool("FeatureCommand", "describe")
    line = next(line for line in described.splitlines() if "transaction.version" in line)
    facts["transactions"] = re.search(r"FinalizedVersionLevel: (\d+)", line).group(1)


@suite.case
def tool_reassign(facts):
    name = topic("reassign")
    described = tool("TopicCommand", "--describe", "--topic", name)
    replicas = re.search(r"Replicas: (\d+),(\d+),(\d+)", described).groups()
    wanted = [replicas[2], replicas[0], replicas[1]]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(
            '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "replicas": [%s]}]}' % (name, ",".join(wanted))
        )
        file.flush()
        reassign = "reassign.ReassignPartitionsCommand"
        tool(reassign, "--reassignment-json-file", file.name, "--execute")
        done = until(
            "moved", lambda: tool(reassign, "--reassignment-json-file", file.name, "--verify"), lambda text: "is completed" in text
        )
        facts["completed"] = "is completed" in done
    described = tool("TopicCommand", "--describe", "--topic", name)
    facts["moved"] = f"Replicas: {','.join(wanted)}" in described


@suite.case
def tool_transactions(facts):
    facts["lists"] = "TransactionalId" in tool("TransactionsCommand", "list")


@suite.case
def tool_api_versions(facts):
    described = tool("BrokerApiVersionsCommand")
    facts["brokers"] = rows(described, " -> (")


suite.run()

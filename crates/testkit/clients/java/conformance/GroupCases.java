import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups: members that share, come, go and come back. */
final class GroupCases {
    /** Members of the classic protocol choose their heartbeats themselves. */
    private static final Map<String, String> CLASSIC = Map.of("heartbeat.interval.ms", "300");
    private static final Map<String, String> CONSUMER = Map.of("group.protocol", "consumer");

    private final Conformance c;

    GroupCases(Conformance c) {
        this.c = c;
    }

    void add() {
        c.cases.put("group_resume", facts -> resume(facts, "resume", CLASSIC));
        c.cases.put("group_of_two", facts -> ofTwo(facts, "two", CLASSIC));
        c.cases.put("static_membership", facts -> staticMembership(facts, "static", CLASSIC));
        c.cases.put("consumer_group_resume", facts -> resume(facts, "consumer-resume", CONSUMER));
        c.cases.put("consumer_group_of_two", facts -> ofTwo(facts, "consumer-two", CONSUMER));
        c.cases.put("consumer_group_static", facts -> staticMembership(facts, "consumer-static", CONSUMER));
        c.cases.put("cooperative", this::cooperative);
        c.cases.put("groups", this::groups);
        c.cases.put("group_offsets", this::offsets);
    }

    private Map<String, String> settings(String group, Map<String, String> more) {
        Map<String, String> settings = new HashMap<>(
                Map.of("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        settings.putAll(more);
        return settings;
    }

    /** A member that polls on a thread of its own. */
    private final class Member implements AutoCloseable, ConsumerRebalanceListener {
        final AtomicInteger revoked = new AtomicInteger();
        private final KafkaConsumer<String, String> consumer;
        private final Thread thread = new Thread(this::poll);
        private volatile Set<TopicPartition> assigned = Set.of();
        private volatile boolean stop;

        Member(String topic, String group, Map<String, String> more) {
            consumer = c.consumer(settings(group, more));
            consumer.subscribe(List.of(topic), this);
            thread.start();
        }

        private void poll() {
            while (!stop) {
                consumer.poll(Duration.ofMillis(50));
                assigned = Set.copyOf(consumer.assignment());
            }
            consumer.close();
        }

        int partitions() {
            return assigned.size();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            revoked.addAndGet(partitions.size());
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

        @Override
        public void close() throws InterruptedException {
            stop = true;
            thread.join();
        }
    }

    private static void await(String what, BooleanSupplier done) throws InterruptedException {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(what);
            }
            Thread.sleep(20);
        }
    }

    private static Map<String, String> with(Map<String, String> some, String key, String value) {
        Map<String, String> all = new HashMap<>(some);
        all.put(key, value);
        return all;
    }

    private void resume(ObjectNode facts, String name, Map<String, String> protocol) throws Exception {
        String topic = c.topic(name, 1, Map.of());
        LogCases.fill(c, topic, 10);
        Map<String, String> settings = settings(c.name(name), with(protocol, "max.poll.records", "5"));
        for (String when : List.of("first", "second")) {
            try (KafkaConsumer<String, String> consumer = c.consumer(settings)) {
                consumer.subscribe(List.of(topic));
                ArrayNode offsets = facts.putArray(when);
                for (ConsumerRecord<String, String> r : LogCases.read(consumer, 5)) {
                    offsets.add(r.offset());
                }
                consumer.commitSync();
                TopicPartition at = Conformance.at(topic, 0);
                if (when.equals("first")) {
                    facts.put("committed", consumer.committed(Set.of(at)).get(at).offset());
                }
            }
        }
    }

    private void ofTwo(ObjectNode facts, String name, Map<String, String> protocol) throws Exception {
        String topic = c.topic(name, 4, Map.of());
        Member one = new Member(topic, c.name(name), protocol);
        try (Member two = new Member(topic, c.name(name), protocol)) {
            await("two members share", () -> one.partitions() == 2 && two.partitions() == 2);
            facts.putArray("both").add(one.partitions()).add(two.partitions());
            one.close();
            await("the other takes all", () -> two.partitions() == 4);
            facts.put("alone", two.partitions());
        }
    }

    private void staticMembership(ObjectNode facts, String name, Map<String, String> protocol) throws Exception {
        String topic = c.topic(name, 4, Map.of());
        String group = c.name(name);
        try (Member other = new Member(topic, group, with(protocol, "group.instance.id", "other"))) {
            Member one = new Member(topic, group, with(protocol, "group.instance.id", "one"));
            await("two members share", () -> one.partitions() == 2 && other.partitions() == 2);
            Set<TopicPartition> before = new HashSet<>(one.assigned);
            one.close();
            int revoked = other.revoked.get();
            try (Member again = new Member(topic, group, with(protocol, "group.instance.id", "one"))) {
                await("it is back", () -> again.partitions() == 2);
                facts.put("same_partitions", again.assigned.equals(before));
                facts.put("revocations_of_the_other", other.revoked.get() - revoked);
            }
        }
    }

    private void cooperative(ObjectNode facts) throws Exception {
        String topic = c.topic("cooperative", 4, Map.of());
        Map<String, String> settings = with(CLASSIC,
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        try (Member one = new Member(topic, c.name("cooperative"), settings)) {
            await("one has all", () -> one.partitions() == 4);
            try (Member two = new Member(topic, c.name("cooperative"), settings)) {
                await("two members share", () -> one.partitions() == 2 && two.partitions() == 2);
                facts.put("kept", one.partitions()).put("given_up", one.revoked.get());
                facts.put("newcomer", two.partitions());
            }
        }
    }

    private void groups(ObjectNode facts) throws Exception {
        String topic = c.topic("groups", 2, Map.of());
        String group = c.name("groups");
        try (Member one = new Member(topic, group, CLASSIC)) {
            await("one has all", () -> one.partitions() == 2);
            facts.put("listed", Conformance.get(c.admin.listConsumerGroups().all()).stream()
                    .map(ConsumerGroupListing::groupId).anyMatch(group::equals));
            var described = describe(group);
            facts.put("state", state(described));
            facts.put("members", described.members().size());
            facts.put("not_empty", Conformance.error(() -> Conformance.get(c.admin.deleteConsumerGroups(List.of(group)).all())));
        }
        facts.put("after", state(describe(group)));
        Conformance.get(c.admin.deleteConsumerGroups(List.of(group)).all());
        facts.put("gone", Conformance.get(c.admin.listConsumerGroups().all()).stream()
                .map(ConsumerGroupListing::groupId).noneMatch(group::equals));
    }

    private org.apache.kafka.clients.admin.ConsumerGroupDescription describe(String group) throws Exception {
        return Conformance.get(c.admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static String state(Object described) throws ReflectiveOperationException {
        return Conformance.either(described, "groupState", "state").toString().toLowerCase(Locale.ROOT);
    }

    private void offsets(ObjectNode facts) throws Exception {
        String topic = c.topic("group-offsets", 1, Map.of());
        LogCases.fill(c, topic, 10);
        String group = c.name("group-offsets");
        TopicPartition at = Conformance.at(topic, 0);
        Conformance.get(c.admin.alterConsumerGroupOffsets(group, Map.of(at, new OffsetAndMetadata(7))).all());
        facts.put("altered", Conformance.get(c.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata())
                .get(at).offset());
        try (KafkaConsumer<String, String> consumer = c.consumer(settings(group, Map.of()))) {
            consumer.subscribe(List.of(topic));
            facts.put("resumed_at", LogCases.read(consumer, 1).get(0).offset());
        }
    }
}

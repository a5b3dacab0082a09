import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

/** What came with 4.0 and later: groups of KIP-848, share groups, and what only its admin client asks for. */
final class NewCases implements Runnable {
    private final Conformance c;

    NewCases(Conformance c) {
        this.c = c;
    }

    @Override
    public void run() {
        c.cases.put("kip848_resume", this::resume);
        c.cases.put("kip848_of_two", this::ofTwo);
        c.cases.put("kip848_describe", this::describe);
        c.cases.put("share_group", this::share);
        c.cases.put("share_release", this::release);
        c.cases.put("quorum", this::quorum);
        c.cases.put("features", this::features);
        c.cases.put("txn_admin", this::transactions);
    }

    private KafkaConsumer<String, String> consumer(String group, String topic) {
        Map<String, String> settings = new HashMap<>(Map.of(
                "group.id", group, "group.protocol", "consumer", "auto.offset.reset", "earliest",
                "enable.auto.commit", "false", "max.poll.records", "5"));
        KafkaConsumer<String, String> consumer = c.consumer(settings);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private void resume(ObjectNode facts) throws Exception {
        String topic = c.topic("kip848-resume", 1, Map.of());
        LogCases.fill(c, topic, 10);
        for (String when : List.of("first", "second")) {
            try (KafkaConsumer<String, String> consumer = consumer(c.name("kip848-resume"), topic)) {
                var offsets = facts.putArray(when);
                LogCases.read(consumer, 5).forEach(r -> offsets.add(r.offset()));
                consumer.commitSync();
                if (when.equals("first")) {
                    TopicPartition at = Conformance.at(topic, 0);
                    facts.put("committed", consumer.committed(Set.of(at)).get(at).offset());
                }
            }
        }
    }

    private void ofTwo(ObjectNode facts) throws Exception {
        String topic = c.topic("kip848-two", 4, Map.of());
        try (KafkaConsumer<String, String> two = consumer(c.name("kip848-two"), topic)) {
            try (KafkaConsumer<String, String> one = consumer(c.name("kip848-two"), topic)) {
                long deadline = System.nanoTime() + 60_000_000_000L;
                while ((one.assignment().size() != 2 || two.assignment().size() != 2) && System.nanoTime() < deadline) {
                    one.poll(Duration.ofMillis(50));
                    two.poll(Duration.ofMillis(50));
                }
                facts.putArray("both").add(one.assignment().size()).add(two.assignment().size());
            }
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (two.assignment().size() != 4 && System.nanoTime() < deadline) {
                two.poll(Duration.ofMillis(50));
            }
            facts.put("alone", two.assignment().size());
        }
    }

    private void describe(ObjectNode facts) throws Exception {
        String topic = c.topic("kip848-describe", 1, Map.of());
        String group = c.name("kip848-describe");
        LogCases.fill(c, topic, 1);
        try (KafkaConsumer<String, String> consumer = consumer(group, topic)) {
            LogCases.read(consumer, 1);
            var described = Conformance.get(c.admin.describeConsumerGroups(List.of(group)).all()).get(group);
            facts.put("type", described.type().toString()).put("members", described.members().size());
            facts.put("assigned", described.members().iterator().next().assignment().topicPartitions().size());
        }
    }

    private KafkaShareConsumer<String, String> share(String group, String topic, String mode) throws Exception {
        ConfigResource of = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
        Conformance.get(c.admin.incrementalAlterConfigs(Map.of(of, List.of(op))).all());
        KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(
                c.settings(Map.of("group.id", group, "share.acknowledgement.mode", mode)), new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    /** Two partitions, and so as a rule two brokers; two members that share them. */
    private void share(ObjectNode facts) throws Exception {
        String topic = c.topic("share", 2, Map.of());
        LogCases.fill(c, topic, 10);
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, 1, null, "other")).get();
        }
        Set<String> values = new HashSet<>();
        try (var one = share(c.name("share"), topic, "implicit"); var two = share(c.name("share"), topic, "implicit")) {
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (values.size() < 11 && System.nanoTime() < deadline) {
                for (var consumer : List.of(one, two)) {
                    consumer.poll(Duration.ofMillis(100)).forEach(r -> values.add(r.value()));
                }
            }
        }
        facts.put("read", values.size());
        facts.put("state", Conformance.get(c.admin.describeShareGroups(List.of(c.name("share"))).all())
                .get(c.name("share")).groupState().toString());
    }

    /** What is given back comes again, with a higher count. */
    private void release(ObjectNode facts) throws Exception {
        String topic = c.topic("share-release", 1, Map.of());
        LogCases.fill(c, topic, 1);
        List<Short> counts = new ArrayList<>();
        try (var consumer = share(c.name("share-release"), topic, "explicit")) {
            long deadline = System.nanoTime() + 60_000_000_000L;
            while (counts.size() < 2 && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100))) {
                    counts.add(r.deliveryCount().get());
                    consumer.acknowledge(r, counts.size() < 2 ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT);
                }
                consumer.commitSync();
            }
        }
        var out = facts.putArray("counts");
        counts.forEach(out::add);
    }

    private void quorum(ObjectNode facts) throws Exception {
        var quorum = Conformance.get(c.admin.describeMetadataQuorum().quorumInfo());
        facts.put("voters", quorum.voters().size());
        facts.put("leader_is_a_voter", quorum.voters().stream().anyMatch(v -> v.replicaId() == quorum.leaderId()));
    }

    private void features(ObjectNode facts) throws Exception {
        var features = Conformance.get(c.admin.describeFeatures().featureMetadata()).finalizedFeatures();
        for (String name : List.of("transaction.version", "group.version", "share.version")) {
            facts.put(name, features.containsKey(name) ? features.get(name).maxVersionLevel() : -1);
        }
    }

    /** What administrators see of a transaction, and how they end it. */
    private void transactions(ObjectNode facts) throws Exception {
        TransactionCases t = new TransactionCases(c);
        String topic = c.topic("txn-admin", 1, Map.of());
        String id = c.name("txn-admin");
        try (KafkaProducer<String, String> producer = t.producer("txn-admin")) {
            producer.beginTransaction();
            TransactionCases.send(producer, topic, "a");
            facts.put("listed", Conformance.get(c.admin.listTransactions().all()).stream()
                    .anyMatch(listing -> listing.transactionalId().equals(id)));
            TransactionDescription described =
                    Conformance.get(c.admin.describeTransactions(List.of(id)).all()).get(id);
            facts.put("state", described.state().toString().toLowerCase(Locale.ROOT));
            facts.put("partitions", described.topicPartitions().size());
            TopicPartition at = Conformance.at(topic, 0);
            ProducerState state =
                    Conformance.get(c.admin.describeProducers(List.of(at)).all()).get(at).activeProducers().get(0);
            facts.put("begun_at", state.currentTransactionStartOffset().getAsLong());
            AbortTransactionSpec abort = new AbortTransactionSpec(
                    at, state.producerId(), (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0));
            Conformance.get(c.admin.abortTransaction(abort).all());
            facts.put("stable_after", t.stable(topic, 2));
        }
    }
}

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;

/** Topics, their settings, and the cluster, through the admin client. */
final class AdminCases {
    private final Conformance c;

    AdminCases(Conformance c) {
        this.c = c;
    }

    void add() {
        c.cases.put("topic_lifecycle", this::topicLifecycle);
        c.cases.put("create_partitions", this::createPartitions);
        c.cases.put("topic_configs", this::topicConfigs);
        c.cases.put("broker_config", this::brokerConfig);
        c.cases.put("describe_cluster", this::describeCluster);
        c.cases.put("delete_records", this::deleteRecords);
        c.cases.put("unknown_topic", this::unknownTopic);
    }

    private void topicLifecycle(ObjectNode facts) throws Exception {
        String topic = c.topic("lifecycle", 3, Map.of());
        TopicDescription made = Conformance.settled(found -> true, () -> c.describe(topic));
        facts.put("partitions", made.partitions().size());
        facts.put("replicas", made.partitions().get(0).replicas().size());
        facts.put("again", Conformance.error(() -> Conformance.get(
                c.admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all())));
        Conformance.get(c.admin.deleteTopics(List.of(topic)).all());
        facts.put("deleted", Conformance.settled(found -> found == 3, () -> Conformance.error(() -> c.describe(topic))));
    }

    private void createPartitions(ObjectNode facts) throws Exception {
        String topic = c.topic("partitions", 1, Map.of());
        Conformance.get(c.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all());
        int partitions = Conformance.settled(found -> found == 3, () -> c.describe(topic).partitions().size());
        facts.put("partitions", partitions);
        facts.put("fewer", Conformance.error(() -> Conformance.get(
                c.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all())));
    }

    private String config(ConfigResource of, String name) throws Exception {
        return Conformance.get(c.admin.describeConfigs(List.of(of)).all()).get(of).get(name).value();
    }

    private String settled(ConfigResource of, String name, String expected) throws Exception {
        return Conformance.settled(expected::equals, () -> config(of, name));
    }

    private void topicConfigs(ObjectNode facts) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, c.topic("configs", 1, Map.of()));
        facts.put("retention_before", settled(topic, "retention.ms", "604800000"));
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry("retention.ms", "1234567"), AlterConfigOp.OpType.SET);
        Conformance.get(c.admin.incrementalAlterConfigs(Map.of(topic, List.of(set))).all());
        facts.put("retention_after", settled(topic, "retention.ms", "1234567"));
        AlterConfigOp bad = new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET);
        facts.put("refused", Conformance.error(() -> Conformance.get(
                c.admin.incrementalAlterConfigs(Map.of(topic, List.of(bad))).all())));
    }

    private void brokerConfig(ObjectNode facts) throws Exception {
        int node = Conformance.get(c.admin.describeCluster().nodes()).iterator().next().id();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(node));
        for (String name : List.of("auto.create.topics.enable", "min.insync.replicas")) {
            facts.put(name, config(broker, name));
        }
    }

    private void describeCluster(ObjectNode facts) throws Exception {
        var cluster = c.admin.describeCluster();
        var nodes = Conformance.get(cluster.nodes());
        int controller = Conformance.get(cluster.controller()).id();
        facts.put("brokers", nodes.size());
        facts.put("controller_is_a_broker", nodes.stream().anyMatch(n -> n.id() == controller));
    }

    private void deleteRecords(ObjectNode facts) throws Exception {
        String topic = c.topic("delete-records", 1, Map.of());
        LogCases.fill(c, topic, 5);
        var before = Map.of(Conformance.at(topic, 0), RecordsToDelete.beforeOffset(3));
        facts.put("low", Conformance.get(c.admin.deleteRecords(before).lowWatermarks().get(Conformance.at(topic, 0)))
                .lowWatermark());
        try (KafkaConsumer<String, String> consumer = c.consumer(Map.of("enable.auto.commit", "false"))) {
            var at = List.of(Conformance.at(topic, 0));
            facts.put("beginning", consumer.beginningOffsets(at).get(at.get(0)));
            consumer.assign(at);
            consumer.seekToBeginning(at);
            facts.put("first_read", LogCases.read(consumer, 1).get(0).offset());
        }
    }

    private void unknownTopic(ObjectNode facts) {
        try (KafkaProducer<String, String> producer = c.producer(Map.of("max.block.ms", "1500"))) {
            // The client gives up waiting for metadata, with the error that it saw as the cause.
            facts.put("error", Conformance.error(() -> {
                try {
                    producer.send(new ProducerRecord<>(c.name("none"), "v")).get();
                } catch (java.util.concurrent.ExecutionException e) {
                    if (e.getCause().getCause() instanceof Exception cause) {
                        throw cause;
                    }
                    throw e;
                }
            }));
        }
    }
}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A long-lived helper: one JSON request per line in, for each one the answer with the same id (and, for "read", records before it). */
public final class Admin {
    private final Map<String, AdminClient> clients = new HashMap<>();

    private Admin() {}

    public static void main(String[] args) throws Exception {
        Admin admin = new Admin();
        if (args.length == 2 && args[0].equals("train")) {
            admin.train(args[1]);
            System.exit(0);
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = Lines.JSON.readTree(line);
            ObjectNode answer = Lines.JSON.createObjectNode().put("id", request.get("id").asLong());
            try {
                admin.serve(request, answer);
                answer.put("ok", true);
            } catch (Exception e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                answer.put("ok", false).put("error", cause.getClass().getSimpleName() + ": " + cause.getMessage());
            }
            Lines.print(answer);
        }
        System.exit(0);
    }

    private void serve(JsonNode r, ObjectNode answer) throws Exception {
        switch (r.get("op").asText()) {
            case "create" -> create(r);
            case "delete" -> client(r).deleteTopics(List.of(r.get("topic").asText())).all().get(timeout(r), TimeUnit.MILLISECONDS);
            case "list" -> list(r, answer);
            case "describe" -> describe(r, answer);
            case "nodes" -> nodes(r, answer);
            case "ends" -> ends(r, answer);
            case "read" -> read(r, answer);
            default -> throw new IllegalArgumentException("unknown op " + r.get("op"));
        }
    }

    /** Uses every class that the drivers need, for the class-data archive. */
    private void train(String bootstrap) throws Exception {
        ObjectNode r = Lines.JSON.createObjectNode().put("bootstrap", bootstrap).put("topic", "training");
        r.put("partitions", 1).put("replication", 1).put("group", "training");
        create(r);
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("group.id", "training");
        p.put("auto.offset.reset", "earliest");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
                KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            producer.send(new ProducerRecord<>("training", 0, null, "training-0")).get(20, TimeUnit.SECONDS);
            consumer.subscribe(List.of("training"));
            for (int i = 0; i < 100 && consumer.poll(Duration.ofMillis(200)).isEmpty(); i++) {}
        }
        for (String op : List.of("list", "describe", "nodes", "ends", "read")) {
            serve(r.put("op", op), Lines.JSON.createObjectNode());
        }
    }

    private static long timeout(JsonNode r) {
        return r.path("timeout_ms").asLong(20_000);
    }

    private AdminClient client(JsonNode r) {
        return clients.computeIfAbsent(r.get("bootstrap").asText(), b -> {
            Properties p = new Properties();
            p.put("bootstrap.servers", b);
            p.put("reconnect.backoff.max.ms", "100");
            return AdminClient.create(p);
        });
    }

    private void create(JsonNode r) throws Exception {
        Map<String, String> configs = new HashMap<>();
        r.path("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
        NewTopic topic = new NewTopic(
                r.get("topic").asText(), r.get("partitions").asInt(), (short) r.get("replication").asInt());
        client(r).createTopics(List.of(topic.configs(configs))).all().get(timeout(r), TimeUnit.MILLISECONDS);
    }

    private void list(JsonNode r, ObjectNode answer) throws Exception {
        ArrayNode names = answer.putArray("topics");
        new TreeSet<>(client(r).listTopics().names().get(timeout(r), TimeUnit.MILLISECONDS)).forEach(names::add);
    }

    private TopicDescription topic(JsonNode r) throws Exception {
        String name = r.get("topic").asText();
        return client(r).describeTopics(List.of(name)).allTopicNames().get(timeout(r), TimeUnit.MILLISECONDS).get(name);
    }

    private void describe(JsonNode r, ObjectNode answer) throws Exception {
        TopicDescription t = topic(r);
        answer.put("topic_id", t.topicId().toString());
        ArrayNode partitions = answer.putArray("partitions");
        for (TopicPartitionInfo p : t.partitions()) {
            ObjectNode o = partitions.addObject().put("p", p.partition()).put("leader", p.leader() == null ? -1 : p.leader().id());
            ids(o.putArray("replicas"), p.replicas());
            ids(o.putArray("isr"), p.isr());
        }
    }

    private static void ids(ArrayNode out, List<Node> nodes) {
        nodes.forEach(n -> out.add(n.id()));
    }

    private void nodes(JsonNode r, ObjectNode answer) throws Exception {
        var cluster = client(r).describeCluster();
        answer.put("cluster_id", cluster.clusterId().get(timeout(r), TimeUnit.MILLISECONDS));
        ids(answer.putArray("nodes"), new ArrayList<>(cluster.nodes().get(timeout(r), TimeUnit.MILLISECONDS)));
    }

    private Map<TopicPartition, Long> endOffsets(JsonNode r) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        for (TopicPartitionInfo p : topic(r).partitions()) {
            wanted.put(new TopicPartition(r.get("topic").asText(), p.partition()), OffsetSpec.latest());
        }
        Map<TopicPartition, Long> ends = new HashMap<>();
        for (Map.Entry<TopicPartition, ListOffsetsResultInfo> e :
                client(r).listOffsets(wanted).all().get(timeout(r), TimeUnit.MILLISECONDS).entrySet()) {
            ends.put(e.getKey(), e.getValue().offset());
        }
        return ends;
    }

    private void ends(JsonNode r, ObjectNode answer) throws Exception {
        Map<Integer, Long> sorted = new TreeMap<>();
        endOffsets(r).forEach((p, o) -> sorted.put(p.partition(), o));
        ArrayNode out = answer.putArray("ends");
        sorted.values().forEach(out::add);
    }

    /**
     * Every record of a topic from the beginning to the end offsets of now; uncommitted ones too, unless told otherwise. Past an open
     * transaction committed ones are not reached.
     */
    private void read(JsonNode r, ObjectNode answer) throws Exception {
        Map<TopicPartition, Long> ends = endOffsets(r);
        long deadline = System.nanoTime() + timeout(r) * 1_000_000L;
        Properties p = new Properties();
        p.put("bootstrap.servers", r.get("bootstrap").asText());
        p.put("isolation.level", r.path("isolation").asText("read_uncommitted"));
        p.put("enable.auto.commit", "false");
        long count = 0;
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(ends.keySet());
            consumer.seekToBeginning(ends.keySet());
            while (!ends.entrySet().stream().allMatch(e -> consumer.position(e.getKey()) >= e.getValue())) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("end offsets " + ends + " not reached in time, " + count + " records read");
                }
                for (ConsumerRecord<String, String> rec : consumer.poll(Duration.ofMillis(200))) {
                    Lines.print(Lines.JSON.createObjectNode()
                            .put("p", rec.partition()).put("o", rec.offset()).put("v", rec.value()));
                    count++;
                }
            }
        }
        answer.put("count", count);
    }
}

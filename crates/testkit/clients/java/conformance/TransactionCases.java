import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions: commits, aborts, fencing, offsets. */
final class TransactionCases {
    private final Conformance c;

    TransactionCases(Conformance c) {
        this.c = c;
    }

    void add() {
        c.cases.put("txn_commit_abort", this::commitAndAbort);
        c.cases.put("txn_open", this::open);
        c.cases.put("txn_fencing", this::fencing);
        c.cases.put("txn_offsets", this::offsets);
    }

    KafkaProducer<String, String> producer(String id) {
        KafkaProducer<String, String> producer = c.producer(Map.of("transactional.id", c.name(id)));
        producer.initTransactions();
        return producer;
    }

    private KafkaConsumer<String, String> reader(String topic, String isolation) {
        Map<String, String> settings = Map.of(
                "isolation.level", isolation, "auto.offset.reset", "earliest", "enable.auto.commit", "false");
        KafkaConsumer<String, String> consumer = c.consumer(settings);
        consumer.assign(List.of(Conformance.at(topic, 0)));
        return consumer;
    }

    static void send(KafkaProducer<String, String> producer, String topic, String... values) throws Exception {
        for (String value : values) {
            producer.send(new ProducerRecord<>(topic, 0, null, value)).get(30, TimeUnit.SECONDS);
        }
    }

    private void values(ArrayNode facts, String topic, int count) {
        try (KafkaConsumer<String, String> consumer = reader(topic, "read_committed")) {
            for (ConsumerRecord<String, String> record : LogCases.read(consumer, count)) {
                facts.add(record.value());
            }
        }
    }

    private long end(String topic, String isolation) {
        try (KafkaConsumer<String, String> consumer = reader(topic, isolation)) {
            TopicPartition at = Conformance.at(topic, 0);
            return consumer.endOffsets(Set.of(at)).get(at);
        }
    }

    /** Markers are written after the commit is answered. */
    long stable(String topic, long expected) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (end(topic, "read_committed") != expected && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        return end(topic, "read_committed");
    }

    private void commitAndAbort(ObjectNode facts) throws Exception {
        String topic = c.topic("txn-both", 1, Map.of());
        try (KafkaProducer<String, String> producer = producer("txn-both")) {
            producer.beginTransaction();
            send(producer, topic, "x0", "x1");
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, "v0", "v1", "v2");
            producer.commitTransaction();
        }
        values(facts.putArray("committed"), topic, 3);
        try (KafkaConsumer<String, String> consumer = reader(topic, "read_uncommitted")) {
            facts.put("all", LogCases.read(consumer, 5).size());
        }
    }

    private void open(ObjectNode facts) throws Exception {
        String topic = c.topic("txn-open", 1, Map.of());
        try (KafkaProducer<String, String> producer = producer("txn-open")) {
            producer.beginTransaction();
            send(producer, topic, "v0");
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, topic, "v1");
            facts.put("stable_end", stable(topic, 2)).put("end", end(topic, "read_uncommitted"));
            producer.commitTransaction();
        }
        facts.put("stable_after", stable(topic, 4));
    }

    private static boolean fenced(Conformance.Call call) throws Exception {
        try {
            call.run();
            return false;
        } catch (KafkaException e) {
            return e instanceof ProducerFencedException || e instanceof InvalidProducerEpochException
                    || e.getCause() instanceof ProducerFencedException
                    || e.getCause() instanceof InvalidProducerEpochException;
        }
    }

    private void fencing(ObjectNode facts) throws Exception {
        String topic = c.topic("txn-fencing", 1, Map.of());
        try (KafkaProducer<String, String> old = producer("txn-fencing")) {
            old.beginTransaction();
            send(old, topic, "old");
            try (KafkaProducer<String, String> next = producer("txn-fencing")) {
                next.beginTransaction();
                send(next, topic, "new");
                next.commitTransaction();
            }
            facts.put("fenced", fenced(old::commitTransaction));
        }
        values(facts.putArray("read"), topic, 1);
    }

    private void offsets(ObjectNode facts) throws Exception {
        String topic = c.topic("txn-offsets", 1, Map.of());
        LogCases.fill(c, topic, 10);
        String group = c.name("txn-offsets");
        TopicPartition at = Conformance.at(topic, 0);
        Map<String, String> settings = new HashMap<>(Map.of(
                "group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                "max.poll.records", "5"));
        try (KafkaConsumer<String, String> consumer = c.consumer(settings);
                KafkaProducer<String, String> producer = producer("txn-offsets")) {
            consumer.subscribe(List.of(topic));
            LogCases.read(consumer, 5);
            for (boolean commit : List.of(false, true)) {
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(
                        Map.of(at, new OffsetAndMetadata(5)), consumer.groupMetadata());
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
                facts.put(commit ? "committed" : "aborted", committed(consumer, at, commit ? 5 : -1));
            }
        }
    }

    /** The end of a transaction reaches the group after the commit is answered. */
    private static long committed(KafkaConsumer<String, String> consumer, TopicPartition at, long expected)
            throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (true) {
            OffsetAndMetadata found = consumer.committed(Set.of(at)).get(at);
            long offset = found == null ? -1 : found.offset();
            if (offset == expected || System.nanoTime() > deadline) {
                return offset;
            }
            Thread.sleep(20);
        }
    }
}

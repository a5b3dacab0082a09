import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;

/** What is produced and consumed: codecs, shapes of records, acknowledgements, positions. */
final class LogCases {
    /** Of the records: of now, because retention removes older ones, if late. */
    private static final long BASE = System.currentTimeMillis() - 200_000;

    private final Conformance c;

    LogCases(Conformance c) {
        this.c = c;
    }

    void add() {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            c.cases.put("codec_" + codec, facts -> produced(facts, "codec-" + codec, 20, Map.of("compression.type", codec)));
        }
        for (String acks : List.of("0", "1", "all")) {
            c.cases.put("acks_" + acks, facts ->
                    produced(facts, "acks-" + acks, 10, Map.of("acks", acks, "enable.idempotence", "false")));
        }
        c.cases.put("idempotent", facts -> produced(facts, "idempotent", 100, Map.of("enable.idempotence", "true", "acks", "all")));
        c.cases.put("record_shapes", this::recordShapes);
        c.cases.put("create_time", this::createTime);
        c.cases.put("log_append_time", this::logAppendTime);
        c.cases.put("large_record", this::largeRecord);
        c.cases.put("record_too_large", this::recordTooLarge);
        c.cases.put("from_earliest", facts -> fromReset(facts, "earliest"));
        c.cases.put("from_latest", facts -> fromReset(facts, "latest"));
        c.cases.put("from_timestamp", this::fromTimestamp);
        c.cases.put("from_offset", this::fromOffset);
        c.cases.put("end_offsets", this::endOffsets);
        c.cases.put("out_of_range", this::outOfRange);
        c.cases.put("long_poll", this::longPoll);
    }

    /** Writes records v0, v1, … to partition 0, a second after the other. */
    static void fill(Conformance c, String topic, int count) throws Exception {
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            fill(producer, topic, count);
        }
    }

    private static List<Long> fill(KafkaProducer<String, String> producer, String topic, int count) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            sent.add(producer.send(new ProducerRecord<>(topic, 0, BASE + (i + 1) * 1000L, null, "v" + i)));
        }
        List<Long> offsets = new ArrayList<>();
        for (Future<RecordMetadata> one : sent) {
            RecordMetadata meta = one.get(30, TimeUnit.SECONDS);
            offsets.add(meta.hasOffset() ? meta.offset() : -1);
        }
        return offsets;
    }

    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (read.size() < count && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(100)).forEach(read::add);
        }
        if (read.size() < count) {
            throw new IllegalStateException("read " + read.size() + " of " + count);
        }
        return read;
    }

    private KafkaConsumer<String, String> assigned(String topic, Map<String, String> more) {
        Map<String, String> settings = new HashMap<>(Map.of("auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        settings.putAll(more);
        KafkaConsumer<String, String> consumer = c.consumer(settings);
        consumer.assign(List.of(Conformance.at(topic, 0)));
        return consumer;
    }

    private List<ConsumerRecord<String, String>> readAll(String topic, int count) {
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of())) {
            return read(consumer, count);
        }
    }

    private void produced(ObjectNode facts, String name, int count, Map<String, String> settings) throws Exception {
        String topic = c.topic(name, 1, Map.of());
        try (KafkaProducer<String, String> producer = c.producer(settings)) {
            List<Long> offsets = fill(producer, topic, count);
            boolean inOrder = true;
            for (int i = 0; i < count; i++) {
                inOrder &= offsets.get(i) == i;
            }
            facts.put("offsets_in_order", inOrder);
        }
        int right = 0;
        for (ConsumerRecord<String, String> r : readAll(topic, count)) {
            right += r.value().equals("v" + r.offset()) ? 1 : 0;
        }
        facts.put("read", right);
    }

    private void recordShapes(ObjectNode facts) throws Exception {
        String topic = c.topic("shapes", 1, Map.of());
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            ProducerRecord<String, String> first = new ProducerRecord<>(topic, 0, "k", "v");
            for (String[] header : new String[][] {{"a", "1"}, {"b", "2"}, {"a", "3"}}) {
                first.headers().add(new RecordHeader(header[0], header[1].getBytes(StandardCharsets.UTF_8)));
            }
            producer.send(first).get();
            producer.send(new ProducerRecord<>(topic, 0, "k", "")).get();
            producer.send(new ProducerRecord<>(topic, 0, "k", null)).get();
            producer.send(new ProducerRecord<>(topic, 0, null, "v")).get();
        }
        var read = readAll(topic, 4);
        facts.put("plain", read.get(0).key() + ":" + read.get(0).value());
        facts.put("headers", StreamSupport.stream(read.get(0).headers().spliterator(), false)
                .map(h -> h.key() + "=" + new String(h.value(), StandardCharsets.UTF_8))
                .collect(Collectors.joining(",")));
        facts.put("empty_value", read.get(1).value());
        facts.put("null_value", read.get(2).value());
        facts.put("null_key", read.get(3).key());
    }

    private ConsumerRecord<String, String> stamped(String topic) throws Exception {
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, 0, 1_500_000_000_000L, null, "v")).get();
        }
        return readAll(topic, 1).get(0);
    }

    private void createTime(ObjectNode facts) throws Exception {
        ConsumerRecord<String, String> read = stamped(c.topic("create-time", 1, Map.of("retention.ms", "-1")));
        facts.put("timestamp", read.timestamp()).put("type", read.timestampType().id);
    }

    private void logAppendTime(ObjectNode facts) throws Exception {
        ConsumerRecord<String, String> read =
                stamped(c.topic("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime")));
        facts.put("broker_time", Math.abs(read.timestamp() - System.currentTimeMillis()) < 60_000);
        facts.put("type", read.timestampType().id);
    }

    private void largeRecord(ObjectNode facts) throws Exception {
        String topic = c.topic("large", 1, Map.of());
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(1_000_000))).get(30, TimeUnit.SECONDS);
        }
        facts.put("size", readAll(topic, 1).get(0).value().length());
    }

    private void recordTooLarge(ObjectNode facts) throws Exception {
        String topic = c.topic("too-large", 1, Map.of("max.message.bytes", "1000"));
        try (KafkaProducer<String, String> producer = c.producer(Map.of())) {
            facts.put("error", Conformance.error(
                    () -> producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(5000))).get(30, TimeUnit.SECONDS)));
        }
    }

    private void fromReset(ObjectNode facts, String reset) throws Exception {
        String topic = c.topic("from-" + reset, 1, Map.of());
        fill(c, topic, 10);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of("auto.offset.reset", reset))) {
            consumer.position(Conformance.at(topic, 0));
            fill(c, topic, 1);
            facts.put("first", read(consumer, 1).get(0).offset());
        }
    }

    private void fromTimestamp(ObjectNode facts) throws Exception {
        String topic = c.topic("from-timestamp", 1, Map.of());
        fill(c, topic, 10);
        TopicPartition at = Conformance.at(topic, 0);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of())) {
            consumer.seek(at, consumer.offsetsForTimes(Map.of(at, BASE + 5500)).get(at).offset());
            facts.put("first", read(consumer, 1).get(0).offset());
            OffsetAndTimestamp after = consumer.offsetsForTimes(Map.of(at, BASE + 99_000)).get(at);
            facts.put("after_the_last", after == null ? null : after.offset());
        }
    }

    private void fromOffset(ObjectNode facts) throws Exception {
        String topic = c.topic("from-offset", 1, Map.of());
        fill(c, topic, 10);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of())) {
            consumer.seek(Conformance.at(topic, 0), 7);
            facts.put("first", read(consumer, 1).get(0).offset());
        }
    }

    private void endOffsets(ObjectNode facts) throws Exception {
        String topic = c.topic("end-offsets", 2, Map.of());
        fill(c, topic, 10);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of())) {
            List<TopicPartition> both = List.of(Conformance.at(topic, 0), Conformance.at(topic, 1));
            ArrayNode beginning = facts.putArray("beginning");
            ArrayNode end = facts.putArray("end");
            both.forEach(p -> beginning.add(consumer.beginningOffsets(both).get(p)));
            both.forEach(p -> end.add(consumer.endOffsets(both).get(p)));
        }
    }

    private void outOfRange(ObjectNode facts) throws Exception {
        String topic = c.topic("out-of-range", 1, Map.of());
        fill(c, topic, 2);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of("auto.offset.reset", "none"))) {
            consumer.seek(Conformance.at(topic, 0), 50);
            facts.put("error", Conformance.error(() -> read(consumer, 1)));
        }
    }

    /** A record is seen at once although the broker may wait for long. */
    private void longPoll(ObjectNode facts) throws Exception {
        String topic = c.topic("long-poll", 1, Map.of());
        fill(c, topic, 1);
        try (KafkaConsumer<String, String> consumer = assigned(topic, Map.of("fetch.max.wait.ms", "15000"));
                KafkaProducer<String, String> producer = c.producer(Map.of())) {
            read(consumer, 1);
            // The next fetch is on its way when this poll returns.
            consumer.poll(Duration.ofMillis(200));
            producer.send(new ProducerRecord<>(topic, 0, null, "late")).get();
            long begun = System.nanoTime();
            read(consumer, 1);
            facts.put("prompt", System.nanoTime() - begun < 5_000_000_000L);
        }
    }
}

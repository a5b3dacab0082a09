import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The cases of Kafka Streams with exactly-once-v2: records are counted by key, in a store with a changelog. */
public final class Streams {
    /** One case writes the facts it observes. */
    interface Case {
        void run(ObjectNode facts) throws Exception;
    }

    private static final int KEYS = 4;
    private static final int PARTITIONS = 2;
    /** Starting, rebalancing and restoring, on a busy machine. */
    private static final long LIMIT_NS = 90_000_000_000L;

    private final Map<String, Case> cases = new LinkedHashMap<>();
    private final String bootstrap;
    private final String prefix;
    private final Admin admin;

    private Streams(JsonNode told) {
        bootstrap = told.get("bootstrap").asText();
        prefix = told.get("prefix").asText();
        admin = Admin.create(settings());
        cases.put("streams_eos", this::counted);
        cases.put("streams_restart", this::restarted);
        cases.put("streams_abort", this::aborted);
        cases.put("streams_of_two", this::ofTwo);
    }

    public static void main(String[] args) throws Exception {
        JsonNode told = Lines.JSON.readTree(args[0]);
        Streams all = new Streams(told);
        ExecutorService pool = Executors.newFixedThreadPool(2);
        told.get("cases").forEach(name -> pool.execute(() -> all.run(name.asText())));
        pool.shutdown();
        pool.awaitTermination(10, TimeUnit.MINUTES);
        System.exit(0);
    }

    private void run(String name) {
        ObjectNode line = Lines.JSON.createObjectNode().put("case", name);
        ObjectNode facts = Lines.JSON.createObjectNode();
        try {
            cases.get(name).run(facts);
            line.put("ok", true).set("detail", facts);
        } catch (Throwable e) {
            line.put("ok", false).put("detail", e + " after " + facts);
            e.printStackTrace();
        }
        Lines.print(line);
    }

    private Properties settings() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        return p;
    }

    /** The topics of an application, and its name, which is the group's. */
    private String application(String of) throws Exception {
        String name = prefix + "-" + of;
        List<NewTopic> topics = List.of(
                new NewTopic(name + "-in", PARTITIONS, (short) 3), new NewTopic(name + "-out", PARTITIONS, (short) 3));
        admin.createTopics(topics).all().get(30, TimeUnit.SECONDS);
        Map<TopicPartition, OffsetSpec> ends = new LinkedHashMap<>();
        for (int p = 0; p < PARTITIONS; p++) {
            ends.put(new TopicPartition(name + "-in", p), OffsetSpec.latest());
            ends.put(new TopicPartition(name + "-out", p), OffsetSpec.latest());
        }
        await("leaders of " + name, () -> {
            try {
                admin.listOffsets(ends).all().get(30, TimeUnit.SECONDS);
                return true;
            } catch (Exception e) {
                return false;
            }
        });
        return name;
    }

    private static void await(String what, BooleanSupplier done) throws InterruptedException {
        long deadline = System.nanoTime() + LIMIT_NS;
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(what);
            }
            Thread.sleep(20);
        }
    }

    /** Writes the records of these numbers; the key is the number modulo the keys, the partition follows the key. */
    private void write(String name, int from, int to) throws Exception {
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer())) {
            for (int i = from; i < to; i++) {
                int key = i % KEYS;
                producer.send(new ProducerRecord<>(name + "-in", key % PARTITIONS, "k" + key, "v" + i));
            }
        }
    }

    /** Reads, transforms, counts in a store, writes: `<key>` → `<value>:<count>`. */
    private KafkaStreams start(String name, Function<String, String> transform) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        Materialized<String, String, KeyValueStore<Bytes, byte[]>> store =
                Materialized.as(Stores.inMemoryKeyValueStore("counts"));
        builder.<String, String>stream(name + "-in")
                .mapValues(transform::apply)
                .groupByKey()
                .aggregate(() -> "none:0", (key, value, last) -> value + ":" + (count(last) + 1), store)
                .toStream()
                .to(name + "-out", Produced.with(Serdes.String(), Serdes.String()));
        Properties p = settings();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams").toString());
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        p.put("auto.offset.reset", "earliest");
        p.put("heartbeat.interval.ms", 300);
        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        streams.setUncaughtExceptionHandler(e -> StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
        return streams;
    }

    private static void close(KafkaStreams streams) {
        streams.close(Duration.ofSeconds(30));
        streams.cleanUp();
    }

    private static int count(String of) {
        return Integer.parseInt(of.substring(of.lastIndexOf(':') + 1));
    }

    /** What is committed in the output, once there are so many records. */
    private List<ConsumerRecord<String, String>> read(String name, int count) throws InterruptedException {
        Properties p = settings();
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        List<ConsumerRecord<String, String>> read = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> all =
                    IntStream.range(0, PARTITIONS).mapToObj(n -> new TopicPartition(name + "-out", n)).toList();
            consumer.assign(all);
            await(count + " records of " + name + ", has " + read.size(), () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(read::add);
                return read.size() >= count;
            });
            // One too many would come now.
            consumer.poll(Duration.ofMillis(300)).forEach(read::add);
        }
        return read;
    }

    /** Each input once, and the counts of a key without a gap: exactly once. */
    private static void judge(ObjectNode facts, List<ConsumerRecord<String, String>> read) {
        Map<String, Integer> counts = new TreeMap<>();
        boolean inOrder = true;
        for (ConsumerRecord<String, String> one : read) {
            int count = count(one.value());
            inOrder &= count == counts.getOrDefault(one.key(), 0) + 1;
            counts.put(one.key(), count);
        }
        facts.put("written", read.size()).put("in_order", inOrder).put("counts", counts.toString());
    }

    /** The offsets that the group committed, together: they reach it after the transaction is over. */
    private long committed(String name, long expected) throws Exception {
        long[] sum = new long[1];
        await("commits", () -> {
            try {
                sum[0] = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS)
                        .values().stream().mapToLong(at -> at.offset()).sum();
            } catch (Exception e) {
                return false;
            }
            return sum[0] == expected;
        });
        return sum[0];
    }

    private void counted(ObjectNode facts) throws Exception {
        String name = application("streams-eos");
        write(name, 0, 20);
        KafkaStreams streams = start(name, String::toUpperCase);
        judge(facts, read(name, 20));
        facts.put("committed", committed(name, 20));
        close(streams);
    }

    /** What was counted before comes back from the changelog. */
    private void restarted(ObjectNode facts) throws Exception {
        String name = application("streams-restart");
        write(name, 0, 10);
        KafkaStreams streams = start(name, String::toUpperCase);
        read(name, 10);
        close(streams);
        write(name, 10, 20);
        streams = start(name, String::toUpperCase);
        judge(facts, read(name, 20));
        close(streams);
    }

    /** The first time, a record in the middle breaks its thread and with that the transaction; another thread does it again. */
    private void aborted(ObjectNode facts) throws Exception {
        String name = application("streams-abort");
        AtomicInteger thrown = new AtomicInteger();
        write(name, 0, 20);
        KafkaStreams streams = start(name, value -> {
            if (value.equals("v11") && thrown.getAndIncrement() == 0) {
                throw new IllegalStateException("v11 for the first time");
            }
            return value;
        });
        judge(facts, read(name, 20));
        facts.put("tries", thrown.get());
        close(streams);
    }

    /** A second instance takes one of the two partitions over, in the middle. */
    private void ofTwo(ObjectNode facts) throws Exception {
        String name = application("streams-two");
        KafkaStreams one = start(name, String::toUpperCase);
        write(name, 0, 10);
        read(name, 10);
        KafkaStreams two = start(name, String::toUpperCase);
        await("one task each", () -> tasks(one) == 1 && tasks(two) == 1);
        facts.putArray("tasks").add(tasks(one)).add(tasks(two));
        write(name, 10, 20);
        judge(facts, read(name, 20));
        close(two);
        close(one);
    }

    private static long tasks(KafkaStreams streams) {
        return streams.metadataForLocalThreads().stream().mapToLong(thread -> thread.activeTasks().size()).sum();
    }
}

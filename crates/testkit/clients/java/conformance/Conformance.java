import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The conformance cases of the Java client: runs those named in its argument and prints for each what it observed. */
public final class Conformance {
    /** One case writes the facts it observes. */
    interface Case {
        void run(ObjectNode facts) throws Exception;
    }

    /** Cases at once; most of their time they wait. */
    private static final int THREADS = 4;

    final Map<String, Case> cases = new LinkedHashMap<>();
    final Admin admin;
    private final String bootstrap;
    private final String prefix;

    private Conformance(JsonNode told) {
        bootstrap = told.get("bootstrap").asText();
        prefix = told.get("prefix").asText();
        admin = Admin.create(settings(Map.of()));
        new AdminCases(this).add();
        new LogCases(this).add();
        new GroupCases(this).add();
        new TransactionCases(this).add();
        new AclCases(this).add();
        newCases();
    }

    /** Compiled only where the client has what they need. */
    private void newCases() {
        try {
            ((Runnable) Class.forName("NewCases").getDeclaredConstructor(Conformance.class).newInstance(this)).run();
        } catch (ClassNotFoundException e) {
            // An older client.
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    public static void main(String[] args) throws Exception {
        JsonNode told = Lines.JSON.readTree(args[0]);
        Conformance all = new Conformance(told);
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        told.get("cases").forEach(name -> pool.execute(() -> all.run(name.asText())));
        pool.shutdown();
        pool.awaitTermination(10, TimeUnit.MINUTES);
        System.exit(0);
    }

    private void run(String name) {
        ObjectNode line = Lines.JSON.createObjectNode().put("case", name);
        ObjectNode facts = Lines.JSON.createObjectNode();
        try {
            Case one = cases.get(name);
            if (one == null) {
                throw new IllegalArgumentException("no such case");
            }
            one.run(facts);
            line.put("ok", true).set("detail", facts);
        } catch (Throwable e) {
            line.put("ok", false).put("detail", e + " after " + facts);
            e.printStackTrace();
        }
        Lines.print(line);
    }

    Properties settings(Map<String, String> more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.putAll(more);
        return p;
    }

    KafkaProducer<String, String> producer(Map<String, String> more) {
        Properties p = settings(more);
        // Older clients have acks=1, after which the end may not show the record yet.
        p.putIfAbsent("acks", "all");
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    KafkaConsumer<String, String> consumer(Map<String, String> more) {
        return new KafkaConsumer<>(settings(more), new StringDeserializer(), new StringDeserializer());
    }

    String name(String of) {
        return prefix + "-" + of;
    }

    /** Makes a topic, waits until its leaders serve it, and gives its full name. */
    String topic(String of, int partitions, Map<String, String> configs) throws Exception {
        String name = name(of);
        get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 3).configs(configs))).all());
        Map<TopicPartition, OffsetSpec> ends = new LinkedHashMap<>();
        for (int p = 0; p < partitions; p++) {
            ends.put(at(name, p), OffsetSpec.latest());
        }
        // Until then records of acks=0 are lost.
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (error(() -> get(admin.listOffsets(ends).all())) != 0 && System.nanoTime() < deadline) {
            Thread.sleep(20);
        }
        return name;
    }

    /**
     * Looks until it is as it should be, or returns or throws what was seen last. Any broker may answer, and each hears of a new topic
     * and of a change in its own time.
     */
    static <T> T settled(Predicate<T> expected, Callable<T> look) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (true) {
            boolean late = System.nanoTime() > deadline;
            try {
                T found = look.call();
                if (late || expected.test(found)) {
                    return found;
                }
            } catch (Exception error) {
                if (late) {
                    throw error;
                }
            }
            Thread.sleep(20);
        }
    }

    TopicDescription describe(String topic) throws Exception {
        DescribeTopicsResult described = admin.describeTopics(List.of(topic));
        KafkaFuture<Map<String, TopicDescription>> all = cast(either(described, "allTopicNames", "all"));
        return get(all).get(topic);
    }

    /** Calls the first of these methods that this version of the client has. */
    static Object either(Object of, String... names) throws ReflectiveOperationException {
        for (String name : names) {
            try {
                return of.getClass().getMethod(name).invoke(of);
            } catch (NoSuchMethodException e) {
                // The next one.
            }
        }
        throw new NoSuchMethodException(String.join(" or ", names));
    }

    @SuppressWarnings("unchecked")
    static <T> T cast(Object what) {
        return (T) what;
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(30, TimeUnit.SECONDS);
    }

    static TopicPartition at(String topic, int partition) {
        return new TopicPartition(topic, partition);
    }

    /** The protocol's number of the error that this ends with; 0 when it works. */
    static int error(Call call) {
        try {
            call.run();
            return 0;
        } catch (OffsetOutOfRangeException e) {
            // The consumer's own class, which has no number.
            return Errors.OFFSET_OUT_OF_RANGE.code();
        } catch (ExecutionException e) {
            return Errors.forException(e.getCause()).code();
        } catch (Exception e) {
            return Errors.forException(e).code();
        }
    }

    /** What may fail. */
    interface Call {
        void run() throws Exception;
    }
}

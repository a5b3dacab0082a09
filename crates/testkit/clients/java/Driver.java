import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** One producer, one group consumer or one administrator of the Java client, told by one JSON argument. */
public final class Driver {
    private final JsonNode spec;
    private final CountDownLatch stop = Lines.stopSignal();

    private Driver(JsonNode spec) {
        this.spec = spec;
    }

    public static void main(String[] args) throws Exception {
        Driver driver = new Driver(Lines.JSON.readTree(args[0]));
        try {
            switch (driver.spec.get("mode").asText()) {
                case "produce" -> driver.produce();
                case "transact" -> driver.transact();
                case "administer" -> driver.administer();
                default -> driver.consume();
            }
        } catch (Exception e) {
            Lines.error(e, true);
        }
        Lines.print(Lines.event("done"));
        System.exit(0);
    }

    private Properties settings() {
        Properties p = new Properties();
        p.put("bootstrap.servers", spec.get("bootstrap").asText());
        p.put("client.id", spec.get("client").asText());
        spec.path("settings").properties().forEach(e -> p.put(e.getKey(), e.getValue().asText()));
        return p;
    }

    private void produce() throws InterruptedException {
        Properties p = settings();
        p.putIfAbsent("acks", "all");
        String topic = spec.get("topic").asText();
        String client = spec.get("client").asText();
        int partitions = spec.get("partitions").asInt();
        long everyNs = 1_000_000_000L / Math.max(1, spec.get("rate").asLong());
        KafkaProducer<String, String> producer =
                new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
        long next = System.nanoTime();
        for (long seq = 0; !stop.await(Math.max(0, next - System.nanoTime()), TimeUnit.NANOSECONDS); seq++) {
            next += everyNs;
            int partition = (int) (seq % partitions);
            try {
                producer.send(new ProducerRecord<>(topic, partition, null, client + "-" + seq), acknowledged(seq));
            } catch (RuntimeException e) {
                Lines.error(e, fatal(e));
            }
        }
        producer.close(Duration.ofMillis(spec.path("flush_ms").asLong(5000)));
    }

    private void transact() throws InterruptedException {
        Properties p = settings();
        p.put("transactional.id", spec.get("client").asText());
        new Transactor(p, spec).run(1_000_000_000L / Math.max(1, spec.get("rate").asLong()), stop);
    }

    private void administer() throws InterruptedException {
        String topic = spec.get("topic").asText();
        long everyMs = 1000 / Math.max(1, spec.get("rate").asLong());
        AdminClient admin = AdminClient.create(settings());
        for (long seq = 0; !stop.await(everyMs, TimeUnit.MILLISECONDS); seq++) {
            try {
                admin.createTopics(List.of(new NewTopic(topic + "-" + seq, 1, (short) 1))).all().get(40, TimeUnit.SECONDS);
                Lines.print(Lines.event("ack").put("p", 0).put("o", -1).put("seq", seq));
            } catch (ExecutionException | TimeoutException | RuntimeException e) {
                Lines.error(e, false);
            }
        }
        admin.close(Duration.ofMillis(spec.path("flush_ms").asLong(5000)));
    }

    private static Callback acknowledged(long seq) {
        return (meta, e) -> {
            if (e != null) {
                Lines.error(e, fatal(e));
            } else {
                Lines.print(Lines.event("ack").put("p", meta.partition()).put("o", meta.offset()).put("seq", seq));
            }
        };
    }

    /** Errors after which this producer object can never send again. */
    private static boolean fatal(Exception e) {
        return e instanceof ProducerFencedException
                || e instanceof InvalidProducerEpochException
                || e instanceof AuthorizationException
                || e instanceof AuthenticationException;
    }

    private void consume() throws InterruptedException {
        Properties p = settings();
        p.put("group.id", spec.get("group").asText());
        p.putIfAbsent("auto.offset.reset", "earliest");
        KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(spec.get("topic").asText()));
        while (stop.getCount() > 0) {
            try {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100))) {
                    Lines.print(Lines.event("rec").put("p", r.partition()).put("o", r.offset()).put("v", r.value()));
                }
            } catch (RuntimeException e) {
                Lines.error(e, false);
                stop.await(100, TimeUnit.MILLISECONDS);
            }
        }
        close(consumer, Duration.ofMillis(spec.path("flush_ms").asLong(5000)));
    }

    /** The only way that all versions of the client have. */
    @SuppressWarnings("deprecation")
    private static void close(KafkaConsumer<?, ?> consumer, Duration limit) {
        consumer.close(limit);
    }
}

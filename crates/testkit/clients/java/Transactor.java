import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Transactions of one record per partition, as the documentation of KafkaProducer tells an application to write them: what
 * fails is aborted and tried again, and a producer that is fenced is made anew.
 */
final class Transactor {
    private static final int COMMIT_TRIES = 5;

    private final Properties settings;
    private final String client;
    private final String topic;
    private final int partitions;
    private KafkaProducer<String, String> producer;

    Transactor(Properties settings, JsonNode spec) {
        this.settings = settings;
        client = spec.get("client").asText();
        topic = spec.get("topic").asText();
        partitions = spec.get("partitions").asInt();
    }

    void run(long everyNs, CountDownLatch stop) throws InterruptedException {
        long next = System.nanoTime();
        long attempt = 0;
        for (long n = 0; !stop.await(Math.max(0, next - System.nanoTime()), TimeUnit.NANOSECONDS); ) {
            next += everyNs;
            if (producer == null && !begin()) {
                continue;
            }
            attempt++;
            String end = once(n + "-" + attempt);
            Lines.print(Lines.event("txn").put("n", n).put("a", attempt).put("end", end));
            if (!end.equals("aborted")) {
                n++;
            }
        }
        if (producer != null) {
            producer.close(Duration.ofSeconds(5));
        }
    }

    private boolean begin() {
        producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        try {
            producer.initTransactions();
            return true;
        } catch (KafkaException e) {
            giveUp(e);
            return false;
        }
    }

    private void giveUp(KafkaException e) {
        Lines.error(e, true);
        producer.close(Duration.ZERO);
        producer = null;
    }

    /** What became of it: committed, aborted, or unknown. */
    private String once(String name) {
        boolean asked = false;
        try {
            producer.beginTransaction();
            for (int p = 0; p < partitions; p++) {
                producer.send(new ProducerRecord<>(topic, p, null, client + "-" + name + "-" + p));
            }
            asked = true;
            commit();
            return "committed";
        } catch (ProducerFencedException | OutOfOrderSequenceException | AuthorizationException | InterruptException e) {
            giveUp(e);
            return asked ? "unknown" : "aborted";
        } catch (KafkaException e) {
            Lines.print(Lines.event("note").put("msg", name + ": " + e + " because of " + e.getCause()));
            return abort(asked);
        }
    }

    private void commit() {
        for (int tries = 1; ; tries++) {
            try {
                producer.commitTransaction();
                return;
            } catch (TimeoutException e) {
                if (tries == COMMIT_TRIES) {
                    throw e;
                }
            }
        }
    }

    private String abort(boolean asked) {
        try {
            producer.abortTransaction();
            return "aborted";
        } catch (KafkaException e) {
            giveUp(e);
            return asked ? "unknown" : "aborted";
        }
    }
}

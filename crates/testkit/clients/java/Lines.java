import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.concurrent.CountDownLatch;

/** The line protocol of the drivers: one JSON object per line, each stamped with the wall clock in nanoseconds. */
final class Lines {
    static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT =
            new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    private Lines() {}

    static long now() {
        Instant i = Instant.now();
        return i.getEpochSecond() * 1_000_000_000L + i.getNano();
    }

    static ObjectNode event(String ev) {
        return JSON.createObjectNode().put("t", now()).put("ev", ev);
    }

    static void print(JsonNode node) {
        String line = node.toString() + "\n";
        synchronized (OUT) {
            OUT.print(line);
            OUT.flush();
        }
    }

    static void error(Throwable e, boolean fatal) {
        print(event("err").put("fatal", fatal).put("msg", e.getClass().getSimpleName() + ": " + e.getMessage()));
    }

    /** Opened by the line "stop" or by the end of the standard input. */
    static CountDownLatch stopSignal() {
        CountDownLatch stop = new CountDownLatch(1);
        Thread reader = new Thread(() -> {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
                String line;
                do {
                    line = in.readLine();
                } while (line != null && !line.trim().equals("stop"));
            } catch (IOException e) {
                // A broken input ends the run just as its end does.
            }
            stop.countDown();
        }, "stdin");
        reader.setDaemon(true);
        reader.start();
        return stop;
    }
}

// Publish a backend's events to the sidecar. Copy this file; it needs redis.clients:jedis, which brings Gson.
//
//   Emitter emitter = new Emitter("stream");
//   emitter.report(Map.of("status", "success", "order_id", "1001", "product_id", "sku-1", "latency_ms", 42.5));
//
// `report` only adds to a buffer: it never waits for Redis and never throws, so it cannot delay or fail an order. A
// thread publishes what is in the buffer, in order. While Redis is away, the buffer keeps the newest 10,000 events.
// Those it drops leave a hole in the numbers, which the sidecar shows as missed.

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.params.XAddParams;

/** Numbers events and publishes them in the background; share one between all threads. */
public final class Emitter implements AutoCloseable {
    private static final String URL = System.getenv().getOrDefault("REDIS_URL", "redis://127.0.0.1:6379/0");
    private static final String NAME = "flash_sale:events"; // of the stream, or of the channel
    private static final int BUFFER_EVENTS = 10_000;
    private static final int BATCH_EVENTS = 100; // published at once
    private static final long HEARTBEAT_MS = 2000;
    private static final long RETRY_MS = 500;
    private static final long CLOSE_MS = 5000; // how long the end of the process may wait for Redis
    private static final Gson GSON = new Gson();

    private final String transport;
    private final String producer;
    private final long epoch = System.currentTimeMillis();
    private final RedisClient client = RedisClient.create(URL); // it waits for two seconds at most
    private final Thread thread = new Thread(this::run, "flash-sale-emitter");
    private final ArrayDeque<String> buffer = new ArrayDeque<>();
    private long seq;
    private long dropped;
    private boolean closing;

    /** Starts an emitter; the transport is stream or pubsub. */
    public Emitter(String transport) {
        this.transport = transport;
        this.producer = host() + ":" + ProcessHandle.current().pid();
        thread.setDaemon(true);
        thread.start();
    }

    /** Numbers an event and leaves it to the thread. */
    public synchronized void report(Map<String, ?> event) {
        seq++;
        try {
            buffer.add(encode(event, seq));
        } catch (RuntimeException error) {
            System.err.println("An event is no JSON, and is missed: " + error.getMessage());
        }
        if (buffer.size() > BUFFER_EVENTS) {
            buffer.remove();
            dropped++;
        }
        notifyAll();
    }

    /** Publishes what is left, if Redis is there. */
    @Override
    public void close() throws InterruptedException {
        synchronized (this) {
            closing = true;
            notifyAll();
        }
        thread.join(CLOSE_MS);
    }

    /** Publishes what is in the buffer, and a heartbeat every few seconds, until the emitter is closed. */
    private void run() {
        long last = 0; // the last number published
        long due = System.nanoTime(); // when to send a heartbeat
        try {
            for (boolean done = false; !done; ) {
                List<String> batch = new ArrayList<>();
                long taken;
                synchronized (this) {
                    long pause = (due - System.nanoTime()) / 1_000_000;
                    if (buffer.isEmpty() && !closing && pause > 0) {
                        wait(pause);
                    }
                    while (!buffer.isEmpty() && batch.size() < BATCH_EVENTS) {
                        batch.add(buffer.remove());
                    }
                    taken = seq - buffer.size();
                    done = closing && batch.isEmpty();
                }
                if (done || System.nanoTime() - due >= 0) {
                    batch.add(0, encode(Map.of("type", "heartbeat"), last));
                    due = System.nanoTime() + HEARTBEAT_MS * 1_000_000;
                }
                if (!batch.isEmpty()) {
                    insist("[" + String.join(",", batch) + "]");
                }
                last = taken;
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    /** Publishes until it succeeds. What arrives twice (an answer was lost) has the same numbers, and counts once. */
    private void insist(String payload) throws InterruptedException {
        for (boolean away = false; ; Thread.sleep(RETRY_MS)) {
            try {
                publish(payload);
                if (away) {
                    synchronized (this) {
                        System.err.println("Redis is back; " + dropped + " events were dropped so far");
                    }
                }
                return;
            } catch (JedisException error) {
                if (!away) {
                    System.err.println("Redis is away: " + error.getMessage());
                }
                away = true;
            }
        }
    }

    private void publish(String payload) {
        if (transport.equals("pubsub")) {
            client.publish(NAME, payload);
        } else {
            client.xadd(NAME, XAddParams.xAddParams().maxLen(1_000_000).approximateTrimming(), Map.of("e", payload));
        }
    }

    private String encode(Map<String, ?> event, long number) {
        Map<String, Object> numbered = new HashMap<>(Map.of("ts", System.currentTimeMillis()));
        numbered.putAll(event);
        numbered.putAll(Map.of("producer", producer, "epoch", epoch, "seq", number));
        return GSON.toJson(numbered);
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (java.net.UnknownHostException unknown) {
            return "unknown";
        }
    }

    /** As a program, an event a line: echo '{"status":"success"}' | java -cp 'jars/*' Emitter.java pubsub. */
    public static void main(String[] arguments) throws Exception {
        try (Emitter emitter = new Emitter(arguments.length > 0 ? arguments[0] : "stream")) {
            var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                emitter.report(GSON.fromJson(line, new TypeToken<Map<String, Object>>() {}));
            }
        }
    }
}

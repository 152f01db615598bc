// Kafka's own tools in one Java process, for the tests beside this file: each of them alone takes seconds to start.
//
// Started from source: java -cp 'LIBS/*' Tools.java. Reads a command a line, words parted by tabs, and answers each with
// a line: "ok", or "error " and what went wrong. What the tools themselves print goes to files or to standard error.

import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.tools.DumpLogSegments;
import org.apache.kafka.tools.consumer.ConsoleConsumer;
import org.apache.kafka.tools.consumer.ConsoleConsumerOptions;

public class Tools {
    private static final PrintStream ANSWERS = System.out;

    public static void main(String[] args) throws Exception {
        System.setOut(System.err);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split("\t");
            String answer;
            try {
                run(words[0], Arrays.copyOfRange(words, 1, words.length));
                answer = "ok";
            } catch (Throwable error) {
                error.printStackTrace();
                answer = "error " + String.valueOf(error).replace('\n', ' ');
            }
            ANSWERS.println(answer);
            ANSWERS.flush();
        }
    }

    private static void run(String command, String[] words) throws Exception {
        switch (command) {
            case "create" -> create(words[0], Integer.parseInt(words[1]), Short.parseShort(words[2]), words[3]);
            case "led" -> led(words[0], Integer.parseInt(words[1]), words[2]);
            case "consume" -> into(words[0], () ->
                ConsoleConsumer.run(new ConsoleConsumerOptions(Arrays.copyOfRange(words, 1, words.length))));
            case "dump" -> into(words[0], () ->
                DumpLogSegments.main(Arrays.copyOfRange(words, 1, words.length)));
            case "send" -> send(words[0], words[1], Path.of(words[2]), words[3]);
            default -> throw new IllegalArgumentException("no command " + command);
        }
    }

    /** create BOOTSTRAP PARTITIONS REPLICAS TOPIC[,TOPIC]... */
    private static void create(String bootstrap, int partitions, short replicas, String names) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(topics(names).map(name -> new NewTopic(name, partitions, replicas)).toList())
                .all().get(60, TimeUnit.SECONDS);
        }
    }

    /** led BOOTSTRAP PARTITIONS TOPIC[,TOPIC]...: returns once every partition's leader takes requests.
     *
     * A broker's metadata name a leader before that leader has made the partition. Whoever produces in between is
     * refused, and Kafka's own producer may then lose records for good: the broker takes the second batch on its way,
     * and can never append the first any more (KAFKA-15591). So every leader is asked something that it only answers
     * for partitions it has. */
    private static void led(String bootstrap, int partitions, String names) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        topics(names).forEach(name -> {
            for (int partition = 0; partition < partitions; partition++) {
                wanted.put(new TopicPartition(name, partition), OffsetSpec.latest());
            }
        });
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); ; Thread.sleep(50)) {
                try {
                    admin.listOffsets(wanted).all().get(60, TimeUnit.SECONDS);
                    return;
                } catch (ExecutionException error) {
                    // The broker asked may not have heard of the topic: that the client does not ask again about.
                    if (!(error.getCause() instanceof RetriableException) || System.nanoTime() > end) {
                        throw error;
                    }
                }
            }
        }
    }

    private static Stream<String> topics(String names) {
        return Arrays.stream(names.split(","));
    }

    /** send BOOTSTRAP TOPIC KEYS OUT: sends a record for each key (four bytes of length, then the key) as Kafka's
     * producer does by default, and writes the partitions it chose, a line each. */
    private static void send(String bootstrap, String topic, Path keys, String out) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        ByteArraySerializer bytes = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes);
                DataInputStream in = new DataInputStream(Files.newInputStream(keys))) {
            for (long left = Files.size(keys); left > 0; ) {
                byte[] key = new byte[in.readInt()];
                in.readFully(key);
                left -= 4 + key.length;
                sent.add(producer.send(new ProducerRecord<>(topic, key, new byte[0])));
            }
        }
        StringBuilder lines = new StringBuilder();
        for (Future<RecordMetadata> record : sent) {
            lines.append(record.get(60, TimeUnit.SECONDS).partition()).append('\n');
        }
        Files.writeString(Path.of(out), lines);
    }

    private interface Job {
        void run() throws Exception;
    }

    /** Runs with standard output going to a file, byte for byte. */
    private static void into(String file, Job job) throws Exception {
        PrintStream before = System.out;
        try (PrintStream out = new PrintStream(new FileOutputStream(file), false)) {
            System.setOut(out);
            job.run();
            if (out.checkError()) {
                throw new IllegalStateException("cannot write " + file);
            }
        } finally {
            System.setOut(before);
        }
    }
}

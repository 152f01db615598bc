// What `cargo xtask chaos` asks of a cluster as its administrator, in one Java process: each tool alone takes seconds to
// start.
//
// Started from source: java -cp 'LIBS/*' Chaos.java BOOTSTRAP. Reads a command a line, words parted by blanks, and
// answers each with a line: "ok" and maybe more words, or "error " and what went wrong. Ends with its input.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;

public class Chaos {
    private final Admin admin;
    private final Random random = new Random(1);

    private Chaos(Admin admin) {
        this.admin = admin;
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", args[0],
            "reconnect.backoff.max.ms", "500",
            "request.timeout.ms", "5000",
            "default.api.timeout.ms", "15000");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Admin admin = Admin.create(settings)) {
            Chaos chaos = new Chaos(admin);
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                String answer;
                try {
                    answer = ("ok " + chaos.run(line.split(" "))).trim();
                } catch (Throwable error) {
                    Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
                    answer = "error " + String.valueOf(cause).replace('\n', ' ');
                }
                answers.println(answer);
                answers.flush();
            }
        }
    }

    private String run(String[] words) throws Exception {
        return switch (words[0]) {
            case "create" -> create(words[1], Integer.parseInt(words[2]));
            case "delete" -> delete(words[1]);
            case "state" -> state(words[1]);
            case "controller" -> String.valueOf(admin.describeCluster().controller().get().id());
            case "prefer" -> prefer(words[1]);
            case "turn" -> turn(words[1]);
            case "move" -> move(words[1], Integer.parseInt(words[2]));
            case "grow" -> grow(words[1], Integer.parseInt(words[2]));
            case "quota" -> quota(words[1], words.length > 2 ? Double.valueOf(words[2]) : null);
            default -> throw new IllegalArgumentException("no command " + words[0]);
        };
    }

    /** create TOPIC PARTITIONS: with three replicas each. */
    private String create(String topic, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 3))).all().get(30, TimeUnit.SECONDS);
        return "";
    }

    /** delete TOPIC: returns when no broker that is asked knows it any more. */
    private String delete(String topic) throws Exception {
        admin.deleteTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        for (int round = 0; round < 300; round++) {
            try {
                describe(topic);
            } catch (ExecutionException error) {
                if (error.getCause() instanceof UnknownTopicOrPartitionException) {
                    return "";
                }
            }
            Thread.sleep(100);
        }
        throw new IllegalStateException(topic + " does not go away");
    }

    /** state TOPIC: for each partition its leader (-1: none), how many replicas it has and how many are in sync. */
    private String state(String topic) throws Exception {
        StringBuilder words = new StringBuilder();
        for (TopicPartitionInfo partition : describe(topic)) {
            int leader = partition.leader() == null || partition.leader().isEmpty() ? -1 : partition.leader().id();
            words.append(leader).append('/').append(partition.replicas().size()).append('/')
                .append(partition.isr().size()).append(' ');
        }
        return words.toString();
    }

    private List<TopicPartitionInfo> describe(String topic) throws Exception {
        Map<String, TopicDescription> found =
            admin.describeTopics(List.of(topic)).allTopicNames().get(15, TimeUnit.SECONDS);
        return found.get(topic).partitions();
    }

    /** prefer TOPIC: the first replica of each partition becomes its leader, where it is in sync. */
    private String prefer(String topic) throws Exception {
        elect(topic, describe(topic).size());
        return "";
    }

    private int elect(String topic, int partitions) throws Exception {
        Set<TopicPartition> all = new HashSet<>();
        for (int partition = 0; partition < partitions; partition++) {
            all.add(new TopicPartition(topic, partition));
        }
        // Those that need none answer so; that is no failure.
        Map<TopicPartition, Optional<Throwable>> done =
            admin.electLeaders(ElectionType.PREFERRED, all).partitions().get(15, TimeUnit.SECONDS);
        return (int) done.values().stream().filter(Optional::isEmpty).count();
    }

    /** turn TOPIC: shuffles the replicas of each partition and elects the first: a new leader, and no data is moved.
     * Answers how many were elected. */
    private String turn(String topic) throws Exception {
        List<TopicPartitionInfo> partitions = describe(topic);
        Map<TopicPartition, Optional<NewPartitionReassignment>> wanted = new HashMap<>();
        for (TopicPartitionInfo partition : partitions) {
            List<Integer> replicas = new ArrayList<>(partition.replicas().stream().map(node -> node.id()).toList());
            Collections.rotate(replicas, 1 + random.nextInt(2));
            wanted.put(new TopicPartition(topic, partition.partition()),
                Optional.of(new NewPartitionReassignment(replicas)));
        }
        admin.alterPartitionReassignments(wanted).all().get(15, TimeUnit.SECONDS);
        return String.valueOf(elect(topic, partitions.size()));
    }

    /** move TOPIC WITHOUT: every partition to the two brokers that are not WITHOUT, or to all three for 0; returns when
     * all data is where it belongs. */
    private String move(String topic, int without) throws Exception {
        Map<TopicPartition, Optional<NewPartitionReassignment>> wanted = new HashMap<>();
        for (TopicPartitionInfo partition : describe(topic)) {
            List<Integer> replicas = new ArrayList<>(List.of(1, 2, 3));
            replicas.remove(Integer.valueOf(without));
            Collections.rotate(replicas, partition.partition());
            wanted.put(new TopicPartition(topic, partition.partition()),
                Optional.of(new NewPartitionReassignment(replicas)));
        }
        admin.alterPartitionReassignments(wanted).all().get(15, TimeUnit.SECONDS);
        for (int round = 0; round < 1200; round++) {
            if (admin.listPartitionReassignments(wanted.keySet()).reassignments().get().isEmpty()) {
                return "";
            }
            Thread.sleep(50);
        }
        throw new IllegalStateException("the partitions of " + topic + " do not arrive");
    }

    /** grow TOPIC PARTITIONS. */
    private String grow(String topic, int partitions) throws Exception {
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(partitions))).all().get(15, TimeUnit.SECONDS);
        return "";
    }

    /** quota CLIENT [BYTES]: bytes a second that the client may produce to each broker; without a number, as many as it
     * likes. */
    private String quota(String client, Double rate) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
        ClientQuotaAlteration.Op op = new ClientQuotaAlteration.Op("producer_byte_rate", rate);
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all()
            .get(15, TimeUnit.SECONDS);
        return "";
    }
}

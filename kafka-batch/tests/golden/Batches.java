// Writes the record batches of java.hex with Kafka's own classes (kafka-clients 4.3.1 and what it depends on).
//
//   mvn dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib     (on a pom.xml with kafka-clients 4.3.1)
//   java -cp 'lib/*' Batches.java > java.hex
//
// The sets of records are made up by the same rules in tests/golden.rs.

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Batches {
    static final long BASE = 1700000000000L;

    record Rec(long timestamp, byte[] key, byte[] value, Header[] headers) {}

    public static void main(String[] args) throws Exception {
        System.out.println("# set codec level producer_id epoch sequence transactional batch; written by Batches.java with"
            + " MemoryRecordsBuilder of org.apache.kafka:kafka-clients:4.3.1");
        String[] small = {"one", "edges", "many"};
        for (String set : small) {
            write(set, "none", "-", Compression.NONE, -1, (short) -1, -1, false);
            write(set, "none", "-", Compression.NONE, 1234, (short) 7, 42, true);
            write(set, "none", "-", Compression.NONE, 1234, (short) 7, Integer.MAX_VALUE, false);
        }
        for (String set : new String[] {"one", "edges", "many", "large"}) {
            for (int level : new int[] {-1, 1, 9}) {
                write(set, "gzip", "" + level, Compression.gzip().level(level).build(), 1, (short) 0, 0, false);
            }
            write(set, "snappy", "-", Compression.snappy().build(), 1, (short) 0, 0, false);
            for (int level : new int[] {1, 9, 17}) {
                write(set, "lz4", "" + level, Compression.lz4().level(level).build(), 1, (short) 0, 0, false);
            }
            for (int level : new int[] {-5, 3, 22}) {
                write(set, "zstd", "" + level, Compression.zstd().level(level).build(), 1, (short) 0, 0, false);
            }
        }
    }

    static void write(String set, String codec, String level, Compression compression, long id, short epoch, int sequence,
                      boolean transactional) throws Exception {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
        var builder = MemoryRecords.builder(buffer, (byte) 2, compression,
            TimestampType.CREATE_TIME, 0L, -1L, id, epoch, sequence, transactional, -1);
        for (Rec rec : records(set)) {
            builder.append(rec.timestamp, rec.key, rec.value, rec.headers);
        }
        ByteBuffer bytes = builder.build().buffer();
        StringBuilder hex = new StringBuilder();
        while (bytes.hasRemaining()) {
            hex.append(String.format("%02x", bytes.get()));
        }
        System.out.println(set + " " + codec + " " + level + " " + id + " " + epoch + " " + sequence + " " + transactional
            + " " + hex);
    }

    static byte[] text(String text) throws Exception {
        return text == null ? null : text.getBytes("UTF-8");
    }

    static Header header(String key, String value) throws Exception {
        return new RecordHeader(key, text(value));
    }

    static List<Rec> records(String set) throws Exception {
        List<Rec> all = new ArrayList<>();
        Header[] none = {};
        switch (set) {
            case "one" -> all.add(new Rec(BASE, text("key"), text("value"), none));
            case "edges" -> {
                all.add(new Rec(BASE, null, null, none));
                all.add(new Rec(BASE, text(""), text(""), none));
                all.add(new Rec(BASE + (1L << 40), text("k"), null, new Header[] {header("h", "x"), header("h", null)}));
                all.add(new Rec(BASE - 5000, null, text("v".repeat(63)), new Header[] {header("\u00fcml\u00e4ut", "")}));
                all.add(new Rec(BASE + 64, text("k".repeat(64)), text("v".repeat(8192)), none));
            }
            case "many" -> {
                for (int i = 0; i < 200; i++) {
                    String key = i % 3 == 0 ? null : "key-" + i;
                    String value = i % 7 == 0 ? null : ("value " + i + " ").repeat(i % 11 + 1);
                    Header[] headers = i % 4 != 0 ? none
                        : new Header[] {header("h" + i, i % 8 == 0 ? null : "x".repeat(i % 5))};
                    all.add(new Rec(BASE + i * 7 - (i % 5) * 13, text(key), text(value), headers));
                }
            }
            case "large" -> {
                for (int i = 0; i < 60; i++) {
                    all.add(new Rec(BASE + i, null, text(("line " + i + " of a log; ").repeat(130)), none));
                }
            }
            default -> throw new IllegalArgumentException(set);
        }
        return all;
    }
}

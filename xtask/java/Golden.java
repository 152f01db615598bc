import java.io.PrintWriter;
import java.lang.reflect.Method;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;

import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.utils.internals.AppInfoParser;

/**
 * Writes golden messages with Kafka's own classes: `java -cp kafka-clients.jar Golden.java FOLDER SETTINGS API...`, and
 * the producer's settings into the file SETTINGS.
 *
 * One file a message; in it one line a version and variant: version, variant, header, body, in hexadecimal. The
 * variant `default` is a new object; `filled` has a value in every field of the version, two elements in every array;
 * `nulls` has null wherever the version allows it, and one element in the other arrays.
 */
public class Golden {
    private static final int CORRELATION_ID = 0x01020304;
    private static final String CLIENT_ID = "golden";

    private final short version;
    private final String variant;
    private int count = 0;

    private Golden(short version, String variant) {
        this.version = version;
        this.variant = variant;
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        writeErrors(folder);
        writeSettings(Path.of(arguments[1]));
        for (int index = 2; index < arguments.length; index++) {
            ApiKeys api = ApiKeys.valueOf(arguments[index].replaceAll("(?<=[a-z])(?=[A-Z])", "_").toUpperCase());
            write(folder, api, arguments[index] + "Request", true);
            write(folder, api, arguments[index] + "Response", false);
        }
    }

    /** The table of errors: number, name, and what a client does about it, by the class of the exception. */
    private static void writeErrors(Path folder) throws Exception {
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve("errors.txt")))) {
            out.print("# Errors.values() of org.apache.kafka:kafka-clients:" + AppInfoParser.getVersion()
                + ", written by xtask/java/Golden.java\n");
            for (Errors error : Errors.values()) {
                String what = error.exception() instanceof InvalidMetadataException ? "refresh"
                    : error.exception() instanceof RetriableException ? "retriable" : "final";
                out.print(error.code() + " " + error.name() + " " + what + "\n");
            }
        }
    }

    /** The producer's settings: name, type, default and range, parted by tabs. */
    private static void writeSettings(Path file) throws Exception {
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(file))) {
            out.print("# Names, types, defaults and ranges of the producer's settings, printed from ProducerConfig.configDef()"
                + " of kafka-clients-" + AppInfoParser.getVersion() + ".jar, columns by tab.\n");
            for (ConfigDef.ConfigKey key : new TreeMap<>(ProducerConfig.configDef().configKeys()).values()) {
                String value = key.defaultValue == ConfigDef.NO_DEFAULT_VALUE ? "(required)"
                    : key.defaultValue == null ? "(null)" : ConfigDef.convertToString(key.defaultValue, key.type);
                String range = key.validator == null ? "" : key.validator.toString();
                out.print(key.name + "\t" + key.type + "\t" + value + "\t" + range + "\n");
            }
        }
    }

    private static void write(Path folder, ApiKeys api, String name, boolean request) throws Exception {
        Class<?> type = Class.forName("org.apache.kafka.common.message." + name + "Data");
        Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
        try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(folder.resolve(name + ".hex")))) {
            out.print("# " + name + "Data.write() of org.apache.kafka:kafka-clients:"
                + AppInfoParser.getVersion() + ", filled by xtask/java/Golden.java\n");
            for (short version = api.oldestVersion(); version <= api.latestVersion(false); version++) {
                for (String variant : List.of("default", "filled", "nulls")) {
                    Message message = (Message) type.getDeclaredConstructor().newInstance();
                    if (!variant.equals("default")) {
                        new Golden(version, variant).fill(message, schemas[version]);
                    }
                    Message header = request
                        ? new RequestHeaderData().setRequestApiKey(api.id).setRequestApiVersion(version)
                            .setCorrelationId(CORRELATION_ID).setClientId(CLIENT_ID)
                        : new ResponseHeaderData().setCorrelationId(CORRELATION_ID);
                    short headerVersion = request ? api.requestHeaderVersion(version) : api.responseHeaderVersion(version);
                    out.print(version + " " + variant + " " + hex(header, headerVersion) + " " + hex(message, version) + "\n");
                }
            }
        }
    }

    private static String hex(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.capacity() == 0 ? "-" : HexFormat.of().formatHex(buffer.array());
    }

    private void fill(Object message, Schema schema) throws Exception {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (Field field : tagged.fields().values()) {
                    set(message, field);
                }
            } else {
                set(message, bound.def);
            }
        }
    }

    private void set(Object message, Field field) throws Exception {
        StringBuilder name = new StringBuilder("set");
        for (String word : field.name.split("_")) {
            name.append(Character.toUpperCase(word.charAt(0))).append(word.substring(1));
        }
        for (Method setter : message.getClass().getMethods()) {
            // `timeoutMs` and the like are named by their setters without a capital letter.
            if (setter.getName().equalsIgnoreCase(name.toString()) && setter.getParameterCount() == 1) {
                setter.invoke(message, value(setter.getGenericParameterTypes()[0], field));
                return;
            }
        }
        throw new IllegalStateException("no setter for " + field.name + " of " + message.getClass());
    }

    private Object value(Type type, Field field) throws Exception {
        if (variant.equals("nulls") && field.type.isNullable() && type != Uuid.class) {
            return null;
        }
        count++;
        if (type == boolean.class) {
            return true;
        } else if (type == byte.class) {
            return (byte) count;
        } else if (type == short.class) {
            return (short) (count * 0x0101);
        } else if (type == int.class) {
            return count * 0x01010101;
        } else if (type == long.class) {
            return count * 0x0101010101010101L;
        } else if (type == String.class) {
            return field.name + "-" + count + "-ä";
        } else if (type == Uuid.class) {
            return new Uuid(0x1000 + count, 0x2000 + count);
        } else if (type.getTypeName().endsWith("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(("records-" + count).getBytes(StandardCharsets.UTF_8)));
        } else if (type instanceof ParameterizedType list) {
            return elements(new ArrayList<>(), (Class<?>) list.getActualTypeArguments()[0], field);
        } else if (Collection.class.isAssignableFrom((Class<?>) type)) {
            Class<?> collection = (Class<?>) type;
            Class<?> element = (Class<?>) ((ParameterizedType) collection.getGenericSuperclass()).getActualTypeArguments()[0];
            return elements((Collection<?>) collection.getDeclaredConstructor().newInstance(), element, field);
        }
        Object structure = ((Class<?>) type).getDeclaredConstructor().newInstance();
        fill(structure, schema(type));
        return structure;
    }

    @SuppressWarnings("unchecked")
    private Object elements(Collection<?> collection, Class<?> element, Field field) throws Exception {
        for (int index = 0; index < (variant.equals("filled") ? 2 : 1); index++) {
            Object item;
            if (element == String.class) {
                item = field.name + "-" + ++count;
            } else if (element == Integer.class) {
                item = ++count * 0x01010101;
            } else {
                item = element.getDeclaredConstructor().newInstance();
                fill(item, schema(element));
            }
            ((Collection<Object>) collection).add(item);
        }
        return collection;
    }

    private Schema schema(Type type) throws Exception {
        return ((Schema[]) ((Class<?>) type).getField("SCHEMAS").get(null))[version];
    }
}

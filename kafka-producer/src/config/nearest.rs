//! What somebody may have meant by a name that is no setting of Kafka's producer.

use super::table::SETTINGS;

/// A hint to append to "unknown setting": where the name comes from, or the nearest known one.
pub(super) fn hint(name: &str) -> Option<String> {
    if let Some((_, instead)) = LIBRDKAFKA.iter().find(|(theirs, _)| *theirs == name) {
        return Some(format!("librdkafka calls it so; here {instead}"));
    }
    if CONSUMER.contains(&name) {
        return Some("it is a setting of consumers".to_owned());
    }
    nearest(name).map(|known| format!("did you mean {known}?"))
}

/// The known setting that is the fewest edits away, if that is few enough to be a slip of the pen.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let written = name.to_ascii_lowercase().replace(['_', '-'], ".");
    SETTINGS
        .iter()
        .map(|setting| (slips(&written, setting.name), setting.name))
        .min()
        .filter(|&(distance, known)| distance <= known.len().min(written.len()) / 3)
        .map(|(_, known)| known)
}

/// How far `written` is from `known`, where leaving out its first or its last word (`.ms`) is a single slip.
fn slips(written: &str, known: &str) -> usize {
    let words = [known.split_once('.').map(|(_, rest)| rest), known.rsplit_once('.').map(|(rest, _)| rest)];
    let shortened = words.into_iter().flatten().map(|part| 1 + distance(written, part));
    shortened.chain([distance(written, known)]).min().unwrap_or(usize::MAX)
}

/// Insertions, deletions, substitutions, and swaps of neighbours, each at the cost of one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Longer names than any setting has are not compared: the work grows with the length.
const MAX_NAME: usize = 96;

/// Names of librdkafka's that Kafka's producer does not know, and what takes their place.
const LIBRDKAFKA: &[(&str, &str)] = &[
    ("batch.num.messages", "batch.size bounds a batch, in bytes"),
    ("broker.address.family", "addresses of both families are tried"),
    ("broker.address.ttl", "names are resolved before each connection"),
    ("compression.codec", "it is compression.type"),
    (
        "compression.level",
        "each codec has its own: compression.gzip.level, compression.lz4.level, compression.zstd.level",
    ),
    ("debug", "events go to the `tracing` crate"),
    (
        "enable.gapless.guarantee",
        "a batch that fails never lets later ones overtake it while enable.idempotence is on",
    ),
    ("enable.ssl.certificate.verification", "certificates are always verified"),
    ("log_level", "events go to the `tracing` crate"),
    ("max.in.flight", "it is max.in.flight.requests.per.connection"),
    ("message.max.bytes", "it is max.request.size"),
    ("message.send.max.retries", "it is retries"),
    ("message.timeout.ms", "it is delivery.timeout.ms"),
    ("metadata.broker.list", "it is bootstrap.servers"),
    ("partitioner", "keys are hashed as by murmur2_random, always"),
    (
        "queue.buffering.backpressure.threshold",
        "buffer.memory and max.in.flight.requests.per.connection hold callers back",
    ),
    ("queue.buffering.max.kbytes", "it is buffer.memory, in bytes"),
    ("queue.buffering.max.messages", "buffer.memory bounds what waits, in bytes"),
    ("queue.buffering.max.ms", "it is linger.ms"),
    ("reconnect.backoff.jitter.ms", "a jitter of 20 % is built in; see reconnect.backoff.ms"),
    ("request.required.acks", "it is acks"),
    ("sasl.mechanisms", "it is sasl.mechanism"),
    ("sasl.password", "it is a part of sasl.jaas.config"),
    ("sasl.username", "it is a part of sasl.jaas.config"),
    ("socket.connection.setup.timeout", "it is socket.connection.setup.timeout.ms"),
    ("socket.keepalive.enable", "keep-alive is always on"),
    ("socket.max.fails", "a connection is closed at the first request that times out"),
    ("socket.nagle.disable", "Nagle's algorithm is always off"),
    ("socket.receive.buffer.bytes", "it is receive.buffer.bytes"),
    ("socket.send.buffer.bytes", "it is send.buffer.bytes"),
    ("socket.timeout.ms", "it is request.timeout.ms"),
    ("ssl.ca.location", "it is ssl.truststore.location, with ssl.truststore.type=PEM"),
    ("ssl.certificate.location", "it is ssl.keystore.location, with ssl.keystore.type=PEM"),
    ("ssl.key.location", "it is ssl.keystore.location, with ssl.keystore.type=PEM"),
    ("statistics.interval.ms", "statistics can be asked for at any time"),
    ("sticky.partitioning.linger.ms", "a caller stays with a partition for about batch.size bytes"),
    ("topic.metadata.refresh.interval.ms", "it is metadata.max.age.ms"),
];

/// What people leave in a file they share with a consumer.
const CONSUMER: &[&str] = &[
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "enable.auto.commit",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "isolation.level",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "partition.assignment.strategy",
    "session.timeout.ms",
    "value.deserializer",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_pen() {
        for (written, meant) in [
            ("linger", Some("linger.ms")),
            ("lingre.ms", Some("linger.ms")),
            ("linger_ms", Some("linger.ms")),
            ("BATCH.SIZE", Some("batch.size")),
            ("batchsize", Some("batch.size")),
            ("bootstrap.server", Some("bootstrap.servers")),
            ("ack", Some("acks")),
            ("compresion.type", Some("compression.type")),
            ("idempotence", Some("enable.idempotence")),
            ("", None),
            ("zzzzzz", None),
        ] {
            assert_eq!(nearest(written), meant, "{written}");
        }
    }

    #[test]
    fn counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn points_from_other_peoples_names() {
        assert_eq!(hint("queue.buffering.max.ms").unwrap(), "librdkafka calls it so; here it is linger.ms");
        assert_eq!(hint("group.id").unwrap(), "it is a setting of consumers");
        let known = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
        for (theirs, _) in LIBRDKAFKA {
            assert!(!known(theirs), "{theirs} is a name of Kafka's, too");
        }
    }
}

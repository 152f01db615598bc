//! The lines that are printed.

use serde_json::Value;

use crate::clock;

/// What there is to say.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// Records will follow.
    StartupComplete,
    /// A record was acknowledged. Its offset is -1 where nobody knows it.
    Success { sent: Sent, topic: &'a str, partition: i32, offset: i64 },
    /// A record was not acknowledged.
    Error { sent: Sent, topic: &'a str, exception: String, message: String },
    /// The producer is closed.
    ShutdownComplete,
    /// The summary.
    ToolData { sent: u64, acked: u64, target: i32, average: f64 },
}

/// A record, as text.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) key: Option<String>,
    pub(super) value: String,
}

impl Event<'_> {
    /// A line of JSON: the time, the event's name, and its fields in the order in which Kafka's tool has them.
    pub(super) fn line(self) -> Vec<u8> {
        self.line_at(clock::milliseconds())
    }

    fn line_at(self, now: u64) -> Vec<u8> {
        let (name, fields): (&str, Vec<(&str, Value)>) = match self {
            Self::StartupComplete => ("startup_complete", Vec::new()),
            Self::Success { sent, topic, partition, offset } => (
                "producer_send_success",
                vec![
                    ("key", sent.key.into()),
                    ("value", sent.value.into()),
                    ("offset", offset.into()),
                    ("topic", topic.into()),
                    ("partition", partition.into()),
                ],
            ),
            Self::Error { sent, topic, exception, message } => (
                "producer_send_error",
                vec![
                    ("topic", topic.into()),
                    ("key", sent.key.into()),
                    ("value", sent.value.into()),
                    ("exception", exception.into()),
                    ("message", message.into()),
                ],
            ),
            Self::ShutdownComplete => ("shutdown_complete", Vec::new()),
            Self::ToolData { sent, acked, target, average } => (
                "tool_data",
                vec![
                    ("sent", sent.into()),
                    ("acked", acked.into()),
                    ("target_throughput", target.into()),
                    ("avg_throughput", average.into()),
                ],
            ),
        };
        let mut line = format!("{{\"timestamp\":{now},\"name\":\"{name}\"");
        for (name, value) in fields {
            line.push_str(&format!(",\"{name}\":{value}"));
        }
        line.push_str("}\n");
        line.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: Event<'_>) -> String {
        String::from_utf8(event.line_at(1_795_562_280_692)).unwrap()
    }

    #[test]
    fn lines_are_those_that_kafkas_tool_prints() {
        // Printed by VerifiableProducer 4.3.1 on Java 17.
        let sent = || Sent { key: Some("0".into()), value: "7.0".into() };
        assert_eq!(
            line(Event::Success { sent: sent(), topic: "t1", partition: 0, offset: 0 }),
            "{\"timestamp\":1795562280692,\"name\":\"producer_send_success\",\"key\":\"0\",\"value\":\"7.0\",\
             \"offset\":0,\"topic\":\"t1\",\"partition\":0}\n"
        );
        let error = Event::Error {
            sent: Sent { key: None, value: "0".into() },
            topic: "t1",
            exception: "class org.apache.kafka.common.errors.TimeoutException".into(),
            message: "Topic t1 not present in metadata after 500 ms.".into(),
        };
        assert_eq!(
            line(error),
            "{\"timestamp\":1795562280692,\"name\":\"producer_send_error\",\"topic\":\"t1\",\"key\":null,\
             \"value\":\"0\",\"exception\":\"class org.apache.kafka.common.errors.TimeoutException\",\
             \"message\":\"Topic t1 not present in metadata after 500 ms.\"}\n"
        );
        assert_eq!(
            line(Event::ToolData { sent: 3, acked: 0, target: -1, average: 0.0 }),
            "{\"timestamp\":1795562280692,\"name\":\"tool_data\",\"sent\":3,\"acked\":0,\
             \"target_throughput\":-1,\"avg_throughput\":0.0}\n"
        );
        assert_eq!(
            line(Event::ShutdownComplete),
            "{\"timestamp\":1795562280692,\"name\":\"shutdown_complete\"}\n"
        );
    }

    #[test]
    fn text_is_escaped() {
        let line = line(Event::Success {
            sent: Sent { key: None, value: "\"\n".into() },
            topic: "t",
            partition: 1,
            offset: -1,
        });
        assert!(line.contains(r#""value":"\"\n","#), "{line}");
    }
}

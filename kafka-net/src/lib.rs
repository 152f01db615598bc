//! Connections to Kafka brokers and the metadata that leads to partition leaders.

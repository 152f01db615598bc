//! An in-process Kafka cluster for tests, for any client.

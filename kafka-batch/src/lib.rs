//! Kafka record batches: format v2, exact size accounting, compression, an accumulator.

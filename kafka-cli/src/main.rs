//! The program linger: produce to Kafka and see what the producer does.

fn main() {}

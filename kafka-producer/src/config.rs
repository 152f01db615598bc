//! Settings: the builder, and Kafka's names in properties form.

//! Small Kafka clients: a connection, a producer, a group consumer.

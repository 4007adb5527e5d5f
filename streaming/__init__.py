"""Scoring on Kafka: requests from a topic, predictions to another and to the log, outcomes from a third."""

"""Kafka's protocol, bytes only: primitives, message classes, frames, negotiation. No I/O, no clock."""

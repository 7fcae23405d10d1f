"""Produce requests: their batches, sequence numbers and outcomes."""

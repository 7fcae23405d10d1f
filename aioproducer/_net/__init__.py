"""Connections to brokers, on anyio: opens them, writes and reads frames, decides nothing."""

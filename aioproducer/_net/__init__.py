"""Connections to brokers, on anyio: sets them up, writes and reads frames, decides nothing."""

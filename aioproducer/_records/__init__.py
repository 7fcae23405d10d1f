"""RecordBatch, to bytes and back. Magic 2 only (KIP-98), all that Kafka 4 stores.

All modules are light to import. The packages behind them (crc32c, the codecs) are not; `load`, called by start(),
imports them, from `compression`.
"""

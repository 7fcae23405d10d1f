"""The brokers: what is known of them and of the topics, and which connection can take a request."""

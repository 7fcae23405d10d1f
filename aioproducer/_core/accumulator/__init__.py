"""What is accepted and not delivered yet: records in batches, batches in queues, calls that wait, and their memory."""

"""Producer and what it is made of: how a record gets from a call to its batch, deliveries, transactions, life cycle."""

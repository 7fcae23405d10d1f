"""Transactions: their states, requests and waiting calls."""

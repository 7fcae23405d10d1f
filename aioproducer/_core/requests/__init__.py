"""Requests that are repeated until they are answered: when they are sent, to whom, what follows from an error code."""

"""What is counted and measured while a producer runs."""

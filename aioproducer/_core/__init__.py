"""What is decided, and nothing else: sequential code over plain data, with the time passed in."""

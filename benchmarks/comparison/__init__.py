"""One run of one client in a process of its own, and what the runs are compared against and with."""

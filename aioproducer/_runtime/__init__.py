"""Joins the core and the net: owns every task of a producer, and has bytes made.

`loop.py` polls the core and acts; `link.py` is one connection's two tasks; `encoding.py` makes record batches;
`completion.py` wakes whoever waits for an outcome; `undelivered.py` keeps count of failures that nobody watches.
"""

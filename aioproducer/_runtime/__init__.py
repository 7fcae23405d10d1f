"""What joins the core and the net, has bytes made, and wakes those who wait.

`loop.py` polls the core and acts; `broker_connection.py` is one connection and its task; `encoding.py` makes record
batches; `completion.py` wakes whoever waits for an outcome; `undelivered.py` counts failures that nobody watches.
"""

"""What does a record cost, beside other clients? `python -m benchmarks --help`; docs/performance.md has the figures.

One module answers one question: `cases` what is measured, `clients` how each client does it, `brokers` and `sink` what
it is sent to, `worker` one run in a process of its own, `runner` all runs in turn, `special` what no client's run tells
(memory, an idle producer, imports), `targets` what is to be reached, `report` and `plots` how it is shown.
"""

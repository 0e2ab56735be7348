"""What the sidecar costs, measured from outside, beside what could be had otherwise.

    publisher --> Redis --> sidecar, or a yardstick     each a process of its own
                     \\________ CPU and memory of each read from /proc and INFO ________/

`make bench` runs `__main__`: one part after another (`parts/`), each a function that returns rows of the table.
A part starts its own Redis and daemon (`lab`), sends events (`publisher`, `events`), and compares with a `yardsticks/`
program in interleaved rounds. `results` makes the table, `svg` the plots.

Machines are noisy: what counts is CPU time per event, and the ratio of two medians of one run.
"""

"""A small sale backend that publishes its events to the sidecar: an example to read and copy from.

    POST /orders --> orders.py     pending, in Postgres, with its event in the outbox
                     stockroom.py  units reserved and a job queued, in Redis, in one script
    worker       --> payment.py    paid, declined, or no answer
                     orders.py     decided, in Postgres, with its event in the outbox
    relay.py         outbox -> the sidecar's stream, numbered so that nothing counts twice
    report.py        queue, stock and connections as they are, every second

Each step can be cut short at any point and done again: sale.py says in which order, and why. Start reading there.
"""

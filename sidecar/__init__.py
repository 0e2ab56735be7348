"""Count the events of a flash sale exactly, and show the numbers everywhere at once.

A backend publishes events to Redis (pub/sub or a stream); this daemon counts them beside it.

Events -> Aggregator -> Snapshot. The Aggregator is the only mutable thing. Once per tick what it holds is committed
to Redis, and what was committed leaves as one frozen Snapshot; every reader sees a rendering of that same Snapshot.

    pub/sub \\                                                        /-> /metrics, JSON, page
             > payloads -> decode -> Aggregator --commit--> Snapshot ---> WebSocket clients
    stream  /                                       |                 \\-> terminal, report, InfluxDB
                                                    \\-> Redis: keys and checkpoint, in one atomic script

    errors.py       one tree of exceptions
    core/           pure: bytes and `now` in, values out
                      events, decode, tolerant   payloads -> events; attendance, sequence: which of them are new
                      spelling, looks, recovery  what they are written like, what is none, what number it had
                      understanding              how much of what a source sends is understood
                      watch, twice               which producers live, and which send the same over two sources
                      counting, pending          events -> counts, a batch at a time; exemplars: orders shown for them
                      parts, state, histogram    what is counted, mergeable and storable part by part
                      windows                    the numbers of one producer
                      channels, origins          names and patterns of channels, as Redis reads them
                      naming                     a few names in a message, and how many more
                      fields, blocks             how it is stored
                      stored                     one field of the checkpoint: its checksum and form
                      aggregate, commit, ledger  what is pending, in flight and committed, and whose it is
                      course, memory, history    which orders are in flight; what is known of each; the last hour
                      sale, quiet, following     whether a sale runs: what was said, or what its orders show
                      picture, snapshot          committed counts -> the numbers that are shown
                      hold                       what was shown does not go back
    redis_url.py    the URL of a Redis, read; slots.py: where a Cluster keeps a key
    config/         frozen structs with their defaults; load (flags, environment, file), checks
    server_info.py  what a server says of itself; redis_errors.py: what its errors ask for; trust.py: TLS to it
    connection.py   the only door to Redis; servers.py: which server that is, alone, behind Sentinels, in a Cluster
    holder.py       who holds the lease
    logs.py telemetry.py   what the daemon says about itself
    supervision.py  no task dies silently; turns.py: the event loop, which lets no crowd hold it
    sources/        Redis -> payloads: pub/sub, stream
    store/          Aggregator -> Redis: keys, commit, load, clear; a private Redis to embed
    exposition/     Snapshot -> readers: Prometheus, HTTP, WebSocket, page, InfluxDB
    simulation/     a made-up sale
    assembly.py     configuration -> rules, stores, sources
    fleet.py        sidecars under one name: who they are, and their numbers as one
    ingest.py       source -> ledger: connect, read, apply
    pipeline.py     standing by and owning; tick -> commit -> publish
    health.py       the state of every part, in words
    service.py      builds it all from the configuration, runs it, stops it; the only place that names a real clock
    cli/            the commands; the only place that knows about signals

Imports run one way, from the bottom of that list towards its top; tests/test_layers.py holds us to it.
Start reading in core/events.py, then core/state.py and core/snapshot.py; pipeline.py ties them together.
"""

__version__ = "0.1.0"

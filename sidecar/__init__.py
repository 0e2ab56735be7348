"""Count the events of a flash sale exactly, and show the numbers everywhere at once.

A backend publishes events to Redis (pub/sub or a stream); this daemon counts them.

Events -> Aggregator -> Snapshot. The Aggregator is the only mutable state. Each tick commits its pending counts to
Redis, and publishes the committed counts as one frozen Snapshot; every reader gets a rendering of that Snapshot.

    pub/sub \\                                                        /-> /metrics, JSON, page
             > payloads -> decode -> Aggregator --commit--> Snapshot ---> WebSocket clients
    stream  /                                       |                 \\-> terminal, report, InfluxDB
                                                    \\-> Redis: keys and checkpoint, in one atomic script

    errors.py       one tree of exceptions
    core/           pure: bytes and `now` in, values out
      events/         payloads -> events, or rejections: decode, tolerant; names of fields in spelling, values in values
      mapping/        payloads of other systems -> events, by rules of the configuration
      counts/         events -> counts, mergeable part by part: tally counts, tallies and state hold; custom
                      metrics, liveness of producers
      checkpoint/     counts -> checkpoint entries and back; sections is the table of all
      sequence/       which events are new: sequence windows, roll call of their numbers, clock offsets
      sale/           whether a sale runs, and in which phase; planned sales, error budgets, grammar of thresholds
      snapshot/       committed counts -> the numbers that are shown
      commit/         pending, in flight, committed: aggregator; ledger knows the owner, where streams are read on, and
                      what they lost
      journal/        what changes a ledger, as rows of a recording; replay makes the same of them
    redis/          all access to Redis: url, servers (standalone, Sentinel, Cluster), link, errors
    config/         frozen structs with their defaults; load (flags, environment, file), checks; ready_made/ mappings
    process/        logs and telemetry of the daemon, supervision of its tasks, clock, loop, tuning
    sources/        Redis -> payloads: pub/sub, stream; queues/ reads job queues, one file a system
    store/          Aggregator -> Redis: keys, commit, load, clear, the lease (all in Lua); a private Redis to embed
    recording/      recordings on disk: recorder writes, in a thread; files and members read
    exposition/     Snapshot -> readers; documents are JSON and the report as Markdown; published keeps each rendering
      prometheus/     the expositions: text and protobuf
      influx/         InfluxDB
      access/         authentication and allowed hosts and origins
      http/           JSON, expositions, health
      page/           the live page, for browsers
      live/           WebSocket, on a port of its own and over HTTP, and Socket.IO: subscriptions is their protocol
    simulation/     a simulated sale
    daemon/         build (configuration -> parts), ingest (source -> ledger), queues (readings -> ledger),
                    pipeline (tick -> commit -> publish), fleet, health, flight_recorder, candidacy of a standby;
                    service runs these parts; only build uses a real clock
    cli/            one file a command, the only modules that handle signals; client/, view/, checks/ are shared

A package imports only those above it in this list; tests/test_layers.py checks that.
Start reading in core/events/event.py, then core/counts/state.py and core/snapshot/snapshot.py; daemon/pipeline.py
ties them together.
"""

__version__ = "0.1.0"

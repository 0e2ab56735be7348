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
      events/         payloads -> events: decode, tolerant, spelling; what is known of a rejected one
      counts/         events -> counts, mergeable part by part: tally, pending, state
      checkpoint/     how counts are stored: sections is the one table of them
      sequence/       which events are new: windows of numbers, roll call of producers, losses of streams
      sale/           whether a sale runs: announced, or shown by its orders
      snapshot/       committed counts -> the numbers that are shown
      commit/         what is pending, in flight and committed, and who owns it: aggregator, ledger
    redis/          the only door to Redis: url, servers (alone, behind Sentinels, a Cluster), link, errors
    config/         frozen structs with their defaults; load (flags, environment, file), checks
    process/        what it says about itself, and how its tasks live: logs, telemetry, supervision, clock, loop, tuning
    sources/        Redis -> payloads: pub/sub, stream
    store/          Aggregator -> Redis: keys, commit, load, clear; a private Redis to embed
    exposition/     Snapshot -> readers; published holds what the newest tick shows, each rendering once
      prometheus/     the two text expositions
      influx/         InfluxDB
      access/         who may ask
      http/           JSON, expositions, health
      live/           WebSocket
    simulation/     a made-up sale
    daemon/         build (configuration -> parts), ingest (source -> ledger), pipeline (tick -> commit -> publish),
                    fleet, health, lease; service runs it all on these parts; only build names a real clock
    cli/            one file a command, the only place that knows about signals; client/, view/, checks/ are shared

Imports run one way, from the bottom of that list towards its top; tests/test_layers.py holds us to it.
Start reading in core/events/event.py, then core/counts/state.py and core/snapshot/snapshot.py; daemon/pipeline.py
ties them together.
"""

__version__ = "0.1.0"

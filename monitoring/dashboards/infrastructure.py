"""*Infrastructure*: Redis and the machines, as their exporters see them."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import units

from monitoring.dashboards.board import Panels, arranged, board, choice
from monitoring.dashboards.panels import PER_SECOND, UP, alerts, light, lines, steps, verdict
from monitoring.dashboards.queries import Query

# Slowly changing targets are scraped every 30 s; a rate over less than two scrapes would be empty.
SLOW = "30s"
# Without memory that looks like a disk, and without the disks of containers, which are layers of a disk that is shown.
DISKS = 'fstype!~"tmpfs|ramfs|squashfs|overlay|nsfs",mountpoint!~"/etc/.*|/proc/.*|/run/.*|/var/lib/docker/.*"'
NETWORKS = 'device!~"lo|veth.*|br-.*|docker.*"'


def dashboard() -> build.Dashboard:
    """Build it."""
    description = "Redis and the machines under the sale. Look here when orders are slow but the backend is not."
    empty = board("flash-sale-infrastructure", "Infrastructure", description)
    in_environment = '{environment=~"$environment"}'
    empty = empty.with_variable(choice("redis", "Redis", f"redis_up{in_environment}", "instance"))
    empty = empty.with_variable(choice("node", "Machine", f"node_uname_info{in_environment}", "instance"))
    return arranged(empty, {"Redis": _redis(), "Replication": _replication(), "Machines": _machines()})


def _redis() -> Panels:
    hits = "sum by (instance) (rate(redis_keyspace_hits_total{REDIS}[$__rate_interval]))"
    misses = "sum by (instance) (rate(redis_keyspace_misses_total{REDIS}[$__rate_interval]))"
    return [
        alerts().span(24),
        light(
            "Redis answers",
            "Does Redis answer its exporter? If Redis is frozen, the exporter answers too late.",
            UP,
            Query(
                "min by (instance) (redis_up{REDIS} or up{REDIS} == 0"
                " and on (job, instance) last_over_time(redis_up{REDIS}[1h]))",
                "{{instance}}",
                instant=True,
            ),
        ).span(12),
        verdict(
            "Memory of its limit",
            "Used share of maxmemory. Full: Redis rejects writes (or evicts), and commits fail. Empty: no limit set.",
            units.PercentUnit,
            steps("green", (0.75, "orange"), (0.9, "red")),
            Query("redis_memory_used_bytes{REDIS} / (redis_memory_max_bytes{REDIS} > 0)", "{{instance}}"),
        )
        .decimals(0)
        .span(12)
        .no_value("no limit"),
        lines(
            "Memory",
            "What Redis uses, and what the system gave it. If resident is far above used: fragmentation, or a save.",
            units.BytesIEC,
            Query("redis_memory_used_bytes{REDIS}", "{{instance}} used"),
            Query("redis_memory_used_rss_bytes{REDIS}", "{{instance}} resident"),
        ),
        lines(
            "Commands per second",
            "A few come from the sidecar. Flat while customers are there: something in front of Redis is at its limit.",
            PER_SECOND,
            Query("rate(redis_commands_processed_total{REDIS}[$__rate_interval])", "{{instance}}"),
        ),
        lines(
            "CPU",
            "Cores in use. Redis runs commands on one: near 1 it is at its limit, and everything waits.",
            units.PercentUnit,
            Query(
                "rate(redis_cpu_user_seconds_total{REDIS}[$__rate_interval])"
                " + rate(redis_cpu_sys_seconds_total{REDIS}[$__rate_interval])",
                "{{instance}}",
            ),
        ),
        lines(
            "Clients",
            "Connected clients, and clients blocked in a waiting read. Steps up that never go down: connections leak.",
            units.Short,
            Query("redis_connected_clients{REDIS}", "{{instance}} connected"),
            Query("redis_blocked_clients{REDIS}", "{{instance}} blocked"),
        ),
        lines(
            "Hit rate",
            "Share of lookups that found their key. It matters to caches of the backend, not to the sidecar.",
            units.PercentUnit,
            Query(f"{hits} / ({hits} + {misses} > 0)", "{{instance}}"),
        ).max(1),
        lines(
            "Evictions and rejected connections",
            "Per second; both should be 0. Evicted keys of the sidecar come back with its next commit; "
            "an evicted stream does not.",
            PER_SECOND,
            Query("rate(redis_evicted_keys_total{REDIS}[$__rate_interval])", "{{instance}} evicted"),
            Query("rate(redis_rejected_connections_total{REDIS}[$__rate_interval])", "{{instance}} rejected"),
        ),
        lines(
            "Largest output buffer",
            "The largest of all clients. A slow subscriber fills its buffer; at the limit "
            "(client-output-buffer-limit pubsub) Redis cuts it off, and its events are lost.",
            units.BytesIEC,
            Query("redis_client_recent_max_output_buffer_bytes{REDIS}", "{{instance}}"),
        ),
        lines(
            "Network",
            "Bytes in and out. Out far above in: a client often reads large values.",
            units.BytesPerSecondIEC,
            Query("rate(redis_net_input_bytes_total{REDIS}[$__rate_interval])", "{{instance}} in"),
            Query("rate(redis_net_output_bytes_total{REDIS}[$__rate_interval])", "{{instance}} out"),
        ),
    ]


def _replication() -> Panels:
    return [
        lines(
            "Replicas",
            "Replicas connected to each Redis. After a drop, the next failover has no target.",
            units.Short,
            Query("redis_connected_slaves{REDIS}", "{{instance}}"),
        ),
        lines(
            "Bytes behind",
            "Bytes that each replica has yet to receive. A failover loses them.",
            units.BytesIEC,
            Query(
                "redis_master_repl_offset{REDIS}"
                " - on (instance) group_right () redis_connected_slave_offset_bytes{REDIS}",
                "{{slave_ip}}:{{slave_port}}",
            ),
        ),
    ]


def _machines() -> Panels:
    idle = 'rate(node_cpu_seconds_total{NODE,mode="idle"}[$__rate_interval])'
    return [
        verdict(
            "CPU busy",
            "Share of all cores that is busy. Above 90 %, latency grows for everything on the machine.",
            units.PercentUnit,
            steps("green", (0.75, "orange"), (0.9, "red")),
            Query(f"1 - avg by (instance) ({idle})", "{{instance}}", every=SLOW),
        ).decimals(0),
        verdict(
            "Memory in use",
            "Share in use, excluding caches. Near 100 % the kernel kills the largest process, which may be Redis.",
            units.PercentUnit,
            steps("green", (0.8, "orange"), (0.95, "red")),
            Query("1 - node_memory_MemAvailable_bytes{NODE} / node_memory_MemTotal_bytes{NODE}", "{{instance}}"),
        ).decimals(0),
        verdict(
            "Fullest disk",
            "Used share of the fullest file system. When it is full, Redis can no longer save, and Prometheus stops.",
            units.PercentUnit,
            steps("green", (0.8, "orange"), (0.9, "red")),
            Query(
                f"max by (instance) (1 - node_filesystem_avail_bytes{{NODE,{DISKS}}}"
                f" / node_filesystem_size_bytes{{NODE,{DISKS}}})",
                "{{instance}}",
            ),
        ).decimals(0),
        verdict(
            "Load per core",
            "Processes that run or are ready to run. Above 1 they wait for each other.",
            units.Short,
            steps("green", (1, "orange"), (2, "red")),
            Query(
                'node_load1{NODE} / on (instance) count by (instance) (node_cpu_seconds_total{NODE,mode="idle"})',
                "{{instance}}",
            ),
        ).decimals(2),
        lines(
            "CPU by machine",
            "Share of all cores that is busy. A plateau at the top: the machine is the limit.",
            units.PercentUnit,
            Query(f"1 - avg by (instance) ({idle})", "{{instance}}", every=SLOW),
        ).max(1),
        lines(
            "Memory available",
            "Memory that programs can still get. A steady decline is a leak somewhere.",
            units.BytesIEC,
            Query("node_memory_MemAvailable_bytes{NODE}", "{{instance}}"),
        ),
        lines(
            "Disk traffic",
            "Bytes read and written per second, all disks together. Saves of Redis show as write peaks.",
            units.BytesPerSecondIEC,
            Query(
                "sum by (instance) (rate(node_disk_read_bytes_total{NODE}[$__rate_interval]))",
                "{{instance}} read",
                every=SLOW,
            ),
            Query(
                "sum by (instance) (rate(node_disk_written_bytes_total{NODE}[$__rate_interval]))",
                "{{instance}} written",
                every=SLOW,
            ),
        ),
        lines(
            "Network traffic",
            "Bytes received and sent per second. Flat at a round number: the link is full.",
            units.BytesPerSecondIEC,
            *(
                Query(
                    f"sum by (instance) (rate(node_network_{name}_bytes_total{{NODE,{NETWORKS}}}[$__rate_interval]))",
                    f"{{{{instance}}}} {word}",
                    every=SLOW,
                )
                for name, word in (("receive", "received"), ("transmit", "sent"))
            ),
        ),
    ]

"""*Infrastructure*: Redis and the machines, as their exporters see them."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import units

from monitoring.dashboards.board import Panels, arranged, board, choice
from monitoring.dashboards.panels import PER_SECOND, UP, alerts, light, lines, steps, verdict
from monitoring.dashboards.queries import Query

# What is slow to change is scraped every 30 s; a rate over less than two scrapes would be empty.
SLOW = "30s"
# Neither memory that looks like a disk, nor the disks of containers: they are layers of one that is shown.
DISKS = 'fstype!~"tmpfs|ramfs|squashfs|overlay|nsfs",mountpoint!~"/etc/.*|/proc/.*|/run/.*|/var/lib/docker/.*"'
NETWORKS = 'device!~"lo|veth.*|br-.*|docker.*"'


def dashboard() -> build.Dashboard:
    """Build it."""
    description = "Redis and the machines under the sale. Look here when orders are slow and the backend is not."
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
            "Does it answer its exporter? One that is frozen lets the exporter answer too late.",
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
            "Used memory of maxmemory. Full, Redis refuses writes (or evicts): commits fail. Empty: no limit is set.",
            units.PercentUnit,
            steps("green", (0.75, "orange"), (0.9, "red")),
            Query("redis_memory_used_bytes{REDIS} / (redis_memory_max_bytes{REDIS} > 0)", "{{instance}}"),
        )
        .decimals(0)
        .span(12)
        .no_value("no limit"),
        lines(
            "Memory",
            "What Redis uses and what the system gave it. Resident far above used: fragmentation, or a save.",
            units.BytesIEC,
            Query("redis_memory_used_bytes{REDIS}", "{{instance}} used"),
            Query("redis_memory_used_rss_bytes{REDIS}", "{{instance}} resident"),
        ),
        lines(
            "Commands per second",
            "A few are the sidecar's. Flat while customers are there: something before Redis is full.",
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
            "Connected, and blocked in a read that waits. Steps up that never go down: connections leak.",
            units.Short,
            Query("redis_connected_clients{REDIS}", "{{instance}} connected"),
            Query("redis_blocked_clients{REDIS}", "{{instance}} blocked"),
        ),
        lines(
            "Hit rate",
            "Lookups that found their key. It matters to caches of the backend, not to the sidecar.",
            units.PercentUnit,
            Query(f"{hits} / ({hits} + {misses} > 0)", "{{instance}}"),
        ).max(1),
        lines(
            "Evictions and refused connections",
            "Per second, and both should be 0. Evicted keys of the sidecar come back with its next commit; "
            "a stream does not.",
            PER_SECOND,
            Query("rate(redis_evicted_keys_total{REDIS}[$__rate_interval])", "{{instance}} evicted"),
            Query("rate(redis_rejected_connections_total{REDIS}[$__rate_interval])", "{{instance}} refused"),
        ),
        lines(
            "Largest output buffer",
            "Of any client. A slow subscriber fills it; at the limit (client-output-buffer-limit pubsub) "
            "Redis cuts it off, and its events are lost.",
            units.BytesIEC,
            Query("redis_client_recent_max_output_buffer_bytes{REDIS}", "{{instance}}"),
        ),
        lines(
            "Network",
            "Bytes in and out. Out far above in: somebody reads large values often.",
            units.BytesPerSecondIEC,
            Query("rate(redis_net_input_bytes_total{REDIS}[$__rate_interval])", "{{instance}} in"),
            Query("rate(redis_net_output_bytes_total{REDIS}[$__rate_interval])", "{{instance}} out"),
        ),
    ]


def _replication() -> Panels:
    return [
        lines(
            "Replicas",
            "Replicas connected to each Redis. A drop: the next failover has nowhere to go.",
            units.Short,
            Query("redis_connected_slaves{REDIS}", "{{instance}}"),
        ),
        lines(
            "Bytes behind",
            "What each replica has yet to receive. In a failover this much is lost.",
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
            "Share of all cores that is busy. Above 90 % latency grows for everything on the machine.",
            units.PercentUnit,
            steps("green", (0.75, "orange"), (0.9, "red")),
            Query(f"1 - avg by (instance) ({idle})", "{{instance}}", every=SLOW),
        ).decimals(0),
        verdict(
            "Memory in use",
            "Share in use, caches not counted. Near 100 % the kernel kills the largest process, which may be Redis.",
            units.PercentUnit,
            steps("green", (0.8, "orange"), (0.95, "red")),
            Query("1 - node_memory_MemAvailable_bytes{NODE} / node_memory_MemTotal_bytes{NODE}", "{{instance}}"),
        ).decimals(0),
        verdict(
            "Fullest disk",
            "Share in use of the fullest file system. Full, Redis can no longer save, and Prometheus stops.",
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
            "Processes that run or want to. Above 1 they wait for each other.",
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
            "What programs can still get. A steady decline is a leak somewhere.",
            units.BytesIEC,
            Query("node_memory_MemAvailable_bytes{NODE}", "{{instance}}"),
        ),
        lines(
            "Disk traffic",
            "Bytes read and written per second, all disks together. Saves of Redis show as peaks of writing.",
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

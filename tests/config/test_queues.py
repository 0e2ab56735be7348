"""Queues to read are checked when the configuration is loaded: by system, with key, line and the nearest word."""

from pathlib import Path

import pytest

from sidecar.config import load
from sidecar.config.queues import MOST_JOBS, SETTINGS
from sidecar.config.structs import QueueConfig, RedisConfig, SourcesConfig
from sidecar.core.counts.rules import OTHER, Rules
from sidecar.errors import ConfigError


def loaded(folder: Path, text: str) -> tuple[QueueConfig, ...]:
    (folder / "sidecar.yml").write_text(f"queues:\n{text}")
    return load(str(folder / "sidecar.yml"), environ={}).config.queues


def test_a_queue_has_the_defaults_of_its_system(tmp_path: Path) -> None:
    text = "  - {system: bullmq, queue: orders}\n  - {system: arq, name: a}\n  - {system: rq, queue: '*'}\n"
    bullmq, arq, rq = loaded(tmp_path, text)
    assert (bullmq.name, bullmq.queue, bullmq.prefix) == ("orders", "orders", "bull")
    assert (arq.name, arq.queue, arq.max_jobs) == ("a", "a", 10)
    assert (rq.name, rq.queue) == ("", "*")


def test_a_setting_replaces_the_default_even_by_nothing(tmp_path: Path) -> None:
    text = "  - {system: celery, queue: q, prefix: 'app:', priority_steps: [0, 5], separator: ':'}\n"
    (celery,) = loaded(tmp_path, text + "  - {system: dramatiq, name: d, prefix: ''}\n")[:1]
    assert (celery.prefix, celery.priority_steps, celery.separator, celery.only_queue) == ("app:", (0, 5), ":", False)


def test_a_queue_is_in_our_redis_or_its_own(tmp_path: Path) -> None:
    there = "redis_url: 'redis://there', redis_username: u, redis_password: secret"
    ours, own = loaded(tmp_path, f"  - {{system: list, queue: a}}\n  - {{system: list, queue: b, {there}}}\n")
    assert ours.redis(RedisConfig()) == RedisConfig()
    target = own.redis(RedisConfig()).target
    assert (target.addresses, target.username, target.password) == ((("there", 6379),), "u", "secret")
    assert target.setting("password") == "queues.redis_password"
    assert "secret" not in repr(own)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{queue: q}", "queues[0] needs a `system`: one of arq, asynq"),
        ("bullmq", "queues[0] needs a `system`"),
        ("{system: bulmq, queue: q}", 'queues[0].system must be one of arq, asynq, .*; did you mean "bullmq"?'),
        ("{system: bullmq, queu: q}", "no setting 'queu'; did you mean \"queue\"?"),
        ("{system: bullmq}", "queue is missing: the name of the queue in bullmq"),
        (
            "{system: rq, queue: q, prefix: x}",
            "prefix is no setting of rq, which has system, name",
        ),
        ("{system: huey, queue: '*'}", "queue must be a name: huey keeps no list of its queues"),
        ("{system: rq, queue: '*', name: all}", "name is not used with `queue: \\*`"),
        ("{system: celery, queue: '*', only_queue: true}", "only_queue is not for all queues"),
        ("{system: rq, queue: q, job_per_order: true}", "job_per_order is not for rq, which counts no finished jobs"),
        ("{system: asynq, queue: '*', job_per_order: true}", "job_per_order is for one queue, not for all"),
        ("{system: sidekiq, queue: q, job_per_order: true}", "job_per_order needs `only_queue`"),
        ("{system: laravel, queue: q}", "prefix is missing: that of the Redis connection"),
        ("{system: stream_group, queue: q}", "group is missing: the consumer group"),
        (f"{{system: arq, queue: q, max_jobs: {MOST_JOBS + 1}}}", f"max_jobs must be from 1 to {MOST_JOBS}"),
        ("{system: list, queue: q, redis_username: u}", "redis_username is only used with `redis_url`"),
        ("{system: list, queue: q, redis_url: 'http://x'}", "redis_url must start with redis://"),
        ("{system: list, queue: q, redis_url: 'redis://x', redis_ca_file: f}", "redis_ca_file is only used with TLS"),
        (f"{{system: list, queue: q, name: {OTHER}}}", "name is what names beyond the limit are shown under"),
        (f"{{system: list, queue: {'q' * 129}}}", "name must have at most 128 bytes"),
        ("{system: list, queue: q}\n  - {system: rq, name: q}", 'queues[1] has the name "q" a second time'),
    ],
)
def test_a_wrong_queue_is_named_with_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    number = 2 + line.count("\n")
    with pytest.raises(ConfigError, match=message.replace("[0]", r"\[0\]").replace("[1]", r"\[1\]")) as caught:
        loaded(tmp_path, f"  - {line}\n")
    assert str(caught.value).startswith(f"{tmp_path / 'sidecar.yml'}:{number}: queues")


def test_queues_are_a_list_of_as_many_as_are_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="queues is a list"):
        loaded(tmp_path, "  system: rq\n")
    with pytest.raises(ConfigError, match="one too many: 100 queues at most"):
        loaded(tmp_path, "".join(f"  - {{system: list, queue: q{n}}}\n" for n in range(Rules().max_queues + 1)))


def test_one_queue_at_most_decides_the_orders(tmp_path: Path) -> None:
    line = "  - {system: asynq, queue: %s, job_per_order: true}\n"
    assert loaded(tmp_path, line % "a")[0].job_per_order
    with pytest.raises(ConfigError, match="job_per_order is set a second time"):
        loaded(tmp_path, line % "a" + line % "b")


def test_every_setting_of_a_system_is_one_of_a_queue() -> None:
    assert {name for settings in SETTINGS.values() for name in settings} <= set(QueueConfig.__struct_fields__)


def test_a_queue_can_be_in_every_redis_in_which_events_can_be() -> None:
    of_queue, of_events = (
        {name for name in one.__struct_fields__ if name.startswith("redis_")} for one in (QueueConfig, SourcesConfig)
    )
    assert of_queue == of_events

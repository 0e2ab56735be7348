"""`sidecar check`: find what keeps an integration from working, and say how to fix it."""

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from sidecar.cli.options import Where, redis_options
from sidecar.cli.view.terminal import counted, folded, plain
from sidecar.errors import SidecarError

if TYPE_CHECKING:
    from sidecar.cli.checks.findings import Finding
    from sidecar.config import Config

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command(short_help="Check configuration, Redis and sources, and say what to fix.")
@redis_options
@click.option("--offline", is_flag=True, help="Check the configuration only.")
@click.option("--heartbeat", is_flag=True, help="Also send one to streams that consumer groups read.")
def check(where: Where, offline: bool, heartbeat: bool) -> None:
    """Check the configuration, connect, and send a heartbeat through each source.

    It neither creates nor trims a stream, and adds nothing to a stream that consumer groups read, unless you give
    --heartbeat. The exit status is 1 if there is a problem; warnings alone give 0.
    """
    from sidecar.cli.checks.exposure import configuration_file, secret_files
    from sidecar.cli.checks.findings import Finding
    from sidecar.cli.client.access import target

    config = where.config()
    address = target(config.redis).display
    _print(Finding("ok", f"configuration: Redis {address}, prefix {config.redis.prefix}"))
    if config.http.web_config_file:
        _print(Finding("ok", _web(config)))
    for finding in (*secret_files(config), *configuration_file(where.file)):
        _print(finding)
    if offline:
        return
    problems = asyncio.run(_probe(config, heartbeat))
    if problems:
        raise SidecarError(f"{counted(problems, 'problem')} found; the lines above say what to do")


def _web(config: "Config") -> str:
    """Describe the web configuration. Raises `ConfigError` for a certificate that cannot be used."""
    from sidecar.config import read_web_file
    from sidecar.exposition.access.tls import server_context

    web = read_web_file(config.http.web_config_file)
    if web.tls:
        server_context(web.tls)
    return f"web configuration: {'TLS' if web.tls else 'no TLS'}, {counted(len(web.users), 'user')}"


async def _probe(config: "Config", everywhere: bool) -> int:
    """Print findings as they come; return the number of problems."""
    from sidecar.cli.checks.findings import Finding
    from sidecar.cli.checks.probes import probe

    problems = 0
    try:
        async for finding in probe(config, everywhere=everywhere):
            problems += finding.level == "problem"
            _print(finding)
    except SidecarError as exc:
        problems += 1
        _print(Finding("problem", str(exc)))
    return problems


def _print(finding: "Finding") -> None:
    label = f"{finding.level:<8}"
    text = folded(f"{label} {plain(finding.text)}", sys.stdout, " " * 9)
    click.echo(click.style(label, fg=COLOURS[finding.level], bold=finding.level != "ok") + text.removeprefix(label))
    if finding.fix:
        click.echo(folded(f"{'':<8} -> {plain(finding.fix)}", sys.stdout, " " * 12))

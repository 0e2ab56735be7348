"""The command line. This module has the group, and turns errors into exit statuses.

options     flags of most commands -> Where: a running daemon, or Redis and a configuration
client/     access to a daemon or a Redis: readers (what commands show), stored (read and change the state), publishing
view/       numbers and names for people: terminal, tables, notes
checks/     what `sidecar check` looks for

Commands import what is heavy (aiohttp, redis, rich) when they run, so that `--help` and completion stay fast.
"""

import errno
import io
import sys
from typing import Any

import click

from sidecar import __version__
from sidecar.cli.check import check
from sidecar.cli.clear import clear
from sidecar.cli.demo import demo
from sidecar.cli.export import export
from sidecar.cli.gate import gate
from sidecar.cli.map import map_
from sidecar.cli.publish import publish
from sidecar.cli.record import record
from sidecar.cli.rejected import rejected
from sidecar.cli.replay import replay
from sidecar.cli.report import report
from sidecar.cli.run import run
from sidecar.cli.sale import sale
from sidecar.cli.schema import schema
from sidecar.cli.simulate import simulate
from sidecar.cli.tap import tap
from sidecar.cli.top import top
from sidecar.cli.view.terminal import folded, plain
from sidecar.errors import ConfigError, SidecarError


class Failure(click.ClickException):
    """A failure: one line on stderr, exit status 1."""

    def __init__(self, text: object) -> None:
        super().__init__(plain(" ".join(str(text).split())))

    def show(self, file: Any = None) -> None:
        click.echo(folded(f"Error: {self.format_message()}", sys.stderr), file=file, err=True)


class WrongUsage(Failure):
    """Wrong usage or configuration: exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """Turn every error of a command into one line on stderr and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Click handles its own errors, Ctrl-C and a closed pipe."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without `·` shows `?`
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ConfigError as exc:
            raise WrongUsage(exc) from exc
        except SidecarError as exc:
            raise Failure(exc) from exc
        except MemoryError as exc:
            raise Failure(
                "no memory is left: give the process more; at the next start, counting continues after the last commit"
            ) from exc
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                raise
            raise Failure(exc) from exc
        except Exception as exc:
            if sys.flags.dev_mode:
                raise
            fault = f"{type(exc).__name__}: {exc}; this is a fault of the sidecar, please report it"
            raise Failure(f"{fault} (`python -X dev -m sidecar` shows where)") from exc


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flash-sale-sidecar")
def main() -> None:
    """Count a flash sale: exact live metrics from the events that a backend publishes to Redis."""


COMMANDS = (
    *(run, demo, check, top, report, gate, export, map_, tap, publish, simulate),
    *(record, replay, rejected, clear, sale, schema),
)
for command in COMMANDS:
    main.add_command(command)

"""Fork a program for every line on stdin: `[log file, program, its arguments]`; the process id goes to stdout."""

import json
import os
import signal
import sys

import sidecar.daemon.service  # noqa: F401  # imported once, before the forks
from sidecar.cli import main
from tests.e2e import usual_consumer


def run(log: str, program: str, arguments: list[str]) -> None:
    """Become `sidecar`, or the consumer it is compared with, with these arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(log, "a") as file:
        os.dup2(file.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    if program == "sidecar":
        sys.argv[1:] = arguments
        main()
    else:
        usual_consumer.main(*arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            run(*json.loads(line))
            os._exit(0)
        print(pid, flush=True)

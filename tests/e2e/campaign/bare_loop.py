"""The yardstick of G9: a loop with nothing to do. Prints its longest delay, every second, measured as the daemon's."""

import asyncio
import sys
import time

PROBE_SECONDS, PROBES = 0.05, 20


async def main() -> None:
    """Measure until ended."""
    while True:
        longest = 0.0
        for _ in range(PROBES):
            began = time.monotonic()
            await asyncio.sleep(PROBE_SECONDS)
            longest = max(longest, time.monotonic() - began - PROBE_SECONDS)
        sys.stdout.write(f"{longest}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())

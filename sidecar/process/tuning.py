"""Settings of a whole process that runs nothing but the daemon; the Service changes none, so it can be embedded."""

import ctypes
import gc
import resource
from asyncio.sslproto import SSLProtocol
from contextlib import suppress

# Thresholds of the garbage collector; with the default ones a few batches cause a full collection. More than 10,000
# objects would keep some 5 MB of closed connections until the first collection.
COLLECT = (10_000, 20, 50)
# From malloc.h. Once set it is fixed; otherwise it grows to the largest block ever freed, up to 32 MB.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024  # its initial value
# The read buffer of each TLS connection, allocated even if it never sends; a record has 16 KiB at most.
TLS_BUFFER_BYTES = 16 * 1024


def tune() -> None:
    """Change the settings, when everything is built and nothing runs yet."""
    allow_files()
    return_memory()
    collect_rarely()
    SSLProtocol.max_size = TLS_BUFFER_BYTES


def allow_files() -> None:
    """Raise the limit of open files to the hard limit: every client is one, and the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems report an infinite limit and reject it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def return_memory() -> None:
    """Return the memory of renderings to the system as soon as it is freed.

    By default glibc would soon keep such blocks, and fragment.
    """
    with suppress(OSError, AttributeError):  # other C libraries lack this option
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def collect_rarely() -> None:
    """Freeze everything allocated until now, and collect rarely: batches of events contain no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)

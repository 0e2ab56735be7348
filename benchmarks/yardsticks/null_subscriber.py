"""A null subscriber: a bare socket that subscribes and throws away what comes: what delivery alone costs Redis."""

import socket
import sys

from benchmarks.events import CHANNEL, resp

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(resp(b"SUBSCRIBE", CHANNEL.encode()))
    connection.recv(1 << 16)
    print("ready", flush=True)
    while connection.recv(1 << 18):
        pass

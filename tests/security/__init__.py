"""Strangers at the ports, with real sockets: what they may reach, hold and cost."""

"""How commands reach a daemon or a Redis: requests, connections, published events. Imports no command."""

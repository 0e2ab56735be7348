"""Access to HTTP and WebSocket: rules, tokens, passwords, TLS, and the addresses that servers listen on."""

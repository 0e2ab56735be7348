"""Who may ask: rules, tokens, passwords, TLS, and the addresses that servers listen on. For HTTP and WebSocket."""

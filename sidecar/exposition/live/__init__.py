"""The WebSocket server: latest wins. Imports `access` and the modules of `exposition` itself."""

"""The WebSocket server: latest wins. Imports `access` and what lies beside the rooms."""

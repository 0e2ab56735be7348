"""All access to Redis: URLs, which server to connect to, one connection, and errors with advice. Imports `errors`."""

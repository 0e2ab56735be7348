"""The only door to Redis: its URL, which server that is, one connection to it, and its errors in our words.
Imports `errors`."""

"""Numbers as people read them: tables, notes, texts; and keys. Of the commands it imports only `client`."""

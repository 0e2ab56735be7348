"""How commands show numbers to people: tables, words, keys. Imports nothing else of the commands but `client`."""

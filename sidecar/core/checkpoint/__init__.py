"""How counts are stored: the table of sections, the entries of a checkpoint, their checksums. Imports `counts`."""

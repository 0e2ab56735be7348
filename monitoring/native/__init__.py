"""The stack of docker-compose.yml without Docker: the same programs from Debian's packages, with the same files.

`layout` says what runs and with which files, `supervise` runs it, `python -m monitoring.native` is the command. What
Debian does not package, Grafana and Redis Commander, is not in it.
"""

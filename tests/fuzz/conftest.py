"""The fixtures of whole daemons are those of the end-to-end tests."""

from tests.e2e.conftest import make_daemon as make_daemon

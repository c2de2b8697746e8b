"""The words of sd_notify(3) and sd_watchdog_enabled(3), as far as they are read."""

import pytest

from supervisor.service_manager import notify_address, watchdog_timeout_s

PID = 4711


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "/run/systemd/notify"}, b"/run/systemd/notify"),
        ({"NOTIFY_SOCKET": "@brama"}, b"\0brama"),
        ({"NOTIFY_SOCKET": "@"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, None),
        ({"NOTIFY_SOCKET": "notify"}, None),
    ],
)
def test_where_the_service_manager_listens(environ, address):
    assert notify_address(environ) == address


@pytest.mark.parametrize(
    ("environ", "timeout_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "4711"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": ""}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "18446744073709551615"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "30s"}, None),
        ({"WATCHDOG_PID": "4711"}, None),
    ],
)
def test_when_the_watchdog_bites(environ, timeout_s):
    assert watchdog_timeout_s(environ, PID) == timeout_s

"""A master keeps nothing of the workers it has lost."""

from benchmarks.restarts import measure

#: A leak of this much a restart is found.
LEAK_BYTES = 1024


def test_a_thousand_restarts_leave_open_files_and_memory_as_they_were():
    growth = measure()
    assert growth.restarts == 1000
    assert growth.after.open_files == growth.before.open_files
    assert growth.bytes_a_restart < LEAK_BYTES

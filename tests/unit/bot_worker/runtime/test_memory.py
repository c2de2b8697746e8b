"""Memory is measured when something can have changed, else remembered."""

from bot_worker.runtime.memory import Memory, resident_pages


def test_an_idle_bot_is_measured_once():
    pages, measured = [100], iter([1000, 2000, 3000])
    memory = Memory(exact=lambda: next(measured), rough=lambda: pages[0])
    assert [memory.uss_bytes(0), memory.uss_bytes(0)] == [1000, 1000]
    assert [memory.uss_bytes(1), memory.uss_bytes(1)] == [2000, 2000]
    pages[0] = 101
    assert memory.uss_bytes(1) == 3000


def test_this_process_has_pages():
    assert resident_pages() > 1000
    assert Memory().uss_bytes(0) > 1_000_000

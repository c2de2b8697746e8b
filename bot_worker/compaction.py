"""Arranges the zygote's memory so that a worker copies fewer of its pages.

A page that parent and child share is copied when either writes to it, and CPython writes to whatever it
touches: running a function counts a reference to its code object. Two arrangements keep those writes
together ([m] 11.2 to 8.9 MB of a worker's private memory, and less time for its first update):

- the code that every bot runs is copied side by side, away from the code that none runs;
- free blocks inside half-used pages are used up, so a worker's own objects stand on pages of its own.

Runs in: zygote, before it is frozen.
"""

import ctypes
import gc
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType

#: Functions found to run, by the identity of their code; holding the code keeps the identity its own.
CalledCode = dict[int, CodeType]

#: Sizes of blocks taken from glibc's free lists, largest first, so that large ones are not broken up.
_MALLOC_SIZES = (65536, 32768, 16384, 8192, 4096, 3072, 2048, 1536, 1280, *range(1024, 8, -16))
#: What glibc keeps in front of each block.
_MALLOC_HEADER_BYTES = 8
#: A line of the interpreter's allocation statistics: class, block size, pools, blocks in use, free blocks.
_POOL_LINE = re.compile(rb"^\s*\d+\s+(\d+)\s+\d+\s+\d+\s+(\d+)\s*$", re.MULTILINE)
_BYTES_OVERHEAD = sys.getsizeof(b"")

#: The blocks that fill the interpreter's pools; alive as long as the zygote and its workers.
_fillers: list[object] = []


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2, see mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


@contextmanager
def called_code() -> Iterator[CalledCode]:
    """Collect the code of all Python functions that are called in the block."""
    called: CalledCode = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called[id(frame.f_code)] = frame.f_code

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def gather(called: CalledCode) -> int:
    """Give functions whose code is in ``called`` a copy of it; return how many.

    Copies stand together, in the order of first calls: bots that call less touch less. A copy has to run a
    few times before the interpreter specialises it again.
    """
    copies: dict[int, CodeType] = {}

    def copy(code: CodeType) -> CodeType:
        if id(code) not in copies:
            consts = tuple(
                copy(const) if isinstance(const, CodeType) and id(const) in called else const
                for const in code.co_consts
            )
            copies[id(code)] = code.replace(co_consts=consts)
        return copies[id(code)]

    functions = [
        each for each in gc.get_objects() if type(each) is FunctionType and id(each.__code__) in called
    ]
    order = {code_id: place for place, code_id in enumerate(called)}
    functions.sort(key=lambda function: order[id(function.__code__)])
    for function in functions:
        function.__code__ = copy(function.__code__)
    return len(functions)


def fill_holes() -> None:
    """Use up free blocks in half-used pages of the interpreter's pools and of glibc's heap."""
    _fill_pools()
    _fill_malloc()
    _fill_pools()  # what filling itself has left


def _fill_pools() -> None:
    for size, free in _free_blocks():
        make = _maker(size)
        _fillers.append([make() for _ in range(free)])


def _maker(size: int) -> Callable[[], object]:
    """Return what makes an object that takes one block of ``size`` bytes."""
    if size <= sys.getsizeof(object()):
        return object
    if size <= _BYTES_OVERHEAD:
        return lambda: float("1.5")
    return lambda: bytes(size - _BYTES_OVERHEAD)


def _free_blocks() -> list[tuple[int, int]]:
    """Return (block size in bytes, free blocks in half-used pools), as the interpreter prints them."""
    with tempfile.TemporaryFile() as file:
        standard_error = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            sys._debugmallocstats()
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
        file.seek(0)
        return [(int(size), int(free)) for size, free in _POOL_LINE.findall(file.read())]


def _fill_malloc() -> None:
    """Take blocks until the next would come from the top of the heap. Does nothing without glibc."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return
    libc.mallinfo2.restype = _Mallinfo2
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    for size in _MALLOC_SIZES:
        before = libc.mallinfo2()
        while True:
            block = libc.malloc(size - _MALLOC_HEADER_BYTES)
            after = libc.mallinfo2()
            if after.arena > before.arena or after.keepcost < before.keepcost:
                libc.free(block)
                break
            before = after

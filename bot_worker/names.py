"""Lays the names that every bot's code uses side by side in the zygote's memory.

Setting an attribute or passing a keyword counts a reference to its name, a write that copies the name's
page into the worker. Names are made as modules are imported, each beside names that no bot uses; made
beforehand, in one go, they share few pages ([m] 0.5 MB of a worker's private memory). ``names.txt`` lists
them, as found by

    python -m bot_worker.names > bot_worker/names.txt

Names that other versions of libraries use are missing from it, which costs memory and nothing else.

Runs in: zygote, before everything else.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

_LIST = Path(__file__).with_name("names.txt")

#: Keeps the names where they are.
_names: list[str] = []


def lay_out_names() -> None:
    """Make the listed names now; code that is loaded later uses these very objects."""
    _names.extend(map(sys.intern, _LIST.read_text().split()))


def names_in(codes: Iterable[CodeType]) -> list[str]:
    """Return the names that ``codes`` use, of attributes, globals, variables, keywords, in order of use."""
    return list(dict.fromkeys(name for code in codes for name in _strings(code) if name.isidentifier()))


def _strings(code: CodeType) -> Iterator[str]:
    yield from code.co_names + code.co_varnames + code.co_cellvars + code.co_freevars
    yield code.co_name
    yield code.co_qualname
    for const in code.co_consts:
        for each in const if isinstance(const, tuple) else (const,):
            if isinstance(each, str):
                yield each


def find_names() -> list[str]:
    """Run bots as the zygote does, and return the names that their code uses."""
    from bot_worker import compaction
    from bot_worker.runtime import patches
    from bot_worker.runtime.main import run
    from bot_worker.warm_up import SCOUTING_ROUNDS, warm_up

    patches.install()
    try:
        with compaction.called_code() as called:
            warm_up(run, SCOUTING_ROUNDS)
    finally:
        patches.bind(None)
    return names_in(called.values())


if __name__ == "__main__":
    print("\n".join(find_names()))  # noqa: T201

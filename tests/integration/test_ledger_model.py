"""Random histories of the inbox, compared after each step with a model that keeps everything in a dict."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brama.ids import UpdateId
from supervisor.updates.inbox.housekeeping import LedgerLimits
from supervisor.updates.inbox.ledger import Ledger
from supervisor.updates.inbox.operations import LetterError
from supervisor.updates.model import Backlog, DeadLetter, Reason, Row, Source, Tally, Verdict
from tests.integration.inbox_tools import (
    HELP_SOURCE,
    SHOP,
    SHOP_SOURCE,
    START,
    assert_balanced,
    candidate,
    opened,
    rows_of,
)

LETTERS_PER_BOT = 4
SOURCES = st.sampled_from([SHOP_SOURCE, HELP_SOURCE])
IDS = st.integers(0, 12)
PICKS = st.lists(st.integers(0, 20), min_size=1, max_size=4)


@dataclass
class Model:
    """One bot's updates by id, its waiting rows and letters in order, and its sums."""

    known: set[int] = field(default_factory=set)
    junk: set[bytes] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    letters: list[tuple[int | None, Row | None]] = field(default_factory=list)
    processed: int = 0
    dropped: int = 0
    purged: int = 0
    repeated: int = 0
    committed: int = 0

    def add_letter(self, update_id: int | None, row: Row | None) -> None:
        self.letters.append((update_id, row))
        if len(self.letters) > LETTERS_PER_BOT:
            del self.letters[0]
            self.purged += 1

    def tally(self) -> Tally:
        return Tally(
            self.committed,
            self.processed,
            self.dropped,
            len(self.letters),
            self.purged,
            len(self.rows),
            self.repeated,
        )


class Comparison:
    """Does each step to the inbox and to the models."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.models = {SHOP_SOURCE: Model(), HELP_SOURCE: Model()}

    def pick_rows(self, source: Source, picks: list[int]) -> list[Row]:
        rows = self.models[source].rows
        return (
            list({rows[pick % len(rows)].seq: rows[pick % len(rows)] for pick in picks}.values())
            if rows
            else []
        )

    async def accept(self, source: Source, updates: list[tuple[int, bool]]) -> None:
        model = self.models[source]
        expected = []
        for update_id, duplicate in updates:
            if update_id in model.known:
                model.repeated += 1
                expected.append(Verdict.KNOWN)
                continue
            model.known.add(update_id)
            model.committed += 1
            model.dropped += duplicate
            expected.append(Verdict.DROPPED if duplicate else Verdict.QUEUED)
        accepted = await self.ledger.accept(
            SHOP, source, [candidate(update_id, duplicate=duplicate) for update_id, duplicate in updates]
        )
        assert [each.verdict for each in accepted] == expected
        assert [each.update_id for each in accepted] == [update_id for update_id, _ in updates]
        model.rows += rows_of(accepted)

    async def processed(self, source: Source, picks: list[int]) -> None:
        model, rows = self.models[source], self.pick_rows(source, picks)
        self.ledger.processed([row.seq for row in rows])
        model.rows = [row for row in model.rows if row not in rows]
        model.processed += len(rows)

    async def bury(self, source: Source, picks: list[int]) -> None:
        model = self.models[source]
        for row in self.pick_rows(source, picks):
            self.ledger.bury(row.seq, Reason.POISON, "", "", "")
            model.rows.remove(row)
            model.add_letter(row.update_id, row)

    async def bury_raw(self, source: Source, update_id: int | None, raw: bytes) -> None:
        model = self.models[source]
        new = update_id not in model.known if update_id is not None else raw not in model.junk
        known_as = None if update_id is None else UpdateId(update_id)
        assert await self.ledger.bury_raw(SHOP, source, known_as, raw, Reason.MALFORMED, "") == new
        if not new:
            model.repeated += update_id is not None
            return
        model.committed += 1
        if update_id is None:
            model.junk.add(raw)
        else:
            model.known.add(update_id)
        model.add_letter(update_id, None)

    async def letters(self, source: Source) -> list[DeadLetter]:
        return [each for each in reversed(await self.ledger.dead_letters(limit=99)) if each.source == source]

    async def replay(self, source: Source, picks: list[int]) -> None:
        model = self.models[source]
        await self.ledger.settle()
        letters = await self.letters(source)
        if not letters:
            return
        chosen = list(dict.fromkeys(pick % len(letters) for pick in picks))
        letter_ids = [letters[index].letter_id for index in chosen]
        if any(model.letters[index][1] is None for index in chosen):
            try:
                await self.ledger.replay(letter_ids)
            except LetterError:
                return
            raise AssertionError("a malformed letter was replayed")
        replayed = await self.ledger.replay(letter_ids)
        assert [row.update_id for _, row in replayed] == [model.letters[index][0] for index in chosen]
        model.rows += [row for _, row in replayed]
        model.letters = [each for index, each in enumerate(model.letters) if index not in chosen]

    async def drop(self, source: Source, picks: list[int]) -> None:
        model = self.models[source]
        await self.ledger.settle()
        letters = await self.letters(source)
        if not letters:
            return
        chosen = {pick % len(letters) for pick in picks}
        assert await self.ledger.drop([letters[index].letter_id for index in chosen]) == len(chosen)
        model.letters = [each for index, each in enumerate(model.letters) if index not in chosen]
        model.purged += len(chosen)

    async def abandon(self, source: Source) -> None:
        model = self.models[source]
        await self.ledger.settle()
        gone = len(model.rows) + len(model.letters)
        assert await self.ledger.abandon(source) == gone
        model.rows, model.letters = [], []
        model.purged += gone

    async def compare(self) -> None:
        await self.ledger.settle()
        for source, model in self.models.items():
            assert await self.ledger.page(source, START, 99, 10**9) == model.rows
            size = sum(len(row.raw) for row in model.rows)
            assert self.ledger.backlog(source) == Backlog(len(model.rows), size)
            assert self.ledger.tally(source) == model.tally()
            assert_balanced(self.ledger.tally(source))
            letters = await self.letters(source)
            assert [letter.update_id for letter in letters] == [update_id for update_id, _ in model.letters]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("accept"),
            SOURCES,
            st.lists(st.tuples(IDS, st.sampled_from([False, False, True])), max_size=6),
        ),
        st.tuples(st.just("processed"), SOURCES, PICKS),
        st.tuples(st.just("bury"), SOURCES, PICKS),
        st.tuples(st.just("bury_raw"), SOURCES, st.none() | IDS, st.sampled_from([b"junk", b"waste"])),
        st.tuples(st.just("replay"), SOURCES, PICKS),
        st.tuples(st.just("drop"), SOURCES, PICKS),
        st.tuples(st.just("abandon"), SOURCES),
        st.tuples(st.just("compare")),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


async def run(path: Path, steps: list[tuple[Any, ...]]) -> None:
    limits = LedgerLimits(letters_per_bot=LETTERS_PER_BOT)
    comparison: Comparison | None = None
    remaining = list(steps)
    while remaining or comparison is None:
        async with opened(path, limits=limits) as ledger:
            if comparison is None:
                comparison = Comparison(ledger)
            comparison.ledger = ledger
            while remaining:
                verb, *arguments = remaining.pop(0)
                if verb == "reopen":
                    break
                step: Callable[..., Any] = getattr(comparison, verb)
                await step(*arguments)
            await comparison.compare()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_the_inbox_is_what_the_model_says(steps: list[tuple[Any, ...]]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "brama.db", steps))

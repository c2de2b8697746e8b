"""A process that takes updates in and ends them as fast as it can, until it is killed.

``python -m tests.integration.ledger_child FILE FIRST_ID`` prints a line for everything that is certain:
``accepted N`` when all ids up to N were confirmed, ``settled N`` when all their ends were.
"""

import asyncio
import sys
from pathlib import Path

from brama.ids import BotId, UpdateId
from supervisor.updates.inbox.ledger import Ledger, open_ledger
from supervisor.updates.model import Candidate, Reason, Source, Verdict

#: Ids are spread over two bots; both confirm ids of their own parity only.
SOURCES = (Source(1001, "https://x"), Source(1002, "https://x"))  # type: ignore[arg-type]


def fate(update_id: int) -> str:
    """Return what the child does with an update."""
    if update_id % 7 == 0:
        return "dropped"
    if update_id % 11 == 0:
        return "waiting"
    if update_id % 5 == 0:
        return "dead"
    return "processed"


def body(update_id: int) -> bytes:
    return b'{"update_id": %d, "message": {"text": "%s"}}' % (update_id, b"x" * (update_id % 700))


async def take_in(ledger: Ledger, first: int, count: int) -> None:
    """Accept a batch of each bot, at once; end it."""
    batches = [
        [
            Candidate(UpdateId(number), "message", "c3", body(number), fate(number) == "dropped")
            for number in range(first, first + count)
            if number % 2 == parity
        ]
        for parity in (0, 1)
    ]
    results = await asyncio.gather(
        *(ledger.accept(BotId("shop"), source, batch) for source, batch in zip(SOURCES, batches, strict=True))
    )
    for each in (accepted for result in results for accepted in result):
        if each.verdict is not Verdict.QUEUED or each.row is None:
            continue
        match fate(each.update_id):
            case "dead":
                ledger.charge(each.row.seq, 3)
                ledger.bury(each.row.seq, Reason.POISON, "", str(each.update_id), "")
            case "processed":
                ledger.processed([each.row.seq])


async def main(path: Path, first: int) -> None:
    ledger = open_ledger(path)
    while True:
        for count in (1, 2, 30, 100):
            await take_in(ledger, first, count)
            first += count
            print("accepted", first - 1, flush=True)
        await ledger.settle()
        print("settled", first - 1, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""Jobs whose organisations have few starts a minute, for tests."""

from concurrent.futures import ThreadPoolExecutor

from jobs.author import JobContext, Rates, job
from tests.integration.jobs.handlers import SOON, Work, note


class Order(Work):
    """Work of an organisation."""

    organisation: str = "a"


def _organisation(payload: Order) -> str:
    return payload.organisation


@job("ORDER", backoff=SOON, attempts=1, limited_by=_organisation, rates=Rates(per_minute=1))
async def order(payload: Order, context: JobContext) -> None:
    note(payload, f"{context.attempt} {payload.organisation} {payload.text}")


@job("CALL", backoff=SOON, attempts=2, limited_by=_organisation, rates=Rates(per_minute=2))
async def call(payload: Order, context: JobContext) -> str:
    note(payload, f"{context.attempt} {payload.text}")
    for number in range(2):
        await context.wait_for_turn()
        note(payload, f"call {number} {payload.text}")
    return payload.text


@job("CALL_BLOCKING", backoff=SOON, attempts=2, limited_by=_organisation, rates=Rates(per_minute=2))
def call_blocking(payload: Order, context: JobContext) -> str:
    note(payload, f"{context.attempt} {payload.text}")
    for number in range(2):
        context.wait_for_turn()
        note(payload, f"call {number} {payload.text}")
    return payload.text


@job("HURRY", attempts=1, timeout="1s", limited_by=_organisation, rates=Rates(per_minute=1))
async def hurry(payload: Order, context: JobContext) -> None:
    await context.wait_for_turn()


@job("HURRY_BLOCKING", attempts=1, timeout="3s", limited_by=_organisation, rates=Rates(per_minute=1))
def hurry_blocking(payload: Order, context: JobContext) -> None:
    context.wait_for_turn()


@job("CALL_IN_THREADS", attempts=1, limited_by=_organisation)
def call_in_threads(payload: Order, context: JobContext) -> None:
    def call(number: int) -> None:
        context.wait_for_turn()
        note(payload, f"call {number} {payload.text}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(call, range(4)))

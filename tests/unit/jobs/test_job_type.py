"""What @job makes of a function, and which types go together."""

import sys
from types import ModuleType

import pytest
from pydantic import BaseModel

from brama.errors import ConfigError
from jobs.author import JobContext, enqueue, exponential, job
from jobs.job_type import AnyJobType
from jobs.registry import Registry, load_types


class Page(BaseModel):
    number: int


@job("RENDER", timeout="90s", attempts=5, backoff=exponential("2s", cap="1m"), concurrency=4, keep="24h")
async def render(payload: Page, context: JobContext) -> int:
    return payload.number


def typed(name: str = "A", queue: str | None = None, concurrency: int | None = None) -> AnyJobType:
    @job(name, queue=queue, concurrency=concurrency)
    def handler(payload: Page, context: JobContext) -> None: ...

    return handler


async def test_every_number_is_the_types():
    assert (render.name, render.queue, render.timeout_s, render.attempts) == ("RENDER", "RENDER", 90.0, 5)
    assert (render.backoff, render.concurrency) == (exponential("2s", cap="1m"), 4)
    assert (render.payload, render.keep_s) == (Page, 86400.0)
    assert render.is_async
    assert not typed().is_async


async def test_a_handler_is_called_like_the_function_it_is():
    context = JobContext("a", "RENDER", "RENDER", 1, 5, lambda report: None)
    assert await render(Page(number=7), context) == 7


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"name": "a:b"}, 'job "a:b" is not'),
        ({"queue": "a b"}, 'queue "a b" is not'),
        ({"timeout": "soon"}, "is not a duration"),
        ({"timeout": "0s"}, "ends every attempt at once"),
        ({"attempts": 0}, "are at least 1"),
        ({"concurrency": 0}, "are at least 1"),
    ],
)
def test_terms_that_cannot_be_meant_are_refused(terms: dict[str, object], error: str):
    with pytest.raises(ValueError, match=error):
        job(**{"name": "A", **terms})  # type: ignore[arg-type]


def test_a_handler_takes_a_model_and_a_context():
    def no_model(payload: int, context: JobContext) -> None: ...
    def no_context(payload: Page) -> None: ...

    for handler in (no_model, no_context):
        with pytest.raises(TypeError, match=r"must take \(payload: a pydantic model, context\)"):
            job("A")(handler)  # type: ignore[arg-type]


def test_a_queue_with_several_types_stalls_as_often_as_the_most_patient_may():
    patient = job("B", queue="Q", attempts=9)(render.handler)
    types = Registry([typed("A", "Q"), patient])
    assert (types.queues, types.max_stalls("Q"), types.concurrency("Q")) == (["Q"], 9, None)
    assert types.find("Q", "B") is patient
    assert types.find("Q", "C") is None


def test_types_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="two handlers for A in queue A"):
        Registry([typed(), typed()])
    with pytest.raises(ConfigError, match="queue Q differ in concurrency or keep"):
        Registry([typed("A", "Q", 1), typed("B", "Q", 2)])


def test_types_are_what_the_named_modules_hold(monkeypatch):
    module = ModuleType("their_jobs")
    module.render = module.alias = render  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_jobs", module)
    assert load_types(["their_jobs"]).queues == ["RENDER"]
    with pytest.raises(ConfigError, match="json has no job in it"):
        load_types(["json"])
    with pytest.raises(ConfigError, match="jobs has no job in it; jobs is the supervisor's own package"):
        load_types(["jobs"])
    with pytest.raises(ConfigError, match="no_such_module cannot be imported: ModuleNotFoundError"):
        load_types(["no_such_module"])


async def test_enqueue_needs_a_producer():
    with pytest.raises(RuntimeError, match=r"jobs\.enabled: true"):
        await enqueue(render, Page(number=1))

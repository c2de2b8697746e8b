"""The format in which one version of the master leaves everything to another."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from brama.errors import ProtocolError
from supervisor.fleet.policy.model import Phase, Sequel, Wanted, Worker
from supervisor.fleet.records import MemberRecord, ProcessRecord
from supervisor.fleet.worker_handle import Past
from supervisor.fleet.worker_link import Rest
from supervisor.handover.records import (
    FORMAT,
    ControlRecord,
    Handover,
    WebhookRecord,
    decode_handover,
    encode_handover,
)
from supervisor.updates.policy.routing import Held, RouteRecord

WORKER = Worker(
    wanted=Wanted.STOPPED,
    unwanted_because="stopped by command",
    phase=Phase.DRAIN,
    reason="stopping by command",
    deadline_at=12.5,
    term_at=12.5,
    kill_at=90.0,
    sequel=Sequel.STOP,
    commanded=True,
    identified=True,
    generation=7,
    starts=6,
    pid=4711,
    started_at=3.0,
    heartbeat_at=4.0,
    samples_over=1,
    deaths=(1.0, 2.0),
    rung=2,
)
PROCESS = ProcessRecord(
    pid=4711,
    pipe=9,
    protocol=3,
    past=Past(3.0, frozenset({(4712, 99), (4713, 100)}), Rest(b"\0\0\0\x09half", b"\xff" * 20)),
    delivering=True,
    shared_bytes=1_000_000,
)
BOT = MemberRecord(
    bot_id="shop",
    telegram_id=1001,
    worker=WORKER,
    identity=b'{"id":1001}',
    has_asked=True,
    allowed_updates=["message"],
    messages=12,
    errors=1,
    memory_bytes=8_000_000,
    heartbeat_at=4.0,
    process=PROCESS,
)
ROUTE = RouteRecord(
    held=(Held(3, 10.0, True, None), Held(5, 10.5, True, 11.0)),
    alone=3,
    suspects=(6, 7),
    blocking=(5,),
    not_before={8: 60.0},
)
FULL = Handover(
    version="0.1.0",
    program="/srv/bots/current/brama-supervisor",
    config="/srv/bots/brama.yaml",
    state_dir="/srv/bots/state",
    base_url="https://api.telegram.org",
    is_daemon=True,
    has_table=False,
    started_at=1.0,
    hot_restarts=3,
    control=ControlRecord("127.0.0.1", 8080, 4, 5),
    webhook=WebhookRecord(None, 8443, 6, (7, 8)),
    bots=[BOT, msgspec.structs.replace(BOT, bot_id="news", worker=Worker(), process=None)],
    lock=3,
    routes={"shop": ROUTE},
    noted=[(b"\x01\x02", 5.0)],
    unsettled=[1, 2],
    trouble="it cannot be executed",
)


def fields(handover: Handover) -> dict[str, Any]:
    """Return what is written, to be changed."""
    return msgspec.msgpack.decode(encode_handover(handover))  # type: ignore[no-any-return]


def read(document: dict[str, Any]) -> Handover:
    return decode_handover(msgspec.msgpack.encode(document))


def test_everything_comes_back():
    assert decode_handover(encode_handover(FULL)) == FULL


def test_every_descriptor_is_named_once():
    assert list(FULL.descriptors()) == [3, 4, 5, 6, 7, 8, 9]


def test_what_a_later_version_adds_is_passed_over():
    document = fields(FULL)
    parts = [document, document["control"], document["webhook"], document["bots"][0]]
    parts += [document["bots"][0]["worker"], document["bots"][0]["process"], document["routes"]["shop"]]
    parts += [document["bots"][0]["process"]["past"], document["routes"]["shop"]["held"][0]]
    for part in parts:
        part["later"] = {"new": [1]}
    assert read(document) == FULL


def test_what_an_earlier_version_lacks_has_its_default():
    document = fields(FULL)
    for key in ("lock", "routes", "noted", "unsettled", "trouble", "format"):
        del document[key]
    for key in ("rung", "deaths", "samples_over", "commanded"):
        del document["bots"][0]["worker"][key]
    found = read(document)
    assert (found.lock, found.routes, found.noted, found.unsettled) == (-1, {}, [], [])
    assert found.bots[0].worker == replace(WORKER, rung=0, deaths=(), samples_over=0, commanded=False)


def test_another_format_is_refused_in_one_line():
    with pytest.raises(ProtocolError) as refused:
        read(fields(FULL) | {"format": FORMAT + 1, "version": "9.9"})
    assert str(refused.value) == (
        f"the running master (9.9) leaves format {FORMAT + 1} and this one reads {FORMAT}; "
        "stop it and start this one"
    )


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80", encode_handover(FULL)[:-9]])
def test_nonsense_is_refused_in_one_line(data: bytes):
    with pytest.raises(ProtocolError, match=r"^what the running master leaves cannot be read: .*$"):
        decode_handover(data)

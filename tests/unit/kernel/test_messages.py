"""Every message comes back from the wire as it was."""

import pytest

from brama import messages as m
from brama.errors import ProtocolError

TO_WORKER: list[m.ToWorker] = [
    m.Boot(
        m.PROTOCOL_VERSION, "shop", 2, 41, "token", "http://127.0.0.1:1", b"{}", "script", "bot.py", ["-v"],
        "cwd", "root", {"A": "b"}, {"greeting": {"x": [1, None]}}, "log", 5, "i/shop/2", 30.0, 1, 7, 8,
    ),
    m.Deliver(1, 2, b'{"update_id": 2}'),
    m.SettingsChanged({"a": 1}),
    m.ReopenLog(),
    m.Drain(),
    m.Enqueued(1, "k1"),
    m.NotEnqueued(2, "no"),
    m.EnqueueAgain([3, 4]),
]  # fmt: skip
FROM_WORKER: list[m.FromWorker] = [
    m.Hello(1, 2, 3),
    m.Ready(["message"], 1, False),
    m.Ready(None, 256, True),
    m.Begun([1]),
    m.Released([1, 2]),
    m.Processed([]),
    m.Failed(1, "ValueError", "no", "stack", None, False, True),
    m.Returned([3]),
    m.Heartbeat(1, 2, 0.5, 3, 4, 5, 6),
    m.Notice("set_webhook", "answered here"),
    m.BootFailed("import", "No module named x"),
    m.Enqueue(1, "RENDER", "RENDER", "7/1/RENDER/0", b"{}", 0, 30_000, 10, None, 17, b"null"),
    m.Enqueue(2, "RENDER", "slow", "7/x", b"{}", 1, 0, None, None, None, b'"more"'),
]


def test_pipe_messages_round_trip() -> None:
    assert m.decode_to_worker(m.encode_messages(TO_WORKER)) == TO_WORKER
    assert m.decode_from_worker(m.encode_messages(FROM_WORKER)) == FROM_WORKER


def test_zygote_messages_round_trip() -> None:
    fork = m.Fork("shop", 1)
    assert m.decode_to_zygote(m.encode_message(fork)) == fork
    for message in (
        m.Forked("shop", 1, 9),
        m.ForkFailed("shop", 1, "no memory"),
        m.Warm(1, 2, 3, 4.0),
        m.Refused("x"),
    ):
        assert m.decode_from_zygote(m.encode_message(message)) == message


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\x91\xa4Nope", b"{}"])
def test_noise_is_a_protocol_error(body: bytes) -> None:
    for decode in (m.decode_to_worker, m.decode_from_worker, m.decode_to_zygote, m.decode_from_zygote):
        with pytest.raises(ProtocolError):
            decode(body)

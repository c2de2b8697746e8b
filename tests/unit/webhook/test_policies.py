"""Who is let in, who may look, and what each end of a request is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brama.arrival import Arrival
from webhook.policy.access import may_look
from webhook.policy.addresses import bot_of, own_path
from webhook.policy.admission import decide_admission
from webhook.policy.networks import Networks, parse_address, parse_networks
from webhook.policy.outcomes import REPLIES, Outcome, outcome_of
from webhook.policy.pacing import Pace

SECRET = "the-secret-of-the-shop-bot_0123456789-abcdef"
TELEGRAM = "149.154.160.1"
NETWORKS = Networks(
    parse_networks(["127.0.0.0/8", "::1/128"]), parse_networks(["149.154.160.0/20", "91.108.4.0/22"])
)


@pytest.mark.parametrize(
    ("expected", "given_", "is_shut_out", "outcome"),
    [
        (SECRET, [SECRET], False, None),
        (SECRET, [], False, Outcome.SECRET),
        (SECRET, [""], False, Outcome.SECRET),
        (SECRET, [SECRET[:-1]], False, Outcome.SECRET),
        (SECRET, [SECRET + "x"], False, Outcome.SECRET),
        (SECRET, [SECRET, SECRET], False, Outcome.SECRET),
        (SECRET, ["\udcff"], False, Outcome.SECRET),
        (SECRET, [SECRET], True, Outcome.NETWORK),
        (SECRET, ["wrong"], True, Outcome.NETWORK),
        (None, [SECRET], False, Outcome.UNKNOWN_BOT),
        (None, [], True, Outcome.UNKNOWN_BOT),
        ("", [""], False, Outcome.SECRET),
    ],
)
def test_admission(expected, given_, is_shut_out, outcome):
    assert decide_admission(expected, given_, is_shut_out=is_shut_out) is outcome


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=3))
def test_nobody_gets_in_with_anything_but_the_secret(secret, sent):
    assert (decide_admission(secret, sent, is_shut_out=False) is None) == (sent == [secret] and secret != "")
    assert decide_admission(None, sent, is_shut_out=False) is Outcome.UNKNOWN_BOT


@pytest.mark.parametrize(
    ("peer", "stated", "client"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [TELEGRAM], TELEGRAM),
        ("::1", [TELEGRAM], TELEGRAM),
        ("::ffff:127.0.0.1", [TELEGRAM], TELEGRAM),
        ("203.0.113.9", [TELEGRAM], "203.0.113.9"),
        ("127.0.0.1", [TELEGRAM, TELEGRAM], None),
        ("127.0.0.1", ["149.154.160.1, 127.0.0.1"], None),
        ("127.0.0.1", ["garbage"], None),
        ("127.0.0.1", ["1" * 400], None),
        (None, [TELEGRAM], None),
        ("unix:", [TELEGRAM], None),
    ],
)
def test_a_claim_is_worth_what_its_sender_is_worth(peer, stated, client):
    found = NETWORKS.real_client(peer, stated)
    assert (None if found is None else str(found)) == client


@pytest.mark.parametrize(
    ("address", "is_telegrams"),
    [
        (TELEGRAM, True),
        ("149.154.175.255", True),
        ("149.154.176.0", False),
        ("91.108.7.255", True),
        ("91.108.8.0", False),
        ("::ffff:91.108.4.1", True),
        ("127.0.0.1", False),
    ],
)
def test_telegrams_networks(address, is_telegrams):
    assert NETWORKS.is_telegram(parse_address(address)) is is_telegrams
    assert not NETWORKS.is_telegram(None)


@pytest.mark.parametrize(
    ("client", "authorization", "token", "may"),
    [
        ("127.0.0.1", [], None, True),
        ("::1", [], None, True),
        ("203.0.113.9", [], None, False),
        (None, [], "token-0123456789", False),
        ("203.0.113.9", ["Bearer token-0123456789"], "token-0123456789", True),
        ("203.0.113.9", ["bearer token-0123456789"], "token-0123456789", True),
        ("203.0.113.9", ["Basic token-0123456789"], "token-0123456789", False),
        ("203.0.113.9", ["Bearer token-012345678"], "token-0123456789", False),
        ("203.0.113.9", ["Bearer x", "Bearer token-0123456789"], "token-0123456789", False),
        ("203.0.113.9", ["Bearer "], "", False),
        ("203.0.113.9", ["Bearer None"], None, False),
    ],
)
def test_who_may_look(client, authorization, token, may):
    address = None if client is None else parse_address(client)
    assert may_look(address, authorization, token) is may


@pytest.mark.parametrize(
    ("path", "prefix", "bot"),
    [
        ("/webhook/shop", "", "shop"),
        ("/tg/webhook/shop", "/tg", "shop"),
        ("/webhook/shop", "/tg", "shop"),
        ("/tg/webhook/shop", "", None),
        ("/webhook/", "", None),
        ("/webhook", "", None),
        ("/webhook/shop/more", "", None),
        ("//webhook/shop", "", None),
        ("/tgwebhook/shop", "/tg", None),
    ],
)
def test_a_path_names_a_bot(path, prefix, bot):
    assert bot_of(own_path(path, prefix)) == bot


def test_every_end_has_an_answer_that_telegram_understands():
    assert set(REPLIES) == set(Outcome)
    assert {reply.status for reply in REPLIES.values()} <= {200, 400, 401, 404, 405, 408, 413, 415, 503}
    for reply in REPLIES.values():
        assert (reply.status == 503) == (reply.retry_after_s is not None)
        assert reply.retry_after_s is None or 0 < reply.retry_after_s <= 3600
    assert REPLIES[Outcome.SECRET] is REPLIES[Outcome.UNKNOWN_BOT] is REPLIES[Outcome.NETWORK]


def test_only_what_is_durable_is_answered_200():
    fine = {arrival for arrival in Arrival if REPLIES[outcome_of(arrival)].status == 200}
    assert fine == {Arrival.ACCEPTED, Arrival.DUPLICATE}


def test_a_line_now_and_then_says_how_many_were_held_back():
    pace = Pace(60.0)
    assert [pace.take(now) for now in (0.0, 1.0, 59.0, 60.0, 61.0, 120.5)] == [0, None, None, 2, None, 1]

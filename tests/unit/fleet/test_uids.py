"""Every bot has a uid of its own, the same over restarts."""

import pytest

from brama.errors import ConfigError
from brama.ids import BotId
from supervisor.fleet.uids import allocate_uids

A, B, C = BotId("a"), BotId("b"), BotId("c")


def test_new_bots_get_the_lowest_and_keep_them():
    given = allocate_uids([A, B], range(20000, 20010), {})
    assert given == {A: 20000, B: 20001}
    assert allocate_uids([B, A, C], range(20000, 20010), given) == {A: 20000, B: 20001, C: 20002}


def test_the_uid_of_a_removed_bot_is_given_again_only_when_no_other_is_left():
    remembered = {A: 20000}
    assert allocate_uids([B], range(20000, 20002), remembered) == {B: 20001}
    assert allocate_uids([B, C], range(20000, 20002), remembered) == {B: 20001, C: 20000}


def test_a_uid_outside_a_changed_range_is_replaced():
    assert allocate_uids([A], range(30000, 30002), {A: 20000}) == {A: 30000}


def test_more_bots_than_uids_is_a_configuration_error():
    with pytest.raises(ConfigError, match=r"isolation\.uids: 20000-20001 holds 2 uids for 3 bots; widen it"):
        allocate_uids([A, B, C], range(20000, 20002), {})

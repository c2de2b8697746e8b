"""What comes of a bot when its master is replaced, in every phase."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.fleet.policy import reasons
from supervisor.fleet.policy.effects import CancelSpawn, HoldDelivery, SendDrain, Terminate
from supervisor.fleet.policy.model import ALIVE, TIMED, Limits, Phase, Sequel, Wanted, Worker
from supervisor.fleet.policy.succession import inherit, renew_code, retire

LIMITS = Limits()
NOW = 1000.0
ENDING = ALIVE - {Phase.BOOT, Phase.SERVE} | {Phase.ABORT}
AT_REST = frozenset(Phase) - ALIVE - {Phase.ABORT, Phase.SPAWN}


def worker(phase: Phase, **changes: Any) -> Worker:
    """Return a bot in ``phase``, in its third generation, which has died once."""
    plain = Worker(
        phase=phase,
        reason="because",
        deadline_at=NOW + 50 if phase in TIMED else None,
        kill_at=NOW + 50 if phase in ENDING else None,
        sequel=Sequel.RESTART if phase in ENDING else None,
        ingress_open=phase is not Phase.STOPPED,
        identified=True,
        generation=3,
        starts=2,
        pid=77 if phase in ALIVE else None,
        started_at=900.0 if phase in ALIVE else None,
        heartbeat_at=NOW - 1 if phase in ALIVE else None,
        deaths=(950.0,),
        rung=1,
    )
    return replace(plain, **changes)


@pytest.mark.parametrize("phase", Phase)
def test_retired_is_ended_with_its_intake_open_and_not_started_again(phase: Phase):
    left = worker(phase)
    after, effects = retire(left, NOW, LIMITS)
    assert (after.wanted, after.is_up) == (Wanted.RUNNING, False)
    assert after.ingress_open == left.ingress_open
    match phase:
        case Phase.SERVE:
            assert (after.phase, effects) == (Phase.DRAIN, (HoldDelivery(), SendDrain()))
        case Phase.BOOT:
            assert (after.phase, effects) == (Phase.TERM, (SendDrain(), Terminate()))
        case Phase.SPAWN:
            assert (after.phase, effects) == (Phase.ABORT, (CancelSpawn(3),))
        case _ if phase in ENDING:
            assert (after.phase, effects) == (phase, ())
        case _:
            assert (after.phase, effects) == (Phase.STOPPED, ())
    if phase not in AT_REST:
        assert (after.sequel, after.reason) == (Sequel.STOP, reasons.HANDING_OVER)


@pytest.mark.parametrize("phase", Phase)
def test_new_code_replaces_what_serves_or_boots_and_nothing_else(phase: Phase):
    left = worker(phase)
    after, effects = renew_code(left, NOW, LIMITS)
    if phase not in (Phase.SERVE, Phase.BOOT):
        assert (after, effects) == (left, ())
        return
    assert effects == ((HoldDelivery(), SendDrain()) if phase is Phase.SERVE else (SendDrain(), Terminate()))
    assert (after.sequel, after.reason, after.commanded) == (Sequel.RESTART, reasons.CODE_CHANGED, True)
    assert (after.deaths, after.rung) == ((), 0)


@pytest.mark.parametrize("changes", [{"wanted": Wanted.STOPPED}, {"shutting_down": True}])
def test_new_code_is_no_matter_for_what_is_not_wanted(changes: dict[str, Any]):
    left = worker(Phase.SERVE, **changes)
    assert renew_code(left, NOW, LIMITS) == (left, ())


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("phase", Phase)
def test_a_process_goes_on_and_all_else_begins_anew(phase: Phase, wanted: Wanted):
    fresh, left = Worker(wanted=wanted, unwanted_because="the file says so"), worker(phase)
    after = inherit(fresh, left)
    assert (after.generation, after.starts) == (3, 2)
    if phase in ALIVE:
        assert after == replace(left, unwanted_because="the file says so")
    else:
        assert after == replace(fresh, generation=3, starts=2)
        assert after.phase is Phase.STOPPED

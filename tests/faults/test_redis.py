"""Whatever happens to Redis, no client is worse off than without a cache, none is told a lie, and it passes."""

import asyncio

import pytest

from tests.faults.faults import FAULTS, try_all

TIMEOUT = 1.0  # seconds; more than the default, for all faults happen on one busy machine
AT_ONCE = 4  # there is much waiting in each
RECOVERED_WITHIN = 20.0  # seconds; it takes 1 to 5 where nothing else is going on (docs/reliability.md)
HUNG = 10 * TIMEOUT


@pytest.fixture(scope="module")
def outcomes(request):
    """Let those faults happen that somebody wants to hear of, side by side."""
    names = {item.callspec.params["fault"].name for item in request.session.items if item.module is request.module}
    return asyncio.run(try_all([fault for fault in FAULTS if fault.name in names], TIMEOUT, at_once=AT_ONCE))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_clients_do_not_suffer_from(outcomes, fault):
    outcome = outcomes[fault.name]
    if isinstance(outcome, Exception):
        raise outcome
    tally, recovery = outcome.tally, outcome.recovery
    assert (tally.failed, tally.untrue, tally.leaks) == (0, 0, 0), tally.complaints
    assert tally.longest < HUNG, "a request waited for a store that was in trouble"
    assert recovery < RECOVERED_WITHIN

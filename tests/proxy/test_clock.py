"""Clocks that are set back must not lengthen anything."""

import pytest

from proxy.clock import Steady
from proxy.leases import Leases
from proxy.stores.memory import MemoryStore

BEGIN = 1_000_000.0


class Machine:
    """A machine's two clocks: one that people set, and one that only runs."""

    def __init__(self):
        self.set_by, self.passed = BEGIN, 50.0

    def wall(self):
        return self.set_by + self.passed

    def monotonic(self):
        return self.passed

    def steady(self):
        return Steady(self.wall, self.monotonic)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def shelf(machine):
    return MemoryStore(max_bytes=10**6, clock=machine.monotonic)


@pytest.fixture
def new_process(machine, shelf):
    return lambda: Leases(shelf, 300.0, machine.steady())


def test_time_goes_on_while_the_clock_is_set_back_and_follows_it_forward(machine):
    steady = machine.steady()
    times = [steady() - BEGIN]
    for passed, set_by in [(10, 0), (10, -3600), (10, 0), (10, +3600), (10, +7200)]:
        machine.passed += passed
        machine.set_by += set_by
        times.append(steady() - BEGIN)
    assert times == [50, 60, 70, 80, 90, 7300]


async def test_a_lease_runs_out_when_its_term_is_over_though_the_clock_is_set_back(machine, new_process):
    leases = new_process()
    await leases.renew("c", "a")
    machine.set_by -= 3600
    machine.passed += 299
    assert leases.live(await leases.find("c"))
    machine.passed += 1
    assert not leases.live(await leases.find("c"))


@pytest.mark.parametrize(("set_back", "live"), [(0, True), (1, False), (3600, False)])
async def test_a_lease_from_before_the_clock_was_set_back_is_not_live_in_a_new_process(
    machine, new_process, set_back, live
):
    await new_process().renew("c", "a")
    machine.set_by -= set_back
    assert new_process().live(await new_process().find("c")) is live

from proxy.recent import Recent
from tests.clocks import Clock


def test_the_latest_changes_come_first_and_names_that_are_no_ids_not_at_all():
    recent = Recent(Clock())
    recent.note(["issue:1", "issue:PROJ-1", "project:7", "issues"])
    recent.note(["issue:2"])
    recent.note(["issue:1"])
    assert recent.ids() == ["1", "2"]


def test_what_changed_too_long_ago_is_not_told():
    clock = Clock()
    recent = Recent(clock, term=120)
    recent.note(["issue:1"])
    clock.now += 100
    recent.note(["issue:2"])
    clock.now += 21
    assert recent.ids() == ["2"]


def test_only_so_many_are_kept():
    recent = Recent(Clock(), most=2)
    recent.note([f"issue:{number}" for number in range(5)])
    assert recent.ids() == ["4", "3"]

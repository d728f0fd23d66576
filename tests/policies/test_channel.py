# ruff: noqa: E501 - a case is a line
import math

import pytest

from policies.change import Change, Changed
from policies.channel import (
    POLLS,
    Channel,
    Found,
    Round,
    Terms,
    Told,
    announced,
    candidates,
    event_time,
    failed,
    flooded,
    jira_time,
    minutes,
    missed_share,
    quantile,
    review,
    touched,
    trusted_since,
)
from policies.decide import in_force
from policies.jql import Issue
from policies.model import Policy

NOW = 10_000.0
TERMS = Terms(interval=60.0, overlap=120.0)


def found(updated, number=1):
    return Found(str(number), f"PROJ-{number}", updated)


def polled(channel, issues, told=None, now=NOW):
    return review(channel, issues, told or {}, now, TERMS)


def proven(**others):
    return Channel(polled=NOW - 60, since=100.0, clean=POLLS, proofs=1, **others)


@pytest.mark.parametrize(
    ("told", "updated", "repaired", "missed", "announced"),
    [
        (Told(), NOW - 40, True, 1, 0),
        (Told(), NOW - 10, True, 0, 0),  # its webhook may still be on its way
        (Told(announced=NOW - 40), NOW - 40, False, 0, 1),
        (Told(announced=NOW - 35), NOW - 40, False, 0, 1),  # of a later state: that makes up for it
        (Told(announced=NOW - 40.5), NOW - 40, True, 0, 1),  # rounded, or another change half a second before
        (Told(announced=NOW - 50), NOW - 40, True, 1, 0),
        (Told(touched=NOW - 40), NOW - 40, True, 0, 0),
        (Told(touched=NOW - 43), NOW - 40, True, 0, 0),
        (Told(touched=NOW - 50), NOW - 40, True, 1, 0),
        (Told(announced=NOW - 50, touched=NOW - 41), NOW - 40, True, 0, 0),
    ],
)
def test_what_was_not_surely_announced_is_repaired_and_what_nobody_told_is_missed(
    told, updated, repaired, missed, announced
):
    issue = found(updated)
    outcome = polled(Channel(), [issue], {"1": told})
    assert outcome.repair == ((issue,) if repaired else ())
    assert outcome.missed == missed
    assert outcome.channel.rounds == (Round(announced, missed),)


def test_a_change_is_repaired_and_counted_once_although_polls_overlap():
    first = polled(Channel(), [found(NOW - 40)])
    again = polled(first.channel, [found(NOW - 40)], now=NOW + 60)
    assert (first.missed, again.missed, again.repair) == (1, 0, ())
    assert candidates(first.channel, [found(NOW - 40)]) == ()


def test_a_further_change_of_a_repaired_issue_is_repaired_as_well():
    first = polled(Channel(), [found(NOW - 40)])
    assert polled(first.channel, [found(NOW + 5)], now=NOW + 60).repair == (found(NOW + 5),)


def test_an_awaited_webhook_that_comes_proves_the_channel():
    waiting = polled(Channel(), [found(NOW - 10)]).channel
    assert waiting.waiting == (found(NOW - 10),)
    after = polled(waiting, [found(NOW - 10)], {"1": Told(announced=NOW - 10)}, now=NOW + 60)
    assert (after.missed, after.channel.proofs, after.channel.waiting, after.repair) == (0, 1, (), ())


@pytest.mark.parametrize("seen_again", [[], [found(NOW - 10)]])
def test_an_awaited_webhook_that_does_not_come_was_missed(seen_again):
    waiting = polled(Channel(), [found(NOW - 10)]).channel
    after = polled(waiting, seen_again, now=NOW + 60)
    assert (after.missed, after.channel.waiting, after.repair) == (1, (), ())


def test_an_issue_that_changes_all_the_time_is_not_awaited_for_ever():
    waiting = polled(Channel(), [found(NOW - 10)]).channel
    assert polled(waiting, [found(NOW + 55)], now=NOW + 60).missed == 1


def test_the_wait_begins_anew_with_what_changed_after_the_awaited_webhook_came():
    waiting = polled(Channel(), [found(NOW - 10)]).channel
    after = polled(waiting, [found(NOW + 55)], {"1": Told(announced=NOW - 10)}, now=NOW + 60)
    assert (after.missed, after.channel.waiting) == (0, (found(NOW + 55),))


@pytest.mark.parametrize(
    ("channel", "since"),
    [
        (proven(), 100.0),
        (proven(rounds=(Round(0, 5),)), 100.0),  # long ago
        (Channel(), None),
        (Channel(polled=NOW - 60, since=100.0, clean=POLLS - 1, proofs=1), None),
        (Channel(polled=NOW - 60, since=100.0, clean=POLLS, proofs=0), None),  # nothing changed: nothing is proven
        (Channel(polled=NOW - 181, since=100.0, clean=POLLS, proofs=1), None),
        (proven(waiting=(found(NOW - 29),)), 100.0),
        (proven(waiting=(found(NOW - 31),)), None),  # overdue, and the next poll is still to come
        (failed(proven()), None),
        (flooded(proven(), NOW), None),
    ],
)
def test_the_channel_is_trusted_only_while_recent_polls_prove_it(channel, since):
    assert trusted_since(channel, NOW, TERMS) == since


def test_one_missed_change_ends_the_trust_and_it_takes_several_polls_to_regain_it():
    channel, trusted = proven(), []
    told = {"2": Told(announced=math.inf)}
    for at in range(POLLS + 2):
        now = NOW + 60 * at
        issues = [found(NOW - 40)] if at == 0 else [found(now - 40, 2)]
        channel = polled(channel, issues, told, now=now).channel
        trusted.append(trusted_since(channel, now, TERMS) is not None)
    assert trusted == [False, False, False, True, True]
    assert channel.since == 100.0


def test_a_failed_poll_loses_no_change_for_the_next_one_looks_back_further():
    channel = failed(proven())
    assert minutes(channel, NOW, TERMS) == 3
    assert minutes(channel, NOW + 600, TERMS) == 13


@pytest.mark.parametrize(
    ("last", "interval", "overlap", "asked"),
    [(None, 60, 120, 3), (NOW - 60, 60, 120, 3), (NOW - 61, 60, 120, 4), (NOW, 60, 0, 0), (NOW - 1, 1, 1, 1), (NOW + 99, 60, 120, 2)],
)  # fmt: skip
def test_a_poll_looks_back_beyond_the_last_one_in_whole_minutes(last, interval, overlap, asked):
    assert minutes(Channel(polled=last), NOW, Terms(interval, overlap)) == asked


def test_after_a_flood_only_what_is_kept_from_then_on_can_be_trusted():
    assert flooded(proven(), NOW).since == NOW


def test_the_missed_share_is_of_what_polls_found():
    assert missed_share(Channel()) is None
    assert missed_share(Channel(rounds=(Round(2, 1), Round(0, 0), Round(1, 0)))) == 0.25


def test_what_is_remembered_of_polls_is_bounded():
    channel = Channel()
    for at in range(200):
        channel = polled(channel, [found(NOW + at)], now=NOW + at).channel
    assert len(channel.rounds) == 60
    assert len(channel.seen) == 1


@pytest.mark.parametrize(
    ("policy", "stored", "since", "ttl"),
    [
        (Policy(300.0, ttl_with_webhooks=86_400.0), 50.0, None, 300.0),
        (Policy(300.0, ttl_with_webhooks=86_400.0), 50.0, 50.0, 86_400.0),
        (Policy(300.0, ttl_with_webhooks=86_400.0), 49.0, 50.0, 300.0),  # from before anybody looked
        (Policy(300.0), 50.0, 50.0, 300.0),
    ],
)
def test_the_second_ttl_rules_only_what_was_kept_while_nothing_went_unnoticed(policy, stored, since, ttl):
    assert in_force(policy, stored, since).ttl == ttl


# what webhooks and writes tell

SHOWN = {"updated": "2026-01-02T03:04:05.500+0000"}
MADE = jira_time("2026-01-02T03:04:06.000+0000")


def state(fields=SHOWN, number="1", key="PROJ-1"):
    return Issue(number, key, fields)


@pytest.mark.parametrize(
    ("changed", "made", "told"),
    [
        (Changed(None, state()), MADE, {"issue:1": Told(announced=MADE - 0.5)}),
        (Changed(state({}), state()), MADE + 300, {"issue:1": Told(announced=MADE - 0.5)}),  # no update, so not newer
        (Changed(state({}), state({})), MADE, {"issue:1": Told(announced=MADE)}),
        (Changed(state(), None), MADE, {"issue:1": Told(announced=MADE)}),
        (Changed(state({}, ""), state({}, "")), MADE, {"issue:PROJ-1": Told(announced=MADE)}),
        (Changed(state({}), state({})), None, {"issue:1": Told(touched=MADE)}),
        (
            Changed(state({}), state({})),
            MADE + 1e6,
            {"issue:1": Told(announced=MADE + 60)},
        ),  # nobody announces the future
        (Changed(None, None), MADE, {}),
    ],
)
def test_a_webhook_announces_the_state_that_it_shows(changed, made, told):
    assert announced(Change(frozenset(), (changed,)), made, received=MADE) == told


def test_issues_that_are_only_neighbours_of_what_changed_are_not_announced():
    assert announced(Change(frozenset({"issue:2"})), MADE, MADE) == {}


def test_a_write_touches_the_issues_that_it_names():
    assert dict(touched(["issue:PROJ-1", "issues", "project:PROJ"], 5.0)) == {"issue:PROJ-1": Told(touched=5.0)}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T01:00:10.250+0100", 10.25),
        ("1970-01-01T00:00:10.250Z", 10.25),
        ("1970-01-01T00:00:10.250", 10.25),
        ("yesterday", None),
        (None, None),
        (12, None),
    ],
)
def test_times_are_read_as_jira_writes_them(text, moment):
    assert jira_time(text) == moment


@pytest.mark.parametrize(
    ("body", "moment"),
    [({"timestamp": 1500}, 1.5), ({"timestamp": True}, None), ({"timestamp": "x"}, None), ({}, None), (None, None)],
)
def test_a_webhook_tells_when_it_was_made(body, moment):
    assert event_time(body) == moment


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [([], 0.5, None), ([3], 0.5, 3), ([3, 1, 2], 0.5, 2), ([1, 2, 3, 4], 0.5, 2), (range(100), 0.95, 94)],
)
def test_a_quantile_is_one_of_the_values(values, share, value):
    assert quantile(values, share) == value

"""What is counted and measured of clients, without any socket."""

import pytest

from proxy.addresses import is_host, neighbourhood
from proxy.admission import Admission
from proxy.intake import PACE, Allowance
from proxy.refusals import Refusal


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/proxy.sock", "/run/proxy.sock"),
        ("", ""),
    ],
)
def test_who_has_one_address_has_its_neighbours(address, counted):
    assert neighbourhood(address) == counted


@pytest.mark.parametrize("host", ["jira", "jira.example", "jira.example.:80", "127.0.0.1:1", "[::1]", "[::1]:8080"])
def test_a_host_is_a_name_or_an_address_and_perhaps_a_port(host):
    assert is_host(host)


@pytest.mark.parametrize("host", ["", "a b", "a,b", "a@b", "a/b", "a:b", "a:123456", "[", "[g]", "é", "a\n", "a" * 254])
def test_nothing_else_is_a_host(host):
    assert not is_host(host)


def test_what_was_refused_is_not_counted_and_who_leaves_makes_room():
    admission = Admission(3, 2)
    assert [admission.enter("a") for _ in range(3)] == [None, None, Refusal.ADDRESS_FULL]
    assert admission.enter("b") is None
    assert admission.enter("c") is Refusal.FULL
    admission.leave("a")
    assert admission.enter("c") is None
    for address in ("a", "b", "c"):
        admission.leave(address)
    assert repr(admission) == "<Admission 0 connections from 0 addresses>"


def test_without_limits_everybody_may_enter():
    admission = Admission(None, None)
    assert {admission.enter("a") for _ in range(100)} == {None}


def test_a_body_that_drips_runs_out_of_time():
    allowance = Allowance(30)
    for _ in range(3):
        allowance.note(waited=10, came=1)
    assert allowance.left == pytest.approx(3 / PACE)


def test_a_body_that_keeps_pace_never_does():
    allowance = Allowance(30)
    for _ in range(1000):
        allowance.note(waited=10, came=10 * PACE)
    assert allowance.left == 30


def test_no_single_piece_may_take_longer_than_was_granted_whatever_came_before():
    allowance = Allowance(30)
    allowance.note(waited=1, came=1_000_000_000)
    assert allowance.left == 30

"""No credential, secret or token is in anything that all the tests before this one have had logged."""

import logging

import pytest

pytestmark = pytest.mark.last


def test_the_ear_hears_what_libraries_log_and_knows_a_secret(overheard):
    ear = type(overheard)()
    for told in (
        {"msg": "connecting with %s", "args": ("hunter2",)},
        {"msg": "no", "exc_info": (ValueError, ValueError("Authorization: Basic YWxpY2U6c2VzYW1l"), None)},
        {"msg": "a request", "headers": {"X-Told": "sesame"}},
        {"msg": "nothing of it", "headers": {"Authorization": "sesame"}},
    ):
        ear.handle(logging.makeLogRecord({"name": "some.library", "levelname": "DEBUG"} | told))
    assert (ear.lines, len(ear.secrets)) == (4, 3)


def test_nothing_secret_was_logged(overheard):
    before = overheard.lines
    logging.getLogger("proxy.anything").debug("heard")
    assert overheard.lines == before + 1  # it listens
    assert overheard.secrets == []

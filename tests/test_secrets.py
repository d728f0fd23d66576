"""A test fails during which a credential, a secret or a token was told."""

import logging
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

TESTS = """
import logging
import sys

def test_nothing():
    logging.getLogger("some.library").debug("connecting")

def test_a_log():
    logging.getLogger("some.library").debug("connecting with %s", "hunter2")

def test_standard_error():
    print("connecting with hunter2", file=sys.stderr)

def test_nothing_more():
    pass
"""


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


def test_a_test_during_which_a_secret_is_told_fails(tmp_path):
    (tmp_path / "test_telling.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", ROOT, "-vv", tmp_path]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60).stdout
    verdicts = re.findall(r"::test_(\w+) .*(PASSED|FAILED)", told)
    assert verdicts == [
        ("nothing", "PASSED"),
        ("a_log", "FAILED"),
        ("standard_error", "FAILED"),
        ("nothing_more", "PASSED"),
    ]

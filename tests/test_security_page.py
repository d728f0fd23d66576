"""docs/security.md names a test for each threat, and each test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
THREATS = dict(re.findall(r"^### ([^\n]+)\n\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
GUARDS = sorted(set(NAMED.findall(PAGE)))


def test_the_threats_that_the_page_is_about_are_all_there():
    assert list(THREATS) == [
        *("Other users", "A stolen dump of Redis", "Forged webhooks", "Poisoned keys", "Confused paths"),
        *("Revoked credentials", "Admin access", "Secrets where they do not belong"),
    ]


@pytest.mark.parametrize("threat", THREATS)
def test_a_threat_has_tests_that_guard_against_it(threat):
    listed = [line for line in THREATS[threat].splitlines() if line.startswith("- ")]
    assert len(listed) >= 3
    assert all(NAMED.search(line) for line in listed)


@pytest.mark.parametrize(("file", "name"), GUARDS)
def test_a_guard_that_is_named_exists(file, name):
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in functions

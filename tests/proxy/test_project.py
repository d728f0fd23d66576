"""The project's own files say what is so."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml

from proxy.config import load, read
from proxy.rules import rulebook
from proxy.schema import Config, Section

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "config.yaml").read_text()
JIRA = {"JIRA_URL": "https://jira.example.com"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sections(model):
    """Every section of the configuration, and the name of the key it stands under."""
    yield "", model
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                for inner, section in sections(kind):
                    yield inner or name, section


KEYS = sorted({(section.__name__, key) for _, section in sections(Config) for key in section.model_fields})


def test_the_shipped_configuration_is_the_defaults():
    assert load(ROOT / "config.yaml", JIRA).model_dump() == load(None, JIRA).model_dump()


def test_the_shipped_configuration_has_every_key():
    tree = yaml.safe_load(SHIPPED)
    shown = {
        "": tree,
        **{name: tree[name] for name in ("admin", "store", "timeouts", "limits", "log")},
        "tenants": tree["tenants"]["default"],
        "repair": tree["tenants"]["default"]["repair"],
        "governor": tree["tenants"]["default"]["governor"],
        "policies": tree["policies"]["issue"],
    }
    assert {name: list(keys) for name, keys in shown.items()} == {
        name: list(section.model_fields) for name, section in sections(Config)
    }


@pytest.mark.parametrize("line", [line for line in SHIPPED.splitlines() if re.match(r" *[a-z_]+:", line)])
def test_the_shipped_configuration_explains_each_line(line):
    explained = line.partition(" #")[2].strip()
    assert explained or line.strip() == "issue:" or line.strip() == "default:"


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_each_key_has_its_meaning_beside_it(section, key):
    model = next(model for _, model in sections(Config) if model.__name__ == section)
    assert model.model_fields[key].description


def test_each_type_of_the_rulebook_has_a_policy_of_its_own():
    config = read(None, {})
    assert rulebook(config).types <= set(config.policies)


def test_the_readme_opens_with_the_two_commands():
    opening = (ROOT / "README.md").read_text().splitlines()[:5]
    assert [line.split("#")[0].strip() for line in opening if line.startswith("    ")] == [
        "make demo",
        "make test",
    ]


def test_each_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for names in project["optional-dependencies"].values() for name in names),
    ]
    names = {re.match(r"[\w-]+", one)[0] for one in wanted} - {project["name"]}
    reasons = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert [name for name in sorted(names) if name.lower() not in reasons] == []


@pytest.mark.parametrize("target", ["demo", "serve", "test", "lint"])
def test_make_knows_how(target):
    made = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout


def test_ci_runs_what_make_test_runs():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "set -eu" in script.read_text()
    assert script.read_text().splitlines()[-1] == "exec make test"


def test_the_image_is_pinned_small_and_not_run_by_root():
    lines = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", lines, re.MULTILINE)
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert re.search(r"^USER [1-9]\d*$", lines, re.MULTILINE)
    assert "--no-cache-dir" in lines
    assert "/-/live" in lines
    for instruction in ("ENTRYPOINT", "CMD", "    CMD"):
        assert re.search(rf"^{instruction} \[", lines, re.MULTILINE)


def test_the_image_gets_what_it_copies():
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text

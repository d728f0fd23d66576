"""What the pages for people say is so: keys, metrics, commands, files and links."""

import re
import textwrap
from pathlib import Path

import click
import pytest

from policies.model import Read, Request, Why, Write
from policies.rulebook import Rulebook
from proxy.cli import main
from proxy.config import read
from proxy.metrics import Metrics
from proxy.redis_figures import RedisFigures
from proxy.reference import PAGE, reference
from proxy.schema import Config, Governor, PolicyRow, Store, Tenant

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]
SUFFIXES = re.compile(r"_(total|bucket|sum|count)$")


def families():
    """The metrics there are, as their families are called."""
    redis = RedisFigures(None)
    redis._told = dict.fromkeys(("used_memory", "evicted_keys", "keyspace_hits", "keyspace_misses"), 0)
    return {family.name for family in (*Metrics().registry.collect(), *redis.collect())}


def anchors(page):
    """What a link into a page may name, by the rule of those who show Markdown."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_is_that_of_the_keys_there_are():
    assert PAGE.read_text("utf-8") == reference(), "run `make docs`"


@pytest.mark.parametrize(
    "row",
    [
        "| `timeout` | duration, more than 0s | `250ms` |",
        "| `interval` | duration, at least 100ms | `1m` |",
        "| `max_header` | size, at least 4KiB, at most 1MiB | `64KiB` |",
        "| `max_upload` | size, or null | `null` |",
        "| `ttl_with_webhooks` | duration, or null | `null` |",
        "| `settle` | list of durations | `[]` |",
        "| `scope` | `credential`, `account`, `tenant` | `credential` |",
        "| `coherence` | `relaxed`, `strict` | `relaxed` |",
        "| `fast_lane` | true, false | `true` |",
        "| `secret` | text, 16 characters or more, or null | `null` |",
        "| `listen` | HOST:PORT | `127.0.0.1:8081` |",
        "| `search` | `ttl: 2m, settle: [2s, 10s, 30s]` |",
        "`JIRA_CACHE_TENANTS__NAME__GOVERNOR__MAX_WAIT` |",
    ],
)
def test_the_reference_tells_what_a_key_takes_and_what_it_is_without(row):
    assert row in reference()


@pytest.mark.parametrize(("key", "meaning"), [(key, field.description) for key, field in Config.model_fields.items()])
def test_the_reference_has_each_key_of_the_top(key, meaning):
    page = reference()
    row = rf"^\| `{key}` \|.*\| {re.escape(meaning)} \|"
    assert re.search(rf"{row}|^## `{key}[`.]", page, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_metric_that_a_page_names_exists(page):
    known = families()
    told = known | {name.rpartition("_")[0] + "_" for name in known}  # `jira_cache_redis_...` tells of several
    named = set(re.findall(r"\bjira_cache_[a-z_]+", page.read_text("utf-8")))
    assert [name for name in sorted(named) if SUFFIXES.sub("", name) not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_command_that_a_page_names_exists(page):
    lines = re.findall(
        r"(?:^    (?:\S*/)?|`(?:\S*/)?)jira-cache ([a-z][a-z-]*)(?: ([a-z]+))?", page.read_text("utf-8"), re.MULTILINE
    )
    for name, below in lines:
        command = main.commands.get(name)
        assert command is not None, name
        if below and isinstance(command, click.Group):
            assert below in command.commands, f"{name} {below}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_each_file_of_ours_that_a_page_names_exists(page):
    named = re.findall(
        r"`((?:policies|proxy|tests|deploy|docs|bench)/[\w./-]+\.(?:py|yaml|md|tsv|lua|json|svg))`",
        page.read_text("utf-8"),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_leads_to_every_page():
    text = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name})" not in text] == []


def test_each_word_that_the_runbook_looks_for_is_told():
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    words = {
        word for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for word in re.findall("`([a-z-]+)`", row)
    }
    assert len(words) > 12
    assert words - {why.word for why in Why} == set()


def test_each_key_that_the_runbook_turns_exists():
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    sections = {
        "store": Store,
        "limits": Config.model_fields["limits"].annotation,
        "governor": Governor,
        "NAME": Tenant,
    }
    sections |= {"repair": Tenant.model_fields["repair"].annotation, "search": PolicyRow}
    turned = re.findall(r"`(?:tenants\.|policies\.)?(store|limits|governor|NAME|repair|search)\.([a-z_]+)", text)
    assert len(turned) > 6
    assert [key for section, key in turned if key not in sections[section].model_fields] == []


@pytest.mark.parametrize(
    ("request_", "kind", "tag"),
    [
        (Request("GET", "/rest/api/3/version/7/releaseNotes", "", {}), Read, "version:7"),
        (Request("PUT", "/rest/api/3/version/7/releaseNotes", "", {}), Write, "version:7"),
    ],
    ids=["resource", "write"],
)
def test_the_rows_that_show_how_to_add_one_work(request_, kind, tag):
    match = enlarged().classify(request_)
    assert isinstance(match, kind)
    assert match.row in {"release_notes", "publish_release_notes"}
    assert tag in match.tags


def test_the_event_that_shows_how_to_add_one_works():
    change = enlarged().announced("release_notes_published", {"version": {"id": "7"}}, {})
    assert "version:7" in change.tags


def enlarged():
    """The project's rows, and those of the page."""
    page = (ROOT / "docs" / "extending.md").read_text("utf-8")
    shown = dict(re.findall(r"^ *```yaml (\w+)\n(.*?)```", page, re.MULTILINE | re.DOTALL))
    rows, events = (
        (ROOT / "policies" / name).read_text("utf-8") + "\n" + textwrap.dedent(shown[kind])
        for name, kind in (("resources.yaml", "resource"), ("events.yaml", "event"))
    )
    return Rulebook.load(rows, events, read(None, {}).law(), ())

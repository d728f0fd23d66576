"""What was moved or renamed has several keys: Jira goes on to take the former ones, and so do changes."""

import pytest

from policies.change import Change
from policies.model import Live
from policies.names import UNRESOLVED, Names
from policies.searches import Index, of_write

OLD, NEW = ("issue:10001", "issue:PROJ-1"), ("issue:10001", "issue:NEW-7")
SEARCHES = [Live(jql, jql, 60.0) for jql in ("project = PROJ", "project = NEW", "project = OTHER")]


def known(*pairs):
    names = Names()
    names.learn(pairs)
    return names


# In the second of them an answer from before the move came in after it.
moved = pytest.mark.parametrize("names", [known(OLD, NEW), known(OLD, NEW, OLD)])


@moved
@pytest.mark.parametrize("told", ["issue:10001", "issue:PROJ-1", "issue:NEW-7"])
def test_a_change_hits_every_name_that_an_issue_has_had(names, told):
    hit = names.for_change({told})
    assert hit >= {"issue:10001", "issue:PROJ-1", "issue:NEW-7", "indexed:NEW-7"}
    assert UNRESOLVED in hit  # another instance may have heard of yet another move


@moved
@pytest.mark.parametrize("told", ["issue:10001", "issue:PROJ-1", "issue:NEW-7"])
def test_a_write_concerns_searches_of_the_project_that_an_issue_was_moved_to(names, told):
    assert of_write({told, "issues"}, names).projects == {"PROJ", "NEW"}


def test_a_query_may_name_a_project_by_its_former_key():
    names = known(("project:10000", "project:PROJ"), ("project:10000", "project:NEW"), ("project:2", "project:OTHER"))
    index = Index()
    index.add(SEARCHES)
    change = Change(frozenset(), projects=frozenset({"NEW"}))
    assert index.concerned(change, names) == {"project = PROJ", "project = NEW"}


def test_the_keys_that_are_forgotten_are_forgotten_one_by_one():
    names = Names(limit=1)
    names.learn([OLD, NEW])
    assert names.keys_of("issue:10001") == ("issue:NEW-7",)
    names.learn([("issue:2", "issue:PROJ-2")])
    assert names.keys_of("issue:10001") == ()

import pytest

from policies.names import MANY, UNRESOLVED, Names, by_index, lagging

PAIR = ("issue:10001", "issue:PROJ-1")


def known(*pairs):
    names = Names()
    names.learn(pairs)
    return names


@pytest.mark.parametrize(
    ("names", "tags", "paired", "completed"),
    [
        (known(), {"issue:10001", "issue:PROJ-1"}, PAIR, {"issue:10001", "issue:PROJ-1"}),
        (known(), {"issue:PROJ-1"}, (), {"issue:PROJ-1", UNRESOLVED}),
        (known(PAIR), {"issue:PROJ-1"}, (), {"issue:PROJ-1", "issue:10001"}),
        (known(PAIR), {"issue:10001"}, (), {"issue:10001", UNRESOLVED}),
        (known(), {"project:PROJ", "users"}, (), {"project:PROJ", "users"}),
    ],
)
def test_an_answer_carries_both_names_of_an_issue_or_says_that_it_does_not(names, tags, paired, completed):
    assert names.for_answer(tags, paired) == completed


@pytest.mark.parametrize(
    ("names", "tags", "completed"),
    [
        (known(), {"issue:10001"}, {"issue:10001", UNRESOLVED}),
        (known(PAIR), {"issue:10001"}, {"issue:10001", "issue:PROJ-1", UNRESOLVED}),
        (known(PAIR), {"issue:PROJ-1"}, {"issue:10001", "issue:PROJ-1", UNRESOLVED}),
        (known(PAIR), {"issue:10001", "issue:PROJ-1"}, {"issue:10001", "issue:PROJ-1"}),
        (known(PAIR), {"issue:10002", "issue:PROJ-1"}, {"issue:10001", "issue:10002", "issue:PROJ-1", UNRESOLVED}),
        (known(), {"fields"}, {"fields"}),
    ],
)
def test_a_change_hits_both_names_of_an_issue_or_all_that_may_have_the_other(names, tags, completed):
    assert names.for_change(tags) == completed | by_index(completed) | {MANY}


def test_a_change_reaches_lists_which_name_issues_as_the_index_knows_them():
    listed = by_index(known().for_answer({"issue:10001", "issue:PROJ-1", "searches"}, PAIR))
    assert listed == {"indexed:10001", "indexed:PROJ-1", "searches"}
    assert listed & known().for_change({"issue:PROJ-1"})


def test_what_comes_from_the_index_is_what_lags():
    change = known(PAIR).for_change({"issue:PROJ-1", "issues", "project:PROJ:issues", "project:PROJ"}) | {"search:1f"}
    late = {"indexed:PROJ-1", "indexed:10001", "issues", "project:PROJ:issues", "search:1f", UNRESOLVED}
    assert lagging(change) == late


def test_where_everything_is_old_all_that_comes_from_the_index_lags():
    assert lagging(known().for_change({"*"})) == {"issues", "searches"}


@pytest.mark.parametrize("tell", [{"issue:10001"}, {"issue:PROJ-1"}])
@pytest.mark.parametrize("answer", [{"issue:10001"}, {"issue:PROJ-1"}])
@pytest.mark.parametrize("then", [known(), known(PAIR)])
@pytest.mark.parametrize("now", [known(), known(PAIR)])
def test_whatever_each_side_knew_an_answer_and_a_change_of_one_issue_meet(tell, answer, then, now):
    assert then.for_answer(answer, ()) & now.for_change(tell)


def test_after_a_move_the_id_leads_to_the_new_key_and_both_keys_to_the_id():
    names = known(PAIR, ("issue:10001", "issue:NEW-7"))
    assert names.key_of("issue:10001") == "issue:NEW-7"
    assert names.id_of("issue:PROJ-1") == names.id_of("issue:NEW-7") == "issue:10001"


def test_the_oldest_names_are_forgotten_first():
    names = Names(limit=2)
    names.learn([(f"issue:{number}", f"issue:P-{number}") for number in range(3)])
    assert names.id_of("issue:P-0") is None
    assert names.key_of("issue:0") is None
    assert names.id_of("issue:P-2") == "issue:2"

"""A definite answer is never wrong: ours, about what is shown, against one that knows everything."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.jql import (
    Truth,
    before,
    compile_query,
    issue_view,
    matches,
    may_affect,
    parse,
    projects,
    unknown,
    untouched,
)
from policies.jql.query import (
    And,
    Call,
    Comparison,
    Empty,
    Field,
    History,
    Not,
    Number,
    Operator,
    Or,
    Query,
    Text,
    Values,
)

MARCH = datetime(2024, 3, 6, tzinfo=UTC).timestamp()
EQUALITY = [Operator.EQUALS, Operator.EQUALS, Operator.NOT_EQUALS]
ORDERING = [Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL]


class Dice(random.Random):
    """Makes sites, issues and queries from one seed: quicker by far than drawing each part, and as repeatable."""

    def maybe(self, make):
        return None if self.random() < 0.3 else make()

    def some(self, options):
        return self.sample(options, self.randrange(3))

    def jira(self, world):
        return world.jira(
            users=self.choice([world.clouds, world.servers]),
            me=self.randrange(3),
            members=frozenset(self.some(range(3))),
            zone=timedelta(hours=self.choice([-12, -5, 0, 5.5, 14])),
            labels_fold=self.random() < 0.5,
            not_is_logic=self.random() < 0.5,
            custom_applies=self.random() < 0.5,
            dates_end_with_the_day=self.random() < 0.5,
        )

    def known(self, world):
        key = self.randrange(len(world.keys))
        return world.known(
            key=key,
            project=["ALPHA", "BETA", "GAMMA"].index(world.keys[key].split("-")[0]),
            status=self.randrange(4),
            resolution=self.maybe(lambda: self.randrange(2)),
            assignee=self.maybe(lambda: self.randrange(3)),
            reporter=self.maybe(lambda: self.randrange(3)),
            labels=self.some(["red", "Red", "blue", "7"]),
            versions=self.some(range(4)),
            parent=self.maybe(lambda: self.randrange(4)),
            epic=self.maybe(lambda: self.randrange(4)),
            created=MARCH + self.randrange(-5 * 86400, 5 * 86400),
            due=self.maybe(lambda: MARCH + 86400 * self.randrange(-5, 5)),
            option=self.maybe(lambda: self.randrange(2)),
            amount=self.maybe(lambda: self.choice([0.0, 5.0, 5.5, 20.0, 7.0])),
            reviewer=self.maybe(lambda: self.randrange(3)),
        )

    def query(self, world, depth=3):
        return Query(self.clause(world, depth))

    def clause(self, world, depth):
        kind = self.randrange(6) if depth else 5
        if kind == 0:
            return Not(self.clause(world, depth - 1))
        if kind in {1, 2}:
            return self.choice([And, Or])(tuple(self.clause(world, depth - 1) for _ in range(self.randint(2, 3))))
        return self.leaf(world)

    def leaf(self, world):
        field = Field(self.choice(world.fields))
        kind = self.randrange(12)
        if kind == 0:
            return History(field, self.choice([Operator.WAS, Operator.WAS_NOT]), self.value(world, field))
        if kind == 1:
            return Comparison(field, self.choice([Operator.IS, Operator.IS_NOT]), Empty())
        if kind == 2:
            return Comparison(field, self.choice([Operator.LIKE, Operator.NOT_LIKE]), Text("x"))
        if kind in {3, 4, 5}:
            members = tuple(self.value(world, field) for _ in range(self.randint(1, 3)))
            return Comparison(field, self.choice([Operator.IN, Operator.NOT_IN]), Values(members))
        if kind in {6, 7} and field.name in {"created", "due", "fixversion"}:
            return Comparison(field, self.choice(ORDERING), Text(self.choice(world.days)))
        return Comparison(field, self.choice(EQUALITY), self.value(world, field))

    def value(self, world, field):
        kind = self.randrange(12)
        if kind == 0:
            return Empty()
        if kind == 1:
            return Call(self.choice(["currentUser", "membersOf"]), ())
        if field.name in {"created", "due"}:
            return Text(self.choice(world.days))
        word = self.choice(world.usual.get(field.name, world.words) if kind % 2 else world.words)
        return Number(int(word)) if word.isdigit() and kind < 8 else Text(self.choice([word, word, word.upper()]))

    def shown(self, body):
        """Hide fields, and parts of what is left, as short bodies and privacy settings do."""
        fields = {name: value for name, value in body.items() if self.random() < 0.9}
        if "customfield_5" not in fields:
            fields = {name: value for name, value in fields.items() if not name.startswith("customfield_")}
        for name in ("assignee", "reporter", "project", "status"):
            if isinstance(fields.get(name), dict):
                fields[name] = {part: value for part, value in fields[name].items() if self.random() < 0.8}
        return fields

    def lucky(self, query):
        """Choose which of the clauses that nobody can decide are true."""
        chosen = [
            text
            for text in _leaves(query.where)
            for text in (text, *(f"{op}{text}" for op in ("=", "!=", "IN", "NOT IN")))
        ]
        return frozenset(text for text in [*chosen, "1", "2", "7", "red"] if self.random() < 0.5)


def _leaves(clause):
    match clause:
        case Not(inner):
            return _leaves(inner)
        case And(parts) | Or(parts):
            return [text for part in parts for text in _leaves(part)]
        case _:
            return [str(clause)]


def _check(query, view, truth):
    """Hold our answer against the truth; tell whether ours was definite."""
    ours = compile_query(parse(str(query)))(view)
    assert ours is not (Truth.NO if truth else Truth.YES), (
        f"{query} of {view.key} is {truth}, not {ours}: {view.fields}"
    )
    return ours is not Truth.UNKNOWN


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_definite_answer_about_what_is_shown_is_never_wrong(world, seed):
    dice = Dice(seed)
    jira, known = dice.jira(world), dice.known(world)
    body = dice.shown(known.body(jira.users))
    view = issue_view(body, id=f"1{known.key}", key=world.keys[known.key])
    for _ in range(20):
        query = dice.query(world)
        jira.luck = dice.lucky(query)
        truth = jira.matches(query, known)
        _check(query, view, truth)
        allowed = projects(query)
        if truth and allowed is not None and view.homes is not None:
            assert allowed & view.homes, f"{query} cannot come from {allowed}"


def _item(identifier, name, old, new, *, with_id):
    item = {
        "field": name,
        "fieldtype": "jira",
        **dict(zip(("from", "fromString", "to", "toString"), old + new, strict=True)),
    }
    return item | ({"fieldId": identifier} if with_id else {})


def _told(value, part="id", name="name"):
    return (None, None) if value is None else (value.get(part), value.get(name))


def _sides(field, old, new, users):
    """Yield what Jira tells of a changed field: pairs of old and new, each an id and a text."""
    if field in {"status", "resolution", "project"}:
        yield _told(old), _told(new)
    elif field in {"assignee", "reporter"}:
        part = "accountId" if "accountId" in users[0] else "key"
        yield _told(old, part, "displayName"), _told(new, part, "displayName")
    elif field == "fixVersions":
        yield from ((_told(gone), (None, None)) for gone in old if gone not in new)
        yield from (((None, None), _told(come)) for come in new if come not in old)
    elif field == "labels":
        yield (None, " ".join(old)), (None, " ".join(new))
    elif field == "duedate":
        yield (old, old and f"{old} 00:00:00.0"), (new, new and f"{new} 00:00:00.0")
    else:
        yield (None, "x"), (None, "y")


NAMES = {"fixVersions": "Fix Version", "parent": "IssueParentAssociation"}
UNLISTED = {"created", "updated", "creator", "customfield_3"}


def _changelog(dice, old, new, keys, users):
    """List the differences of two bodies the way Jira does; a computed field is not listed."""
    with_id = dice.random() < 0.7
    items = [
        _item(field, NAMES.get(field, field), *sides, with_id=with_id and field != "parent")
        for field in sorted(old.keys() - UNLISTED)
        if old[field] != new[field]
        for sides in _sides(field, old[field], new[field], users)
    ]
    if keys[0] != keys[1]:
        items.append(_item("", "Key", (None, keys[0]), (None, keys[1]), with_id=False))
    return dice.sample(items, len(items))


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_winding_back_is_never_wrong(world, seed):
    dice = Dice(seed)
    jira, old, new = dice.jira(world), dice.known(world), dice.known(world)
    new.created = old.created
    if dice.random() < 0.7:  # most changes are no moves
        new.key, new.project = old.key, old.project
    for part in (
        "status",
        "resolution",
        "assignee",
        "reporter",
        "labels",
        "versions",
        "parent",
        "epic",
        "due",
        "option",
        "reviewer",
    ):
        if dice.random() < 0.6:
            setattr(new, part, getattr(old, part))
    bodies = [each.body(jira.users) for each in (old, new)]
    keys = [world.keys[each.key] for each in (old, new)]
    items = _changelog(dice, *bodies, keys, jira.users)
    after = issue_view(dice.shown(bodies[1]), id="1", key=keys[1])
    then = before(after, items)
    for _ in range(20):
        query = dice.query(world)
        jira.luck = dice.lucky(query)
        if "key" not in str(query) and "issue" not in str(
            query
        ):  # the ids of the two issues differ, a real one's do not
            _check(query, then, jira.matches(query, old))


def test_most_answers_about_whole_bodies_are_definite(world):
    dice = Dice(7)
    jira, definite = dice.jira(world), 0
    for _ in range(1000):
        known, query = dice.known(world), Query(dice.leaf(world))
        jira.luck = dice.lucky(query)
        view = issue_view(known.body(jira.users), id=f"1{known.key}", key=world.keys[known.key])
        definite += _check(query, view, jira.matches(query, known))
    assert definite > 450


@pytest.mark.parametrize(
    "text",
    [
        "project = X",
        "key = X-1",
        "status = Done",
        "created > 2024-01-01",
        "sprint = 1",
        '"Epic Link" = X-1',
        "cf[1] is EMPTY",
    ],
)
def test_nothing_is_definite_about_a_field_that_is_not_shown(text):
    view = issue_view({}, id="", key="")
    assert matches(parse(text), view) is Truth.UNKNOWN
    assert matches(parse(f"NOT {text}"), view) is Truth.UNKNOWN
    assert unknown(parse(text)) == ()
    assert may_affect(compile_query(parse(text)), view, None)
    assert may_affect(compile_query(parse(text)), None, untouched(view))

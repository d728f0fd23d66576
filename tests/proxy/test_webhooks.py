"""The receiver alone: what it takes, what it turns away, and in which order it does its work."""

import asyncio
import hmac
import logging

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.model import EVERYTHING
from policies.rulebook import Rulebook
from proxy.config import read
from proxy.errors import StoreError
from proxy.incoming import Body
from proxy.metrics import Metrics
from proxy.notes import Notes
from proxy.rules import rulebook as whole_rulebook
from proxy.signatures import is_signed
from proxy.stores.memory import MemoryStore
from proxy.webhooks import REMEMBERED, Delivery, Desk, Outcome, Webhooks
from tests.clocks import Clock

SECRET = "of the tests"
LIMIT = 10_000
UPDATED = {"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "PROJ-1", "fields": {}}}


class Changes:
    """Remembers what was recorded; fails while `down`, and waits while `open` is not set."""

    def __init__(self):
        self.recorded = []
        self.down = False
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()

    async def record(self, change, source):
        assert source == "webhook"
        self.arrived.set()
        await self.open.wait()
        if self.down:
            raise StoreError("down")
        self.recorded.append(change)


class Listener:
    async def heard(self, change, body):
        pass


class Receiver:
    """A receiver with two tenants, of which only `acme` has a secret."""

    def __init__(self, rules):
        self.changes = Changes()
        self.clock = Clock(0.0)
        self.metrics = Metrics()
        self.shelf = MemoryStore(max_bytes=10**6, clock=self.clock)
        secrets = (("acme", SECRET), ("open", None))
        desks = {name: Desk(secret, self.changes, self.shelf, Listener()) for name, secret in secrets}
        self.webhooks = Webhooks(desks, rules, self.metrics, max_body=LIMIT, clock=self.clock)
        self.notes = Notes()

    async def post(self, said=UPDATED, *, tenant="open", method="POST", query="", read=None, **headers):
        """Deliver `said`, an object or bytes; return the status and the word of the answer."""
        raw = said if isinstance(said, bytes) else orjson.dumps(said)
        self.notes = Notes()
        given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        body = Body(read or pieces(raw), present=bool(raw) or read is not None)
        answer = await self.webhooks.answer(Delivery(tenant, method, query, given_headers, body, self.notes))
        return answer.status, orjson.loads(answer.body)["status"], dict(answer.headers)

    def counted(self, tenant, event, outcome):
        labels = {"tenant": tenant, "event": event, "outcome": outcome}
        return self.metrics.registry.get_sample_value("jira_cache_webhooks_total", labels) or 0


def pieces(raw, size=4000):
    rest = iter([raw[at : at + size] for at in range(0, len(raw), size)])

    async def read():
        return next(rest, b"")

    return read


def signature(body, secret=SECRET, method="sha256"):
    return f"{method}={hmac.new(secret.encode(), body, method).hexdigest()}"


@pytest.fixture(scope="module")
def rules():
    return whole_rulebook(read(None, {}))


@pytest.fixture
def receiver(rules):
    return Receiver(rules)


async def outcome(receiver, *args, **kwargs):
    status, word, _ = await receiver.post(*args, **kwargs)
    assert status == next(each.status for each in Outcome if each.word == word)
    assert receiver.notes.extra["outcome"] == word
    return word


# ---------------------------------------------------------------- signatures

PUBLIC = (
    "It's a Secret to Everybody",
    b"Hello World!",
    "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
)


def test_the_public_vector_is_signed():
    secret, body, digest = PUBLIC
    assert is_signed(secret, f"sha256={digest}", body)
    assert is_signed(secret, f"SHA256={digest.upper()}", body)
    assert not is_signed(secret, f"sha256={digest}", body + b" ")
    assert not is_signed(secret + " ", f"sha256={digest}", body)


BODY = orjson.dumps(UPDATED)


@pytest.mark.parametrize("method", ["sha256", "sha384", "sha512"])
async def test_a_signed_webhook_is_applied(receiver, method):
    assert await outcome(receiver, BODY, tenant="acme", x_hub_signature=signature(BODY, method=method)) == "applied"
    assert len(receiver.changes.recorded) == 1


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "sha256",
        "sha256=",
        "=" + signature(BODY)[7:],
        signature(BODY)[7:],
        signature(BODY)[:-1],
        signature(BODY) + "0",
        signature(BODY).replace("sha256", "sha512"),
        signature(BODY, method="sha1"),
        signature(BODY, method="md5"),
        signature(BODY, secret="another"),
        signature(BODY + b" "),
        signature(BODY) + ", " + signature(BODY),
        "sha256=\udce9é" + signature(BODY),
        "shake_128=00",
    ],
)
async def test_a_webhook_that_is_not_signed_as_agreed_changes_nothing(receiver, sent):
    assert await outcome(receiver, BODY, tenant="acme", x_hub_signature=sent) == "bad-signature"
    assert receiver.changes.recorded == []


async def test_a_missing_signature_is_a_wrong_one(receiver):
    assert await outcome(receiver, BODY, tenant="acme") == "bad-signature"


async def test_nothing_is_parsed_before_it_is_verified(receiver):
    assert await outcome(receiver, b"{not json", tenant="acme") == "bad-signature"
    assert await outcome(receiver, b"{not json", tenant="acme", x_hub_signature=signature(b"{not json")) == "unreadable"


async def test_without_a_secret_no_signature_is_asked_for(receiver):
    assert await outcome(receiver, BODY) == "applied"
    assert await outcome(receiver, BODY, x_hub_signature="sha256=00") == "applied"


async def test_a_body_that_was_left_out_is_signed_too(receiver):
    sent = {"tenant": "acme", "query": "issue=PROJ-1"}
    assert await outcome(receiver, b"", **sent) == "bad-signature"
    assert await outcome(receiver, b"", x_hub_signature=signature(b""), **sent) == "applied"


# ---------------------------------------------------------------- what is taken

TURNED_AWAY = [
    ({"tenant": "nobody"}, "unknown-tenant", 404),
    ({"tenant": ""}, "unknown-tenant", 404),
    ({"tenant": "acme/x"}, "unknown-tenant", 404),
    ({"tenant": "nobody", "method": "GET"}, "unknown-tenant", 404),
    ({"method": "GET"}, "not-posted", 405),
    ({"method": "PUT"}, "not-posted", 405),
    ({"said": b"x" * (LIMIT + 1)}, "too-large", 413),
    ({"said": b"x" * (LIMIT + 1), "tenant": "acme"}, "too-large", 413),
    ({"said": b"{"}, "unreadable", 400),
    ({"said": b"[]"}, "unreadable", 400),
    ({"said": b"null"}, "unreadable", 400),
    ({"said": b'"text"'}, "unreadable", 400),
    ({"said": b"\xff\xfe"}, "unreadable", 400),
    ({"said": b" "}, "unreadable", 400),
    ({"said": b"[" * 9_000}, "unreadable", 400),
]


@pytest.mark.parametrize(("sent", "word", "status"), TURNED_AWAY)
async def test_what_is_no_webhook_is_turned_away(receiver, sent, word, status):
    assert (await receiver.post(**sent))[:2] == (status, word)
    assert receiver.changes.recorded == []


async def test_an_answer_says_what_to_do_about_it(receiver):
    assert (await receiver.post(method="GET"))[2]["Allow"] == "POST"
    receiver.changes.down = True
    assert (await receiver.post())[2]["Retry-After"] == "5"


async def test_a_body_of_just_the_limit_is_taken(receiver):
    said = {**UPDATED, "more": ""}
    said["more"] = "x" * (LIMIT - len(orjson.dumps(said)))
    assert await outcome(receiver, said) == "applied"


async def test_a_body_without_an_event_says_what_it_says(receiver):
    assert await outcome(receiver, {"accountId": "a", "username": "b"}) == "applied"
    assert "user:a" in receiver.changes.recorded[-1].tags


async def test_without_a_body_the_url_says_what_changed(receiver):
    assert await outcome(receiver, b"", query="issue=PROJ-1&other=%24%7Bx%7D") == "applied"
    assert "issue:PROJ-1" in receiver.changes.recorded[-1].tags
    assert await outcome(receiver, b"", query="issue=${issue.key}") == "applied"
    assert EVERYTHING in receiver.changes.recorded[-1].tags


# ---------------------------------------------------------------- once, and durable

ID = {"x_atlassian_webhook_identifier": "one"}


async def test_a_delivery_is_applied_once(receiver):
    assert [await outcome(receiver, **ID) for _ in range(3)] == ["applied", "duplicate", "duplicate"]
    assert len(receiver.changes.recorded) == 1


async def test_a_delivery_is_forgotten_after_a_day(receiver):
    await receiver.post(**ID)
    receiver.clock.now = REMEMBERED - 1
    assert await outcome(receiver, **ID) == "duplicate"
    receiver.clock.now = REMEMBERED + 1
    assert await outcome(receiver, **ID) == "applied"


async def test_deliveries_without_an_identifier_are_never_duplicates(receiver):
    assert [await outcome(receiver) for _ in range(2)] == ["applied", "applied"]


async def test_an_identifier_that_comes_with_other_words_is_no_duplicate(receiver):
    """It is not signed: whoever guessed one could otherwise make us miss the delivery that it belongs to."""
    assert await outcome(receiver, {"webhookEvent": "x"}, **ID) == "applied"
    assert await outcome(receiver, **ID) == "applied"
    assert await outcome(receiver, query="issue=PROJ-1", **ID) == "applied"


async def test_what_could_not_be_recorded_is_asked_for_again_and_then_applied(receiver):
    receiver.changes.down = True
    assert await outcome(receiver, **ID) == "not-recorded"
    receiver.changes.down = False
    assert await outcome(receiver, **ID) == "applied"
    assert await outcome(receiver, **ID) == "duplicate"


async def test_one_that_arrives_twice_at_once_is_acknowledged_only_when_it_is_durable(receiver):
    """1. the first is being recorded  2. the second arrives  3. the record fails: neither may be acknowledged."""
    receiver.changes.open.clear()
    first = asyncio.create_task(receiver.post(**ID))
    await receiver.changes.arrived.wait()
    receiver.changes.arrived.clear()
    second = asyncio.create_task(receiver.post(**ID))
    await receiver.changes.arrived.wait()
    receiver.changes.down = True
    receiver.changes.open.set()
    assert [(await each)[1] for each in (first, second)] == ["not-recorded", "not-recorded"]


async def test_a_delivery_is_seen_through_although_its_sender_leaves(receiver):
    receiver.changes.open.clear()
    task = asyncio.create_task(receiver.post(**ID))
    await receiver.changes.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    receiver.changes.open.set()
    await receiver.webhooks.close()
    assert len(receiver.changes.recorded) == 1
    assert await outcome(receiver, **ID) == "duplicate"


# ---------------------------------------------------------------- log and metrics


async def test_log_and_metric_name_the_event_in_words_of_which_there_are_only_so_many(receiver):
    await receiver.post()
    assert receiver.notes.tenant == "open"
    assert receiver.notes.extra == {"event": "jira:issue_updated", "outcome": "applied"}
    await receiver.post({"webhookEvent": "made up\n"})
    await receiver.post({"webhookEvent": "made up too"})
    await receiver.post({"webhookEvent": 1})
    await receiver.post(b"")
    await receiver.post(tenant="made up")
    await receiver.post(tenant="acme")
    assert receiver.counted("open", "jira:issue_updated", "applied") == 1
    assert receiver.counted("open", "unknown", "applied") == 2
    assert receiver.counted("open", "none", "applied") == 2
    assert receiver.counted("-", "none", "unknown-tenant") == 1
    assert receiver.counted("acme", "none", "bad-signature") == 1


async def test_nothing_of_a_webhook_is_logged(receiver, caplog):
    caplog.set_level(logging.DEBUG)
    said = {**UPDATED, "summary": "private-words"}
    sent = signature(orjson.dumps(said))
    await receiver.post(said, tenant="acme", x_hub_signature=sent, **ID)
    await receiver.post(said, tenant="acme", x_hub_signature="sha256=private-words")
    written = caplog.text + repr(receiver.notes)
    assert not any(word in written for word in (SECRET, sent, "private-words", "PROJ-1"))


async def test_another_rulebook_counts_from_the_next_event_on(receiver):
    receiver.webhooks.follow(Rulebook.load("", "a: {event: made up, tags: [x]}", {}))
    await receiver.post({"webhookEvent": "made up"})
    assert receiver.changes.recorded[-1].tags == {"x"}
    assert receiver.counted("open", "made up", "applied") == 1


# ---------------------------------------------------------------- anything at all

WORDS = st.text(max_size=20) | st.just(signature(BODY)) | st.sampled_from(["sha256=", "sha1=00", "sha256=00"])
OBJECTS = st.dictionaries(
    st.sampled_from(["webhookEvent", "issue", "comment", "x"]), st.sampled_from(["jira:issue_updated", 1, None, {}])
)


@settings(max_examples=300, deadline=None)
@given(
    said=st.binary(max_size=60) | OBJECTS.map(orjson.dumps) | st.just(BODY) | st.just(b"x" * (LIMIT + 1)),
    tenant=st.sampled_from(["open", "acme", "nobody"]),
    method=st.sampled_from(["POST", "GET", "BREW"]),
    query=st.text(max_size=20),
    headers=st.dictionaries(st.sampled_from(["x_hub_signature", "x_atlassian_webhook_identifier"]), WORDS),
)
def test_whatever_is_sent_has_one_of_the_documented_answers(rules, said, tenant, method, query, headers):
    async def send():
        receiver = Receiver(rules)
        status, word, _ = await receiver.post(said, tenant=tenant, method=method, query=query, **headers)
        return status, word, receiver.changes.recorded

    status, word, recorded = asyncio.run(send())
    assert status in {200, 400, 401, 404, 405, 413}
    assert bool(recorded) == (word == "applied")
    assert word != "applied" or tenant == "open" or is_signed(SECRET, headers["x_hub_signature"], said)

"""No answer is older than what had been acknowledged before its question; and each mechanism is needed for that."""

import asyncio
import time

import pytest

from policies import searches
from policies.references import References
from proxy import trip
from proxy.changes import Changes
from proxy.stores.failopen import FailOpen

NOTHING = References(frozenset(), frozenset(), frozenset())
TRIES = 40  # what is wrong shows by chance, in some runs; the rarest fault in one of three


def report(judge):
    share = judge.hits / judge.judged
    print(f"{judge.judged} answers judged, {share:.0%} of them hits, {len(judge.lies)} lies")  # noqa: T201


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_instance_never_lies(new_oracle, seed):
    oracle, _ = await new_oracle(seed)
    judge = await oracle.run()
    report(judge)
    assert judge.lies == []
    assert judge.hits > judge.judged / 10


@pytest.mark.parametrize(("seed", "coherence", "lag"), [(4, "strict", 0.0), (5, "relaxed", 0.25)])
async def test_three_instances_over_one_redis_never_lie(new_oracle, redis_server, seed, coherence, lag):
    store = {"url": redis_server.url, "coherence": coherence, "timeout": "5s", "max_lag": "250ms"}
    oracle, _ = await new_oracle(seed, proxies=3, lag=lag, store=store)
    judge = await oracle.run()
    report(judge)
    assert judge.lies == []
    assert judge.hits > judge.judged / 10


def in_trouble(**issue) -> dict:
    """Settings for a Jira that fails now and then: answers are soon past their TTL, so that they have to stand in."""
    types = ("issue", "search", "aggregation", "board")
    return {
        "tenant": {"governor": {"max_wait": "50ms", "retries": 1, "breaker_failures": 8}},
        "policies": {name: {"ttl": "1ms", **issue} for name in types},
    }


async def test_what_stands_in_while_jira_fails_is_no_lie(new_oracle):
    oracle, _ = await new_oracle(7, **in_trouble())
    oracle.jira.trouble = 0.3
    judge = await oracle.run(reads=30, writes=10, changes=20)
    report(judge)
    assert judge.lies == []
    assert judge.stood_in > 0


async def test_the_oracle_catches_what_a_change_made_old_where_policy_lets_it_stand_in(new_oracle):
    for seed in range(30, 30 + TRIES):
        oracle, _ = await new_oracle(seed, **in_trouble(serve_invalidated_on_error=True))
        oracle.jira.trouble = 0.3
        judge = await oracle.run()
        if judge.lies:
            assert all("invalidated-error" in lie for lie in judge.lies)
            return
    pytest.fail(f"{TRIES} runs without noticing")


async def test_what_no_webhook_announced_is_known_after_the_next_poll(new_oracle):
    tenants = {"repair": {"credential": "Basic cmVwYWlyOnNlY3JldA=="}}
    oracle, (app,) = await new_oracle(6, tenant=tenants)
    oracle.lost_share = 0.4
    oracle.poll = lambda: app.repairs["default"].poll_once(time.time())
    judge = await oracle.run()
    report(judge)
    assert judge.lies == []
    assert judge.hits > judge.judged / 20
    assert app.watches["default"].outcome == "ok"


async def test_the_oracle_catches_lost_webhooks_where_nothing_repairs_them(new_oracle):
    async def look_away():
        pass

    for seed in range(20, 20 + TRIES):
        oracle, _ = await new_oracle(seed)
        oracle.lost_share, oracle.poll = 0.4, look_away
        judge = await oracle.run()
        if judge.lies:
            return
    pytest.fail(f"{TRIES} runs without noticing")


# what each mechanism is for: without it, the same oracle finds lies


def stamp_at_store(patch):
    """The fence is taken when the answer is stored, not before Jira is asked."""
    write = FailOpen.write

    async def late(self, key, entry, _fence, *lock):
        return await write(self, key, entry, (await self.read(key)).fence, *lock)

    patch.setattr(FailOpen, "write", late)


def no_landing_check(patch):
    """Whoever boarded takes the trip's answer, whatever happened since."""
    write = FailOpen.write

    async def agreeable(self, key, entry, fence, *lock):
        await write(self, key, entry, fence, *lock)
        return True

    patch.setattr(FailOpen, "write", agreeable)


def no_references(patch):
    """An answer depends on nothing but its route."""
    patch.setattr(trip, "references", lambda _body: NOTHING)


def no_jql(patch):
    """A search depends on nothing but what it shows."""
    patch.setattr(searches.Index, "concerned", lambda *_: frozenset())


def no_before_state(patch):
    """A search is old only if the issue matches it now."""
    patch.setattr(searches.jql, "may_affect", lambda match, after, _before: _truth(match, after))


def no_after_state(patch):
    """A search is old only if the issue matched it before."""
    patch.setattr(searches.jql, "may_affect", lambda match, _after, before: _truth(match, before))


def _truth(match, issue):
    return issue is not None and match(issue).name != "NO"


def acknowledged_too_early(patch):
    """The announcement is acknowledged, and only then applied."""
    record = Changes.record

    async def later(self, change, source, **how):
        def apply():
            TASKS.append(asyncio.ensure_future(record(self, change, source, **how)))

        asyncio.get_running_loop().call_later(0.02, apply)

    patch.setattr(Changes, "record", later)


TASKS: list[asyncio.Task] = []


def writes_unheard(patch):
    """What passes through the proxy is not noticed."""

    async def deaf(self, tags, *, certain):
        pass

    patch.setattr(Changes, "wrote", deaf)


FAULTS = [
    stamp_at_store,
    no_landing_check,
    no_references,
    no_jql,
    no_before_state,
    no_after_state,
    acknowledged_too_early,
    writes_unheard,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_the_oracle_catches(new_oracle, monkeypatch, fault):
    fault(monkeypatch)
    for seed in range(10, 10 + TRIES):
        oracle, _ = await new_oracle(seed)
        judge = await oracle.run()
        await asyncio.gather(*TASKS)
        TASKS.clear()
        if judge.lies:
            return
    pytest.fail(f"{TRIES} runs without noticing: {fault.__doc__}")

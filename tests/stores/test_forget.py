"""Forgetting answers by the look of their keys, and nothing that merely looks like one."""

import random

import pytest
import redis

from policies.model import EVERYTHING
from proxy.stores.glob import compile_glob, escape

KEYS = ["issue:PROJ-1:abc", "issue:PROJ-12:abc", "issue:OTHER-1:abc", "search:jql:abc", "issue:[x]*?\\:abc"]


@pytest.fixture
async def full(store, make_entry):
    fence = (await store.read("")).fence
    for key in KEYS:
        await store.write(key, make_entry(key), fence)
    return store


async def left_in(store):
    return {key for key in KEYS if (await store.read(key)).entry}


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("issue:PROJ-*", KEYS[:2]),
        ("issue:PROJ-?:*", KEYS[:1]),
        ("*:abc", KEYS),
        ("*", KEYS),
        ("search:jql:abc", KEYS[3:4]),
        ("issue:[OP]*-1:*", [KEYS[0], KEYS[2]]),
        ("issue:[^O]*-1:*", KEYS[:1]),
        ("issue:[M-P]*-1:*", [KEYS[0], KEYS[2]]),
        ("issue:[P-M]*-1:*", [KEYS[0], KEYS[2]]),
        (r"issue:\[x\]\*\?\\:abc", KEYS[4:]),
        ("PROJ", []),
        ("issue", []),
        ("", []),
    ],
)
async def test_a_pattern_makes_the_answers_forgotten_whose_keys_it_matches(full, pattern, gone):
    assert await full.forget(pattern) == len(gone)
    assert await left_in(full) == set(KEYS) - set(gone)


async def test_what_is_left_is_as_true_as_before(full):
    await full.forget("issue:PROJ-*")
    assert (await full.read("search:jql:abc")).alive


async def test_only_answers_are_forgotten(full):
    await full.put("lease:a", b"1", 60)
    await full.claim("issue:PROJ-1:abc")
    await full.invalidate([KEYS[2]])
    fence = (await full.read("")).fence
    await full.forget("*")
    assert await full.get("lease:a") == b"1"
    assert (await full.read("")).fence.incarnation == fence.incarnation


@pytest.mark.parametrize("key", [KEYS[0], KEYS[3]])
async def test_nothing_is_kept_that_was_asked_for_before(full, make_entry, key):
    """A trip to a key that matches may be in the air whose key is nowhere yet: so no trip's answer is kept."""
    fence = (await full.read(key)).fence
    await full.forget("*")
    assert not await full.write(key, make_entry(), fence)
    assert (await full.read(key)).entry is None


async def test_what_is_asked_for_afterwards_is_kept(full, make_entry):
    await full.forget("*")
    assert await full.write(KEYS[0], make_entry(EVERYTHING), (await full.read(KEYS[0])).fence)
    assert (await full.read(KEYS[0])).alive


async def test_more_answers_than_are_dropped_at_once_are_all_dropped(store, make_entry):
    fence = (await store.read("")).fence
    for number in range(1_050):
        await store.write(f"issue:{number}:abc", make_entry(), fence)
    assert await store.forget("issue:1*") == 1 + 10 + 100 + 50
    assert await store.forget("issue:*") == 1_050 - 161


def test_patterns_mean_in_memory_what_they_mean_in_redis(redis_server):
    dice, alphabet = random.Random(7), "aab-]*?[^\\"
    keys = ["".join(dice.choices("abc-]^\\", k=dice.randrange(1, 5))) for _ in range(60)]
    patterns = ["".join(dice.choices(alphabet, k=dice.randrange(7))) for _ in range(1500)]
    with redis.Redis.from_url(redis_server.url) as client, client.pipeline() as pipeline:
        client.mset(dict.fromkeys(keys, b""))
        for pattern in patterns:
            pipeline.scan(0, pattern, 1000)
        for pattern, (_, found) in zip(patterns, pipeline.execute(), strict=True):
            ours = {key for key in keys if compile_glob(pattern).fullmatch(key.encode())}
            assert ours == {name.decode() for name in found}, pattern


def test_an_escaped_text_matches_itself_alone():
    text = r"a*b?[c-d]^\e"
    assert compile_glob(escape(text)).fullmatch(text.encode())
    assert not compile_glob(escape("a*")).fullmatch(b"ab")

"""What lies in Redis sealed opens by its own key, at its own place and unaltered, or not at all."""

import pytest

from policies.model import Live
from proxy.stores.redis import RedisStore, connect
from proxy.stores.sealing import Sealing

SECRET, LOCK, PLACE = b"a secret of the tests' own", b"what a credential makes", b"tenant:acme:issue:PROJ-1:abc"
KEY, OTHER = "issue:PROJ-1:abc", "issue:PROJ-2:def"


@pytest.fixture
def sealing():
    return Sealing(SECRET, "acme")


@pytest.mark.parametrize("plain", [b"", b"{}", b"x" * 100_000])
@pytest.mark.parametrize("lock", [b"", LOCK])
def test_what_was_sealed_opens_again(sealing, plain, lock):
    sealed = sealing.seal(plain, PLACE, lock)
    assert plain == b"" or plain not in sealed
    assert Sealing(SECRET, "acme").open(sealed, PLACE, lock) == plain


@pytest.mark.parametrize(
    ("secret", "tenant", "place", "lock"),
    [
        (b"another secret, of another's", "acme", PLACE, LOCK),
        (SECRET, "other", PLACE, LOCK),
        (SECRET, "acme", b"tenant:acme:issue:PROJ-2:abc", LOCK),
        (SECRET, "acme", PLACE, b"what another credential makes"),
        (SECRET, "acme", PLACE, b""),
    ],
)
def test_nothing_but_the_same_key_and_place_opens_it(sealing, secret, tenant, place, lock):
    sealed = sealing.seal(b"{}", PLACE, LOCK)
    with pytest.raises(ValueError, match="not sealed by this key"):
        Sealing(secret, tenant).open(sealed, place, lock)


def test_what_is_shared_is_not_sealed_by_the_secret_itself(sealing):
    sealed = sealing.seal(b"{}", PLACE)
    with pytest.raises(ValueError, match="not sealed"):
        sealing.open(sealed, PLACE, SECRET)


def test_no_byte_can_be_altered_or_left_out(sealing):
    sealed = sealing.seal(b'{"id": 1}', PLACE, LOCK)
    altered = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for broken in (*altered, *(sealed[:length] for length in range(len(sealed))), sealed + b"x"):
        with pytest.raises(ValueError, match="not sealed"):
            sealing.open(broken, PLACE, LOCK)


def test_equal_answers_are_not_equal_when_sealed(sealing):
    assert len({sealing.seal(b"{}", PLACE, LOCK) for _ in range(100)}) == 100


# in the store -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def make_sealed(redis_url, tenant):
    made = []

    def make(name=tenant, secret=SECRET, **options):
        sealing = Sealing(secret, name)
        made.append(RedisStore(connect(redis_url, timeout=2.0), name, sealing=sealing, **options))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def unreadable():
    return []


@pytest.fixture
def store(make_sealed, unreadable):
    return make_sealed(on_unreadable=lambda: unreadable.append(1))


async def fill(store, entry, key=KEY, lock=LOCK):
    return await store.write(key, entry, (await store.read(key, lock=lock)).fence, lock)


async def test_another_lock_finds_nothing_and_is_counted(store, unreadable, make_entry):
    entry = make_entry("issue:PROJ-1", body=b"[1]")
    assert await fill(store, entry)
    for lock in (b"", b"another"):
        found = await store.read(KEY, lock=lock)
        assert (found.entry, found.alive) == (None, False)
        assert found.fence is not None
    assert len(unreadable) == 2
    assert (await store.read(KEY, lock=LOCK)).entry == entry


async def test_an_answer_moved_to_another_place_is_no_answer(store, unreadable, raw, tenant, make_entry):
    await fill(store, make_entry())
    await raw.copy(f"tenant:{tenant}:{KEY}", f"tenant:{tenant}:{OTHER}")
    assert (await store.read(OTHER, lock=LOCK)).entry is None
    assert unreadable == [1]


async def test_an_answer_whose_tags_were_taken_away_is_no_answer(store, unreadable, raw, tenant, make_entry):
    await fill(store, make_entry("issue:PROJ-1"))
    await raw.hset(f"tenant:{tenant}:{KEY}", "tags", b"*\n")
    assert (await store.read(KEY, lock=LOCK)).entry is None
    assert unreadable == [1]


@pytest.mark.parametrize("field", ["head", "body"])
async def test_parts_of_two_answers_do_not_make_a_third(store, unreadable, raw, tenant, make_entry, field):
    name = f"tenant:{tenant}:{KEY}"
    await fill(store, make_entry(body=b"[1]"))
    old = await raw.hget(name, field)
    await fill(store, make_entry(body=b"[2]"))
    await raw.hset(name, field, old)
    assert (await store.read(KEY, lock=LOCK)).entry is None
    assert unreadable == [1]


async def test_what_was_kept_before_it_was_encrypted_is_no_answer(redis_url, tenant, store, unreadable, make_entry):
    plain = RedisStore(connect(redis_url, timeout=2.0), tenant)
    await fill(plain, make_entry())
    assert (await store.read(KEY, lock=LOCK)).entry is None
    assert unreadable == [1]
    await plain.close()


async def test_a_query_is_encrypted_and_all_processes_read_it(store, make_sealed, raw, tenant):
    live = Live("search:abc", 'summary ~ "merger"', 900.0)
    await store.read(KEY, live)
    assert (await make_sealed().survey(None)).searches == (live,)
    assert b"merger" not in b"".join((await raw.hgetall(f"tenant:{tenant}:queries")).values())


async def test_a_query_that_cannot_be_opened_counts_as_one_for_all_issues(store, make_sealed):
    await store.read(KEY, Live("search:abc", 'summary ~ "merger"', 900.0))
    other = make_sealed(secret=b"another secret, of another's")
    assert (await other.survey(None)).searches == (Live("search:abc", "", 900.0),)

"""What is kept of a body has the links of whoever asked first, and everybody gets their own all the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import links
from policies.model import Entry
from policies.tags import Tags
from proxy.answers import GZIP, IDENTITY, Fetched, Renderer, compressed, decoded
from proxy.packing import Packed, Packer, pack, unpacked

JIRA = "https://jira.corp"
ONE, OTHER = links.site(JIRA, "http://proxy"), links.site(JIRA, "http://cache.corp:8080/acme")
JSON = {"content-type": "application/json"}
LINK = b'{"self":"https://jira.corp/rest/api/2/issue/1"}' + b" " * 600


def fetched(plain: bytes, coding: str) -> Fetched:
    headers = JSON | ({"content-encoding": GZIP} if coding == GZIP else {})
    return Fetched(200, [], headers, compressed(plain) if coding == GZIP else plain, plain, cost=0.0)


def kept(plain: bytes, coding: str, asker: links.Site, *, gzip_accepted: bool = True) -> Entry:
    came = fetched(plain, coding)
    return entry_of(pack(came, unpacked(came), asker, gzip_accepted=gzip_accepted))


def entry_of(packed: Packed) -> Entry:
    body, coding, etag, public = packed
    return Entry(200, (), body, coding, etag, Tags(), stored=0, ttl=1, keep=1, public=public)


ADDRESSES = [JIRA, "https://JIRA.corp", "https://jira.corp:443", ONE.public, OTHER.public, "https://else.where"]
PIECES = st.sampled_from(
    [
        *(f'"{address}/rest/api/2/issue/1",' for address in ADDRESSES),
        *(f'"{address}/rest/api/2/issue/1",'.replace("/", "\\/") for address in ADDRESSES),
        *(f'"see {address}/rest/x",' for address in ADDRESSES),
        *(f'"\\"{address}/rest/x\\"",' for address in ADDRESSES),
        *(f'"{address}/browse/P-1",' for address in ADDRESSES),
        '"\\\\",',
        " " * 600,
    ]
)


@given(
    st.lists(PIECES, max_size=8), st.sampled_from([GZIP, IDENTITY]), st.sampled_from([ONE, OTHER]), *[st.booleans()] * 2
)
def test_everybody_gets_the_links_that_fit_whoever_asked_first(pieces, coding, first, first_takes_gzip, takes_gzip):
    plain = "".join(pieces).encode()
    entry = kept(plain, coding, first, gzip_accepted=first_takes_gzip)
    for site in (ONE, OTHER):
        rendered = Renderer(10**6).render(entry, site, gzip_accepted=takes_gzip)
        assert decoded(rendered.body, rendered.coding) == links.rewrite(plain, site)
        assert takes_gzip or rendered.coding == IDENTITY


@pytest.mark.parametrize("coding", [GZIP, IDENTITY])
async def test_what_is_sent_to_the_one_who_asked_is_what_is_kept(coding):
    entry, renderer = kept(LINK, coding, ONE), Renderer(10**6)
    assert entry.coding == GZIP
    assert (await renderer.prepared(entry, ONE, gzip_accepted=True)).body is entry.body
    assert len(renderer) == 0


@pytest.mark.parametrize("coding", [GZIP, IDENTITY])
async def test_what_takes_work_is_remembered(coding):
    entry, renderer = kept(LINK, coding, ONE), Renderer(10**6)
    rendered = await renderer.prepared(entry, OTHER, gzip_accepted=True)
    assert await renderer.prepared(entry, OTHER, gzip_accepted=True) is rendered


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(LINK + b'"http://proxy/rest/api/2/issue/1"', id="it names the public address itself"),
        pytest.param(LINK.replace(b"jira.corp", b"JIRA.corp"), id="it spells its own in another way"),
    ],
)
def test_a_body_whose_own_links_could_not_be_told_again_is_kept_as_jira_wrote_it(plain):
    entry = kept(plain, GZIP, ONE)
    assert (entry.public, decoded(entry.body, GZIP)) == ("", plain)


def test_nothing_is_coded_anew_for_one_who_does_not_take_it():
    came = fetched(LINK, GZIP)
    assert pack(came, unpacked(came), ONE, gzip_accepted=False) == unpacked(came)


def test_etags_do_not_tell_who_asked_first():
    tags = {Renderer(10**6).render(kept(LINK, GZIP, first), ONE, gzip_accepted=True).etag for first in (ONE, OTHER)}
    assert len(tags) == 1


async def test_equal_bodies_are_held_once_for_as_long_as_an_entry_has_them():
    packer = Packer()
    first = entry_of(await packer.pack(fetched(LINK, IDENTITY), ONE, gzip_accepted=True))
    packer.note(first)
    assert (await packer.pack(fetched(LINK, GZIP), OTHER, gzip_accepted=True)).body is first.body
    body = first.body
    del first
    assert (await packer.pack(fetched(LINK, IDENTITY), ONE, gzip_accepted=True)).body is not body


async def test_a_body_that_is_not_like_another_is_its_own():
    packer = Packer()
    packer.note(first := entry_of(await packer.pack(fetched(LINK, GZIP), ONE, gzip_accepted=True)))
    other = await packer.pack(fetched(LINK + b" ", GZIP), ONE, gzip_accepted=True)
    assert decoded(other.body, GZIP) == decoded(first.body, GZIP) + b" "

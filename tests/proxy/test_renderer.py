"""What is remembered of rendered bodies is bounded, whatever clients call the proxy by."""

from policies.links import site
from policies.model import Entry
from policies.tags import Tags
from proxy.answers import Renderer

BODY = b'{"errorMessages":[]}'
ENTRY = Entry(404, (), BODY, "identity", '"tag"', Tags(), stored=0, ttl=1, keep=1)


def test_names_of_the_proxy_weigh_too():
    renderer = Renderer(max_bytes=100_000)
    for number in range(1000):
        renderer.render(ENTRY, site("https://jira.corp", f"http://{'h' * 1000}{number}"), gzip_accepted=False)
    assert len(renderer) < 100


def test_a_body_that_was_lately_rendered_is_not_rendered_again():
    renderer, here = Renderer(max_bytes=100_000), site("https://jira.corp", "http://proxy")
    first = renderer.render(ENTRY, here, gzip_accepted=False)
    assert renderer.render(ENTRY, here, gzip_accepted=False) is first

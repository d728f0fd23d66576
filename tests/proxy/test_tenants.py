import pytest

from proxy.tenants import Tenant

TENANT = Tenant("acme", frozenset(), "", "https://jira.corp", None, journey=None)


@pytest.mark.parametrize(
    ("headers", "public"),
    [
        ({"host": "proxy:8080"}, "http://proxy:8080"),
        (
            {"host": "proxy", "x-forwarded-host": "jira.example.com, inner", "x-forwarded-proto": "https"},
            "https://jira.example.com",
        ),
        ({"host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"host": "proxy", "x-forwarded-host": 'x"><script>'}, "http://proxy"),
        ({"host": "proxy", "x-forwarded-host": "h" * 254}, "http://proxy"),
        ({"host": "a@b"}, "http://localhost"),
        ({}, "http://localhost"),
    ],
)
def test_links_name_the_address_the_client_used_if_it_is_one(headers, public):
    assert TENANT.site("http", headers).public == public

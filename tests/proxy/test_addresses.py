# ruff: noqa: E501 - a case is a line
import pytest

from proxy import addresses
from proxy.addresses import Address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:8080", Address("0.0.0.0", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        (Address("::", 1), Address("::", 1)),
    ],
)
def test_an_address_has_a_host_and_a_port(text, expected):
    assert addresses.address(text) == expected
    assert addresses.address(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["8080", 8080, ":8080", "::1:80", "host:", "host:65536", "host:-1", "http://h:1", None, "h:1\n"]
)
def test_anything_else_is_not_an_address(text):
    with pytest.raises(ValueError, match="is not an address"):
        addresses.address(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("127.evil.com", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host, expected):
    assert Address(host, 80).loopback is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Jira.Example.com/", "https://jira.example.com"),
        ("https://jira.example.com:443", "https://jira.example.com"),
        ("http://jira.example.com:8080/jira/", "http://jira.example.com:8080/jira"),
        ("https://api.atlassian.com/ex/jira/11-22", "https://api.atlassian.com/ex/jira/11-22"),
        ("http://[::1]:2990/jira", "http://[::1]:2990/jira"),
    ],
)
def test_a_site_has_one_spelling(text, expected):
    assert addresses.site(text) == expected
    assert addresses.site(expected) == expected


@pytest.mark.parametrize(
    "text",
    ["jira.example.com", "ftp://x", "https://", "https://x?y=1", "https://x#y", "https://x/?", "https://x/a//b", "https://x/../b",
     "https://x/a;b", "https://x/%2e", "https://x:port", "https://x:99999", "https://[x", "https://x y", "https://x/\n", ""],
)  # fmt: skip
def test_anything_else_is_not_a_site(text):
    with pytest.raises(ValueError):
        addresses.site(text)


def test_a_site_with_a_login_is_refused_without_repeating_it():
    with pytest.raises(ValueError, match="must not hold a user name or password") as refused:
        addresses.site("https://me:hunter2@jira.example.com")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory://", "redis://:p%40ss@h:6379/0", "rediss://h", "unix:///run/redis.sock",
    "redis+sentinel://:p%40ss@h,[::1]:26380/mymaster", "rediss+sentinel://me:secret@h:1/mymaster/3?sentinel_password=x",
    "redis+cluster://h", "rediss+cluster://me:p%2Fss@h:1,g:2/0?ssl_ca_certs=ca.pem"])  # fmt: skip
def test_a_store_this_version_knows_is_taken_as_it_is(url):
    assert addresses.store(url) == url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+sentinel://:hunter2@h", "^names no service"),
        ("redis+sentinel://:hunter2@h,/mymaster", "^has a host that is none"),
        ("redis+sentinel://:hunter2@h/mymaster/one", "^names no service"),
        ("redis+sentinel://h/mymaster?sentinel_pass=hunter2", "^knows of Sentinels only"),
        ("redis+cluster://:hunter2@h:66666", "^has a host that is none"),
        ("redis+cluster://:hunt/er2@h", "^has a host that is none"),
        ("redis+cluster://:hunter2@h/1", "^names a database"),
        ("redis+memcached://:hunter2@h", r"^'redis\+memcached' is not a kind of store"),
        ("memcached://:hunter2@h", "^'memcached' is not a kind of store"),
        ("redis://:hunter2@h:port", "^is not a URL"),
        ("hunter2", "^'' is not a kind of store"),
    ],
)
def test_any_other_store_is_refused_without_repeating_what_may_be_a_password(url, problem):
    with pytest.raises(ValueError, match=problem) as refused:
        addresses.store(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("path", ["", "/jira", "/a/b.c", "/-"])
def test_a_plain_path_is_taken(path):
    assert addresses.path(path) == path


@pytest.mark.parametrize("path", ["jira", "/", "/jira/", "//a", "/a/../b", "/.", "/a b", "/a%20", "/a?b"])
def test_any_other_path_is_refused(path):
    with pytest.raises(ValueError, match="is not a plain path"):
        addresses.path(path)


@pytest.mark.parametrize(
    ("text", "expected"), [("Jira.Example.com", "jira.example.com"), ("h:8080", "h:8080"), ("[::1]:80", "[::1]:80")]
)
def test_a_host_is_lower_case_with_an_optional_port(text, expected):
    assert addresses.host(text) == expected


@pytest.mark.parametrize("text", ["", "h/", "http://h", "h:x", "h:", "a b"])
def test_anything_else_is_not_a_host(text):
    with pytest.raises(ValueError, match="is not a host"):
        addresses.host(text)

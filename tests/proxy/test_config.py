# ruff: noqa: E501 - a case is a line
import stat

import pytest
from pydantic import ValidationError

from policies.model import Directives, Policy, Scope
from proxy.addresses import Address
from proxy.config import load, read
from proxy.errors import ConfigError
from proxy.secret import secret_of

JIRA = {"JIRA_URL": "https://jira.example.com"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Where no config.yaml lies about."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(tmp_path):
    def given(text, environ=JIRA, **overrides):
        path = tmp_path / "given.yaml"
        path.write_text(text)
        return load(path, environ, **overrides)

    return given


@pytest.fixture
def refused(given):
    def refused(text, environ=JIRA, **overrides):
        with pytest.raises(ConfigError) as error:
            given(text, environ, **overrides)
        lines = str(error.value).splitlines()
        return [line.partition("given.yaml: ")[2] or line for line in lines]

    return refused


def test_without_a_file_the_defaults_hold():
    config = load(None, JIRA)
    assert config.file is None
    assert config.listen == Address("0.0.0.0", 8080)
    assert config.store.url == "memory://"
    assert config.tenants["default"].upstream == "https://jira.example.com"
    assert config.law()["issue"] == Policy(ttl=300, stale_if_error=3600, negative_ttl=30)
    assert config.law()["search"].settle == (2, 10, 30)


def test_the_file_where_we_are_is_read_when_no_other_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("listen: 127.0.0.1:9")
    config = load(None, JIRA)
    assert config.listen == Address("127.0.0.1", 9)
    assert str(config.file) == "config.yaml"


def test_the_command_line_goes_over_the_environment_and_that_over_the_file(given):
    text = "store: {url: 'redis://file'}"
    variable = JIRA | {"JIRA_CACHE_STORE__URL": "redis://variable"}
    assert given(text).store.url == "redis://file"
    assert given(text, variable).store.url == "redis://variable"
    assert given(text, variable, store="redis://flag").store.url == "redis://flag"
    assert given(text, variable, store=None).store.url == "redis://variable"


def test_each_option_of_the_command_line_sets_its_key(given):
    flags = {"upstream": "http://j", "store": "redis://r", "listen": "127.0.0.1:1", "admin": "127.0.0.1:2"}
    config = given("", {}, **flags)
    assert config.tenants["default"].upstream == "http://j"
    assert config.store.url == "redis://r"
    assert (config.listen.port, config.admin.listen.port) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("LISTEN", "127.0.0.1:5", lambda c: str(c.listen) == "127.0.0.1:5"),
        ("STORE__MAX_CONNECTIONS", "7", lambda c: c.store.max_connections == 7),
        ("STORE__MAX_BYTES", "1GiB", lambda c: c.store.max_bytes == 1024**3),
        ("POLICIES__ISSUE__TTL", "1m", lambda c: c.law()["issue"].ttl == 60),
        ("POLICIES__ISSUE__SCOPE", "tenant", lambda c: c.law()["issue"].scope is Scope.TENANT),
        ("POLICIES__SEARCH__SETTLE", "1s, 2s", lambda c: c.law()["search"].settle == (1, 2)),
        ("POLICIES__SEARCH__SETTLE", "[]", lambda c: c.law()["search"].settle == ()),
        ("TENANTS__DEFAULT__WEBHOOK_SECRET", "0123: [no # yaml", lambda c: c.tenants["default"].webhook_secret == "0123: [no # yaml"),
        ("TENANTS__DEFAULT__HOSTS", "A.example, b.example:81", lambda c: c.tenants["default"].hosts == ("a.example", "b.example:81")),
        ("TENANTS__DEFAULT__PUBLIC_URL", "", lambda c: c.tenants["default"].public_url is None),
        ("ADMIN__TOKEN", "null", lambda c: c.admin.token is None),
        ("LIMITS__CLIENT_REQUESTS_PER_MINUTE", "60", lambda c: c.limits.client_requests_per_minute == 60),
        ("LIMITS__CLIENT_REQUESTS_PER_MINUTE", "null", lambda c: c.limits.client_requests_per_minute is None),
        ("TENANTS__DEFAULT__REPAIR__CREDENTIAL", "", lambda c: c.tenants["default"].repair.credential is None),
        ("TENANTS__DEFAULT__REPAIR__CREDENTIAL", "me@x.example:pass word:1", lambda c: c.tenants["default"].repair.credential == "Basic bWVAeC5leGFtcGxlOnBhc3Mgd29yZDox"),
        ("TENANTS__DEFAULT__REPAIR__CREDENTIAL", "Bearer abc==", lambda c: c.tenants["default"].repair.credential == "Bearer abc=="),
        ("POLICIES__ISSUE__TTL_WITH_WEBHOOKS", "24h", lambda c: c.law()["issue"].ttl_with_webhooks == 86_400),
        ("POLICIES__ISSUE__TTL_WITH_WEBHOOKS", "null", lambda c: c.law()["issue"].ttl_with_webhooks is None),
        ("ROUTES", "[{type: tempo}]", lambda c: c.routes == ({"type": "tempo"},)),
        ("CLIENT_DIRECTIVES", "all", lambda c: c.law()["user"].directives is Directives.ALL),
    ],
)  # fmt: skip
def test_every_key_has_a_variable(given, name, value, got):
    assert got(given("", JIRA | {f"JIRA_CACHE_{name}": value}))


def test_a_variable_writes_a_tenants_hyphen_as_an_underscore(given):
    environ = {"JIRA_CACHE_TENANTS__ACME_EU__UPSTREAM": "https://acme.example"}
    assert given("tenants: {acme-eu: {lease: 1m}}", environ).tenants["acme-eu"].upstream == "https://acme.example"


def test_a_variable_that_names_no_key_is_refused(refused):
    assert refused("", JIRA | {"JIRA_CACHE_STORE__URLL": "x"}) == [
        "$JIRA_CACHE_STORE__URLL: unknown key (did you mean url?)"
    ]
    assert refused("", JIRA | {"JIRA_CACHE_STORE": "x"}) == ["$JIRA_CACHE_STORE: should be a mapping of keys to values"]
    assert refused("", JIRA | {"JIRA_CACHE_": "x"})[0].startswith("$JIRA_CACHE_: unknown key")


@pytest.mark.parametrize(
    "name",
    ["JIRA_CACHE_SERVICE_HOST", "JIRA_CACHE_SERVICE_PORT_HTTP", "JIRA_CACHE_PORT", "JIRA_CACHE_PORT_8080_TCP_ADDR"],
)
def test_variables_that_kubernetes_makes_for_a_service_of_our_name_are_not_ours(given, name):
    assert given("", JIRA | {name: "tcp://10.0.0.1:8080"}) == given("")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"REDIS_URL": "rediss://r:1/2", "REDIS_HOST": "other"}, "rediss://r:1/2"),
        ({"REDIS_HOST": "r"}, "redis://r:6379/0"),
        ({"REDIS_HOST": "r", "REDIS_PORT": "7", "REDIS_DB": "3"}, "redis://r:7/3"),
        ({"REDIS_HOST": "r", "REDIS_PASSWORD": "p@ss/w:rd"}, "redis://:p%40ss%2Fw%3Ard@r:6379/0"),
        ({"REDIS_HOST": "::1"}, "redis://[::1]:6379/0"),
        ({"REDIS_HOST": "r", "REDIS_PORT": "tcp://10.0.0.1:6379"}, "redis://r:6379/0"),
        ({"REDIS_PORT": "7", "REDIS_URL": ""}, "memory://"),
    ],
)
def test_the_usual_redis_variables_choose_the_store(given, environ, url):
    assert given("", JIRA | environ).store.url == url


def test_the_usual_redis_variables_give_way_to_a_store_that_the_file_names(given):
    assert given("store: {url: 'redis://file'}", JIRA | {"REDIS_URL": "redis://other"}).store.url == "redis://file"
    assert given("store: {url: 'memory://'}", JIRA | {"REDIS_URL": "redis://other"}).store.url == "redis://other"


def test_jira_url_goes_over_the_file(given):
    assert (
        given("tenants: {default: {upstream: 'http://file'}}").tenants["default"].upstream == "https://jira.example.com"
    )


def test_jira_url_opens_no_further_tenant_beside_those_the_file_names(given):
    assert list(given("tenants: {acme: {upstream: 'http://acme'}}").tenants) == ["acme"]


@pytest.mark.parametrize(
    "text", ["", "tenants:", "tenants: {default:}", "tenants: {default: {upstream: https://your-site.atlassian.net/}}"]
)
def test_there_must_be_a_jira_to_talk_to(refused, text):
    assert refused(text, {}) == ["no Jira to talk to: set tenants.default.upstream or $JIRA_URL"]


def test_what_needs_no_jira_reads_the_configuration_without_one():
    assert read(None, {}).tenants["default"].upstream == "https://your-site.atlassian.net"


def test_a_policy_keeps_the_defaults_it_does_not_change(given):
    law = given("policies: {search: {ttl: 9s}, user:, project: {scope: account}}").law()
    assert law["search"] == Policy(ttl=9, stale_if_error=3600, negative_ttl=30, settle=(2, 10, 30))
    assert law["user"].ttl == 3600
    assert (law["project"].ttl, law["project"].scope) == (3600, Scope.ACCOUNT)


def test_a_row_of_ones_own_may_bring_a_type_of_its_own(given):
    text = "routes: [{match: GET /rest/tempo/x, type: tempo}]\npolicies: {tempo: {ttl: 1m}}"
    assert given(text).law()["tempo"].ttl == 60


def test_a_configuration_cannot_be_changed(given):
    config = given("")
    with pytest.raises(ValidationError):
        config.listen = Address("h", 1)
    with pytest.raises(ValidationError):
        config.store.url = "redis://r"


def test_a_configuration_shows_no_secret(given):
    text = "secret: hunter2hunter2hunter2\nadmin: {token: hunter2}\nstore: {url: 'redis://:hunter2@h'}\ntenants: {default: {webhook_secret: hunter2, repair: {credential: 'a:hunter2'}}}"
    assert "hunter2" not in repr(given(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policies: {issue: {ttl: 5 parsecs}}", "policies.issue.ttl: '5 parsecs' is not a duration (try 30s, 5m, 1h, 24h)"),
        ("policies: {issue: {ttl: 300}}", "policies.issue.ttl: 300 is not a duration (try 30s, 5m, 1h, 24h)"),
        ("policies: {search: {settle: [2s, soon]}}", "policies.search.settle.1: 'soon' is not a duration (try 30s, 5m, 1h, 24h)"),
        ("policies: {issue: {settle: [2s]}}", "policies: issue.settle has no effect; policies.search.settle is for all that Jira's index answers"),
        ("policies: {issue: {scope: all}}", "policies.issue.scope: should be 'credential', 'account' or 'tenant'"),
        ("policies: {isue: {ttl: 5m}}", "policies.isue: no route has this type (known: issue, project, user, field, search, aggregation, prediction, metadata, board, sprint, filter, dashboard, servicedesk, permission, media, server)"),
        ("policies: {isue: {}}", "policies.isue.ttl: is missing"),
        ("policies: 5m", "policies: should be a mapping of keys to values"),
        ("listn: 0.0.0.0:80", "listn: unknown key (did you mean listen?)"),
        ("admin: {zebra: 1}", "admin.zebra: unknown key (known: listen, token)"),
        ("tenants: {default: {upstraem: x}}", "tenants.default.upstraem: unknown key (did you mean upstream?)"),
        ("limits: {max_body: 8}", "limits.max_body: 8 is not a size (try 512KiB, 8MiB, 1GiB)"),
        ("limits: {client_requests_per_minute: 0}", "limits.client_requests_per_minute: should be greater than 0"),
        ("limits: {client_requests_per_minute: many}", "limits.client_requests_per_minute: should be a valid integer, unable to parse string as an integer"),
        ("workers: 4", "workers: more than 1 need a store that they share: set store.url, or $REDIS_URL, to a Redis"),
        ("workers: 0", "workers: should be greater than 0"),
        ("workers: few", "workers: should be a valid integer, unable to parse string as an integer"),
        ("drain_delay: 5", "drain_delay: 5 is not a duration (try 30s, 5m, 1h, 24h)"),
        ("store: {url: 'redis+cluster://:hunter2@h/1'}", "store.url: names a database, and a Cluster has none but 0 (try redis+cluster://host:6379,other:6379)"),
        ("store: {timeout: 0s}", "store.timeout: should be greater than 0"),
        ("store: redis://h", "store: should be a mapping of keys to values"),
        ("store: {max_connections: 0}", "store.max_connections: should be greater than 0"),
        ("admin: {token: 123}", "admin.token: should be text (put it in quotes)"),
        ("admin: {listen: '0.0.0.0:81'}", "admin.token: is required, because other machines can reach 0.0.0.0:81"),
        ("secret: short", "secret: should have at least 16 characters"),
        ("prefix: /", "prefix: should have at least 2 characters"),
        ("prefix: own", "prefix: 'own' is not a plain path (try /jira)"),
        ("tenants: {Acme: {upstream: 'http://a'}}", "tenants.Acme: is not a tenant's name (a-z, 0-9 and hyphens)"),
        ("tenants: {1: {upstream: 'http://a'}}", "tenants.1: should be text (put it in quotes)"),
        ("tenants: {acme: {upstream: 'http://a', path_prefix: /-}}", "tenants.acme.path_prefix: '/-' is for the proxy's own endpoints"),
        ("tenants: {acme: {upstream: 'http://a', path_prefix: acme/}}", "tenants.acme.path_prefix: 'acme/' is not a plain path (try /jira)"),
        ("tenants: {a: {upstream: 'http://a'}, b: {upstream: 'http://b'}}", "tenants.b: needs hosts or path_prefix, because 'a' already takes all other requests"),
        ("tenants: {a: {upstream: 'http://a', ca_file: none.pem}}", "tenants.a.ca_file: 'none.pem' cannot be read: No such file or directory"),
        ("tenants: {a: {repair: {credential: hunter2}}}", "tenants.a.repair.credential: should be email:token, or 'Basic ...' or 'Bearer ...'"),
        ('tenants: {a: {repair: {credential: "a:b\\nHost: c"}}}', "tenants.a.repair.credential: should be email:token, or 'Basic ...' or 'Bearer ...'"),
        ("tenants: {a: {repair: {interval: 0s}}}", "tenants.a.repair.interval: should be greater than or equal to 0.1"),
        ("tenants: {a: {repair: {intervall: 1m}}}", "tenants.a.repair.intervall: unknown key (did you mean interval?)"),
        ("policies: {issue: {ttl_with_webhooks: 1m}}", "policies.issue: ttl_with_webhooks is shorter than ttl"),
        ("policies: {issue: {ttl_with_webhooks: long}}", "policies.issue.ttl_with_webhooks: 'long' is not a duration (try 30s, 5m, 1h, 24h)"),
        ("routes: [match]", "routes.0: should be a mapping of keys to values"),
        ("listen: 0.0.0.0:1\nlisten: 0.0.0.0:2", "line 2, column 1: 'listen' is given twice"),
        ("listen: [", "line 1, column 10: expected the node content, but found '<stream end>'"),
        ("- listen", "is not a mapping of keys to values"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_key_and_what_is_wrong(refused, text, line):
    assert refused(text) == [line]


def test_hosts_and_path_prefixes_choose_one_tenant_only(refused):
    text = "tenants: {a: {upstream: 'http://a', hosts: [h, H]}, b: {upstream: 'http://b', path_prefix: /p}, c: {upstream: 'http://c', path_prefix: /p}}"
    assert refused(text) == [
        "tenants.a.hosts: 'h' is given more than once",
        "tenants.a.hosts: 'h' is given more than once",
        "tenants.b.path_prefix: '/p' is given more than once",
        "tenants.c.path_prefix: '/p' is given more than once",
    ]


def test_a_file_that_is_no_certificate_is_refused(refused, tmp_path):
    (tmp_path / "ca.pem").write_text("hello")
    text = "tenants: {default: {ca_file: ca.pem}}"
    assert refused(text) == ["tenants.default.ca_file: 'ca.pem' is not a PEM file of certificates"]


def test_several_mistakes_are_a_line_each(refused):
    assert refused("policies: {issue: {ttl: soon}}\nlistn: x", {"JIRA_URL": "nowhere"}) == [
        "$JIRA_URL: 'nowhere' is not an http or https URL (try https://jira.example.com)",
        "policies.issue.ttl: 'soon' is not a duration (try 30s, 5m, 1h, 24h)",
        "listn: unknown key (did you mean listen?)",
    ]


def test_a_mistake_names_the_file_it_is_in(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("listen: 80")
    with pytest.raises(ConfigError, match=rf"^{path}: listen: 80 is not an address"):
        load(path, JIRA)


@pytest.mark.parametrize("content", [b"a: \xff", b"a: \x00", b"!!python/object:os.system {}", b"? [a]\n: b", b"<<: 1"])
def test_a_file_that_is_not_plain_yaml_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        load(path, JIRA)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml", JIRA)


def test_a_configured_secret_is_used_as_it_is(given):
    assert secret_of(given("secret: 0123456789abcdef"), {}) == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"XDG_STATE_HOME": "state", "HOME": "home"}, "state/jira-cache/secret"),
        ({"HOME": "home"}, "home/.local/state/jira-cache/secret"),
        ({"HOME": ""}, ".jira-cache-secret"),
    ],
)
def test_a_made_secret_is_kept_for_its_owner_only_and_found_again(tmp_path, environ, place):
    config = load(None, JIRA)
    secret = secret_of(config, environ)
    assert len(secret) == 32
    assert secret_of(config, environ) == secret == (tmp_path / place).read_bytes()
    assert stat.S_IMODE((tmp_path / place).stat().st_mode) == 0o600
    assert len(list((tmp_path / place).parent.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_kept_secret_that_others_can_reach_is_warned_of(tmp_path, caplog, mode):
    config = load(None, JIRA)
    secret = secret_of(config, {})
    kept = tmp_path / ".jira-cache-secret"
    assert "chmod" not in caplog.text
    kept.chmod(mode)
    assert secret_of(config, {}) == secret
    assert f"the secret in {kept.name}: chmod 600 it" in caplog.text.replace(f"{tmp_path}/", "")


def test_a_secret_that_cannot_be_kept_is_made_anew_and_the_log_says_so(tmp_path, caplog):
    (tmp_path / "file").touch()
    config = load(None, JIRA)
    environ = {"HOME": str(tmp_path / "file")}
    assert secret_of(config, environ) != secret_of(config, environ)
    assert "it changes with every start" in caplog.text


def test_a_kept_secret_that_was_cut_short_is_not_used(tmp_path, caplog):
    (tmp_path / ".jira-cache-secret").write_bytes(b"short")
    assert len(secret_of(load(None, JIRA), {})) == 32
    assert "too short" in caplog.text


def test_instances_that_share_a_redis_are_told_to_share_a_secret(given, caplog):
    secret_of(given("store: {url: 'redis://r'}"), {"HOME": ""})
    assert "instances that share a Redis need the same one" in caplog.text

import json

import pytest
import redis
import yaml
from click.testing import CliRunner

from proxy.cli import main
from proxy.risks import risks, store_risks
from proxy.schema import Config

SOUND = {"upstream": "https://jira.example.com", "webhook_secret": "s", "repair": {"credential": "bot@x:token"}}


def config(tenant=None, **settings) -> Config:
    return Config.model_validate({"tenants": {"default": SOUND | (tenant or {})}, **settings})


def test_what_is_set_up_as_the_readme_says_is_no_risk():
    assert list(risks(config())) == []


@pytest.mark.parametrize(
    ("tenant", "settings", "key", "why"),
    [
        ({"webhook_secret": None}, {}, "tenants.default.webhook_secret", "whoever reaches the listener"),
        ({"upstream": "http://jira.example.com"}, {}, "tenants.default.upstream", "unencrypted"),
        ({"lease": "2h"}, {}, "tenants.default.lease", "another 2h"),
        ({}, {"admin": {"listen": "0.0.0.0:8081", "token": "x"}}, "admin.listen", "token travels unencrypted"),
        ({}, {"store": {"url": "redis://cache:6379/0"}}, "secret", "share no answers"),
        ({}, {"policies": {"issue": {"scope": "tenant"}}}, "policies.issue.scope", "some of them only"),
        ({}, {"policies": {"metadata": {"scope": "tenant"}}}, "policies.metadata.scope", "in their language"),
        (
            {},
            {"policies": {"issue": {"serve_invalidated_on_error": True}}},
            "policies.issue.serve_invalidated_on_error",
            "known to be old",
        ),
        ({}, {"policies": {"permission": {"ttl": "1h"}}}, "policies.permission.ttl", "keeps it for 1h"),
        (
            {"repair": {}},
            {"policies": {"issue": {"ttl_with_webhooks": "24h"}}},
            "policies.issue.ttl_with_webhooks",
            "has no effect for default",
        ),
    ],
)
def test_a_setting_that_may_be_regretted_is_named(tenant, settings, key, why):
    [risk] = risks(config(tenant, **settings))
    assert risk.key == key
    assert why in risk.why


def test_a_long_ttl_is_a_risk_where_nothing_tells_of_changes():
    long = {"policies": {"issue": {"ttl": "2h"}}}
    assert not list(risks(config(**long)))
    deaf = {"webhook_secret": None, "repair": {}}
    found = {risk.key: risk.why for risk in risks(config(deaf, **long))}
    assert found.keys() == {"tenants.default.webhook_secret", "policies.issue.ttl"}
    assert found["policies.issue.ttl"].startswith("2h is long: default has neither")


@pytest.mark.parametrize(
    "settings",
    [
        {"tenant": {"upstream": "http://127.0.0.1:8000"}},
        {"tenant": {"upstream": "http://localhost:8000"}},
        {"policies": {"media": {"scope": "tenant"}, "issue": {"scope": "account"}}},
        {"admin": {"listen": "127.0.0.1:0"}},
        {"secret": "long enough to keep", "store": {"url": "redis://cache"}},
    ],
)
def test_what_is_as_good_is_no_risk(settings):
    assert not list(risks(config(**settings)))


# Redis ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "maxmemory", "said"),
    [
        ("allkeys-lru", 0, "evicts any key"),
        ("allkeys-random", 10**8, "evicts any key"),
        ("noeviction", 10**8, "takes nothing more"),
        ("noeviction", 0, None),
        ("volatile-lru", 10**8, None),
    ],
)
def test_redis_is_asked_what_it_forgets_when_it_is_full(redis_server, policy, maxmemory, said):
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", maxmemory)
    found = list(store_risks(config(store={"url": redis_server.url})))
    assert [said in risk.why for risk in found] == ([] if said is None else [True])


def test_a_redis_that_does_not_answer_is_said_to_be_unknown():
    [risk] = store_risks(config(store={"url": "redis://127.0.0.1:1"}))
    assert (risk.key, "cannot be asked" in risk.why) == ("store.url", True)


def test_memory_is_not_asked():
    assert not list(store_risks(config()))


# the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def check(*arguments, **settings):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        return CliRunner().invoke(main, ["check", *arguments], env={"JIRA_URL": None, "REDIS_URL": None})

    return check


def test_check_warns_and_is_content_all_the_same(cli):
    done = cli(policies={"issue": {"scope": "tenant"}})
    assert done.exit_code == 0
    assert "\nwarning: policies.issue.scope: all callers share" in done.stdout
    assert "warning: tenants.default.webhook_secret: " in done.stdout
    assert "\x1b" not in done.stdout


def test_check_tells_programs_the_same_in_json(cli):
    told = json.loads(cli("--json", tenants={"default": SOUND}, policies={"issue": {"ttl": "3m"}}).stdout)
    assert told["file"] == "config.yaml"
    assert told["tenants"] == {"default": {"upstream": "https://jira.example.com", "hosts": [], "path_prefix": ""}}
    issue = told["policies"]["issue"]
    assert (issue["ttl"], issue["scope"], issue["from"]) == (180.0, "credential", "config.yaml")
    assert told["policies"]["search"]["settle"] == [2.0, 10.0, 30.0]
    assert told["warnings"] == []


def test_check_in_json_shows_no_secret(cli):
    done = cli("--json", store={"url": "redis://me:hunter2@127.0.0.1:1/0"}, admin={"token": "hunter2"}, secret="h" * 16)
    assert done.exit_code == 0
    assert "hunter2" not in done.output
    assert "h" * 16 not in done.output

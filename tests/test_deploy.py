"""What is in deploy/ fits the proxy as it is: its keys, ports, paths and times, and what it needs of Redis."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import yaml

from proxy.config import load
from proxy.layers import redis_url
from proxy.listening import DRAIN
from proxy.risks import store_risks
from proxy.units import duration, size

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNIT = DEPLOY / "systemd" / "jira-cache.service"
KUBERNETES = DEPLOY / "kubernetes"
MANIFESTS = {
    manifest["kind"]: manifest
    for manifest in (yaml.safe_load(path.read_text()) for path in sorted(KUBERNETES.glob("*.yaml")))
}
POD = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
LABELS = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
FILLED_IN = {
    "JIRA_CACHE_SECRET": "a" * 64,
    "JIRA_CACHE_ADMIN__TOKEN": "b" * 64,
    "JIRA_CACHE_TENANTS__DEFAULT__WEBHOOK_SECRET": "c" * 64,
    "REDIS_URL": "redis://redis.example.com:6379/0",
}
"""What an operator puts into the template of the Secret, or into `.env`."""

API_VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Kustomization": "kustomize.config.k8s.io/v1beta1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Secret": "v1",
    "Service": "v1",
}


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_each_file_holds_one_document(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


# Docker Compose


def compose_environment(answers: dict[str, str]) -> dict[str, str]:
    """Fill in `${NAME:?why}` and `${NAME-default}` as Compose does."""

    def value(found: re.Match[str]) -> str:
        name, asked, default = found.groups()
        return answers[name] if asked == ":?" else answers.get(name, default)

    wanted = COMPOSE["services"]["proxy"]["environment"]
    return {name: re.sub(r"\$\{(\w+)(:\?|-)(.*?)\}", value, text) for name, text in wanted.items()}


def test_the_variables_of_compose_are_keys_of_the_configuration():
    environ = compose_environment(FILLED_IN | {"JIRA_URL": "https://jira.example.com"})
    config = load(ROOT / "config.yaml", environ)
    assert config.tenants["default"].upstream == "https://jira.example.com"
    assert config.tenants["default"].webhook_secret == FILLED_IN["JIRA_CACHE_TENANTS__DEFAULT__WEBHOOK_SECRET"]
    assert (config.secret, config.admin.token) == ("a" * 64, "b" * 64)
    assert config.store.url == environ["REDIS_URL"]


def test_compose_needs_no_webhook_secret():
    answers = {name: text for name, text in FILLED_IN.items() if "WEBHOOK" not in name}
    config = load(ROOT / "config.yaml", compose_environment(answers | {"JIRA_URL": "https://jira.example.com"}))
    assert config.tenants["default"].webhook_secret is None


@pytest.mark.parametrize("name", ["JIRA_URL", "JIRA_CACHE_SECRET", "JIRA_CACHE_ADMIN__TOKEN"])
def test_compose_does_not_start_without_what_the_proxy_needs(name):
    assert COMPOSE["services"]["proxy"]["environment"][name].startswith(f"${{{name}:?")


def test_compose_publishes_the_ports_on_which_the_proxy_listens():
    config = load(ROOT / "config.yaml", compose_environment(FILLED_IN | {"JIRA_URL": "https://jira.example.com"}))
    listen, admin = config.listen.port, config.admin.listen.port
    assert COMPOSE["services"]["proxy"]["ports"] == [f"{listen}:{listen}", f"127.0.0.1:{admin}:{admin}"]


def test_only_the_proxy_reaches_the_store_of_compose():
    services = COMPOSE["services"]
    assert "ports" not in services["store"]
    assert services["store"]["networks"] == ["store"]
    assert COMPOSE["networks"]["store"]["internal"] is True
    assert redis_url(services["proxy"]["environment"]) == "redis://store:6379/0"


@pytest.mark.parametrize("service", ["proxy", "store"])
def test_what_compose_starts_may_do_little(service):
    told = COMPOSE["services"][service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]


def test_compose_lets_the_proxy_drain():
    config = load(ROOT / "config.yaml", {"JIRA_URL": "https://jira.example.com"})
    assert duration(COMPOSE["services"]["proxy"]["stop_grace_period"]) > config.drain_delay + DRAIN


def store_options() -> dict[str, str]:
    words = COMPOSE["services"]["store"]["command"][1:]
    return dict(zip([word.removeprefix("--") for word in words[::2]], words[1::2], strict=True))


def test_the_store_of_compose_has_room_to_spare_beyond_its_keys():
    store = COMPOSE["services"]["store"]
    assert size(f"{store['mem_limit'][:-1]}MiB") >= 1.5 * size(store_options()["maxmemory"].replace("mb", "MiB"))


def test_check_has_nothing_against_the_store_of_compose(redis_server):
    options = store_options()
    with redis.Redis.from_url(redis_server.url) as server:
        server.config_set("maxmemory", options["maxmemory"])
        server.config_set("maxmemory-policy", options["maxmemory-policy"])
    config = load(None, {"JIRA_URL": "https://jira.example.com", "REDIS_URL": redis_server.url})
    assert list(store_risks(config)) == []


# Kubernetes


@pytest.fixture
def config(tmp_path):
    """The configuration of a pod: the ConfigMap, and the Secret as an operator fills it in."""
    file = tmp_path / "config.yaml"
    file.write_text(MANIFESTS["ConfigMap"]["data"]["config.yaml"])
    return load(file, FILLED_IN | {"JIRA_URL": "https://jira.example.com"})


@pytest.mark.parametrize("kind", sorted(API_VERSIONS))
def test_each_kind_of_manifest_is_there_in_its_version(kind):
    assert set(MANIFESTS) == set(API_VERSIONS)
    assert MANIFESTS[kind]["apiVersion"] == API_VERSIONS[kind]


@pytest.mark.parametrize("kind", sorted(set(API_VERSIONS) - {"Kustomization"}))
def test_each_manifest_has_its_name_and_label(kind):
    told = MANIFESTS[kind]["metadata"]
    assert told["name"] == "jira-cache"
    assert told["labels"] == LABELS


def test_the_kustomization_lists_all_but_the_template_of_the_secret():
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(MANIFESTS["Kustomization"]["resources"]) == files - {"kustomization.yaml", "secret.example.yaml"}
    assert [image["name"] for image in MANIFESTS["Kustomization"]["images"]] == [CONTAINER["image"]]


def test_all_selectors_choose_the_pods_of_the_deployment():
    specs = {kind: MANIFESTS[kind]["spec"] for kind in API_VERSIONS if "spec" in MANIFESTS[kind]}
    assert specs["Service"]["selector"] == LABELS
    assert specs["NetworkPolicy"]["podSelector"]["matchLabels"] == LABELS
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert specs[kind]["selector"]["matchLabels"] == LABELS
    [spread] = POD["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == LABELS
    assert specs["HorizontalPodAutoscaler"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": MANIFESTS["Deployment"]["metadata"]["name"],
    }


def test_the_template_of_the_secret_has_known_variables_all_empty():
    told = MANIFESTS["Secret"]["stringData"]
    assert set(told) == set(FILLED_IN)
    assert set(told.values()) == {""}


def test_the_ports_of_the_pod_are_those_of_its_configuration(config):
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": config.listen.port, "admin": config.admin.listen.port}
    assert [port["targetPort"] for port in MANIFESTS["Service"]["spec"]["ports"]] == ["http"]
    named = [port["port"] for rule in MANIFESTS["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert named == ["http", "admin"]


def test_only_some_may_reach_the_admin_listener():
    clients, admin = MANIFESTS["NetworkPolicy"]["spec"]["ingress"]
    assert "from" not in clients
    assert admin["from"]


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")]
)
def test_the_probes_ask_what_the_proxy_answers(config, probe, path):
    assert CONTAINER[probe]["httpGet"] == {"path": config.prefix + path, "port": "http"}


def test_the_pod_has_the_time_to_drain(config):
    assert POD["terminationGracePeriodSeconds"] >= config.drain_delay + DRAIN
    probe = CONTAINER["readinessProbe"]
    assert config.drain_delay > probe["periodSeconds"] * probe["failureThreshold"]


def test_the_memory_of_the_pod_holds_what_the_cache_may(config):
    memory = {kind: size(f"{told['memory']}B") for kind, told in CONTAINER["resources"].items()}
    assert config.store.max_bytes < memory["requests"] <= memory["limits"]
    assert set(CONTAINER["resources"]["requests"]) == {"cpu", "memory"}


def test_the_pod_may_do_little():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == int(dockerfile("USER")[0])
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_the_pod_mounts_is_there():
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in CONTAINER["volumeMounts"]}
    assert volumes[mounts["/etc/jira-cache"]]["configMap"]["name"] == MANIFESTS["ConfigMap"]["metadata"]["name"]
    assert "emptyDir" in volumes[mounts["/tmp"]]
    assert CONTAINER["args"] == ["serve", "--config", "/etc/jira-cache/config.yaml"]
    [variables] = CONTAINER["envFrom"]
    assert variables == {"secretRef": {"name": MANIFESTS["Secret"]["metadata"]["name"]}}


def test_a_disruption_or_an_update_leaves_a_pod_to_answer():
    scaler = MANIFESTS["HorizontalPodAutoscaler"]["spec"]
    assert MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] < scaler["minReplicas"] <= scaler["maxReplicas"]
    assert MANIFESTS["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in MANIFESTS["Deployment"]["spec"]


# systemd


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def test_the_unit_starts_reloads_and_stops_the_proxy_as_it_wants_it():
    service = unit()["Service"]
    assert service["ExecStart"] == "/opt/jira-cache/bin/jira-cache serve --config /etc/jira-cache/config.yaml"
    assert service["ExecReload"].endswith("-HUP $MAINPID")
    assert service["RestartPreventExitStatus"] == "2"
    assert service["KillMode"] == "mixed"
    assert duration(service["TimeoutStopSec"]) > DRAIN


def test_the_unit_may_write_only_where_the_secret_is_kept():
    service = unit()["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["DynamicUser"] == "yes"
    assert (service["Environment"], service["StateDirectory"]) == ("XDG_STATE_HOME=/var/lib", "jira-cache")
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_and_finds_it_little_exposed(tmp_path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/jira-cache/bin/jira-cache", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = ["systemd-analyze", "security", "--offline=true", "--threshold=20", copy]
    assert subprocess.run(judged, capture_output=True, check=False).returncode == 0


# The image


def dockerfile(instruction: str) -> list[str]:
    """What stands after each `instruction`, of all stages in turn."""
    lines = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return re.findall(rf"^{instruction} +(.*\S)", lines, re.MULTILINE)


def test_the_image_exposes_the_ports_of_both_listeners():
    config = load(ROOT / "config.yaml", {"JIRA_URL": "https://jira.example.com"})
    assert dockerfile("EXPOSE") == [f"{config.listen.port} {config.admin.listen.port}"]

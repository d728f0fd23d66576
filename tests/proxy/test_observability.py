"""The Grafana dashboard and the alert rules ask for metrics, labels and values that there are, in PromQL."""

import json
import re
from itertools import combinations
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from policies.cachestatus import HITS
from policies.model import Why
from proxy.metrics import Metrics
from proxy.poll import Outcome as PollOutcome
from proxy.redis_figures import RedisFigures
from proxy.stats import _MISSES
from proxy.units import duration
from proxy.webhooks import Outcome as WebhookOutcome

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "jira-cache.json").read_text())
[GROUP] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
RULES = {rule["alert"]: rule for rule in GROUP["rules"]}
PANELS = {panel["title"]: panel for panel in BOARD["panels"] if panel["type"] != "row"}
SCRAPE = {"instance", "job"}  # Prometheus adds these to all it scrapes
HIT_WORDS = {why.word for why in HITS}
WORDS = {
    ("jira_cache_requests_total", "why"): {why.word for why in Why},
    ("jira_cache_request_seconds_bucket", "why"): {why.word for why in Why},
    ("jira_cache_webhooks_total", "outcome"): {outcome.word for outcome in WebhookOutcome},
    ("jira_cache_repair_polls_total", "outcome"): set(PollOutcome),
}
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
# As Grafana fills them in.
VARIABLES = {"$__rate_interval": "5m", "$tenant": ".*", "$instance": ".*"}


def _expressions():
    """Every expression, by where it stands."""
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            yield f"panel {title}", target["expr"]
    for name, rule in RULES.items():
        yield f"alert {name}", rule["expr"]


EXPRESSIONS = list(_expressions())


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return promql.parse(expression)


class Selectors:
    """Collects what an expression selects, and by which labels it groups or matches."""

    def __init__(self, expression):
        self.selectors, self.labels = [], set()
        self._visit(expression)

    def _visit(self, node):
        match node:
            case promql.VectorSelector():
                matchers = [(m.name, m.op, m.value) for m in node.matchers.matchers]
                self.selectors.append((node.name, matchers))
            case promql.MatrixSelector():
                self._visit(node.vector_selector)
            case promql.AggregateExpr():
                self.labels.update(node.modifier.labels if node.modifier else ())
                self._visit(node.expr)
            case promql.BinaryExpr():
                matching = node.modifier.matching if node.modifier else None
                self.labels.update(matching.labels if matching else ())
                self._visit(node.lhs)
                self._visit(node.rhs)
            case promql.Call():
                for argument in node.args:
                    self._visit(argument)
            case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
                self._visit(node.expr)
            case promql.NumberLiteral() | promql.StringLiteral():
                pass
            case _:
                raise AssertionError(f"what is {type(node)}?")


@pytest.fixture(scope="module")
def known():
    """The labels of every sample that there is, by its name."""
    figures = RedisFigures(None)
    figures._told = dict.fromkeys(("used_memory", "evicted_keys", "keyspace_hits", "keyspace_misses"), 1)
    samples = {"up": SCRAPE}
    for name, family in Metrics().registry._names_to_collectors.items():
        if getattr(family, "_type", "") and name.endswith(ENDINGS[family._type]):
            le = {"le"} if name.endswith("_bucket") else set()
            samples[name] = {*family._labelnames, *le, *SCRAPE}
    return samples | {sample.name: SCRAPE for metric in figures.collect() for sample in metric.samples}


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_an_expression_is_promql_over_metrics_and_labels_that_there_are(known, where, expression):
    found = Selectors(filled_in(expression))
    assert found.selectors or expression == "1"
    reachable = set()
    for name, matchers in found.selectors:
        assert name in known, f"{where}: no metric is called {name}"
        assert {label for label, _, _ in matchers} <= known[name], f"{where}: labels of {name}"
        reachable |= known[name]
    assert found.labels <= reachable, f"{where}: grouped by what nothing has"


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_the_values_of_labels_are_words_that_there_are(where, expression):
    for name, matchers in Selectors(filled_in(expression)).selectors:
        for label, op, value in matchers:
            words = WORDS.get((name, label))
            if words is not None:
                assert set(value.split("|")) <= words, f"{where}: {label}{op}{value}"


def test_hits_and_misses_are_those_of_the_stats():
    asked = [
        set(value.split("|"))
        for _, expression in EXPRESSIONS
        for _, matchers in Selectors(filled_in(expression)).selectors
        for label, _, value in matchers
        if label == "why" and "fresh|" in value
    ]
    assert HIT_WORDS in asked
    for words in asked:
        expected = HIT_WORDS | (_MISSES if words & _MISSES else set())
        assert words == expected, "|".join(sorted(expected))


def test_a_metric_that_nobody_made_is_found_out(known):
    [(name, _)] = Selectors(promql.parse("rate(jira_cache_made_up_total[5m])")).selectors
    assert name not in known
    with pytest.raises(ValueError):
        promql.parse("sum(rate(jira_cache_requests_total[5m])")


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_who_has_to_act_after_how_long_and_what_to_look_at(name):
    rule = RULES[name]
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert duration(rule.get("for", "0s")) >= 0
    told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    kept = Selectors(filled_in(rule["expr"])).labels or {"instance"}
    assert told <= kept, f"{name} is told by labels that its expression drops"


def test_the_dashboard_asks_the_data_source_that_is_chosen_and_each_of_its_variables_is_used():
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    assert variables == {"datasource", "tenant", "instance"}
    for panel in PANELS.values():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all("$instance" in target["expr"] for target in panel["targets"])


def test_panels_lie_beside_each_other_on_the_dashboards_24_columns():
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    boxes = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for one, other in combinations(boxes, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below

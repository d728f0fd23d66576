"""`jira-cache webhooks`: has Jira announce its changes to this proxy, and looks whether that works."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from proxy.checkup import aligned
from proxy.commands.common import tells_mistakes, warn, with_config, with_json
from proxy.errors import ConfigError
from proxy.explain import as_json
from proxy.hooks.api import Dynamic, Kind
from proxy.hooks.registrar import ours, register, remove
from proxy.hooks.sample import test
from proxy.hooks.target import AUTO, Target

CREDENTIAL = "JIRA_ADMIN_CREDENTIAL"
"""May hold whom to ask Jira as. Not a variable of the configuration: a proxy that runs needs no administrator."""

_COLUMNS = ("", "id", "name", "url", "events", "enabled", "filter", "expires")
_Told = dict[str, Any]


def _about_a_tenant(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a tenant, its Jira and the proxy."""
    options = (
        with_config,
        click.option("--tenant", metavar="NAME", help="Whose Jira. Default: the only tenant."),
        click.option("--url", metavar="URL", help="The proxy as Jira reaches it. Default: the tenant's public_url."),
        click.option(
            "--credential",
            envvar=CREDENTIAL,
            metavar="LOGIN",
            help=f"An administrator's email:token or 'Bearer ...', better given as ${CREDENTIAL}. "
            "Default: the tenant's repair.credential.",
        ),
        click.option(
            "--api",
            "kind",
            type=click.Choice([AUTO, *(kind.value for kind in Kind)]),
            default=AUTO,
            help="Which of Jira's APIs. Default: the administrators' of that Jira; dynamic is for an app's token.",
        ),
        with_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _run(
    act: Callable[[Target], Coroutine[Any, Any, _Told]],
    tell: Callable[[_Told], Iterator[str]],
    in_json: bool,
    path: Path | None,
    **given: str | None,
) -> int:
    """Do something about a tenant, and print what came of it."""
    told = asyncio.run(act(Target.find(path, os.environ, **given)))  # type: ignore[arg-type] # as click has checked
    for warning in told["warnings"]:
        warn(warning)
    for line in [as_json(told)] if in_json else tell(told):
        click.echo(line)
    return 0


@click.group()
def webhooks() -> None:
    """Have Jira announce its changes to the proxy, and look whether that works."""


@webhooks.command("register")
@_about_a_tenant
@tells_mistakes
def register_(**given: Any) -> int:
    """Have exactly one webhook that leads to the proxy. To do so again is harmless, and tells Jira the secret anew."""
    return _run(_register, _registered, **given)


@webhooks.command("list")
@_about_a_tenant
@tells_mistakes
def list_(**given: Any) -> int:
    """List the webhooks that Jira has; those that lead to this proxy have a star."""
    return _run(_list, _table, **given)


@webhooks.command("remove")
@_about_a_tenant
@tells_mistakes
def remove_(**given: Any) -> int:
    """Remove the webhooks that lead to this proxy, and no others."""
    return _run(_remove, _removed, **given)


@webhooks.command("refresh")
@_about_a_tenant
@tells_mistakes
def refresh_(**given: Any) -> int:
    """Have an app's webhooks live for another 30 days (--api dynamic). To be run daily, by cron or the like."""
    return _run(_refresh, _refreshed, **given | {"kind": Kind.DYNAMIC.value})


@webhooks.command("test")
@_about_a_tenant
@tells_mistakes
def test_(**given: Any) -> int:
    """Deliver a signed sample to the proxy's public address, and check that it is applied."""
    return _run(_test, _tested, **given)


async def _register(target: Target) -> _Told:
    async with target.jira() as api:
        if api.kind is Kind.DATA_CENTER_9 and target.wish.secret is not None:
            raise ConfigError(
                f"tenants.{target.name}.webhook_secret: Data Center before 10 signs nothing, so that the proxy would "
                "refuse every delivery; leave it empty, and let only Jira reach the path"
            )
        done = await register(api, target.wish)
        told = {"action": done.action, "id": done.id, "api": api.kind, "removed": done.doubles}
    return _of(target, told, [*_insecure(target)])


def _insecure(target: Target) -> Iterator[str]:
    if target.wish.secret is None:
        yield f"tenants.{target.name}.webhook_secret: is not set, so whoever reaches the proxy can announce changes"
    if not target.url.startswith("https://"):
        yield f"{target.url}: is not HTTPS, which Jira Cloud wants"


async def _list(target: Target) -> _Told:
    async with target.jira() as api:
        hooks, mine = await api.list(), {hook.id for hook in await ours(api, target.url)}
        told = {"api": api.kind, "webhooks": [asdict(hook) | {"ours": hook.id in mine} for hook in hooks]}
    return _of(target, told, [] if mine else ["none of these leads to this proxy: jira-cache webhooks register"])


async def _remove(target: Target) -> _Told:
    async with target.jira() as api:
        gone = await remove(api, target.url)
        return _of(target, {"api": api.kind, "removed": [hook.id for hook in gone]}, [])


async def _refresh(target: Target) -> _Told:
    async with target.jira() as api:
        present = await ours(api, target.url)
        if not present or not isinstance(api, Dynamic):
            raise ConfigError(f"{target.tenant.upstream}: has no webhook that leads to {target.url}, so register one")
        expires = await api.refresh(present)
        return _of(target, {"api": api.kind, "refreshed": [hook.id for hook in present], "expires": expires}, [])


async def _test(target: Target) -> _Told:
    async with target.proxy() as proxy:
        done = await test(proxy, target.url, target.tenant.webhook_secret)
    warnings = [] if done.unsigned_refused else ["a delivery that nobody signed is applied too"]
    return _of(target, {"outcome": done.outcome, "ms": done.ms, "unsigned_refused": done.unsigned_refused}, warnings)


def _of(target: Target, told: Mapping[str, Any], warnings: list[str]) -> _Told:
    return {"tenant": target.name, "url": target.url, **told, "warnings": warnings}


# for people -----------------------------------------------------------------------------------------------------------


def _registered(told: _Told) -> Iterator[str]:
    yield f"{told['tenant']}: {told['action']} webhook {told['id']} ({told['api']}) to {told['url']}"
    if told["removed"]:
        yield f"{told['tenant']}: removed others that led there: {', '.join(told['removed'])}"


def _table(told: _Told) -> Iterator[str]:
    yield from aligned([_COLUMNS, *map(_row, told["webhooks"])])


def _row(hook: _Told) -> tuple[str, ...]:
    star, enabled = "*" if hook["ours"] else "", "yes" if hook["enabled"] else "no"
    named = (star, hook["id"], hook["name"], hook["url"])
    return (*named, str(len(hook["events"])), enabled, hook["filter"] or "-", hook["expires"] or "-")


def _removed(told: _Told) -> Iterator[str]:
    yield f"{told['tenant']}: removed {', '.join(told['removed']) or 'nothing: no webhook'} that led to {told['url']}"


def _refreshed(told: _Told) -> Iterator[str]:
    yield f"{told['tenant']}: refreshed {', '.join(told['refreshed'])}, until {told['expires']}"


def _tested(told: _Told) -> Iterator[str]:
    yield f"{told['tenant']}: {told['outcome']} in {told['ms']} ms at {told['url']}; the same again is a duplicate"

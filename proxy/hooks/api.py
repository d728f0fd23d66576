"""The APIs in which Jira keeps webhooks. Each tells of them in the same words.

| | path | secret | of |
|---|---|---|---|
| cloud | /rest/webhooks/1.0/webhook | `secret` | administrators |
| data-center-9 | /rest/webhooks/1.0/webhook | none | administrators |
| data-center-10 | /rest/jira-webhook/1.0/webhooks | `configuration.SECRET` | administrators |
| dynamic | /rest/api/3/webhook | the app's own | apps on Cloud; they end after 30 days |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlencode

from proxy.errors import ConfigError
from proxy.hooks.events import CLOUD, DATA_CENTER, DYNAMIC
from proxy.hooks.talk import RefusedError, Talk, errors_in

_NEW_GENERATION = 10
_PAGE, _PAGES = 100, 100
# Required, and of JQL only =, !=, IN and NOT IN are taken. An empty one is refused.
_EVERY_ISSUE = "project != null"


class Kind(StrEnum):
    """Which API is spoken."""

    CLOUD = "cloud"
    DATA_CENTER_9 = "data-center-9"
    DATA_CENTER_10 = "data-center-10"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as Jira has it. `filter` is JQL, "" for none; `expires` is Jira's time, None where it does not end."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    filter: str
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A webhook as it should be."""

    name: str
    url: str
    secret: str | None


class Api(Protocol):
    """Where webhooks are kept. Every method may raise ConfigError; Jira's own words are in it."""

    async def list(self) -> list[Hook]:
        """Tell of all webhooks that the account may see."""

    async def create(self, wish: Wish) -> str:
        """Make one, and return its id."""

    async def update(self, hook: Hook, wish: Wish) -> str:
        """Make one as wished, whatever it is now, and return its id."""

    async def delete(self, hooks: Sequence[Hook]) -> None:
        """Remove some."""


@dataclass(frozen=True, slots=True)
class Admin:
    """An administrator's webhooks; `path` and `body` are what the kinds differ in."""

    talk: Talk
    kind: Kind

    async def list(self) -> list[Hook]:
        told = await self.talk.ask("GET", _PATHS[self.kind])
        return [_hook(each) for each in _listed(told)]

    async def create(self, wish: Wish) -> str:
        return _id(await self.talk.ask("POST", _PATHS[self.kind], _BODIES[self.kind](wish)) or {})

    async def update(self, hook: Hook, wish: Wish) -> str:
        await self.talk.ask("PUT", f"{_PATHS[self.kind]}/{hook.id}", _BODIES[self.kind](wish) | _AWAKE[self.kind])
        return hook.id

    async def delete(self, hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            try:
                await self.talk.ask("DELETE", f"{_PATHS[self.kind]}/{hook.id}")
            except RefusedError as error:
                if error.status != 404:  # noqa: PLR2004 - somebody else was quicker
                    raise


@dataclass(frozen=True, slots=True)
class Dynamic:
    """An app's webhooks, which it alone can see. Jira ends them 30 days after they were made or last refreshed."""

    talk: Talk
    kind = Kind.DYNAMIC
    _path = "/rest/api/3/webhook"

    async def list(self) -> list[Hook]:
        hooks: list[Hook] = []
        for _ in range(_PAGES):
            page = {"startAt": len(hooks), "maxResults": _PAGE}
            told = await self.talk.ask("GET", f"{self._path}?{urlencode(page)}")
            found = [_hook(each) for each in _listed(told)]
            hooks += found
            if not found or told.get("isLast", True):
                break
        return hooks

    async def create(self, wish: Wish) -> str:
        wanted = {"events": list(DYNAMIC), "jqlFilter": _EVERY_ISSUE}
        told = await self.talk.ask("POST", self._path, {"url": wish.url, "webhooks": [wanted]})
        results = told.get("webhookRegistrationResult") if isinstance(told, Mapping) else None
        result = results[0] if results else {}
        # A refusal has the status 200 too.
        if "createdWebhookId" not in result:
            raise ConfigError(f"{self.talk.base}: Jira refuses: {errors_in(result) or 'without a reason'}")
        return str(result["createdWebhookId"])

    async def update(self, hook: Hook, wish: Wish) -> str:
        """Refresh it. One that is not as wished can only be made anew: the new first, so that nothing is missed."""
        if set(hook.events) == set(DYNAMIC) and hook.filter == _EVERY_ISSUE:
            await self.refresh([hook])
            return hook.id
        created = await self.create(wish)
        await self.delete([hook])
        return created

    async def delete(self, hooks: Sequence[Hook]) -> None:
        await self.talk.ask("DELETE", self._path, _ids(hooks))

    async def refresh(self, hooks: Sequence[Hook]) -> str:
        """Have them live for 30 days from now. Returns Jira's word for when they end."""
        told = await self.talk.ask("PUT", f"{self._path}/refresh", _ids(hooks))
        return str(told.get("expirationDate", "")) if isinstance(told, Mapping) else ""


async def kind_of(talk: Talk) -> Kind:
    """Find out which Jira this is."""
    told = await talk.ask("GET", "/rest/api/2/serverInfo")
    known = told if isinstance(told, Mapping) else {}
    if known.get("deploymentType") == "Cloud":
        return Kind.CLOUD
    numbers = known.get("versionNumbers")
    if not isinstance(numbers, list) or not numbers:
        raise ConfigError(f"{talk.base}: does not say which Jira it is; say it: --api KIND")
    return Kind.DATA_CENTER_10 if numbers[0] >= _NEW_GENERATION else Kind.DATA_CENTER_9


def api_of(kind: Kind, talk: Talk) -> Admin | Dynamic:
    """Speak an API."""
    return Dynamic(talk) if kind is Kind.DYNAMIC else Admin(talk, kind)


def _classic(events: Sequence[str], wish: Wish) -> dict[str, Any]:
    body = {"name": wish.name, "url": wish.url, "events": list(events), "filters": {}, "excludeBody": False}
    return body | ({"secret": wish.secret} if wish.secret else {})


def _modern(wish: Wish) -> dict[str, Any]:
    configuration = {"EXCLUDE_BODY": "false"} | ({"SECRET": wish.secret} if wish.secret else {})
    return {"name": wish.name, "url": wish.url, "events": list(DATA_CENTER), "configuration": configuration}


_PATHS = {
    Kind.CLOUD: "/rest/webhooks/1.0/webhook",
    Kind.DATA_CENTER_9: "/rest/webhooks/1.0/webhook",
    Kind.DATA_CENTER_10: "/rest/jira-webhook/1.0/webhooks",
}
_BODIES = {
    Kind.CLOUD: lambda wish: _classic(CLOUD, wish),
    Kind.DATA_CENTER_9: lambda wish: _classic(DATA_CENTER, wish),
    Kind.DATA_CENTER_10: _modern,
}
_AWAKE = {Kind.CLOUD: {"enabled": True}, Kind.DATA_CENTER_9: {"enabled": True}, Kind.DATA_CENTER_10: {"active": True}}


def _ids(hooks: Sequence[Hook]) -> dict[str, list[int]]:
    return {"webhookIds": [int(hook.id) for hook in hooks]}


def _listed(told: Any) -> list[Mapping[str, Any]]:
    values = told.get("values") if isinstance(told, Mapping) else told
    return [each for each in values if isinstance(each, Mapping)] if isinstance(values, list) else []


def _hook(told: Mapping[str, Any]) -> Hook:
    settings = told.get("configuration")
    filters = told.get("filters")
    in_words = (
        told.get("jqlFilter"),
        settings.get("FILTERS") if isinstance(settings, Mapping) else None,
        filters.get("issue-related-events-section") if isinstance(filters, Mapping) else None,
    )
    return Hook(
        id=_id(told),
        name=str(told.get("name") or ""),
        url=str(told.get("url") or ""),
        events=tuple(str(event) for event in told.get("events") or ()),
        enabled=bool(told.get("enabled", told.get("active", True))),
        filter=next((words for words in in_words if isinstance(words, str) and words), ""),
        expires=told.get("expirationDate"),
    )


def _id(told: Mapping[str, Any]) -> str:
    """Tell the id, which the older API shows only at the end of the webhook's address."""
    return str(told.get("id") or str(told.get("self", "")).rstrip("/").rpartition("/")[2])

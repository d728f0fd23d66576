"""Keeps one webhook of ours in Jira: that which leads to this proxy's address for a tenant, and no second one."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.hooks.api import Api, Hook, Wish


@dataclass(frozen=True, slots=True)
class Registered:
    """What was done: `created` or `updated`; `doubles` are the ids of others of ours, which are gone."""

    action: str
    id: str
    doubles: tuple[str, ...]


async def ours(api: Api, url: str) -> list[Hook]:
    """Find the webhooks that lead to `url`, whatever their query adds."""
    return [hook for hook in await api.list() if _place(hook.url) == _place(url)]


async def register(api: Api, wish: Wish) -> Registered:
    """Have exactly one webhook as wished. To do so again changes nothing, but that Jira is told the secret anew.

    Jira never tells which secret it has, so that nobody can know whether it is still the right one.
    """
    present = await ours(api, wish.url)
    if not present:
        return Registered("created", await api.create(wish), ())
    kept, *doubles = present
    changed = await api.update(kept, wish)
    if doubles:
        await api.delete(doubles)
    return Registered("updated", changed, tuple(hook.id for hook in doubles))


async def remove(api: Api, url: str) -> list[Hook]:
    """Remove what leads to `url`, and nothing else. Returns what there was."""
    present = await ours(api, url)
    if present:
        await api.delete(present)
    return present


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".lower().rstrip("/")

"""Jira Cloud's own remedy for its lagging index: a search may name issues to be read from the database instead.

`/search/jql` takes up to 50 numeric ids as `reconcileIssues`, repeated in a query or as a list in a body. All pages of
one search have to name the same ids; so only a first page is added to, and what a later one names is left as it is.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from policies.model import Read, Request

MOST = 50
_NAME = "reconcileIssues"
_LATER_PAGE = "nextPageToken"
_ROUTE = "/rest/api/{v}/search/jql"


def reconcilable(read: Read) -> bool:
    """Tell whether a read is a search that takes ids to reconcile."""
    return read.route == _ROUTE


def reconciled(request: Request, ids: Collection[str]) -> Request:
    """Add `ids`, the latest first, to those the client named itself; as many as Jira takes."""
    if not ids:
        return request
    return _in_body(request, ids) if request.method == "POST" else _in_query(request, ids)


def _in_query(request: Request, ids: Collection[str]) -> Request:
    asked = parse_qsl(request.query)
    if any(name == _LATER_PAGE for name, _ in asked):
        return request
    own = [value for name, value in asked if name == _NAME]
    # A client may have put several into one, however Jira reads that; then they are counted generously.
    room = MOST - sum(value.count(",") + 1 for value in own)
    added = [(_NAME, each) for each in ids if each not in own][: max(0, room)]
    parts = [part for part in (request.query, urlencode(added)) if part]
    return replace(request, query="&".join(parts))


def _in_body(request: Request, ids: Collection[str]) -> Request:
    try:
        body: dict[str, Any] = orjson.loads(request.body)
    except orjson.JSONDecodeError:  # half a surrogate pair, or nested deep: what others read as JSON
        return request
    own = body.get(_NAME) or []
    if not isinstance(own, list) or body.get(_LATER_PAGE):
        return request
    known = {str(each) for each in own}
    added = [int(each) for each in ids if each not in known][: max(0, MOST - len(own))]
    return replace(request, body=orjson.dumps(body | {_NAME: [*own, *added]})) if added else request

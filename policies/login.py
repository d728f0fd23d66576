"""Did Jira accept the credential? A 200 proves nothing.

Jira answers a wrong or expired Basic credential with 200 as anonymous; only X-Seraph-LoginReason tells, and the
account that X-AACCOUNTID (Cloud) or X-AUSERNAME (Data Center) names, on sites that name one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policies.callers import Anonymous, Credentialed
from policies.model import Why

_ACCOUNT_HEADERS = ("x-aaccountid", "x-ausername")
_NOBODY = "anonymous"
_UNAUTHORIZED, _NOT_FOUND = 401, 404


@dataclass(frozen=True, slots=True)
class Accepted:
    """Jira let the caller in, as `account` ("" where the site never names one, and for anonymous callers)."""

    account: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Jira did not let the caller in: whatever it answered was meant for anybody."""

    why: Why = Why.LOGIN_FAILED


@dataclass(frozen=True, slots=True)
class Silent:
    """The answer does not tell; nothing is concluded from it and it is not kept."""

    why: Why = Why.ACCOUNT_UNNAMED


Login = Accepted | Refused | Silent


def account_named(headers: Mapping[str, str]) -> str | None:
    """Read the account that Jira resolved, None if the answer names none. Header names are lower case."""
    return next((headers[name] for name in _ACCOUNT_HEADERS if headers.get(name)), None)


def judge(
    caller: Anonymous | Credentialed,
    bound: str,
    status: int,
    headers: Mapping[str, str],
    *,
    site_names: bool,
    pseudonym: Callable[[str], str],
) -> Login:
    """Read from an answer whether Jira accepted `caller`, who was `bound` to an account before ("" if to none).

    `site_names` tells whether this site has ever named an account: if so, an answer without a name proves nothing.
    Accounts are bound and returned by their `pseudonym`.
    """
    named = account_named(headers)
    if isinstance(caller, Anonymous):
        # Somebody was logged in by means we do not know of: their answer is not everybody's.
        return Accepted("") if named in (None, _NOBODY) else Refused(Why.ACCOUNT_CHANGED)
    if status == _UNAUTHORIZED or named == _NOBODY or _failed(headers.get("x-seraph-loginreason", "")):
        return Refused()
    if named is None:
        proves = not site_names and not bound and (200 <= status < 300 or status == _NOT_FOUND)  # noqa: PLR2004
        return Accepted("") if proves else Silent()
    account = pseudonym(named)
    return Accepted(account) if bound in ("", account) else Refused(Why.ACCOUNT_CHANGED)


def _failed(reasons: str) -> bool:
    return any(reason.strip() not in {"", "OK"} for reason in reasons.split(","))

import base64
import hashlib
import hmac
import json

import pytest

from proxy.signatures import is_vouched

SECRET = "of the app"
NOW = 1_000.0


def token(claims, *, secret=SECRET, alg="HS256", digest=hashlib.sha256):
    head, said = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": alg}, claims))
    given = hmac.new(secret.encode(), head + b"." + said, digest).digest()
    return b".".join((head, said, base64.urlsafe_b64encode(given).rstrip(b"="))).decode()


@pytest.mark.parametrize("claims", [{}, {"exp": NOW + 1}, {"exp": NOW - 59}, {"iss": "client", "exp": 10**10}])
def test_a_token_by_the_secret_vouches_until_it_ends(claims):
    assert is_vouched(SECRET, f"Bearer {token(claims)}", NOW)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Bearer",
        "Bearer a.b.c",
        "Bearer ..",
        f"Basic {token({})}",
        f"Bearer {token({}, secret='another')}",
        f"Bearer {token({'exp': NOW - 61})}",
        f"Bearer {token({'exp': 'never'})}",
        f"Bearer {token({}, alg='none')}",
        f"Bearer {token({}, alg='HS512', digest=hashlib.sha512)}",
        f"Bearer {token({}).rpartition('.')[0]}.",
        f"Bearer {token({})[:-2]}",
        f"Bearer {token([])}",
        "Bearer é.é.é",
    ],
)
def test_nothing_else_vouches(said):
    assert not is_vouched(SECRET, said, NOW)

"""Encryption of what lies in Redis (`store.encrypt`): AES-GCM, by keys that Redis never sees.

The key of a tenant follows from the deployment's secret. What belongs to one caller is sealed by a key that follows
from the caller's credential too, so who has the secret and all of Redis still opens nothing without that credential.
"""

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES = 32
_NONCE_BYTES = 12  # at random; by one key, 2^32 answers may be sealed before two nonces are likely to be the same
_CALLERS = 1_000  # whose keys are remembered
_EDITION = b"jira-cache store 1"


class Unsealed:
    """Leaves everything as it is."""

    def seal(self, plain: bytes, place: bytes, lock: bytes = b"") -> bytes:  # noqa: ARG002 - as Sealing has it
        return plain

    def open(self, sealed: bytes, place: bytes, lock: bytes = b"") -> bytes:  # noqa: ARG002 - as Sealing has it
        return sealed


class Sealing:
    """Seals and opens what one tenant keeps. `lock` is the caller's own part of the key, b"" for what many share."""

    def __init__(self, secret: bytes, tenant: str) -> None:
        self._key = _derived(secret, salt=None, purpose=b"tenant " + tenant.encode())
        self._cipher = lru_cache(maxsize=_CALLERS)(self._make_cipher)

    def seal(self, plain: bytes, place: bytes, lock: bytes = b"") -> bytes:
        """Encrypt `plain`, to be opened only as what lies at `place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(lock).encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes, lock: bytes = b"") -> bytes:
        """Decrypt; ValueError for what was sealed by another key, for another place, or altered."""
        try:
            return self._cipher(lock).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
        except (InvalidTag, ValueError) as error:
            raise ValueError("what lies there was not sealed by this key for this place") from error

    def _make_cipher(self, lock: bytes) -> AESGCM:
        purpose = b"caller" if lock else b"shared"
        return AESGCM(_derived(lock or self._key, salt=self._key, purpose=purpose))


def _derived(secret: bytes, *, salt: bytes | None, purpose: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt, _EDITION + b" " + purpose).derive(secret)

"""The names of things in Redis: `{namespace}:{key}`, as the proxy names a tenant's."""

from proxy.stores.glob import escape

LEDGER = ("ledger", "live", "queries", "changes", "echoes")
"""What the ledger's scripts work on, in their order; in a tenant's namespace it is the proxy's own."""

_OF_THE_PROXY = ("shelf:", "claim:")


class Keys:
    """The names within one namespace. A namespace holds all that are spelled beneath it: `a` holds `a:b`.

    In a Cluster the namespace is the hash tag of its names, so that they share a slot: there `a` holds no `a:b`.
    """

    def __init__(self, namespace: str, *, cluster: bool = False) -> None:
        if not namespace:
            raise ValueError("a namespace needs a name, such as tenant:123")
        if cluster and "}" in namespace:
            raise ValueError(f"{namespace!r}: in a Cluster a namespace has no brace in it")
        self.prefix = f"{{{namespace}}}:" if cluster else f"{namespace}:"
        self.ledger = tuple(self.prefix + name for name in LEDGER)

    def name(self, key: str) -> str:
        """Spell a key in full. Raises TypeError or ValueError, naming it, for one that cannot be used."""
        if not isinstance(key, str):
            raise TypeError(f"{key!r}: a key is text")
        if not key:
            raise ValueError("a key has one letter at least")
        if key in LEDGER or key.startswith(_OF_THE_PROXY):
            raise ValueError(f"{key!r}: the cache itself keeps something under this key")
        return self.prefix + key

    @property
    def pattern(self) -> str:
        """What SCAN finds the whole namespace by, and nothing else."""
        return escape(self.prefix) + "*"

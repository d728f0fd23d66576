"""The scripts over the ledger: the proxy's own rule (stores/ledger.lua), and what the library does by it."""

from functools import cache
from importlib.resources import files

from proxy.stores.scripts import Script

_INVALIDATE = "invalidate"


@cache
def script(name: str) -> Script:
    """Load `keep`, `judge`, `fence` or the proxy's own `invalidate`."""
    if name == _INVALIDATE:
        return Script.load("ledger", "live", "echoes", "claims", _INVALIDATE)
    ledger = files("proxy.stores").joinpath("ledger.lua").read_text()
    return Script.of("\n".join((ledger, files("proxy.library").joinpath(f"{name}.lua").read_text())))

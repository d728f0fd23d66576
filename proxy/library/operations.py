"""All operations on one namespace, put together for either shell."""

from collections.abc import Callable, Mapping

from policies.model import Policy
from proxy.library.keys import Keys
from proxy.library.ledger import Ledger
from proxy.library.lifetimes import Lifetimes
from proxy.library.loads import Loads
from proxy.library.reads import Reads
from proxy.library.tally import Tally
from proxy.library.trouble import OnError, Trouble
from proxy.library.writes import Writes


class Operations:
    """The steps of every operation, by what they do."""

    def __init__(
        self,
        namespace: str,
        default_ttl: float | None,
        policies: Mapping[str, Policy] | None,
        on_error: OnError,
        clock: Callable[[], float],
        *,
        cluster: bool,
    ) -> None:
        self.tally = Tally()
        trouble = Trouble(on_error, self.tally, clock)
        keys, lifetimes = Keys(namespace, cluster=cluster), Lifetimes(default_ttl, policies)
        self.ledger = Ledger(keys, trouble)
        self.reads = Reads(keys, self.ledger, self.tally, trouble)
        self.writes = Writes(keys, lifetimes, self.ledger, trouble)
        self.loads = Loads(
            keys=keys,
            lifetimes=lifetimes,
            reads=self.reads,
            writes=self.writes,
            ledger=self.ledger,
            trouble=trouble,
        )

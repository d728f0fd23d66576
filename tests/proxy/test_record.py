"""What of hits is told together reaches every count, whatever happens to the others."""

from types import SimpleNamespace

import pytest

from policies.model import Why
from proxy.metrics import Metrics
from proxy.notes import Answered, Notes
from proxy.record import Recorder


class Silent:
    def wants(self, *_):
        return False


@pytest.fixture
def recorder():
    return Recorder(Metrics(), Silent(), SimpleNamespace(requests=lambda *_, **__: None), lambda: 0.0)


def again(recorder, client, saved):
    answered = Answered("GET", 200, Why.FRESH, 0, 0.0)
    return recorder.again(answered, Notes(), stored=0.0, client=client, saved=saved)


async def test_a_count_that_fails_takes_along_nothing_of_later(recorder):
    told = []

    def fails(_):
        raise OSError("no room for another count")

    broken, sound = again(recorder, "alice", fails), again(recorder, "bob", told.append)
    recorder.hit(*broken, 0.0, 0.001)
    recorder.hit(*sound, 0.0, 0.001)
    with pytest.raises(OSError, match="no room"):
        recorder.flush()
    recorder.hit(*sound, 0.0, 0.001)
    recorder.flush()
    assert told == [1]

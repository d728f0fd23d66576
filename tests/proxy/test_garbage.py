"""Python's search for garbage in circles is made seldom, and still made."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from proxy.garbage import EVERY, search_seldom


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.around = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_at_the_start_is_not_searched_again() -> None:
    search_seldom()
    assert gc.get_freeze_count() > 0


def test_garbage_in_circles_is_still_found_after_so_many_new_objects() -> None:
    search_seldom()
    lost = weakref.ref(Circle())
    kept = [[number] for number in range(2 * EVERY)]
    assert lost() is None
    assert len(kept) == 2 * EVERY

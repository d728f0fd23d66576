"""How often Python looks for garbage that only a search can find: objects that refer to each other in a circle.

A request leaves none behind, unless it fails: an error refers to where it was raised, and that to the error. So the
search finds next to nothing, and after every 700 new objects, as Python has it, it took a twelfth of the time of each
miss.
"""

import gc

EVERY = 5_000
"""How many more objects there are than after the last search when the next one is made: about fifty failed requests."""


def search_seldom() -> None:
    """Search seldom from now on, and never again through what is here already, which stays until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(EVERY, *gc.get_threshold()[1:])

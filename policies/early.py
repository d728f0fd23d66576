"""When to fetch an answer anew although it is still fresh, so that nobody has to wait when it expires.

XFetch (Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015): a request
that finds an answer with `left` seconds to live, which took `cost` seconds to fetch, fetches it anew with probability
exp(-left / (BETA * cost)). That is the paper's test `now - cost * BETA * ln(rand) >= expiry`, solved for the chance.
The dearer an answer and the more it is asked for, the earlier it is fetched; one that nobody asks for never is.

The chance is drawn for each request, as in the paper, and not once for each answer: then it would be fetched too late
to be back in time in most cases, however often it is asked for. It is negligible for most of an answer's life, and
there a hit may go without the draw: `calm` tells for how long, so that all a hit has to do is compare two times. That
cuts the law off at both ends, where it would fetch for one request in a thousand, or in the first four fifths of a
life because the answer takes long compared with it.
"""

from math import exp, log

BETA = 1.0
"""How eager to be, in the paper's sense; 1 is its optimum."""

LEAST = 0.001
"""A chance below this counts as none."""

LATE = 0.2
"""The last share of a life: nothing is fetched before it begins."""


def calm(lifetime: float, cost: float) -> float:
    """Tell for how many seconds of its `lifetime` an answer that took `cost` seconds is surely not fetched early."""
    return lifetime - min(BETA * cost * -log(LEAST), LATE * lifetime)


def due(age: float, lifetime: float, cost: float, draw: float) -> bool:
    """Tell whether to fetch an answer anew; `draw` is by chance from 0 to 1."""
    return age > calm(lifetime, cost) and (age >= lifetime or draw < exp((age - lifetime) / (BETA * cost)))

"""A request that was a hit before: while the decision to serve it stands, it is answered without being read again."""

import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from policies.calls import client
from policies.decide import age_of
from policies.model import Fence
from proxy import wire
from proxy.access import Again
from proxy.answers import Rendered
from proxy.journey import Ground, Journey, Standing
from proxy.notes import Answered, Notes
from proxy.question import Question
from proxy.record import Alike, Recorder


class Shortcut:
    """From one request, to the byte or but for the order of its headers, to the answer that `journey` would give it.

    `notes` are what the log says of the request.
    """

    __slots__ = (
        *("_date", "_ground", "_has_body", "_head", "_journey", "_last", "_looked", "_moment", "_notes", "_question"),
        *("_recorder", "_rendered", "_says_until", "_standing", "_template", "again", "alike"),
    )

    def __init__(self, journey: Journey, recorder: Recorder, question: Question, notes: Notes) -> None:
        self._journey = journey
        self._recorder = recorder
        self._question = question
        self._notes = notes
        self._last: int | None = None
        self._standing: Standing | None = None
        self._ground: Ground | None = None  # of that decision
        self._moment: Fence | None = None  # that the store was looked at from
        self._template = self._head = self._date = b""
        self._looked = self._says_until = 0.0
        self._has_body = False
        # The renderer decides for how long a body is held; what is dropped there is made again.
        self._rendered: Callable[[], Rendered | None] = _nothing
        # What is told of each answer, once there was one, and in the log.
        self.alike: Alike | None = None
        self.again: Again | None = None

    def comes_again(self, data: bytes) -> bool:
        """Tell whether the request came in these very bytes the last time too; to be wrong about it does no harm."""
        last, self._last = self._last, hash(data)
        return last == self._last

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers as the law sees them."""
        return self._question.request.headers

    def share(self, headers: Mapping[str, str]) -> None:
        """Let go of what only a trip to Jira needs, and of our own copy of equal headers."""
        request = replace(self._question.request, headers=headers)
        self._question = replace(self._question, request=request, headers=[], trail=list)

    def answer(self, now: float, date: bytes) -> bytes | None:
        """Answer at `now` (Unix time), dated `date`; None if the request has to take the ordinary way."""
        ground, rendered = self._ground, self._rendered()
        if (
            rendered is None
            or ground is None
            or date is not self._date
            or not self._looked <= now < self._says_until
            or not self._journey.is_still(ground, self._moment)
        ):
            rendered = self._look(now, date, rendered)
            if rendered is None:
                return None
        return self._head + rendered.body if self._has_body else self._head

    def _look(self, now: float, date: bytes, rendered: Rendered | None) -> Rendered | None:
        """Look at everything that the answer comes from, at the least once a second: what is used is not forgotten."""
        standing = self._standing
        if rendered is None or standing is None or not self._journey.stands(self._question, standing, now):
            rendered, standing = self._decide(), self._standing
            if rendered is None or standing is None:
                return None
        if date is not self._date or not self._looked <= now < self._says_until:
            self._write_head(standing, now, date)
        self._looked, self._moment = now, self._journey.moment()
        return rendered

    def _write_head(self, standing: Standing, now: float, date: bytes) -> None:
        """Write the head, and until when it may be told: its seconds and the date change one after the other."""
        age = age_of(standing.stored, now)
        seconds, left = int(age), math.floor(standing.lifetime - age)
        self._head, self._date = self._template % (seconds, left, date), date
        next_second = standing.stored + min(seconds + 1, standing.lifetime - left)
        self._says_until = min(next_second, standing.until) if now >= standing.stored else now

    def _decide(self) -> Rendered | None:
        """Decide anew, and write down whatever does not change until the next decision."""
        self._standing = self._ground = None
        found = self._journey.glance(self._question)
        if found is None:
            return None
        entry, standing = found
        rendered, whole, left = self._journey.respond(self._question, entry, standing)
        template = wire.template(whole, self._notes.request_id, math.floor(left))
        if template is None:
            return None
        self._standing, self._ground, method = standing, standing.ground, self._question.request.method
        self._has_body = bool(whole.body) and method != "HEAD"
        self._template, self._rendered = template, weakref.ref(rendered)
        self._says_until = 0.0
        answered = Answered(method, whole.status, whole.why, len(whole.body) if self._has_body else 0, 0.0)
        saved = partial(self._journey.saved, self._question)
        self.alike, self.again = self._recorder.again(
            answered, self._notes, stored=standing.stored, client=client(self._question.caller), saved=saved
        )
        return rendered


def _nothing() -> None:
    return None

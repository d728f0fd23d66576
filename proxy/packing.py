"""What is kept of a body that Jira sent: coded, with the links of whoever asked first, and held once.

So what is sent to most is what is kept, with nothing to be made for it (proxy.answers renders it for the others).
"""

import re
from typing import NamedTuple
from weakref import WeakValueDictionary

from policies import conditional, links
from policies.model import Entry
from proxy.answers import GZIP, IDENTITY, Fetched, aside, compressed

_WORTH_PACKING = 512  # bytes; of less, the coding's own head takes too large a part
_TEXT = re.compile(r"^text/|json|xml|javascript")


class Packed(NamedTuple):
    """A body as it is kept, with links that name the `public` address, or where that is "", Jira's own.

    `etag` is of what Jira wrote, before any coding.
    """

    body: bytes
    coding: str
    etag: str
    public: str = ""


class Packer:
    """Packs bodies, and what is like the body of an entry that is still held not again: it is that one.

    Different callers, each with entries of their own, see the same issues; and most that is fetched again is as before.
    """

    def __init__(self) -> None:
        self._entries: WeakValueDictionary[str, Entry] = WeakValueDictionary()

    async def pack(self, fetched: Fetched, site: links.Site, *, gzip_accepted: bool) -> Packed:
        """Pack a body, in a thread if that takes long."""
        packed = unpacked(fetched)
        if (like := self._entries.get(packed.etag)) is not None and fetched.plain is not None:
            return Packed(like.body, like.coding, like.etag, like.public)
        return await aside(len(fetched.body), pack, fetched, packed, site, gzip_accepted=gzip_accepted)

    def note(self, entry: Entry) -> None:
        """Know the entry that was made of a packed body."""
        self._entries[entry.etag] = entry


def unpacked(fetched: Fetched) -> Packed:
    """Keep a body as it came."""
    return Packed(fetched.body, fetched.coding, conditional.etag(fetched.plain or b""))


def pack(fetched: Fetched, came: Packed, site: links.Site, *, gzip_accepted: bool) -> Packed:
    """Make of what Jira sent what is kept of it: coded, if it is text that gets smaller by it.

    If the one who asked, at `site`, takes it coded, its links are what they get, so that what is sent need not be made
    nor held beside what is kept. Only where Jira's own can be told from them again: others get those made to fit them.
    """
    body, coding, etag, public = came
    if gzip_accepted and fetched.plain is not None:
        fitting = links.rewrite(fetched.plain, site)
        if links.restored(fitting, site) == fetched.plain:
            public = site.public
            if fitting != fetched.plain:
                body, coding = fitting, IDENTITY
    if coding == IDENTITY and (fetched.coding == GZIP or _is_worth_coding(fetched)):
        coded = compressed(body)
        if fetched.coding == GZIP or len(coded) < len(body):
            return Packed(coded, GZIP, etag, public)
    return Packed(body, coding, etag, public)


def _is_worth_coding(fetched: Fetched) -> bool:
    media_type = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    return len(fetched.body) >= _WORTH_PACKING and _TEXT.search(media_type) is not None

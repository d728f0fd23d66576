"""Time that stands still until a test moves it, and chance that is none."""

import asyncio
from dataclasses import dataclass, field


@dataclass
class Clock:
    """A clock that shows `now`, in seconds."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World(Clock):
    """A clock that sleeping puts forward, and no chance; `slept` lists for how long."""

    now: float = 1_750_000_000.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds
        await asyncio.sleep(0)

    def draw(self) -> float:
        return 1.0

"""Taking the steps of an operation, one by blocking, one by awaiting.

What a step raises, cancellation included, is raised inside the operation, which may know what it means.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from proxy.library.steps import Step, Steps

T = TypeVar("T")


def drive(steps: Steps[T], take: Callable[[Step], Any]) -> T:
    """Take all steps and return the operation's result."""
    try:
        step = next(steps)
        while True:
            try:
                brought = take(step)
            except BaseException as error:  # noqa: BLE001 - raised again, where the step was asked for
                step = steps.throw(error)
            else:
                step = steps.send(brought)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration does not say what it carries


async def drive_async(steps: Steps[T], take: Callable[[Step], Awaitable[Any]]) -> T:
    """Take all steps and return the operation's result."""
    try:
        step = next(steps)
        while True:
            try:
                brought = await take(step)
            except BaseException as error:  # noqa: BLE001 - raised again, where the step was asked for
                step = steps.throw(error)
            else:
                step = steps.send(brought)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration does not say what it carries

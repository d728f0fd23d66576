import io
import json
import logging

import pytest
from aiohttp.http_exceptions import InvalidHeader

from proxy import logs
from proxy.schema import Log


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def started():
    """Start logging into a stream; afterwards all is as it was."""
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = (root.handlers[:], root.level, server.filters[:])
    root.handlers = []

    def started(stream, **settings):
        logs.start(Log(**settings), stream)
        return stream

    yield started
    root.handlers, server.filters = before[0], before[2]
    root.setLevel(before[1])


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_object_a_line(started):
    stream = started(io.StringIO())
    logging.getLogger("proxy.x").warning(
        "a %s\nb", "word", extra={"tenant": "acme", "seconds": 0.5, "odd": {1: object}}
    )
    [line] = lines(stream)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "proxy.x", "a word\nb")
    assert (line["tenant"], line["seconds"]) == ("acme", 0.5)
    assert line["time"].endswith("+00:00")


def test_a_terminal_gets_lines_for_people(started):
    stream = started(Terminal())
    logging.getLogger("proxy.x").info("hello", extra={"tenant": "acme"})
    assert stream.getvalue().endswith("info    hello tenant=acme\n")


@pytest.mark.parametrize(
    ("stream", "format_", "in_json"), [(Terminal(), "json", True), (io.StringIO(), "human", False)]
)
def test_the_form_can_be_chosen(started, stream, format_, in_json):
    started(stream, format=format_)
    logging.getLogger("proxy.x").info("hello")
    assert stream.getvalue().startswith("{") is in_json


@pytest.mark.parametrize("form", ["json", "human"])
@pytest.mark.parametrize(
    "extra",
    [
        {"Authorization": "hunter2"},
        {"cookie": "JSESSIONID=hunter2"},
        {"headers": {"Set-Cookie": "hunter2", "Proxy-Authorization": "hunter2"}},
        {"settings": {"admin": {"token": "hunter2"}, "secret": "hunter2"}},
    ],
)
def test_a_credential_is_not_written_whoever_passes_it(started, form, extra):
    stream = started(io.StringIO(), format=form)
    logging.getLogger("proxy.x").info("request", extra=extra)
    assert "hunter2" not in stream.getvalue()
    assert logs.HIDDEN in stream.getvalue()


def test_what_is_below_the_level_is_not_written(started):
    stream = started(io.StringIO(), level="warning")
    logging.getLogger("proxy.x").info("hello")
    assert stream.getvalue() == ""


def test_an_error_comes_with_its_traceback(started):
    stream = started(io.StringIO())
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("proxy.x").exception("oh")
    [line] = lines(stream)
    assert line["error"].endswith("ZeroDivisionError: division by zero")


def test_a_request_that_cannot_be_parsed_is_not_quoted(started):
    stream = started(io.StringIO())
    logs.start(Log(), stream)  # a second start filters once all the same
    error = InvalidHeader("Authorization: Basic hunter2")
    logging.getLogger("aiohttp.server").error("Error handling request from %s", "1.2.3.4", exc_info=error)
    [line] = lines(stream)
    assert "hunter2" not in stream.getvalue()
    assert (line["level"], line["message"]) == ("warning", "a request could not be read: InvalidHeader")
    assert len([one for one in logging.getLogger("aiohttp.server").filters if isinstance(one, logs.WithoutQuotes)]) == 1

"""The demo: a sandbox Jira with a realistic delay, the proxy before it, and a guided tour by a real client.

Both run as processes of their own, as they would in earnest; nothing of the caller's configuration reaches them.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from proxy.errors import ConfigError

LATENCY_MS = 250
"""How long the sandbox takes to answer: what a Jira across the internet takes on a good day."""

_PORT, _ADMIN_PORT = 8080, 8081
_COMMAND = Path(sys.executable).with_name("jira-cache")
_PATIENCE = 30.0
_POLL = 0.05
_EXTRA = ("jira", "jira820")
_CONFIGURING = re.compile(r"JIRA.*|REDIS.*|.*_PROXY", re.IGNORECASE)


def run(*, once: bool) -> int:
    """Give the tour; then, unless `once`, stay up until interrupted. 0 if everything was as it should be.

    ConfigError if the demo cannot start.
    """
    if not all(find_spec(name) for name in _EXTRA):
        raise ConfigError("the demo needs a sandbox Jira and a client: pip install 'jira-cache-proxy[demo]'")
    from proxy.tour import Tour  # noqa: PLC0415 - needs the extra `demo`

    signal.signal(signal.SIGTERM, _leave)
    with ExitStack() as stack:
        jira, proxy, admin = _start(stack)
        click.echo(f"Sandbox Jira at {jira}, {LATENCY_MS} ms away. jira-cache at {proxy}, with the memory store.")
        click.echo(f"Its admin listener is at {admin}.\n")
        content = Tour(proxy).walk()
        if not once:
            _stay(proxy, admin)
    return 0 if content else 1


def _start(stack: ExitStack) -> tuple[str, str, str]:
    """Start both, and wait until they answer. Returns their URLs."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jira-cache-demo-")))
    ports = _free_port(0), _free_port(_PORT), _free_port(_ADMIN_PORT)
    jira, proxy, admin = (f"http://127.0.0.1:{port}" for port in ports)
    jira_port, proxy_port, admin_port = ports
    sandbox = {"JIRA820_HOST": "127.0.0.1", "JIRA820_PORT": str(jira_port), "JIRA820_LATENCY_MS": str(LATENCY_MS)}
    flags = ("--upstream", jira, "--listen", f"127.0.0.1:{proxy_port}", "--admin", f"127.0.0.1:{admin_port}")
    stack.enter_context(_process(home, "jira820", (), sandbox, f"{jira}/rest/api/2/serverInfo"))
    stack.enter_context(_process(home, "proxy", ("serve", *flags), {}, f"{proxy}/-/live"))
    return jira, proxy, admin


@contextmanager
def _process(
    home: Path, module: str, arguments: tuple[str, ...], variables: Mapping[str, str], probe: str
) -> Iterator[None]:
    """Run a module until the context ends. What it writes is shown only if it fails to start."""
    neutral = {name: value for name, value in os.environ.items() if not _CONFIGURING.fullmatch(name)}
    environ = {**neutral, "XDG_STATE_HOME": str(home), **variables}
    log = home / f"{module}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
            [sys.executable, "-m", module, *arguments],
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who then end it in order
        )
    try:
        _wait(process, probe, log)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", probe: str, log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not _answers(probe):
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise ConfigError(f"the demo's {log.stem} did not start: {last[0]}")
        time.sleep(_POLL)


def _answers(url: str) -> bool:
    try:
        # Not through whatever proxy the environment names: it is on this machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=5):
            return True
    except OSError:
        return False


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stay(proxy: str, admin: str) -> None:
    click.echo(
        f"""
It stays up until Ctrl-C. Try:

  curl -i -u me:secret {proxy}/rest/api/2/issue/JIRA820-1
  curl -i -u me:secret {proxy}/rest/api/2/issue/JIRA820-1                        # again: Cache-Status says hit
  curl -i -u you:secret {proxy}/rest/api/2/issue/JIRA820-1                       # someone else: not from my cache
  curl -i -u me:secret -H 'X-Jira-Cache: refresh' {proxy}/rest/api/2/issue/JIRA820-1
  curl -i -u me:secret -X PUT -H 'Content-Type: application/json' \\
       -d '{{"fields": {{"summary": "Changed"}}}}' {proxy}/rest/api/2/issue/JIRA820-1    # a write: the next read is new
  curl -s {proxy}/-/ready
  {_COMMAND} stats --admin {admin}
  {_COMMAND} purge --admin {admin} --project JIRA820
  {_COMMAND} admin-link --admin {admin}                                 # for a browser"""
    )
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo()


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)

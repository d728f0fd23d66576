"""What the figures were measured on, and with what."""

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import peers

_VERSION = re.compile(r"[/\- v=](\d+\.\d+(?:\.\d+)?)")
_ASKED = {"nginx": "-v", "varnishd": "-V", "redis-server": "--version"}
_PACKAGES = ("aiohttp", "uvloop", "redis", "orjson")


def described() -> list[str]:
    """Tell date, processor and versions, one a line; what is missing is named too."""
    cores = os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {cores} cores, {platform.system()} {platform.release()}",
        f"Load average before the first measurement: {os.getloadavg()[0]:.1f}",
        f"Python {sys.version.split()[0]}, {packages}",
        ", ".join(_program(name, option) for name, option in _ASKED.items()),
    ]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _program(name: str, option: str) -> str:
    path = peers.program(name)
    if path is None:
        return f"{name} is not installed, so it is left out"
    said = subprocess.run([path, option], capture_output=True, text=True, check=False)  # noqa: S603 - found by us
    found = _VERSION.search(said.stdout + said.stderr)
    return f"{name} {found[1] if found else 'of unknown version'}"

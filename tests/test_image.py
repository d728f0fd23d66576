"""What the Dockerfile does, done here: the package is built from what is copied, installed apart, and run from there.

There is no Docker in the tests. pip gets its dependencies from this environment instead of from the network.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "setuptools", minversion="77", reason="setuptools 77 or newer builds the package: make lint gets it"
)

ROOT = Path(__file__).resolve().parents[1]
STEPS = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
BUILD, FINAL = re.split(r"^FROM .*\n", STEPS, flags=re.MULTILINE)[1:]


def after(instruction: str, stage: str) -> list[str]:
    return re.findall(rf"^{instruction} +(.*\S)", stage, re.MULTILINE)


def copied(stage: str, folder: Path) -> None:
    """Do the stage's COPY of what comes from the project."""
    folder.mkdir(parents=True)
    for line in after("COPY", stage):
        *names, target = line.split()
        if names[0].startswith("--from"):
            continue
        for name in names:
            source, to = ROOT / name, folder / Path(target).name
            if source.is_dir():
                shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, to)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image's folders: `src`, what was installed (`opt`), the working directory (`etc`), and `tmp`."""
    root = tmp_path_factory.mktemp("image")
    copied(BUILD, root / "src")
    copied(FINAL, root / "etc")
    (root / "tmp").mkdir()
    [command] = after("RUN", BUILD)
    words = re.search(r"&& \S+/pip (install .*)", command)[1].split()
    here = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--target", root / "opt"]
    subprocess.run([sys.executable, "-m", "pip", *words, *here], cwd=root / "src", check=True, capture_output=True)
    for path in (root / "opt", *(root / "opt").rglob("*"), root / "etc"):
        path.chmod(path.stat().st_mode & ~0o222)
    yield root
    for path in (root / "opt", *(root / "opt").rglob("*"), root / "etc"):
        path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture
def unchanged(image):
    """The image's root is only read, also by a root that no permission stops."""

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for part in ("opt", "etc") for path in (image / part).rglob("*")}

    before = state()
    yield
    assert state() == before


@pytest.fixture
def environ(image):
    """Variables of a container whose root is read-only: nothing can be kept where the secret would be."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(image / "opt"),
        "TMPDIR": str(image / "tmp"),
        "XDG_STATE_HOME": str(image / "etc" / "config.yaml"),  # a file, so there can be no folder in it
        "JIRA_URL": "http://127.0.0.1:9",
    }


def test_the_package_has_all_that_stands_in_its_folders(image):
    files = {
        path.relative_to(image / "src")
        for name in ("policies", "proxy")
        for path in (image / "src" / name).rglob("*.*")
    }
    assert {path.suffix for path in files} >= {
        ".py",
        ".typed",
        ".yaml",
        ".lark",
        ".lua",
        ".html",
        ".css",
        ".js",
        ".svg",
    }
    assert sorted(str(path) for path in files if not (image / "opt" / path).exists()) == []


def test_the_package_has_the_command_that_the_image_starts(image):
    [entrypoint] = after("ENTRYPOINT", FINAL)
    [points] = (image / "opt").glob("jira_cache_proxy-*.dist-info/entry_points.txt")
    assert f"{Path(json.loads(entrypoint)[0]).name} = proxy.cli:main" in points.read_text()


@pytest.mark.usefixtures("unchanged")
def test_the_installed_package_checks_the_configuration_of_the_image(image, environ):
    code = "import policies, proxy; print(policies.__file__, proxy.__file__); from proxy.cli import main; main()"
    command = [sys.executable, "-c", code, "check", "--json"]
    done = subprocess.run(command, cwd=image / "etc", env=environ, capture_output=True, text=True, check=True)
    places, told = done.stdout.split("\n", 1)
    assert all(Path(place).is_relative_to(image / "opt") for place in places.split())
    assert json.loads(told)["file"] == "config.yaml"
    assert json.loads(told)["tenants"]["default"]["upstream"] == environ["JIRA_URL"]


@pytest.fixture
def served(image, environ):
    """The process of the image's command, its root read-only, and the port on which it answers."""
    [command] = after("CMD", FINAL)
    anywhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    words, place = [sys.executable, "-m", "proxy", *json.loads(command), *anywhere], image / "etc"
    with subprocess.Popen(words, cwd=place, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while not (port := re.search(r" on http://127\.0\.0\.1:(\d+)", said)):
                line = process.stderr.readline()
                assert line, f"it ended: {said}"
                said += line
            assert "the secret cannot be kept" in said
            yield process, int(port[1])
        finally:
            process.terminate()


def is_healthy(port: int) -> bool:
    """Run the image's health check, with a proxy in the environment that is not for this address."""
    command = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])", FINAL, re.MULTILINE)[1])
    arguments = [word.replace("8080", str(port)) for word in command[1:]]
    away = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, *arguments], env=away, capture_output=True, check=False).returncode == 0


@pytest.mark.usefixtures("unchanged")
def test_the_image_serves_from_a_read_only_root_and_its_health_check_knows(served):
    process, port = served
    assert is_healthy(port)
    process.terminate()
    assert process.wait() == 0
    assert not is_healthy(port)

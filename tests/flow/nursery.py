"""Listeners, and web roles, as forks of one process that has imported everything: the start of each costs little.

    python -m tests.flow.nursery

Each line on stdin is a JSON array: ["listen", config, log] is answered with the pid of a new listener, "web" instead of
"listen" with that of a web role, ["wait", pid] with its exit code once it has ended. It ends, and its children with it,
when stdin does.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1


class Newborn:
    """A listener of the nursery, with what `subprocess.Popen` has of a child."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._handle = os.pidfd_open(pid)
        self._ends = select.poll()
        self._ends.register(self._handle, select.POLLIN)
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it lives."""
        return self._wait(0)

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("listen", timeout)
        return code

    def send_signal(self, number: int) -> None:
        """To a listener that lives."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def _wait(self, seconds: float) -> int | None:
        if self._code is None and self._ends.poll(seconds * 1000):
            self._code = self._nursery.ask("wait", self.pid)
            os.close(self._handle)
        return self._code


class Nursery:
    """The process that forks, from this one's side."""

    def __init__(self) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("WETREAD_")}
        command = [sys.executable, "-m", "tests.flow.nursery"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        self._lock = threading.Lock()

    def listen(self, config: Path, log: Path) -> Newborn:
        """A listener by `config`; what it says goes to the end of `log`."""
        return Newborn(self, self.ask("listen", str(config), str(log)))

    def serve(self, config: Path, log: Path) -> Newborn:
        """The same for a web role."""
        return Newborn(self, self.ask("web", str(config), str(log)))

    def ask(self, *words: str | int) -> int:
        """The answer to one line."""
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(words) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


@cache
def find_nursery() -> Nursery:
    """The one of this process."""
    return Nursery()


def main() -> None:
    from node import cli, wiring  # noqa: F401  what every listener imports
    from node.inbound import listener  # noqa: F401
    from node.outbound import confirm  # noqa: F401
    from node.services import find_storage_classes
    from node.supervisor import supervisor  # noqa: F401

    find_storage_classes()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        verb, *words = json.loads(line)
        answer = os.waitstatus_to_exitcode(os.waitpid(words[0], 0)[1]) if verb == "wait" else _fork(verb, *words)
        answers.write(f"{answer}\n")
        answers.flush()


def _fork(role: str, config: str, log: str) -> int:
    if role == "web":
        import uvicorn  # noqa: F401  what every web role imports

        from node.web import app, server  # noqa: F401
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        end = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, place in ((0, nothing), (1, end), (2, end)):
            os.dup2(place, number)
        os.closerange(3, 64)
        from node.cli import main as run

        sys.argv = ["wetread", role, "--config", config]
        run()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

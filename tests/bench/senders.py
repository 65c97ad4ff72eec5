"""Sending: by sender.c, as fast as the machine goes, and by dcmtk's storescu as it is shipped."""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from itertools import count

from receivers import HERE, CannotMeasure


def build(folder):
    """Compiles limit.c and sender.c into `folder`."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise CannotMeasure("gcc is needed for the sender and for the limit (Debian package gcc)")
    folder.mkdir(parents=True)
    for name in ("limit", "sender"):
        command = [compiler, "-O2", "-pthread", "-o", str(folder / name), str(HERE / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotMeasure(f"gcc does not compile {name}.c: {done.stderr[-500:]}")


class FastSender:
    """sender.c on a list of templates; every image of its life is an instance of its own."""

    def __init__(self, tools, templates):
        self._program = str(tools / "sender")
        self._list = templates[0].with_suffix(".list")
        self._list.write_text("".join(f"{path}\n" for path in templates), "utf-8")
        self._numbers = count(0, 1_000_000)

    def send(self, port, associations, images, patience=60):
        """What sender.c reports: ok, fail, refused, wall_s and so on. patience: seconds for each wait."""
        numbers = ["-a", associations, "-n", images, "-b", next(self._numbers), "-t", patience]
        done = subprocess.run([*self._command(port), *map(str, numbers)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotMeasure(f"the sender failed: {done.stderr[-300:]}")
        return json.loads(done.stdout)

    @contextmanager
    def hold(self, port, associations):
        """Opens that many associations and says nothing on them; yields how many were opened."""
        command = [*self._command(port), "-a", str(associations), "-t", "20", "-i"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield json.loads(process.stdout.readline())["open"]
        finally:
            process.kill()
            process.communicate()

    def _command(self, port):
        return [self._program, "-p", str(port), "-l", str(self._list)]


def send_by_storescu(port, associations, files):
    """`associations` storescu processes at once, each with its share of `files`; Nagle on, as shipped.

    The time is that of the processes, their start (some 30 ms) included.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    began, processes = time.perf_counter(), []
    try:
        for number in range(associations):
            command = ["storescu", "-aet", "BENCH", "-aec", "WETREAD", "127.0.0.1", str(port)]
            shares = [str(path) for path in files[number::associations]]
            processes.append(
                subprocess.Popen(
                    command + shares, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        failed = sum(process.wait() != 0 for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    wall = time.perf_counter() - began
    return {"ok": len(files) if not failed else 0, "fail": failed, "refused": 0, "wall_s": wall}

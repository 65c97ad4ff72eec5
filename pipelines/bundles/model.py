"""A bundle as a Model: its process kept warm, volumes in, a Result out. Nothing of the bundle runs in this process."""

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pipelines
from pipelines import errors
from pipelines.bundles.card import Card, Task
from pipelines.bundles.explained import Arrays, add_explanation
from pipelines.bundles.explained_boxes import NOTHING, explain_boxes, list_reported
from pipelines.bundles.findings import make_result
from pipelines.bundles.heap import KEEP
from pipelines.bundles.install import Installed
from pipelines.bundles.members import list_members
from pipelines.bundles.refusal import record
from pipelines.bundles.wire import MOST_BYTES, Message, receive, send
from pipelines.errors import (
    BundleCrashed,
    BundleError,
    BundleOutOfMemory,
    MissingInputs,
    PipelineError,
    UnsuitableVolume,
)
from pipelines.pipeline import Progress
from pipelines.terms import Note, Result, Volume

KEPT = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "LANG", "TZ")
"""What of our environment a bundle sees: no address, no secret."""
PARTING = 10.0
"""Seconds that a process may take to end which reads no more, or says no more."""
LONGEST_WORD = 64
SPARED = Note(
    "Memory or time was used up at first: the images were read in smaller windows, which sees less around them."
)
BOXES_ROOM = 1 << 24
"""Bytes that an answer may have beside what lies on the volume's grid: boxes, probabilities."""


class BundleModel:
    """See pipelines.pipeline.Model. One child process, started here and anew whenever it ended."""

    def __init__(
        self, installed: Installed, device: str, *, trusted: bool, memory_gb: float, sparing: bool = False
    ) -> None:
        """Loads the bundle in its process; `sparing` with smaller windows. Raises BundleError."""
        self._installed = installed
        self._members = len(list_members(installed.lock))
        self._words = [str(installed.home), device]
        self._limits = [f"{memory_gb:g}", "code" if trusted else "none", "sparing" if sparing else "whole"]
        self._scratch = tempfile.TemporaryDirectory(prefix="wetread-bundle-")
        self._process = self._start()

    def run(self, volume: Volume, progress: Progress) -> Result:
        """What the bundle finds in one volume. Raises UnsuitableVolume, MissingInputs, BundleError."""
        return self.run_all([volume], progress)

    def run_all(self, volumes: Sequence[Volume], progress: Progress) -> Result:
        """What it finds in `volumes`, its input channels in order, all on one grid."""
        answer = self._answer(volumes, {}, progress)
        seconds = {"bundle": round(self._read_number(answer, "seconds"), 3)}
        try:
            result = make_result(answer.arrays, self._installed.card, self._installed.concepts, volumes[0], seconds)
        except BundleError as error:
            raise self._record(error) from None
        progress(1.0, "done")
        return replace(result, notes=(*result.notes, SPARED)) if answer.words.get("spared") is True else result

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: in the ways of pipelines.bundles.ways."""
        card, boxes = self._installed.card, {}
        if card.task is Task.DETECTION:
            reported = list_reported(result, card, self._installed.concepts)
            if not len(reported.boxes):
                return replace(result, notes=(*result.notes, NOTHING))
            boxes = {"boxes": reported.boxes, "same": reported.same}
        answer = self._answer([volume], {"explain": way}, progress, boxes)
        try:
            if boxes:
                return explain_boxes(result, way, answer.arrays, volume)
            return add_explanation(result, way, answer.arrays, volume, card, self._members)
        except BundleError as error:
            raise self._record(error) from None

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._scratch.cleanup()

    def _answer(
        self, volumes: Sequence[Volume], words: dict[str, Any], progress: Progress, more: Arrays | None = None
    ) -> Message:
        """What the process answers to `volumes`, asked with `words` and `more` arrays."""
        self._check(volumes)
        if self._process.poll() is not None:
            self._process = self._start()
        try:
            return self._ask(volumes, words, more or {}, progress)
        except BaseException:  # out of time, too: what has not answered is no good any more
            self._process.kill()
            self._process.wait()
            raise

    def _check(self, volumes: Sequence[Volume]) -> None:
        card = self._installed.card
        for volume in volumes:
            if volume.modality != card.modality:
                raise UnsuitableVolume(f"it reads {card.modality}, not {volume.modality}")
        wanted = 1 if card.channels == 1 or card.inputs == ("image",) else card.channels
        if len(volumes) != wanted:
            raise MissingInputs(
                f"it reads {wanted} images of one patient on one grid ({', '.join(card.inputs)}), and was given "
                f"{len(volumes)}: a job brings one series, so this bundle cannot be chosen for yet"
            )
        if any(v.shape != volumes[0].shape or abs(v.affine - volumes[0].affine).max() > 1e-3 for v in volumes):
            raise UnsuitableVolume("its input images do not lie on one grid")

    def _start(self) -> "subprocess.Popen[bytes]":
        scratch = self._scratch.name
        command = [sys.executable, "-B", "-P", "-m", "pipelines.bundles.child", *self._words, scratch, *self._limits]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_make_environment(scratch),
            cwd=scratch,
        )
        self._process = process
        try:
            if "ready" not in self._receive().words:
                raise self._record(BundleCrashed("its process answers before it is asked"))
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process

    def _ask(self, volumes: Sequence[Volume], asked: dict[str, Any], more: Arrays, progress: Progress) -> Message:
        arrays = {f"volume{n}": volume.voxels for n, volume in enumerate(volumes)} | dict(more)
        words = {"volumes": len(volumes), "affine": volumes[0].affine.tolist()} | asked
        stdin = self._process.stdin
        assert stdin is not None
        try:
            send(stdin, Message(words, arrays))
        except OSError as error:
            raise self._record(self._find_end()) from error
        room = _find_room(self._installed.card, volumes[0])
        while True:
            message = self._receive(room)
            if "seconds" in message.words:
                return message
            progress(self._read_number(message, "share"), str(message.words.get("what", ""))[:LONGEST_WORD])

    def _receive(self, room: int = 0) -> Message:
        """The next message of the process, with arrays of `room` bytes at most. Raises the error that it tells of."""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            message = receive(stdout, room)
        except ValueError as error:
            raise self._record(BundleCrashed(f"its process answers what nobody understands: {error}")) from error
        if message is None:
            raise self._record(self._find_end())
        if "error" in message.words:
            kind = getattr(errors, str(message.words["error"]), BundleCrashed)
            found = kind if isinstance(kind, type) and issubclass(kind, PipelineError) else BundleCrashed
            told = found(str(message.words.get("text", ""))[:1000])
            raise self._record(told) if isinstance(told, BundleError) else told
        return message

    def _find_end(self) -> BundleError:
        """How the process ended that reads no more, or says no more."""
        try:
            code = self._process.wait(PARTING)
        except subprocess.TimeoutExpired:
            return BundleCrashed("its process goes on, but hears or says no more: a fault of the bundle")
        if code == -signal.SIGKILL:
            return BundleOutOfMemory("its process was killed, as the system does where no memory is left")
        return BundleCrashed(f"its process ended with {code}; out of memory, or a fault of the bundle")

    def _read_number(self, message: Message, name: str) -> float:
        """A finite number of the words of `message`. Raises BundleCrashed: the other side is not believed."""
        try:
            number = float(message.words[name])
        except (KeyError, TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._record(BundleCrashed(f"its process answers what nobody understands: no number as {name!r}"))
        return number

    def _record(self, error: BundleError) -> BundleError:
        return record(error, self._installed.home, self._installed.manifest.weights_sha256)


def _find_room(card: Card, volume: Volume) -> int:
    """Bytes of the largest answer on `volume`: a mask for each class, labels of two bytes, or a map of floats."""
    planes = card.classes if card.overlaps else 4
    return min(math.prod(volume.shape) * planes + BOXES_ROOM, MOST_BYTES)


def _make_environment(scratch: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    floor = str(Path(next(iter(pipelines.__path__))).parent)
    return kept | KEEP | {"HOME": scratch, "TMPDIR": scratch, "PYTHONPATH": floor, "MONAI_DATA_DIRECTORY": scratch}

"""A bundle's process is not believed: whatever it answers is a result or a named error, and takes no more memory than
a true answer."""

import io
import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from pipelines.bundles import model as model_module
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.model import BundleModel
from pipelines.bundles.wire import Message, receive, send
from pipelines.errors import BundleCrashed, BundleOutOfMemory
from tests.pipelines.bundles.made import make_bundle, make_volume

VOLUME = make_volume(shape=(4, 5, 6))
SAY = """
import sys
from pathlib import Path
sys.stdout.buffer.write(Path(sys.argv[1]).read_bytes())
sys.stdout.flush()
sys.stdin.buffer.readline()
"""
READY = b'{"words": {"ready": true}, "arrays": {}}\n'


@pytest.fixture
def load(shelf, tmp_path, monkeypatch):
    """A model whose process says the bytes `said`, whatever it is asked."""
    add_bundle(make_bundle("tiny_ct_segmentation", tmp_path, weights=""), shelf, "tiny")
    installed = read_installed(shelf / "tiny-1.0.0")
    popen, made = subprocess.Popen, []

    def load(said, program=SAY):
        (tmp_path / "said").write_bytes(said)
        command = [sys.executable, "-c", program, str(tmp_path / "said")]
        monkeypatch.setattr(model_module.subprocess, "Popen", lambda _, **options: popen(command, **options))
        made.append(BundleModel(installed, "cpu", trusted=False, memory_gb=1.0))
        return made[-1]

    yield load
    for model in made:
        model.close()


def pack(words, **arrays):
    stream = io.BytesIO()
    send(stream, Message(words, arrays))
    return stream.getvalue()


def announce(**arrays):
    return json.dumps({"words": {"seconds": 1.0}, "arrays": arrays}).encode() + b"\n"


LABELS = np.ones(VOLUME.shape, np.uint8)
ANSWERS = {
    "no JSON": b"\xff\xfe\n",
    "no object": b"[]\n",
    "arrays no object": b'{"words": {}, "arrays": 7}\n',
    "arrays a list": b'{"words": {}, "arrays": [1]}\n',
    "no words": b'{"arrays": {}}\n',
    "words no object": b'{"words": 7, "arrays": {}}\n',
    "deep": b"[" * 100_000 + b"\n",
    "no share": pack({"what": "segment"}),
    "share no number": pack({"share": [], "what": "segment"}),
    "share not finite": pack({"share": float("nan"), "what": "segment"}),
    "share too large": b'{"words": {"share": 1' + b"0" * 400 + b'}, "arrays": {}}\n',
    "seconds no number": pack({"seconds": "soon"}, labels=LABELS),
    "no array at all": pack({"seconds": 1.0}),
    "labels of another kind": pack({"seconds": 1.0}, labels=LABELS.astype(np.float32)),
    "labels of another shape": pack({"seconds": 1.0}, labels=LABELS[1:]),
    "an unknown kind": announce(labels=["object", [4, 5, 6]]),
    "a kind that is none": announce(labels=[{}, [4, 5, 6]]),
    "a negative shape": announce(labels=["uint8", [-4, 5, 6]]),
    "a shape that is none": announce(labels=["uint8", 7]),
    "a shape beyond all": announce(labels=["uint8", [0, 1 << 70]]),
    "an array that is too large": announce(labels=["float64", [1 << 32]]),
    "arrays that are too large together": announce(**{f"x{n}": ["uint8", [1 << 24]] for n in range(3)}),
    "an array that ends early": announce(labels=["uint8", [4, 5, 6]]) + b"x",
    "an error without a sentence": pack({"error": "BundleCrashed"}),
    "an error that is none": pack({"error": "annotations", "text": "x"}),
}


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_is_none_is_a_named_error(said, load, caplog):
    model = load(READY + said)
    with caplog.at_level(logging.ERROR), pytest.raises(BundleCrashed):
        model.run(VOLUME, lambda *_: None)
    assert "BundleCrashed" in caplog.text


WIDE = make_volume(shape=(60, 64, 64))
"""More than a pipe holds: it is still being sent when the process has read its first line."""


@pytest.mark.parametrize(
    ("end", "error", "said"),
    [
        ("os.kill(os.getpid(), 9)", BundleOutOfMemory, "was killed"),
        ("sys.exit(3)", BundleCrashed, "ended with 3"),
        ("os.close(0); os.close(1); time.sleep(600)", BundleCrashed, "hears or says no more"),
    ],
)
def test_a_process_that_ends_while_it_is_told_is_named_by_its_end(end, error, said, load, monkeypatch):
    monkeypatch.setattr(model_module, "PARTING", 1.0 if "sleep" in end else 30.0)
    model = load(READY, f"import os, sys, time\n{SAY}\n{end}")
    with pytest.raises(error, match=said):
        model.run(WIDE, lambda *_: None)


def test_a_true_answer_is_a_result(load):
    said = READY + pack({"share": 0.5, "what": "segment"}) + pack({"seconds": 1.0}, labels=LABELS)
    told = []
    result = load(said).run(VOLUME, lambda *step: told.append(step))
    assert [segment.key for segment in result.segments] == ["spleen"]
    assert told == [(0.5, "segment"), (1.0, "done")]


def test_a_process_that_answers_before_it_is_asked_is_not_kept(load):
    with pytest.raises(BundleCrashed, match="before it is asked"):
        load(pack({"seconds": 1.0}))


def test_what_is_announced_is_not_reserved_before_it_is_believed():
    head = b'{"words": {}, "arrays": {"a": ["uint8", [90]], "b": ["uint8", [90]]}}\n'
    with pytest.raises(ValueError, match="arrays of 180 bytes, at most 100"):
        receive(io.BytesIO(head + bytes(180)), 100)
    assert receive(io.BytesIO(head + bytes(180)), 180).arrays["b"].shape == (90,)

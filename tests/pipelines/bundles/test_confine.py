"""What the process of a bundle cannot do, tried by a bundle that the site trusts with code of its own."""

import logging

import pytest
import torch

from node.model.job import State
from pipelines.bundles.install import add_bundle
from pipelines.bundles.shortage import is_shortage
from pipelines.catalog import get_pipeline
from pipelines.errors import BundleCrashed, BundleOutOfMemory
from pipelines.terms import Allowance, use_shelf
from tests.pipelines.bundles.made import make_bundle, make_volume
from workers.retry import judge

SCRIPT = """
import torch
def attempt():
    {attempt}
class Inferer:
    def __init__(self):
        attempt()
    def __call__(self, image, network):
        if {late}:
            import os
            os._exit(3)
        return network(image)
"""
ATTEMPTS = {
    "socket": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "os.system": "import os; os.system('true')",
    "write a file": "open('{mark}', 'w')",
    "dlopen": "import ctypes; ctypes.CDLL('libc.so.6')",
}


def install(attempt, shelf, tmp_path, late=False, memory_gb=24.0):
    bundle = make_bundle(
        "tiny_ct_segmentation", tmp_path, edit=lambda c: c.update(inferer={"_target_": "scripts.mine.Inferer"})
    )
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "__init__.py").write_text("")
    text = SCRIPT.replace("{attempt}", attempt.replace("{mark}", str(tmp_path / "mark"))).replace("{late}", str(late))
    (bundle / "scripts" / "mine.py").write_text(text)
    use_shelf(shelf, {"tiny": Allowance(code=True, memory_gb=memory_gb)})
    add_bundle(bundle, shelf, "tiny", trusted=True)
    return get_pipeline("tiny")


@pytest.mark.parametrize("name", ["socket", "write a file", "dlopen"])
def test_it_is_stopped_and_audited(name, shelf, tmp_path, caplog):
    pipeline = install(ATTEMPTS[name], shelf, tmp_path)
    with caplog.at_level(logging.ERROR), pytest.raises(BundleCrashed, match=f"it tried .*{name}"):
        pipeline.load("cpu")
    assert not (tmp_path / "mark").exists()
    assert "bundle refused: BundleCrashed" in caplog.text


def test_a_process_that_dies_is_a_named_error_and_the_next_study_gets_a_new_one(shelf, tmp_path):
    model = install("pass", shelf, tmp_path, late=True).load("cpu")
    try:
        for _ in range(2):
            with pytest.raises(BundleCrashed, match="ended with 3"):
                model.run(make_volume(), lambda *_: None)
    finally:
        model.close()


def test_memory_is_limited(shelf, tmp_path):
    pipeline = install("torch.ones(6 << 30, dtype=torch.uint8)", shelf, tmp_path, memory_gb=6.0)
    with pytest.raises(BundleCrashed, match="memory"):
        pipeline.load("cpu")


def test_a_gpu_without_memory_left_has_a_name_of_its_own_so_that_the_cpu_is_tried(shelf, tmp_path):
    pipeline = install("raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB')", shelf, tmp_path)
    with pytest.raises(BundleOutOfMemory, match="more memory than") as caught:
        pipeline.load("cpu")
    state, reason = judge(caught.value, 1, 3)
    assert (state, reason[:12]) == (State.QUEUED, "OutOfMemory:")
    assert "memory_gb" in reason
    assert judge(caught.value, 2, 3)[0] == State.FAILED


def test_a_shortage_is_known_behind_the_error_that_wraps_it():
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except RuntimeError as error:
            raise RuntimeError("applying transform Spacingd") from error
    except RuntimeError as error:
        assert is_shortage(error)
    assert is_shortage(MemoryError())
    assert not is_shortage(RuntimeError("shapes do not fit"))


def test_its_process_computes_repeatably_whatever_it_asked_for(shelf, tmp_path):
    flags = "(cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)"
    race = "from torch.backends import cudnn; cudnn.benchmark = True; cudnn.deterministic = False"
    tell = f"Inferer.__call__ = lambda self, *_: (_ for _ in ()).throw(ValueError(str({flags})))"
    model = install(f"{race}; {tell}", shelf, tmp_path).load("cpu")
    try:
        with pytest.raises(BundleCrashed, match=r"\(False, True, False, False\)"):
            model.run(make_volume(), lambda *_: None)
    finally:
        model.close()

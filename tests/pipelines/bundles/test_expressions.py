"""The allow list of expressions: what stock bundles write passes, what reaches out does not."""

import pytest

from pipelines.bundles.expressions import check_expression
from pipelines.errors import BundleRefused

HARMLESS = [
    "torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "@network_def.to(@device)",
    "@bundle_root + '/models/' + @modelname",
    "[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
    "(not @whether_raw_luna16)",
    "lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, 0))",
    "[{'image': i} for i in @datalist]",
    "list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "monai.networks.nets.resnet.resnet50(spatial_dims=3,n_input_channels=1)",
    "@detector.set_box_selector_parameters(score_thresh=0.02,detections_per_img=300)",
    "setattr(torch.backends.cudnn, 'benchmark', True)",
    "monai.utils.set_determinism(seed=123)",
    "import glob",
    "import numpy as np",
    "@checkpointloader(@evaluator) if @load_pretrain else None",
]

HARMFUL = [
    "__import__('os').system('true')",
    "import subprocess",
    "from os import system",
    "from importlib import import_module",
    "os.system('true')",
    "torch.os.system('true')",
    "torch.load('x.pt')",
    "torch.hub.load('a', 'b')",
    "monai.bundle.run('x')",
    "monai.utils.optional_import('os')[0].system('true')",
    "monai.networks.nets.resnet.os.getcwd()",
    "monai.apps.download_url('a', 'b')",
    "().__class__.__base__.__subclasses__()",
    "@network_def.__class__",
    "@network_def.__init__.__globals__['os']",
    "(lambda: 0).__globals__",
    "getattr(torch, 'o' + 's')",
    "setattr(torch, 'load', 1)",
    "setattr(torch.backends.cudnn, 'benchmark', @x)",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "'{0.__class__}'.format(@network_def)",
    "f'{torch.os}'",
    "(x := 1)",
    "[x for x in ().__class__.__mro__]",
    "lambda __builtins__: 1",
    "numpy.load('x.npy', allow_pickle=True)",
    "pathlib.Path('x').unlink()",
    "@x.state_dict()",
    "1; import os",
    "x = 1",
    "while True: pass",
    "not python at all",
    "9**9**9 if " + "1 or " * 2000 + "1 else 0",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_stock_bundles_write_passes(text):
    check_expression(text)


@pytest.mark.parametrize("text", HARMFUL, ids=lambda text: text[:40])
def test_what_reaches_out_is_refused(text):
    with pytest.raises(BundleRefused):
        check_expression(text)


def test_the_refusal_names_the_part_at_fault():
    with pytest.raises(BundleRefused, match=r"uses torch\.os\.system"):
        check_expression("torch.os.system('true')")

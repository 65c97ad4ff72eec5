"""A bundle is a program: each that would do harm is refused before anything of it runs, by name, and audited."""

import json
import logging
import random
import stat
import zipfile

import pytest
import torch

from pipelines import errors
from pipelines.bundles.install import add_bundle
from pipelines.bundles.unpack import unpack
from pipelines.catalog import get_pipeline
from pipelines.weights import get_sha256
from tests.pipelines.bundles.made import edit_config, make_bundle, zip_folder

TINY = "tiny_ct_segmentation"


def refuse(source, shelf, kind, caplog, words=None):
    """Adding `source` is refused as `kind`; nothing lies on the shelf, and the audit has one line on it."""
    with caplog.at_level(logging.ERROR), pytest.raises(kind, match=words):
        add_bundle(source, shelf, "evil")
    assert not [path for path in shelf.iterdir() if (path / "manifest.toml").exists()]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "wetread.audit.bundles"]
    assert kind.__name__ in line
    assert str(source) in line
    return line


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("x", {"_target_": "os.system", "command": "touch {mark}"}),
        ("x", {"_target_": "monai.bundle.run"}),
        ("x", {"_target_": "monai.transforms.io.array.os.system"}),
        ("x", {"_target_": "builtins.eval"}),
        ("x", {"_target_": "torch.load", "f": "x"}),
        ("x", {"_target_": "$@y"}),
        ("x", {"_target_": "UNet", "_mode_": "debug"}),
        ("x", "$__import__('os').system('touch {mark}')"),
        ("initialize", ["$open('{mark}', 'w')"]),
        ("x", "%/etc/other.json::a"),
        ("preprocessing", {"_target_": "Compose", "transforms": [{"_target_": "subprocess.Popen", "args": "true"}]}),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_configuration_that_asks_for_more_is_refused(item, value, shelf, tmp_path, caplog):
    mark = tmp_path / "mark"
    value = json.loads(json.dumps(value).replace("{mark}", str(mark)))
    bundle = make_bundle(TINY, tmp_path)
    edit_config(bundle, lambda config: config.update({item: value}))
    refuse(bundle, shelf, errors.BundleRefused, caplog, words=item)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "a\\..\\b", "C:x", "a/../../b"])
def test_a_zip_that_leads_out_is_refused(name, shelf, tmp_path, caplog):
    bundle = zip_folder(make_bundle(TINY, tmp_path), tmp_path / "b.zip", [(name, "x")])
    line = refuse(bundle, shelf, errors.BundleUnreadable, caplog, "leads out")
    assert get_sha256(bundle) in line
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_link_in_a_zip_and_in_a_folder_is_refused(shelf, tmp_path, caplog):
    bundle = make_bundle(TINY, tmp_path)
    member = zipfile.ZipInfo("tiny_ct_segmentation/models/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    refuse(zip_folder(bundle, tmp_path / "b.zip", [(member, "/etc/passwd")]), shelf, errors.BundleUnreadable, caplog)
    caplog.clear()
    (bundle / "models" / "link").symlink_to("/etc/passwd")
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "link")


def test_a_zip_bomb_is_refused(shelf, tmp_path, caplog):
    bundle = zip_folder(
        make_bundle(TINY, tmp_path), tmp_path / "b.zip", [("tiny_ct_segmentation/zeros", b"\0" * (8 << 20))]
    )
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "grows more than")


def test_too_many_files_are_refused(shelf, tmp_path, caplog):
    extra = [(f"tiny_ct_segmentation/x/{n}", "x") for n in range(2001)]
    bundle = zip_folder(make_bundle(TINY, tmp_path), tmp_path / "b.zip", extra)
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "more than 2000 files")


def test_empty_files_count_before_any_is_written(tmp_path):
    extra = [(f"tiny_ct_segmentation/x/{n}", "") for n in range(2100)]
    bundle = zip_folder(make_bundle(TINY, tmp_path, weights=""), tmp_path / "b.zip", extra)
    with pytest.raises(errors.BundleUnreadable, match="more than 2000 files"):
        unpack(bundle, tmp_path / "out")
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2000


def damage(path, method):
    """A zip whose last member, of noise, is packed by `method` and then overwritten in its middle."""
    noise = random.Random(5).randbytes(50_000)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("tiny_ct_segmentation/models/model.pt", noise + bytes(50_000))
        start = archive.infolist()[-1].header_offset + 100
    content = bytearray(path.read_bytes())
    content[start : start + 20_000] = b"\xff" * 20_000
    path.write_bytes(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED])
def test_a_damaged_member_is_refused(method, shelf, tmp_path, caplog):
    bundle = zip_folder(make_bundle(TINY, tmp_path, weights=""), tmp_path / "b.zip")
    damage(bundle, method)
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "cannot be unpacked")


def test_a_file_that_is_also_a_folder_is_refused(shelf, tmp_path, caplog):
    extra = [("tiny_ct_segmentation/a", "x"), ("tiny_ct_segmentation/a/b", "x")]
    bundle = zip_folder(make_bundle(TINY, tmp_path, weights=""), tmp_path / "b.zip", extra)
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "a/b: cannot be unpacked")


def test_a_damaged_table_of_contents_is_refused(shelf, tmp_path, caplog):
    bundle = zip_folder(make_bundle(TINY, tmp_path, weights=""), tmp_path / "b.zip")
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"PK\x01\x02", b"PK\x00\x00"))
    assert zipfile.is_zipfile(bundle)
    refuse(bundle, shelf, errors.BundleUnreadable, caplog, "table of contents")


def test_what_is_no_bundle_is_refused(shelf, tmp_path, caplog):
    (tmp_path / "f").write_text("x")
    refuse(tmp_path / "f", shelf, errors.BundleUnreadable, caplog, "neither")
    caplog.clear()
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", shelf, errors.BundleUnreadable, caplog, "metadata.json")


class Bomb:
    """Pickled, it makes a file when it is unpickled without care."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_a_pickle_bomb_is_refused_and_does_not_go_off(shelf, tmp_path, caplog):
    mark = tmp_path / "mark"
    bundle = make_bundle(TINY, tmp_path)
    torch.save({"weight": Bomb(mark)}, bundle / "models" / "model.pt")
    add_bundle(bundle, shelf, "evil")
    with caplog.at_level(logging.ERROR), pytest.raises(errors.BundleRefused, match="more than tensors"):
        get_pipeline("evil").load("cpu")
    assert not mark.exists()
    assert "BundleRefused" in caplog.text


def test_a_flipped_byte_of_the_weights_is_refused(shelf, tmp_path, caplog):
    add_bundle(make_bundle(TINY, tmp_path), shelf, "tiny")
    weights = shelf / "tiny-1.0.0" / "bundle" / "models" / "model.pt"
    weights.chmod(0o644)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with caplog.at_level(logging.ERROR), pytest.raises(errors.BundleChanged, match=r"models/model\.pt has sha256"):
        get_pipeline("tiny").load("cpu")
    assert get_sha256(weights) in caplog.text


def test_a_file_that_came_later_or_left_is_refused(shelf, tmp_path):
    add_bundle(make_bundle(TINY, tmp_path), shelf, "tiny")
    folder = shelf / "tiny-1.0.0" / "bundle" / "configs"
    folder.chmod(0o755)
    (folder / "later.json").write_text("{}")
    with pytest.raises(errors.BundleChanged, match=r"later\.json is not one of the files"):
        get_pipeline("tiny").load("cpu")
    (folder / "later.json").unlink()
    (folder / "inference.json").unlink()
    with pytest.raises(errors.BundleChanged, match="missing"):
        get_pipeline("tiny").load("cpu")


def test_a_configuration_edited_on_the_shelf_with_its_pins_is_scanned_again(shelf, tmp_path):
    """Whoever can edit the pins as well still gets no `os.system`."""
    from pipelines.bundles.install import map_concepts
    from pipelines.bundles.lock import make_lock

    add_bundle(make_bundle(TINY, tmp_path), shelf, "tiny")
    home = shelf / "tiny-1.0.0"
    (home / "bundle" / "configs" / "inference.json").chmod(0o644)
    edit_config(home / "bundle", lambda config: config.update(x={"_target_": "os.system"}))
    (home / "bundle.sha256").write_text(make_lock(home / "bundle"))
    map_concepts(home)
    with pytest.raises(errors.BundleRefused, match=r"os\.system"):
        get_pipeline("tiny").load("cpu")


def test_code_of_its_own_needs_trust(shelf, tmp_path, caplog):
    bundle = make_bundle(TINY, tmp_path, edit=lambda c: c.update(inferer={"_target_": "scripts.mine.Inferer"}))
    refuse(bundle, shelf, errors.BundleUntrusted, caplog, "scripts.mine.Inferer")

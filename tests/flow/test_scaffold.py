"""A pipeline that was just begun answers a study in a node, from nothing but a folder in PYTHONPATH."""

import shutil

from pydicom import dcmread

from node.model.job import State
from node.scaffold import write_scaffold
from tests.flow.house import House


def test_a_pipeline_just_begun_runs_in_a_node(tmp_path, make_study):
    home = House(tmp_path)
    write_scaffold("bright-bone", tmp_path / "new")
    shutil.copytree(tmp_path / "new", tmp_path / "plugin", dirs_exist_ok=True)
    home.config.write_text(home.config.read_text().replace('"threshold"', '"bright-bone"'))
    home.start()
    try:
        study, _, files = make_study()
        home.send(files)
        (job,) = home.finish(study)
        assert (job.pipeline, job.state) == ("bright-bone", State.CONFIRMED), home.log_tail()
        received = [dcmread(path) for path in home.received(study)]
        assert {str(ds.Modality) for ds in received} == {"SEG", "SR"}
    finally:
        home.close()

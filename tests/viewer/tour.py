"""OHIF as the node itself serves it, in Debian's chromium: study list, segmentation, label map and report of a CT.

    python -m tests.viewer.tour SERIES BOXES docs/ohif [ARCHIVE]

SERIES and BOXES as for `tests.viewer.shoot`; ARCHIVE: npm's archive of OHIF, which is fetched otherwise. Needs chromium
and what `npm ci --prefix tests/viewer` installs. Fails when the browser complains of anything or asks another host.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from node.dicom.stacking import read_stacks
from node.model.batch import Batch, Ended, Opened
from node.web.viewer.install import install
from tests.jobs import JOB
from tests.node.web.results_house import House
from tests.ports import free_port
from tests.viewer.shoot import analyze, wait_for

HERE = Path(__file__).parent


def main() -> None:
    """Makes a home with a result in both forms, serves it and looks."""
    series, boxes, out = (Path(text) for text in sys.argv[1:4])
    archive = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        house = House(Path(folder))
        study, job = fill(house, series, boxes)
        install(house.settings.node.home, archive)
        main_port, viewer_port = free_port(), free_port()
        config = Path(folder) / "wetread.toml"
        web = f'[web]\nlisten = "127.0.0.1:{main_port}"\nviewer_port = {viewer_port}\n'
        config.write_text(f'[node]\nhome = "{house.settings.node.home}"\n{web}', "utf-8")
        command = [sys.executable, "-c", "from node.cli import main; main()", "web", "--config", str(config)]
        process = subprocess.Popen(command)
        try:
            wait_for(f"http://127.0.0.1:{viewer_port}/")
            plan = {
                "result": f"http://127.0.0.1:{main_port}/results/{job}",
                "viewer": f"http://127.0.0.1:{viewer_port}",
                "dicomweb": f"http://127.0.0.1:{main_port}/dicom-web",
                "study": study,
                "out": str(out),
            }
            subprocess.run(["node", str(HERE / "tour.mjs")], input=json.dumps(plan), text=True, check=True, timeout=900)
        finally:
            process.terminate()
            process.wait(20)


def fill(house: House, series: Path, boxes: Path) -> tuple[str, str]:
    """(study uid, job id) of a result with a BINARY segmentation and a label map, each with its report."""
    stack, lungs_first = analyze(series, boxes)
    result = replace(lungs_first, findings=lungs_first.findings[::-1])  # OHIF goes to the first finding of a report
    rows = [house._place(path) for path in stack.paths]
    study = rows[0].study_uid
    opened, ended = [Opened(study, "listen-0", "SCU", 1.0)], [Ended(study, "released", 1.0)]
    assert not house.ledger.record(Batch(opened, [(row, study) for row in rows], ended))
    job = replace(JOB, id=f"{1:032x}", study_uid=study, series_uids=(rows[0].series_uid,), deliver=())
    assert house.ledger.close_study(house.ledger.find_study(study), 1001.0, "complete", "", [job])
    (kept,), _ = read_stacks([house.spool.root / row.path for row in rows])
    return study, house.finish(job, kept, result, form="labelmap")


if __name__ == "__main__":
    main()

"""Where "Open in OHIF" leads: to the study, and there to the series that says what was found."""

from urllib.parse import quote, urlsplit

from starlette.requests import Request

from node.dicom.identity import read_identity
from node.sections import Web
from node.web.dicomweb.place import find_root
from node.web.results.cabinet import Outcome

PATH = "/viewer?StudyInstanceUIDs={study}&initialSeriesInstanceUID={series}"


class Link:
    """is_here: whether this node serves the viewer itself; web.viewer of the settings goes before."""

    def __init__(self, web: Web, is_here: bool) -> None:
        self._web, self._is_here = web, is_here

    def find(self, request: Request, outcome: Outcome) -> list[tuple[str, str]]:
        """What is opened, and its address; none where there is no viewer. Ours is on the host by which this page was
        asked for, and on its own port."""
        template = self._web.viewer or (self._find_own(request) if self._is_here else "")
        if not template:
            return []
        opened = template.replace("{study}", quote(outcome.job.study_uid))
        if "{series}" not in opened:
            return [("study", opened)]
        return [(name, opened.replace("{series}", quote(uid))) for name, uid in list_series(outcome)]

    def _find_own(self, request: Request) -> str:
        root = urlsplit(find_root(request, self._web.public_url))
        host = f"[{root.hostname}]" if ":" in (root.hostname or "") else root.hostname
        return f"{root.scheme}://{host}:{self._web.viewer_port}{PATH}"


def list_series(outcome: Outcome) -> list[tuple[str, str]]:
    """(name, uid) of the Segmentation, which a viewer lays over its images, and of the report, with which it goes to
    the first lesion that is measured; without either of what the job read."""
    found = []
    if outcome.segmentation:
        found.append(("segmentation", read_identity(outcome.segmentation).series_uid))
    if outcome.reading:
        found.append(("report", str(outcome.reading.dataset.SeriesInstanceUID)))
    return found or [("images", uid) for uid in outcome.job.series_uids[:1]]

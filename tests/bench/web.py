"""How fast the web role answers who reads from it and stores to it, beside Orthanc's DICOMweb plugin in the same run.

    python tests/bench/web.py [--json] [--quick] [--rounds N]

A CT series of 1,000 slices is retrieved whole and as metadata; 10,000 studies are searched; series of 500 slices are
stored, each in one request; 2 GB are streamed while the memory of the process is watched. Both servers have the same
files and are asked in turn, over one connection that stays open. What is read has been asked for once before: that
measures neither the disk nor the first look. The series is also had from the kernel alone (sendfile, in a loop that can
do nothing else): no server is faster than that with this client on this machine. What is stored lies in the page cache,
and both sync it to the disk before they give the receipt. The exit code is 1 when a goal is missed, 2 when nothing can
be measured.
"""

import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import command
import numpy as np
import slices
from command import errors
from goals import Goal
from processes import peak_megabytes
from pydicom import dcmread
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.table import Table
from web_servers import Client, Limit, Wetread, find_servers
from web_store import store

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"
SIZES = {False: (1000, 10_000, 500, 240), True: (200, 2000, 100, 60)}
"""Slices, studies, slices that are stored at once and large images, by --quick."""
EDGE = 2048
NEEDED = 6e9  # bytes
QUERIES = (
    "/studies?PatientID=ID{n:06d}",
    "/studies?AccessionNumber=ACC{n:06d}",
    "/studies?PatientName=NAME{tens:05d}*&limit=25",
    "/studies?PatientName=*{n:06d}&limit=25",
    "/studies?StudyDate={date}&limit=25",
    "/studies?StudyDate=20200101-&ModalitiesInStudy=CT&limit=25",
    "/studies?limit=100&offset={n}",
    "/studies?StudyInstanceUID=2.25.1.{n:06d}&includefield=all",
)
UNITS = {
    "series": ("mb_per_s", "MB/s of a whole series"),
    "metadata": ("per_s", "metadata of the series, times a second"),
    "query_p50": ("ms", "search among all studies, ms, median"),
    "query_p99": ("ms", "search among all studies, ms, 99 %"),
    "stow": ("per_s", "CT instances stored, a second"),
    "first_index": ("s", "until the first search is answered, s"),
    "growth_mb": ("mb", "MB that the process grew while it streamed"),
}
GOALS = (
    Goal("whole series: Wetread / Orthanc", "series.wetread", "series.orthanc", 3),
    Goal("whole series: Wetread / the kernel alone", "series.wetread", "series.limit", 0.75),
    Goal("metadata of a series: Wetread / Orthanc", "metadata.wetread", "metadata.orthanc", 5),
    Goal("search among all studies: ms, 99 %", "query_p99.wetread", "", 50, at_most=True),
    Goal("STOW of CT instances: Wetread / Orthanc", "stow.wetread", "stow.orthanc", 3),
    Goal("streaming: MB that the process grew", "growth_mb.wetread", "", 64, at_most=True),
)


def main():
    parser = command.make_parser(__doc__, "less data, one round: two minutes, rough figures", rounds=5)
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 5, 1)
    return command.run(options, _measure, _show)


def _measure(options):
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(parent).free < NEEDED:
        raise CannotMeasure(f"{parent} has less than {NEEDED / 1e9:.0f} GB free")
    kinds = find_servers()
    if len(kinds) == 1:
        errors.print("[yellow]orthanc-dicomweb is not here: what it is needed for is left out[/yellow]")
    with tempfile.TemporaryDirectory(prefix="web-", dir=parent) as name:
        figures = _run(Path(name), kinds, options)
        return command.make_done(
            Path(name),
            figures,
            GOALS,
            rounds=options.rounds,
            quick=options.quick,
            missing=[] if len(kinds) > 1 else ["Orthanc"],
            figures=[_to_entry(name, value) for name, value in figures.items()],
        )


def _run(folder, kinds, options):
    count, studies, stored, large = SIZES[options.quick]
    figures = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(kind(folder)) for kind in kinds]
        paths = slices.write_slices(folder / "series", count)
        series = _find_series(paths[0])
        limit = stack.enter_context(Limit(folder))
        limit.take(paths)
        errors.print(
            f"{count} slices and {studies} studies are made and given to {', '.join(s.title for s in servers)}"
        )
        paths += write_studies(folder / "studies", studies)
        for server in reversed(servers):  # ours moves the files
            server.take(paths)
        for server in servers:
            client, began = Client(server.root), time.perf_counter()
            while client.get("/studies?PatientID=ID000000", JSON)[0] != 200 or not _has_all(client, studies):
                time.sleep(0.05)
            figures[f"first_index.{server.name}"] = round(time.perf_counter() - began, 3)
        figures |= _compare(servers, limit, series, studies, options)
        figures |= _store(servers, folder, stored, options)
        if isinstance(servers[0], Wetread):
            figures["growth_mb.wetread"] = _stream(servers[0], folder, large)
    return figures


def _has_all(client, studies):
    return client.get(f"/studies?limit=1&offset={studies - 1}", JSON)[0] == 200


def _compare(servers, limit, series, studies, options):
    taken = {f"{what}.{server.name}": [] for server in servers for what in ("series", "metadata")}
    taken["series.limit"] = []
    waited = {server.name: [] for server in servers}
    for number in range(options.rounds + 1):  # the first one is not counted
        for server in servers:
            client = Client(server.root)
            speed = _time(client, series, DICOM)[1] / 1e6
            seconds, _ = _time(client, f"{series}/metadata", JSON), 0
            times = _search(client, studies, 1 if number == 0 else 25, number)
            if number:
                taken[f"series.{server.name}"].append(speed)
                taken[f"metadata.{server.name}"].append(1 / seconds[0])
                waited[server.name] += times
                errors.print(f"{number}/{options.rounds} {server.title}: {speed:.0f} MB/s, {seconds[0]:.3f} s metadata")
            client.close()
        speed = _ask_limit(limit)
        if number:
            taken["series.limit"].append(speed)
            errors.print(f"{number}/{options.rounds} {limit.title}: {speed:.0f} MB/s")
    figures = {name: round(statistics.median(values), 4) for name, values in taken.items()}
    for name, times in waited.items():
        figures[f"query_p50.{name}"] = round(statistics.median(times), 3)
        figures[f"query_p99.{name}"] = round(float(np.percentile(times, 99)), 3)
    return figures


def _ask_limit(limit):
    client = Client(limit.root)
    _time(client, "/", DICOM)  # connects, and has the files opened
    speed = _time(client, "/", DICOM)[1] / 1e6
    client.close()
    return speed


def _store(servers, folder, count, options):
    """Every round has a series of its own, which both are given in turn; who is first changes."""
    speeds = {f"stow.{server.name}": [] for server in servers}
    for number in range(options.rounds + 1):  # the first one is not counted
        paths = slices.write_slices(folder / f"stored-{number}", count)
        for server in servers if number % 2 else servers[::-1]:
            client = Client(server.root)
            speed = store(client, paths, f"{_find_series(paths[0])}/instances")
            client.close()
            if number:
                speeds[f"stow.{server.name}"].append(speed)
                errors.print(f"{number}/{options.rounds} {server.title}: {speed:.0f} instances stored a second")
        shutil.rmtree(paths[0].parent)
    return {name: round(statistics.median(values), 2) for name, values in speeds.items()}


def _time(client, path, accept):
    """(seconds, bytes a second)."""
    began = time.perf_counter()
    status, size = client.get(path, accept)
    seconds = time.perf_counter() - began
    if status != 200:
        raise CannotMeasure(f"{path} is answered with {status}")
    return seconds, size / seconds


def _search(client, studies, times, seed):
    """Milliseconds of each search; every kind of question `times` times."""
    random = np.random.default_rng(seed)
    waited = []
    for _ in range(times):
        for query in QUERIES:
            n = int(random.integers(studies))
            began = time.perf_counter()
            status, _ = client.get(query.format(n=n, tens=n // 10, date=_find_date(n)), JSON)
            waited.append((time.perf_counter() - began) * 1e3)
            if status not in (200, 204):
                raise CannotMeasure(f"{query} is answered with {status}")
    return waited


def _stream(server, folder, count):
    """MB that the largest process of `server` grew by while it gave a series of `count` images of 8 MB."""
    paths = write_large(folder / "large", count)
    series = _find_series(paths[0])
    size = sum(path.stat().st_size for path in paths)
    server.take(paths)
    client = Client(server.root)
    client.get(f"{series}/metadata", JSON)
    before = max(peak_megabytes(server.pid).values())
    status, got = client.get(series, DICOM)
    if status != 200 or got < size:
        raise CannotMeasure(f"of {size} bytes {got} came")
    errors.print(f"{got / 1e9:.2f} GB streamed")
    return round(max(peak_megabytes(server.pid).values()) - before, 1)


def write_studies(folder, count):
    """`count` studies of one small image each: a file is written once, then its numbers are changed where they lie."""
    folder.mkdir(parents=True)
    (first,) = slices.write_slices(folder / "one", 1)
    image = dcmread(first)
    image.Rows = image.Columns = 4
    image.PixelData = b"\0" * 32
    for keyword, text in (("PatientID", "ID######"), ("AccessionNumber", "ACC######"), ("PatientName", "NAME######")):
        setattr(image, keyword, text.replace("#", "9"))
    image.StudyDate = "99999999"
    image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.1.999999", "2.25.2.999999"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = "2.25.3.999999"
    image.save_as(first, enforce_file_format=True)
    data = first.read_bytes()
    first.unlink()
    paths = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        path.write_bytes(
            data.replace(b"99999999", _find_date(number).encode()).replace(b"999999", f"{number:06d}".encode())
        )
        paths.append(path)
    return paths


def write_large(folder, count):
    """One series of `count` images of 8 MB."""
    (first,) = slices.write_slices(folder, 1)
    image = dcmread(first)
    image.Rows = image.Columns = EDGE
    image.PixelData = bytes(EDGE * EDGE * 2)
    root = image.SOPInstanceUID
    paths = []
    for number in range(count):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{root[:50]}.{number}"
        image.InstanceNumber = number + 1
        path = folder / f"{number:06d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _find_series(path):
    header = dcmread(path, stop_before_pixels=True)
    return f"/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"


def _find_date(number):
    return f"{2015 + number % 10}{1 + number // 10 % 12:02d}{1 + number // 120 % 28:02d}"


def _to_entry(name, value):
    """One figure, with its goal where it has one."""
    unit = UNITS[name.partition(".")[0]][0]
    goal = next((goal for goal in GOALS if goal.figure == name and not goal.other), None)
    bound = {"goal": goal.goal, "met": value <= goal.goal} if goal else {}
    return {"name": name, "value": value, "unit": unit, **bound}


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    names = list(dict.fromkeys(name.partition(".")[2] for name in figures))
    table = Table(title=f"Reading by DICOMweb, median of {done['rounds']}", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for quantity, (_, words) in UNITS.items():
        table.add_row(words, *(to_number(figures.get(f"{quantity}.{name}")) for name in names))
    console.print(table)
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())

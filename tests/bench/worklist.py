"""How fast the worklist answers who searches it, and tells who subscribed to it.

    python tests/bench/worklist.py [--json] [--quick] [--rounds N]

10,000 workitems, each with 25 images for its input, and 100 subscribers to all of them by WebSocket. First they are
searched, over one connection that stays open, by keys with and without an index; then workitems are claimed at 20 a
second, and the time runs from the request until each subscriber has the event; meanwhile they are searched again. The
web role runs as the node runs it. The exit code is 1 when a goal is missed, 2 when nothing can be measured.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import command
import numpy as np
from command import errors
from goals import Goal
from processes import peak_megabytes
from pydicom import Dataset
from receivers import CannotMeasure
from report import make_goal_table, to_number
from rich.table import Table
from web_servers import Client, Wetread
from websockets.asyncio.client import connect

from node.model.workitem import GLOBAL
from node.worklist import Worklist
from tests.workitems import make_code, make_workitem

JSON = "application/dicom+json"
SIZES = {False: (10_000, 100, 600), True: (2000, 100, 100)}
"""Workitems, subscribers and claims a round, by --quick."""
IMAGES = 25
PACE = 0.05  # seconds between two claims
PATIENCE = 60  # seconds until every subscriber has every event
LOCK = "2.25.1"
QUERIES = (
    "ProcedureStepState=SCHEDULED&limit=25",
    "ScheduledProcedureStepPriority=HIGH&ProcedureStepState=SCHEDULED&limit=25",
    "PatientID=ID{n:06d}",
    "PatientName=NAME{tens:05d}*&limit=25",
    "StudyInstanceUID=1.2.3.{n}",
    "ReferencedRequestSequence.AccessionNumber=ACC{n:06d}",
    "ScheduledStationNameCodeSequence.CodeValue=ROOM{digit}&limit=25",
    "ScheduledProcedureStepStartDateTime=202611{day:02d}-&limit=25",
    "ProcedureStepLabel=*{n:06d}*",
    "AdmissionID=ADM{n:06d}",
    "limit=100&offset={n}",
)
"""The last but one by a key that no column answers: every workitem is looked at."""
UNITS = {
    "search_p50": ("ms", "search, ms, median"),
    "search_p99": ("ms", "search, ms, 99 %"),
    "busy_p50": ("ms", "search while events go out, ms, median"),
    "busy_p99": ("ms", "search while events go out, ms, 99 %"),
    "claim_p50": ("ms", "change state, ms, median"),
    "claim_p99": ("ms", "change state, ms, 99 %"),
    "event_p50": ("ms", "event at its subscriber, ms, median"),
    "event_p99": ("ms", "event at its subscriber, ms, 99 %"),
    "lost": ("events", "events that a subscriber did not get"),
    "peak_mb": ("mb", "most memory of the process, MB"),
}
GOALS = (
    Goal("search among all workitems: ms, 99 %", "search_p99", "", 50, at_most=True),
    Goal("event at each of 100 subscribers: ms, 99 %", "event_p99", "", 1000, at_most=True),
    Goal("events that a subscriber did not get", "lost", "", 0, at_most=True),
)


def main():
    parser = command.make_parser(__doc__, "2,000 workitems, one round: a minute, rough figures", rounds=3)
    options = parser.parse_args()
    options.rounds = command.pick(options.rounds, options, 3, 1)
    return command.run(options, _measure, _show)


def _measure(options):
    parent = options.folder.absolute()
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="worklist-", dir=parent) as name:
        figures = _run(Path(name), options)
        return command.make_done(
            Path(name),
            figures,
            GOALS,
            rounds=options.rounds,
            quick=options.quick,
            figures=[{"name": name, "value": value, "unit": UNITS[name][0]} for name, value in figures.items()],
        )


def _run(folder, options):
    count, subscribers, claims = SIZES[options.quick]
    if options.rounds * claims > count:
        raise CannotMeasure(f"{count} workitems are too few for {options.rounds} rounds of {claims} claims")
    server = Wetread(folder)
    errors.print(f"{count} workitems are made")
    fill(server.home, count)
    samples = {name: [] for name in ("search", "busy", "claim", "event")}
    lost = 0
    with server:
        client = Client(server.root)
        channels = [_subscribe(client, f"READER{number}") for number in range(subscribers)]
        client.close()
        _search(server, count, 1, 0)  # not counted
        for number in range(options.rounds):
            samples["search"] += _search(server, count, 25, number)
            told = _tell(server, channels, [to_uid(n) for n in range(number * claims, (number + 1) * claims)], count)
            lost += told.pop("lost")
            for name, values in told.items():
                samples[name] += values
            errors.print(f"{number + 1}/{options.rounds}: {_say(samples)}")
        peak = max(peak_megabytes(server.pid).values())
    figures = {}
    for name, values in samples.items():
        figures[f"{name}_p50"] = round(statistics.median(values), 3)
        figures[f"{name}_p99"] = round(float(np.percentile(values, 99)), 3)
    return figures | {"lost": lost, "peak_mb": round(peak, 1)}


def fill(home, count):
    """`count` workitems as a department would push them."""
    worklist = Worklist(home)
    for n in range(count):
        worklist.create(_make_workitem(n), time.time(), to_uid(n))
    worklist.close()


def to_uid(number):
    return f"1.2.826.{number}"


def _make_workitem(n):
    inputs, request = Dataset(), Dataset()
    inputs.TypeOfInstances, inputs.StudyInstanceUID, inputs.SeriesInstanceUID = "DICOM", f"1.2.3.{n}", f"1.2.3.{n}.1"
    inputs.ReferencedSOPSequence = [_refer(f"1.2.3.{n}.1.{place}") for place in range(IMAGES)]
    request.AccessionNumber, request.RequestedProcedureID = f"ACC{n:06d}", f"RP{n}"
    return make_workitem(
        StudyInstanceUID=f"1.2.3.{n}",
        PatientID=f"ID{n:06d}",
        PatientName=f"NAME{n:06d}^Test",
        AdmissionID=f"ADM{n:06d}",
        ProcedureStepLabel=f"read chest {n:06d} again",
        ScheduledProcedureStepPriority=("LOW", "MEDIUM", "HIGH")[n % 3],
        ScheduledProcedureStepStartDateTime=f"202611{1 + n % 28:02d}080000",
        ScheduledStationNameCodeSequence=[make_code(f"ROOM{n % 10}")],
        ReferencedRequestSequence=[request],
        InputInformationSequence=[inputs],
    )


def _refer(uid):
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    return reference


def _subscribe(client, name):
    """The address of its WebSocket."""
    connection = client._connection
    connection.request("POST", f"{client._parts.path}/workitems/{GLOBAL}/subscribers/{name}")
    answer = connection.getresponse()
    answer.read()
    if answer.status != 201:
        raise CannotMeasure(f"a subscription is answered with {answer.status}")
    return answer.headers["Content-Location"]


def _search(server, count, times, seed):
    """Milliseconds of each search; every kind of question `times` times."""
    random, client = np.random.default_rng(seed), Client(server.root)
    return [_ask(client, query, int(random.integers(count))) for _ in range(times) for query in QUERIES]


def _ask(client, query, n):
    path = "/workitems?" + query.format(n=n, tens=n // 10, digit=n % 10, day=1 + n % 28)
    began = time.perf_counter()
    status, _ = client.get(path, JSON)
    waited = (time.perf_counter() - began) * 1e3
    if status not in (200, 204):
        raise CannotMeasure(f"{path} is answered with {status}")
    return waited


def _tell(server, channels, uids, count):
    """{"event": milliseconds from each claim until each subscriber had it, "claim": until it was answered, "busy": of
    searches meanwhile, "lost": events that did not come}"""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    listener = context.Process(target=listen, args=(theirs, channels, len(uids)))
    listener.start()
    try:
        if not ours.poll(PATIENCE) or ours.recv() != "ready":
            raise CannotMeasure("the subscribers could not connect")
        begun, claims, busy = {}, [], []
        over = threading.Event()
        searcher = threading.Thread(target=_search_on, args=(server, count, over, busy))
        searcher.start()
        client = Client(server.root)
        for place, uid in enumerate(uids):
            due = begun.setdefault("", time.monotonic()) + place * PACE
            time.sleep(max(0.0, due - time.monotonic()))
            begun[uid] = time.monotonic()
            _claim(client, uid)
            claims.append((time.monotonic() - begun[uid]) * 1e3)
        over.set()
        searcher.join()
        if not ours.poll(2 * PATIENCE):
            raise CannotMeasure("the subscribers say nothing")
        heard = ours.recv()
    finally:
        listener.join(10)
        listener.kill()
    waited = [(at - begun[uid]) * 1e3 for one in heard for uid, at in one.items()]
    return {"event": waited, "claim": claims, "busy": busy, "lost": len(channels) * len(uids) - len(waited)}


def _search_on(server, count, over, busy):
    client, random = Client(server.root), np.random.default_rng(1)
    while not over.wait(0.1):
        busy.append(_ask(client, QUERIES[len(busy) % len(QUERIES)], int(random.integers(count))))


def _claim(client, uid):
    body = {"00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00081195": {"vr": "UI", "Value": [LOCK]}}
    connection = client._connection
    path, head = f"{client._parts.path}/workitems/{uid}/state", {"Content-Type": JSON}
    connection.request("PUT", path, json.dumps([body]), head)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise CannotMeasure(f"a change of state is answered with {answer.status}")


def listen(pipe, channels, wanted):
    """All subscribers, in a process of their own: tells "ready", then [{uid: when it came}], monotonic seconds."""

    async def hear(channel, opened):
        heard = {}
        async with connect(channel, max_queue=None) as line:
            opened.release()
            while len(heard) < wanted:
                frame = json.loads(await line.recv())
                heard.setdefault(frame["00001000"]["Value"][0], time.monotonic())
                if frame["00741000"]["Value"] != ["IN PROGRESS"]:
                    raise ValueError(frame)
        return heard

    async def hear_all():
        opened = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(hear(channel, opened)) for channel in channels]
        for _ in channels:
            await opened.acquire()
        pipe.send("ready")
        done, late = await asyncio.wait(tasks, timeout=wanted * PACE + PATIENCE)
        for task in late:
            task.cancel()
        return [task.result() for task in done]

    pipe.send(asyncio.run(hear_all()))


def _say(samples):
    return ", ".join(f"{name} {statistics.median(values):.1f} ms" for name, values in samples.items() if values)


def _show(done, console):
    figures = {figure["name"]: figure["value"] for figure in done["figures"]}
    table = Table(title="The worklist", title_justify="left")
    table.add_column("")
    table.add_column("Wetread", justify="right")
    for name, (_, words) in UNITS.items():
        table.add_row(words, to_number(figures.get(name)))
    console.print(table)
    console.print(make_goal_table(done["goals"]))


if __name__ == "__main__":
    sys.exit(main())

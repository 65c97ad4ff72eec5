"""What is expected of a study, as claims: peers' counts, announcements, the routes' series, an operator's word.

In:  the expectations in the ledger, the configuration, headers of the series.   Out: claims for `assemble`.
Nothing is asked of anybody here: `outbound.count` asks, and `availability` listens.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydicom import Dataset

from node.config import Settings
from node.errors import CannotUnderstand
from node.inbound.assemble import Arrival, Claim, Says, is_arriving
from node.inbound.conditions import find_mismatch
from node.inbound.match import find_study_mismatch, read_samples
from node.inbound.ordered import add_orders
from node.ledger import Ledger
from node.model.expectation import Expectation, Kind, StepState, Tally
from node.model.study import Study
from node.orders.book import OrderBook
from node.sections import Condition, CountBy, Route

ANSWER_WAIT = 30.0
"""Seconds after the last association for a peer's count to come; whoever asks gives up much earlier."""

Word = Mapping[str, Sequence[Expectation]]
"""Study Instance UID -> what was said of it."""


class Expected:
    """Makes the claims on one study after another."""

    def __init__(self, settings: Settings, ledger: Ledger, book: OrderBook) -> None:
        self._settings = settings
        self._book = book
        self._ledger = ledger
        self._counting = {n: peer.ae_title for n, peer in settings.peers.items() if peer.count_by != CountBy.NONE}
        self._expecting = [route for route in settings.routes if route.expects]
        self._series: dict[str, tuple[tuple[float, set[str]], list[Claim]]] = {}

    def read_word(self) -> Word:
        """What was said of all studies under way."""
        word: dict[str, list[Expectation]] = {}
        for expectation in self._ledger.find_expectations():
            word.setdefault(expectation.study_uid, []).append(expectation)
        return word

    def find_claims(self, study: Study, arrivals: Sequence[Arrival], word: Word, now: float) -> list[Claim]:
        """What is claimed of `study`, but for its series; while images arrive, only what an operator said."""
        said = word.get(study.study_uid, ())
        claims = list(_trust_operator(study, said))
        if is_arriving(study, arrivals, self._settings.completeness, now):
            return claims
        marks = _find_marks(study, arrivals)
        counting = {name: marks[title] for name, title in self._counting.items() if title in marks}
        steps = [one for one in said if one.kind == Kind.STEP]
        claims += _judge_steps(steps)
        announced = any(one.kind == Kind.ANNOUNCEMENT for one in said) or any(step.number for step in steps)
        if not counting and not announced:
            return claims
        tally = self._ledger.tally(study.study_uid)
        if announced:
            claims += _judge_announced(tally, _describe_discontinued(steps))
        for name, mark in counting.items():
            count = next((one for one in said if one.kind == Kind.COUNT and one.source == name), None)
            series = count.series if count is not None else ()
            held = self._ledger.tally(study.study_uid, series).held if series else tally.held
            claims.append(_judge_count(name, count, mark, held, now))
        return claims

    def find_missing_series(self, study: Study, callers: set[str]) -> list[Claim]:
        """A claim for each series that a route expects and that is not here. Headers are read once after each change
        of the study."""
        if not self._expecting:
            return []
        now = study.last_at, callers
        read, claims = self._series.get(study.study_uid, ((0.0, set()), []))
        if read != now:
            try:
                samples = read_samples(self._ledger.find_instances(study.study_uid), Path(self._settings.spool))
            except CannotUnderstand:
                samples = {}  # enqueue says so, and why
            add_orders(samples, self._book)
            sources = {name for name, peer in self._settings.peers.items() if peer.ae_title in callers}
            claims = [Claim(Says.LACKING, text) for text in find_missing(self._expecting, samples, sources)]
            self._series[study.study_uid] = now, claims
        return claims

    def forget(self, study: Study) -> None:
        """It was closed."""
        self._series.pop(study.study_uid, None)


def find_missing(routes: Sequence[Route], samples: Mapping[str, Dataset], sources: set[str]) -> Iterator[str]:
    """What those of `routes` lack that would match, half a sentence each.

    samples: Series Instance UID -> a header of the series. A route that no series meets yet expects nothing: nobody
    knows whether the study is for it.
    """
    for route in routes:
        if route.sources and not sources & set(route.sources):
            continue
        if find_study_mismatch(route, samples.values()):
            continue
        if all(find_mismatch(route.when, sample) is not None for sample in samples.values()):
            continue
        for expected in route.expects:
            if all(find_mismatch(expected, sample) is not None for sample in samples.values()):
                yield f"route {route.name!r} expects a series with {_describe(expected)}"


def _trust_operator(study: Study, said: Sequence[Expectation]) -> Iterator[Claim]:
    """An image that comes afterwards shows that it was not all."""
    for one in said:
        if one.kind == Kind.OPERATOR and one.at >= study.last_at:
            yield Claim(Says.ENOUGH, "an operator said so")


def _judge_steps(steps: Sequence[Expectation]) -> Iterator[Claim]:
    """While a modality performs a step, more images come; one that was discontinued may have made less than it was
    to."""
    going_on = sum(step.answer == StepState.IN_PROGRESS for step in steps)
    if going_on:
        yield Claim(Says.LACKING, f"{going_on} procedure step{'s are' if going_on > 1 else ' is'} in progress")
    if told := _describe_discontinued(steps):
        yield Claim(Says.UNSURE, told)


def _describe_discontinued(steps: Sequence[Expectation]) -> str:
    number = sum(step.answer == StepState.DISCONTINUED for step in steps)
    return f"{number} procedure step{'s were' if number > 1 else ' was'} discontinued" if number else ""


def _judge_announced(tally: Tally, told: str) -> Iterator[Claim]:
    """told: what is said beside, "" for nothing."""
    if tally.announced_here < tally.announced:
        yield Claim(Says.LACKING, f"{tally.announced} instances are announced, {_are(tally.announced_here)} here")
    elif tally.unannounced:
        text = f"all {tally.announced} announced instances are here, and {tally.unannounced} images beside them"
        yield Claim(Says.UNSURE, text)
    elif tally.announced:
        text = f"all {tally.announced} instances announced are here"
        yield Claim(Says.HERE, f"{text}, {told}" if told else text)


def _judge_count(name: str, count: Expectation | None, mark: float, held: int, now: float) -> Claim:
    """mark: what was said before is out of date."""
    if count is None or count.mark < mark:
        if now - mark > ANSWER_WAIT:
            return Claim(Says.UNSURE, f"{name} was not asked how many instances it has")
        return Claim(Says.ASKED, f"{name} is asked how many instances it has")
    if count.number is None:
        return Claim(Says.UNSURE, f"{name} does not say how many instances it has ({count.answer})")
    if held < count.number:
        return Claim(Says.LACKING, f"{name} counts {count.number} instances, {_are(held)} here")
    if held == count.number:
        return Claim(Says.HERE, f"{name} counts {count.number} instances, all are here")
    return Claim(Says.UNSURE, f"{name} counts {count.number} instances, {_are(held)} here")


def _find_marks(study: Study, arrivals: Sequence[Arrival]) -> dict[str, float]:
    """AE title -> when the last of its associations ended or the last image came: as `Ledger.find_questions` has it."""
    marks: dict[str, float] = {}
    for arrival in arrivals:
        marks[arrival.caller] = max(arrival.ended_at or 0.0, marks.get(arrival.caller, study.last_at))
    return marks


def _describe(table: Mapping[str, Condition]) -> str:
    """ "Modality MR and SeriesDescription like 'T1'"."""
    return " and ".join(f"{path} {_describe_one(condition)}" for path, condition in table.items())


def _describe_one(condition: Condition) -> str:
    parts = [" or ".join(map(str, condition.any))] if condition.any else []
    parts += [f"none of {', '.join(map(str, condition.none))}"] if condition.none else []
    parts += [f"like {condition.like!r}"] if condition.like else []
    parts += [f"from {condition.min:g}"] if condition.min is not None else []
    parts += [f"up to {condition.max:g}"] if condition.max is not None else []
    parts += ["absent" if condition.absent else "present"] if condition.absent is not None else []
    return ", ".join(parts)


def _are(number: int) -> str:
    return f"{number} is" if number == 1 else f"{number} are"

"""When is a study complete? On evidence, not by one timer.

In:  a study that is RECEIVING, the associations that brought it, and what is claimed of it.   Out: a judgment.
State: nothing is written here; `match` closes the study with its jobs in one step.

A claim is what one source says of the study: a peer that was asked, an announcement, the routes' configuration, an
operator. Another source is another maker of claims (`node.inbound.expected`); nothing here changes for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from node.model.study import Study
from node.sections import Completeness

BROKEN = frozenset({"aborted", "lost"})
DOUBT = "the study may be incomplete"
"""Evidence with these words becomes a note of the job, and of its report."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An association that brought images of a study. ended_at is None while it is open."""

    caller: str
    opened_at: float
    ended_at: float | None
    how: str


class Says(StrEnum):
    """What a claim comes to.

    ENOUGH: somebody decided that this is all. LACKING: there is more, wait. HERE: all there is is here.
    ASKED: the answer is due any moment. UNSURE: it does not help, time decides; the evidence says so.
    """

    ENOUGH = "enough"
    LACKING = "lacking"
    HERE = "here"
    ASKED = "asked"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Claim:
    """text: half a sentence, without values of the images."""

    says: Says
    text: str


class Verdict(StrEnum):
    """GAVE_UP: it may be closed, but is possibly incomplete."""

    WAIT = "wait"
    COMPLETE = "complete"
    GAVE_UP = "gave up"


@dataclass(frozen=True, slots=True)
class Judgment:
    """text: the evidence, or for what the study waits; "" while images arrive. why: what lacks, if that is known."""

    verdict: Verdict
    text: str = ""
    why: str = ""


def judge_study(
    study: Study, arrivals: Sequence[Arrival], claims: Sequence[Claim], rules: Completeness, now: float
) -> Judgment:
    """What is to become of `study` at `now`.

    What somebody knows goes before what time suggests: what lacks is waited for until `give_up`; what is all here is
    complete at once, or, while an association stays open, after `quiet`. Otherwise all its associations are released
    and `quiet` has passed since the last image: complete. One that is still open, or whose last one broke off, means
    that its sender may come again: `give_up` or `broken` ends that wait.
    """
    silent = now - study.last_at
    if enough := _join(claims, Says.ENOUGH):
        rest = _list_rest(claims, Says.LACKING)
        return Judgment(Verdict.COMPLETE, "; ".join([f"complete: {enough}", *rest, *([DOUBT] if rest else [])]))
    if is_arriving(study, arrivals, rules, now):
        return Judgment(Verdict.WAIT)
    return _judge_by_claims(arrivals, claims, rules, silent) or _judge_by_time(arrivals, claims, rules, silent)


def is_arriving(study: Study, arrivals: Sequence[Arrival], rules: Completeness, now: float) -> bool:
    """An association is open, and an image came a moment ago."""
    return _is_open(arrivals) and now - study.last_at < rules.quiet.total_seconds()


def _judge_by_claims(
    arrivals: Sequence[Arrival], claims: Sequence[Claim], rules: Completeness, silent: float
) -> Judgment | None:
    if lacking := _join(claims, Says.LACKING):
        return _wait(lacking, silent, rules.give_up, arrivals)
    if here := _join(claims, Says.HERE):
        return Judgment(Verdict.COMPLETE, f"complete: {here} ({_describe(arrivals)})")
    return None


def _judge_by_time(
    arrivals: Sequence[Arrival], claims: Sequence[Claim], rules: Completeness, silent: float
) -> Judgment:
    if _is_open(arrivals):
        return _wait("an association stays open", silent, rules.give_up, arrivals)
    if asked := _join(claims, Says.ASKED):
        return Judgment(Verdict.WAIT, f"waits: {asked}")
    if arrivals and max(arrivals, key=lambda arrival: arrival.ended_at or 0).how in BROKEN:
        return _wait("its sender broke off and did not come again", silent, rules.broken, arrivals)
    if silent < rules.quiet.total_seconds():
        return Judgment(Verdict.WAIT)
    told = f"complete: {_describe(arrivals)}, no image for {silent:.1f} s"
    return Judgment(Verdict.COMPLETE, "; ".join([told, *_list_rest(claims, Says.UNSURE)]))


def _is_open(arrivals: Sequence[Arrival]) -> bool:
    return any(arrival.ended_at is None for arrival in arrivals)


def _wait(why: str, silent: float, patience: timedelta, arrivals: Sequence[Arrival]) -> Judgment:
    if silent < patience.total_seconds():
        return Judgment(Verdict.WAIT, f"waits: {why}", why)
    told = f"gave up waiting: {why}, no image for {silent:.0f} s ({_describe(arrivals)}); {DOUBT}"
    return Judgment(Verdict.GAVE_UP, told, why)


def _list_rest(claims: Sequence[Claim], says: Says) -> list[str]:
    return [claim.text for claim in claims if claim.says == says]


def _join(claims: Sequence[Claim], says: Says) -> str:
    return ", ".join(_list_rest(claims, says))


def _describe(arrivals: Sequence[Arrival]) -> str:
    if not arrivals:
        return "no association known"
    parts = []
    for how in ("released", "idle", "aborted", "lost", ""):
        count = sum(arrival.how == how for arrival in arrivals)
        if count:
            parts.append(f"{count} {how or 'open'}")
    return "associations " + ", ".join(parts)

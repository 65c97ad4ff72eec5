"""Takes from one manager's worklist what we can read, and tells the manager what becomes of it.

In:  workitems there, events that were heard, copies here.   Out: claims, copies, progress, outputs and final states.
A claim is written before the manager is asked; a crash anywhere asks, copies or tells again, and comes to the same,
since each step looks at both sides first. One thread per manager, which shares the peer's circuit with who delivers.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from threading import Event

from pydicom import Dataset
from pydicom.uid import generate_uid

from node.config import Settings
from node.dicom.header import DAMAGE
from node.dicom.model_values import find_values
from node.errors import PeerRefused, PeerUnreachable, WorkitemRefused
from node.ledger import Ledger
from node.model.uid import derive_uid
from node.model.workitem import FINAL_STEPS, SCOPES, Report, StepState, Workitem
from node.outbound.breaker import Breaker
from node.outbound.performing import copy
from node.outbound.performing.board import Board, Model
from node.rounds import keep_going
from node.worklist import Worklist
from node.worklist.claims import Claim, ClaimStage, Heard
from node.worklist.guard import find_first, find_route, is_ours
from node.worklist.of_job import state_wait

log = logging.getLogger(__name__)

TICK = 0.5
NEVER = float("inf")
PACE = 2.0
"""Seconds between two words on progress; a last word waits for nothing."""

SCHEDULED, IN_PROGRESS = StepState.SCHEDULED, StepState.IN_PROGRESS
CODE, LABEL = "00404018", "00741202"

OpenBoard = Callable[[], AbstractContextManager[Board]]


class Performer:
    """Serves the peer `name`. open_board: the wire to it, for one round."""

    def __init__(
        self, name: str, settings: Settings, ledger: Ledger, worklist: Worklist, open_board: OpenBoard
    ) -> None:
        self._name = name
        self._settings, self._worklist = settings, worklist
        self._rules = settings.peers[name].perform
        self._first = 0.0 if settings.peers[name].reports else NEVER
        self._subscribe_at = self._first
        self._breaker = Breaker(name, settings.deliver, ledger)
        self._open_board = open_board
        self._search_at = self._look_at = self._tell_at = 0.0
        self._is_more = False

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"performing for {self._name}", self.tick, TICK, stop)

    def tick(self, now: float) -> None:
        """One round at `now` (epoch seconds); the manager is left alone where there is nothing to say or to ask."""
        waiting = self._sift(now)
        if not (waiting or self._is_due(now)) or not self._breaker.is_due(now) or not self._breaker.claim(now):
            return
        try:
            with self._open_board() as board:
                self._go_round(board, waiting, now)
            self._breaker.succeed("reached")
        except PeerUnreachable as error:
            # It may have lost our subscription with what else it lost.
            self._subscribe_at = self._first
            self._breaker.fail(str(error))

    def _is_due(self, now: float) -> bool:
        if any(self._is_time(at, now) for at in (self._search_at, self._look_at, self._subscribe_at)):
            return True
        if self._is_more and self._find_room():
            return True
        return any(claim.stage == ClaimStage.ASKED or self._owes(claim, now) for claim in self._find_open())

    def _is_time(self, at: float, now: float) -> bool:
        """`at` has come, or lies further ahead than anything waits: then the clock was set back."""
        return at <= now or self._rules.every.total_seconds() + 1 < at - now < NEVER

    def _go_round(self, board: Board, waiting: list[Heard], now: float) -> None:
        """What is ours first: a claim of which we do not know whether it was granted comes before any new one."""
        if self._is_time(self._subscribe_at, now):
            self._subscribe(board, now)
        is_look = self._is_time(self._look_at, now)
        for claim in self._find_open():
            self._go_on(board, claim, is_look, now)
        if is_look:
            self._look_at = now + self._rules.every.total_seconds()
        self._tell_at = now + min(PACE, self._rules.every.total_seconds())
        for heard in waiting:
            with self._going_on(f"an event of workitem {heard.workitem_uid}"):
                self._act_on(board, heard, now)
            self._worklist.settle_heard([heard.number])
        if self._is_time(self._search_at, now) or (self._is_more and self._find_room()):
            self._is_more, self._search_at = False, now + self._rules.every.total_seconds()
            with self._going_on("the search"):
                for model in board.search(self._rules.label, self._rules.station):
                    with self._going_on("a workitem that was found"):
                        self._consider(board, model, now)

    def _subscribe(self, board: Board, now: float) -> None:
        """Of what there was before nothing is told: it is searched for."""
        self._subscribe_at, self._search_at = now + self._rules.every.total_seconds(), now
        with self._going_on("the subscription"):
            board.subscribe(self._rules.label, self._rules.station)
            self._subscribe_at = NEVER

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """What is refused, or makes no sense, holds up nothing else."""
        try:
            yield
        except PeerRefused as refusal:
            log.warning("%s: %s", what, refusal)
        except DAMAGE as error:
            log.warning("%s says %s, which cannot be read (%s)", self._name, what, type(error).__name__)

    def _find_open(self) -> list[Claim]:
        return [claim for claim in self._worklist.find_claims(self._name) if claim.stage != ClaimStage.OVER]

    def _find_room(self) -> int:
        return max(self._rules.at_once - len(self._find_open()), 0)

    # What is new

    def _consider(self, board: Board, model: Model, now: float) -> None:
        """Claims what is for us, where there is room for it; `_is_more` says that something was left for later."""
        uid = find_first(model, "00080018")
        if not uid or self._worklist.find_claims(self._name, uid):
            return
        whole: Model | None = model
        if CODE not in model and LABEL not in model:  # a manager that does not tell what it was asked for
            whole = board.find(uid)
        if whole is None or not self._is_wanted(whole):
            return
        if not self._find_room():
            self._is_more = True
            return
        copy_uid = derive_uid("claimed", self._name, uid)
        claim = Claim(self._name, uid, generate_uid(), copy_uid, ClaimStage.ASKED, "", now)
        if self._worklist.add_claim(claim):
            self._ask_for(board, claim, now, is_new=True)

    def _is_wanted(self, model: Model) -> bool:
        """The claim guard, and what the peer's configuration asks for beside it: not all managers filter."""
        rules, title = self._rules, self._settings.node.ae_title
        stations = find_values(model, ["00404025", "00080100"])
        fits = rules.label in {"", find_first(model, LABEL)} and (not rules.station or rules.station in stations)
        is_open = find_first(model, "00741000") == SCHEDULED
        # The station for which the configuration asks is another name of ours.
        return fits and is_open and is_ours(model, title, rules.station) and bool(find_route(model, self._settings))

    def _sift(self, now: float) -> list[Heard]:
        """Acts on events that need no word with the manager; those that do are left."""
        left = []
        for heard in self._worklist.find_heard(self._name):
            with self._going_on(f"an event of workitem {heard.workitem_uid}"):
                if self._must_ask(heard, now):
                    left.append(heard)
                    continue
            self._worklist.settle_heard([heard.number])
        return left

    def _must_ask(self, heard: Heard, now: float) -> bool:
        if heard.workitem_uid in SCOPES or heard.report == Report.SCP_STATUS:
            self._search_at, self._subscribe_at = now, self._first
            return False
        claim = next(iter(self._worklist.find_claims(self._name, heard.workitem_uid)), None)
        if heard.report == Report.CANCEL_REQUESTED:
            if claim is not None and claim.stage != ClaimStage.OVER and self._find_copy(claim) is None:
                return True  # it is known in a moment whether it is ours
            if claim is not None:
                self._cancel(claim, Dataset.from_json(heard.model), now)
            return False
        state = find_first(json.loads(heard.model), "00741000")
        if claim is not None:
            return state in FINAL_STEPS and claim.stage == ClaimStage.HELD
        return heard.report in {Report.STATE, Report.ASSIGNED} and state in {"", SCHEDULED}

    def _act_on(self, board: Board, heard: Heard, now: float) -> None:
        """On one that `_sift` left."""
        claim = next(iter(self._worklist.find_claims(self._name, heard.workitem_uid)), None)
        if claim is None:
            if heard.report != Report.CANCEL_REQUESTED and (model := board.find(heard.workitem_uid)):
                self._consider(board, {**model, "00080018": {"vr": "UI", "Value": [heard.workitem_uid]}}, now)
        elif heard.report == Report.CANCEL_REQUESTED:
            self._cancel(claim, Dataset.from_json(heard.model), now)
        elif claim.stage == ClaimStage.HELD:
            self._look(board, claim, now)

    # What is ours

    def _go_on(self, board: Board, claim: Claim, is_look: bool, now: float) -> None:
        if claim.stage == ClaimStage.ASKED:
            self._ask_for(board, claim, now, is_new=False)
            return
        try:
            item = self._find_copy(claim) or self._make_copy(board, claim, now)
            if item is not None and (not is_look or self._look(board, claim, now)):
                self._follow(board, claim, item, now)
        except PeerRefused as refusal:
            log.warning("workitem %s: %s", claim.uid, refusal)
            self._settle(board, claim, now)

    def _ask_for(self, board: Board, claim: Claim, now: float, *, is_new: bool) -> None:
        """Change State IN PROGRESS. One that was asked for before may be ours though the answer was lost: that the
        manager takes our Transaction UID says so."""
        try:
            board.change_state(claim.uid, IN_PROGRESS, claim.lock)
        except PeerRefused as refusal:
            if is_new or not self._is_held(board, claim):
                log.info("workitem %s of %s is not ours: %s", claim.uid, self._name, refusal)
                self._cancel(claim, copy.make_reason("the manager gave it to another", copy.UNSPECIFIED), now)
                self._worklist.remove_claim(claim)
                return
        held = replace(claim, stage=ClaimStage.HELD)
        self._worklist.put_claim(held)
        log.info("workitem %s of %s is claimed", claim.uid, self._name)
        self._go_on(board, held, False, now)

    def _is_held(self, board: Board, claim: Claim) -> bool:
        try:
            board.update(claim.uid, state_wait("claimed"), claim.lock)
        except PeerRefused:
            return False
        return True

    def _find_copy(self, claim: Claim) -> Workitem | None:
        with suppress(WorkitemRefused):
            return self._worklist.get(claim.copy_uid)
        return None

    def _make_copy(self, board: Board, claim: Claim, now: float) -> Workitem | None:
        """None when the manager has it no more, or it cannot be copied: then it is given back, with the reason."""
        model = board.find(claim.uid)
        if model is None:
            self._end(claim, "the manager does not know it any more", now)
            return None
        try:
            self._worklist.create(copy.to_copy(model, self._settings.node.ae_title, now), now, claim.copy_uid)
        except (WorkitemRefused, *DAMAGE) as error:
            text = str(error) if isinstance(error, WorkitemRefused) else f"a value cannot be read: {error!r:.60}"
            board.update(claim.uid, copy.refuse(text, copy.UNSPECIFIED, now), claim.lock)
            board.change_state(claim.uid, StepState.CANCELED, claim.lock)
            self._end(claim, text, now)
            return None
        return self._worklist.get(claim.copy_uid)

    def _owes(self, claim: Claim, now: float) -> bool:
        """There is something that the manager was not told."""
        item = self._find_copy(claim)
        if item is None or item.state in FINAL_STEPS or self._is_stale(claim, item, now):
            return True
        said = copy.dump(copy.read_progress(json.loads(item.model)))
        return self._is_time(self._tell_at, now) and said not in {"{}", claim.told}

    def _is_stale(self, claim: Claim, item: Workitem, now: float) -> bool:
        """Nobody brought its images, or its route is gone: it is not held for ever."""
        patience = self._settings.completeness.give_up.total_seconds()
        return item.state == SCHEDULED and now > claim.at + patience and not self._worklist.is_linked(item.uid)

    def _follow(self, board: Board, claim: Claim, item: Workitem, now: float) -> None:
        if self._is_stale(claim, item, now):
            item = self._give_up(claim, item, now)
        model = json.loads(item.model)
        if item.state in FINAL_STEPS:
            board.update(claim.uid, copy.read_end(model), claim.lock)
            board.change_state(claim.uid, item.state, claim.lock)
            self._end(claim, str(item.state), now)
            return
        progress = copy.read_progress(model)
        if (said := copy.dump(progress)) not in {"{}", claim.told}:
            told = replace(claim, told=said)
            try:
                board.update(claim.uid, progress, claim.lock)
            except PeerRefused:
                self._worklist.put_claim(told)  # what was refused is not told again
                raise
            self._worklist.put_claim(told)

    def _give_up(self, claim: Claim, item: Workitem, now: float) -> Workitem:
        progress = json.loads(item.model).get("00741002", {}).get("Value") or [{}]
        why = find_first(progress[0], "00741006") or "its images did not come"
        self._cancel(claim, copy.make_reason(f"given up: {why}", copy.TOO_FEW_OBJECTS), now)
        return self._worklist.get(claim.copy_uid)

    def _cancel(self, claim: Claim, request: Dataset, now: float) -> None:
        """The copy is canceled, or its job is asked to; too late for what has ended."""
        if self._find_copy(claim) is None:
            return
        requester = str(request.get("RequestingAE") or self._name)[:16]
        try:
            self._worklist.request_cancel(claim.copy_uid, request, requester, now)
        except WorkitemRefused as refusal:
            log.info("workitem %s of %s cannot be canceled: %s", claim.uid, self._name, refusal)

    def _look(self, board: Board, claim: Claim, now: float) -> bool:
        """Whether the manager still has it IN PROGRESS: who cannot tell us of a request may end it himself."""
        model = board.find(claim.uid)
        state = find_first(model, "00741000") if model is not None else ""
        if state == IN_PROGRESS:
            return True
        if state == SCHEDULED:  # it forgot that we claimed it
            self._worklist.put_claim(replace(claim, stage=ClaimStage.ASKED))
            return False
        text = f"the manager has it {state or 'no more'}"
        self._cancel(claim, copy.make_reason(text, copy.UNSPECIFIED), now)
        self._end(claim, text, now)
        return False

    def _settle(self, board: Board, claim: Claim, now: float) -> None:
        """After a refusal: of a last word that is all that can be said; one of progress holds up nothing."""
        item = self._find_copy(claim)
        if self._look(board, claim, now) and item is not None and item.state in FINAL_STEPS:
            log.error("workitem %s: %s does not take that it is %s", claim.uid, self._name, item.state)
            self._end(claim, "the manager refuses the last word", now)

    def _end(self, claim: Claim, text: str, now: float) -> None:
        self._worklist.put_claim(replace(claim, stage=ClaimStage.OVER))
        log.info("workitem %s of %s is over: %s", claim.uid, self._name, text)

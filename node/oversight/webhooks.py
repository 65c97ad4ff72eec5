"""How each webhook is: whether it is reached, what waits for it, and what was given up."""

from dataclasses import asdict, dataclass

from node.config import Settings
from node.ledger import Ledger
from node.model.webhook import Hook, Told


@dataclass(frozen=True, slots=True)
class HookRow:
    """One webhook. condition: "told", "away", "paused", "new", or "not configured" for one of which the ledger alone
    knows. heard_at: when it last answered; next_at: of the next try while it is away; oldest_at: of the oldest event
    that waits: epoch seconds or None."""

    name: str
    url: str
    condition: str
    answer: str
    heard_at: float | None
    next_at: float | None
    paused_at: float | None
    waiting: int
    sent: int
    dead: int
    oldest_at: float | None

    def to_dict(self) -> dict[str, str | int | float | None]:
        """For JSON."""
        return asdict(self)


def list_hooks(settings: Settings, ledger: Ledger) -> list[HookRow]:
    """By name: those that are configured, and those that are not any more."""
    hooks, counts = ledger.find_hooks(), ledger.count_notices()
    rows = []
    for name in sorted({*settings.webhooks, *hooks}):
        hook, told, rules = hooks.get(name, Hook(name)), counts.get(name, Told()), settings.webhooks.get(name)
        url = rules.url.partition("?")[0] if rules else ""  # some receivers have a secret in the query
        rows.append(
            HookRow(
                name=name,
                url=url,
                condition=_describe(hook) if rules else "not configured",
                answer=hook.answer,
                heard_at=hook.heard_at or None,
                next_at=hook.next_at if hook.failures else None,
                paused_at=hook.paused_at or None,
                waiting=told.waiting,
                sent=told.sent,
                dead=told.dead,
                oldest_at=told.oldest_at,
            )
        )
    return rows


def _describe(hook: Hook) -> str:
    if hook.paused_at:
        return "paused"
    if hook.failures:
        return "away"
    return "told" if hook.heard_at else "new"

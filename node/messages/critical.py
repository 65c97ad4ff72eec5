"""Which findings are critical, by the rules of a site."""

from collections.abc import Iterable

from node.messages.account import Account, Found
from node.sections import Critical
from pipelines.terms import Code


def find_critical(account: Account, rules: Iterable[Critical]) -> tuple[Found, ...]:
    """The findings of `account` that any of `rules` names; none where the algorithm did not run."""
    every = tuple(rules)
    return tuple(found for found in account.findings if any(_meets(found, rule) for rule in every))


def _meets(found: Found, rule: Critical) -> bool:
    if found.absent or found.concept is None or not _is_same(found.concept, rule.finding):
        return False
    if rule.measurement is None:
        return True
    values = [n.value for n in found.numbers if n.value is not None and _is_same(n.concept, rule.measurement)]
    low = float("-inf") if rule.min is None else rule.min
    high = float("inf") if rule.max is None else rule.max
    return any(low <= value <= high for value in values)


def _is_same(one: Code, other: Code) -> bool:
    return (one.value, one.scheme) == (other.value, other.scheme)

"""What somebody may do by the web."""

from enum import StrEnum


class Role(StrEnum):
    """Each may what those before it may: viewers read; operators store, retry and cancel; admins rule over users."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """True when this role may what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)

"""UIDs that we make: derived from what they name, so that a rerun makes the same ones."""

from uuid import UUID, uuid5

NAMESPACE = UUID("5f3b3f0a-55ad-5c2f-9e0b-6f2a64d1c7e5")
"""Root of every derived uid. Never change it: the PACS would take reruns for new objects."""


def derive_key(*parts: str) -> str:
    """32 hex characters derived from `parts`, the same for the same parts."""
    return uuid5(NAMESPACE, "\x1f".join(parts)).hex


def derive_uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5 B.2) derived from `parts`, the same for the same parts; at most 44 characters."""
    return f"2.25.{int(derive_key(*parts), 16)}"

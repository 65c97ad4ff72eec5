"""How much there is of everything: counted by the database, however much it is."""

from typing import Protocol

from sqlalchemy import Column, Engine, func, select

from node.ledger import tables as t


class Counts(Protocol):
    """The part of the ledger's port that counts, for metrics."""

    def count_jobs_by(self) -> dict[tuple[str, str], int]:
        """Jobs by (pipeline, state)."""
        ...

    def count_deliveries_by(self) -> dict[tuple[str, str], int]:
        """Result objects at destinations by (destination, state)."""
        ...

    def count_studies_by(self) -> dict[str, int]:
        """Studies by state."""
        ...

    def count_quarantined(self) -> int:
        """Refused bytes that are kept."""
        ...


class CountLedger:
    """The part of `SqlLedger` that counts."""

    _reader: Engine

    def count_jobs_by(self) -> dict[tuple[str, str], int]:
        """See Counts."""
        return {(str(a), str(b)): n for (a, b), n in self._count(t.job.c.pipeline, t.job.c.state).items()}

    def count_deliveries_by(self) -> dict[tuple[str, str], int]:
        """See Counts."""
        return {(str(a), str(b)): n for (a, b), n in self._count(t.delivery.c.destination, t.delivery.c.state).items()}

    def count_studies_by(self) -> dict[str, int]:
        """See Counts."""
        return {str(state): n for (state,), n in self._count(t.study.c.state).items()}

    def count_quarantined(self) -> int:
        """See Counts."""
        with self._reader.connect() as db:
            return int(db.execute(select(func.count()).select_from(t.quarantine)).scalar_one())

    def _count(self, *keys: Column[str]) -> dict[tuple[str, ...], int]:
        with self._reader.connect() as db:
            rows = db.execute(select(*keys, func.count()).group_by(*keys)).all()
        return {tuple(row[:-1]): int(row[-1]) for row in rows}

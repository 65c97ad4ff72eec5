"""Who is the same patient, and what is known of them: beside the orders, in the file of the order book.

When two patient ids turn out to be one person's, the department's system tells which one stays. The orders of the other
follow it, and both are known to be the same from then on, until the time of the images is over.
"""

from dataclasses import dataclass, field

from node.orders.book import OrderBook


@dataclass(frozen=True, slots=True)
class Demographics:
    """What was last said of a patient. name: as PN (PS3.5 6.2). birth_date: YYYYMMDD or "". sex: M, F, O or "". at:
    when it was said, seconds since the epoch, UTC. Nothing of it is shown where the object is printed."""

    id: str = field(repr=False)
    name: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    at: float


class PatientBook:
    """The patients in the file of `book`. For many threads and processes."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    def merge(self, old: str, survivor: str, at: float) -> None:
        """From now on `old` is `survivor`, as are those that were merged into `old`; their orders are the survivor's.
        Kept when this returns. Merging two the other way round later turns it about."""
        if old == survivor:
            return
        with self._book._write() as db:
            db.execute("DELETE FROM merged WHERE id = ?", (survivor,))
            db.execute("UPDATE merged SET survivor = ? WHERE survivor = ?", (survivor, old))
            db.execute(
                "INSERT INTO merged VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET survivor = excluded.survivor, at = excluded.at",
                (old, survivor, at),
            )
            db.execute(
                "UPDATE orders SET fields = json_set(fields, '$.patient_id', ?)"
                " WHERE json_extract(fields, '$.patient_id') = ?",
                (survivor, old),
            )

    def find_ids(self, patient_id: str) -> tuple[str, ...]:
        """Every id of the same patient, the one that stays first; `patient_id` alone where nothing was merged."""
        row = self._book._connection.execute("SELECT survivor FROM merged WHERE id = ?", (patient_id,)).fetchone()
        survivor = row[0] if row else patient_id
        rows = self._book._connection.execute("SELECT id FROM merged WHERE survivor = ? ORDER BY id", (survivor,))
        return (survivor, *(one[0] for one in rows))

    def keep(self, patient: Demographics) -> None:
        """Kept when this returns, in place of what was said before."""
        row = (patient.id, patient.name, patient.birth_date, patient.sex, patient.at)
        with self._book._write() as db:
            db.execute(
                "INSERT INTO patients VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name,"
                " birth_date = excluded.birth_date, sex = excluded.sex, at = excluded.at"
                " WHERE excluded.at >= patients.at",
                row,
            )

    def find(self, patient_id: str) -> Demographics | None:
        """What was last said of the patient, under whichever id."""
        ids = self.find_ids(patient_id)
        marks = ", ".join("?" for _ in ids)
        row = self._book._connection.execute(
            f"SELECT id, name, birth_date, sex, at FROM patients WHERE id IN ({marks}) ORDER BY at DESC LIMIT 1",  # noqa: S608
            ids,
        ).fetchone()
        return Demographics(*row) if row else None

    def forget(self, before: float) -> None:
        """Removes what was said before then (epoch seconds)."""
        with self._book._write() as db:
            db.execute("DELETE FROM merged WHERE at < ?", (before,))
            db.execute("DELETE FROM patients WHERE at < ?", (before,))

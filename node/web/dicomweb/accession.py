"""Studies by accession number: from the index of DICOMweb, which knows an image some seconds after it came."""

import sqlite3
from contextlib import closing
from pathlib import Path

FEW = 50
"""Studies of one number that are shown."""


def find_by_accession(db: sqlite3.Connection, number: str) -> list[str]:
    """Study Instance UIDs, the newest study first; none for no number. Spaces around it count for nothing."""
    query = "SELECT study_uid FROM study WHERE accession_number = ? ORDER BY study_date DESC, study_time DESC LIMIT ?"
    return [row[0] for row in db.execute(query, (number.strip(), FEW))] if number.strip() else []


def ask_index(home: Path, number: str) -> list[str]:
    """The same beside a web role that may be writing; none where no web role ever ran."""
    place = home / "web.sqlite"
    if not place.exists():
        return []
    with closing(sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)) as db:
        return find_by_accession(db, number)

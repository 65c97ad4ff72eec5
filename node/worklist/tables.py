"""The worklist's tables, in a file of their own: workitems hold attributes of patients, which the ledger never does."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

workitem = Table(
    "workitem",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("transaction_uid", String(64), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("priority", String(16), nullable=False),
    Column("label", Text, nullable=False),
    Column("worklist_label", Text, nullable=False),
    Column("readiness", String(16), nullable=False),
    Column("start", String(32), nullable=False),
    Column("station", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("patient_name", Text, nullable=False),
    Column("accession", Text, nullable=False),
    Column("lean", Text, nullable=False, server_default=""),
    Column("model", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("cancel_asked_at", Float),
    Column("deleted_at", Float),
    Index("workitem_in_turn", "rank", "start", "uid", "deleted_at"),
    Index("workitem_by_state", "state", "rank", "start", "uid"),
    Index("workitem_by_patient", "patient_id"),
    Index("workitem_by_study", "study_uid"),
    Index("workitem_by_end", "ended_at"),
    *(Index(f"workitem_by_{column}", column, "uid") for column in ("patient_name", "accession", "label", "lean")),
)
"""model: DICOM JSON, "" of one that was deleted. The columns between state and model repeat what it says, to search;
lean: what no column says, without the long lists; "" of one that an older version wrote. The last indexes are read from
end to end, which is a tenth of reading the rows."""

subscription = Table(
    "subscription",
    metadata,
    Column("workitem_uid", String(64), primary_key=True),
    Column("subscriber", String(64), primary_key=True),
    Column("lock", Boolean, nullable=False),
    Column("scope", String(64), nullable=False),
    Index("subscription_by_subscriber", "subscriber"),
)
"""scope: the global subscription that it comes from, "" for one to this workitem itself."""

standing = Table(
    "standing",
    metadata,
    Column("subscriber", String(64), primary_key=True),
    Column("scope", String(64), primary_key=True),
    Column("lock", Boolean, nullable=False),
    Column("keys", Text, nullable=False),
)
"""Global subscriptions. keys: of a filtered one, [[path, text], ...] as JSON."""

event = Table(
    "event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("workitem_uid", String(64), nullable=False),
    Column("report", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
    sqlite_autoincrement=True,
)

notice = Table(
    "notice",
    metadata,
    Column("subscriber", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Index("notice_by_event", "number"),
)
"""Who has not been told of which event yet."""

link = Table(
    "link",
    metadata,
    Column("workitem_uid", String(64), primary_key=True),
    Column("job_id", String(32), nullable=False, index=True),
    Column("lock", String(64), nullable=False),
    Column("turn", Integer, nullable=False),
    Column("priority", String(16), nullable=False),
    Column("is_ended", Boolean, nullable=False),
)
"""Which workitem speaks of which job of the ledger."""

claim = Table(
    "claim",
    metadata,
    Column("peer", String(64), primary_key=True),
    Column("uid", String(64), primary_key=True),
    Column("lock", String(64), nullable=False),
    Column("copy_uid", String(64), nullable=False, index=True),
    Column("stage", String(8), nullable=False),
    Column("told", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""Workitems of other managers that we claim. told: the progress that the manager was told last, as DICOM JSON."""

heard = Table(
    "heard",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("peer", String(64), nullable=False, index=True),
    Column("workitem_uid", String(64), nullable=False),
    Column("report", Integer, nullable=False),
    Column("model", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Events of other managers that we have not acted on yet."""

bookmark = Table("bookmark", metadata, Column("number", Integer, primary_key=True))
"""Up to which line of the ledger's history workitems have followed."""

"""The ledger's tables. Uids, hashes and times only: no patient attribute is ever a column."""

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

from node.model.delivery import Kind
from node.model.job import Late

metadata = MetaData()

association = Table(
    "association",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("listener", String(64), nullable=False),
    Column("caller", String(16), nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("how", String(16), nullable=False, default=""),
)

association_study = Table(
    "association_study",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("association_id", String(36), primary_key=True),
)

door = Table(
    "door",
    metadata,
    Column("what", String(40), primary_key=True),
    Column("number", Integer, nullable=False),
)

instance = Table(
    "instance",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("path", String(200), nullable=False),
    Column("is_image", Boolean, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("expired_at", Float),
    Index("instance_by_study", "study_uid", "series_uid"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("path", String(200), primary_key=True),
    Column("at", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("caller", String(16), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
)

commitment = Table(
    "commitment",
    metadata,
    Column("transaction_uid", String(64), primary_key=True),
    Column("caller", String(16), nullable=False, index=True),
    Column("references", JSON, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
)

study = Table(
    "study",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("state", String(12), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("evidence", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("waits", Text, nullable=False, server_default=""),
    Column("patient", String(32), nullable=False, server_default=""),
    Index("study_by_time", "last_at", "study_uid"),
    Index("study_by_patient", "patient", "last_at", "study_uid"),
)

expectation = Table(
    "expectation",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("number", Integer),
    Column("answer", Text, nullable=False),
    Column("mark", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("series", JSON, nullable=False, server_default="[]"),
)

announced = Table(
    "announced",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("notification_uid", String(64), nullable=False, index=True),
    Column("at", Float, nullable=False, index=True),
)

job = Table(
    "job",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("series_uids", JSON, nullable=False),
    Column("route", String(200), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("deliver", JSON, nullable=False),
    Column("priority", String(12), nullable=False),
    Column("lane", String(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("token", String(32), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("rung_at", Float, nullable=False, default=0.0),
    Column("priors", JSON, nullable=False, server_default="[]"),
    Column("gathering", String(8), nullable=False, server_default=""),
    Column("ready_at", Float, nullable=False, server_default="0"),
    Column("late", String(8), nullable=False, server_default=Late.REPLACE),
    Column("after", String(32), nullable=False, server_default=""),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("inputs", String(32), nullable=False, server_default=""),
    Column("superseded_by", String(32), nullable=False, server_default=""),
    Column("tell", JSON, nullable=False, server_default="[]"),
    Index("job_by_time", "created_at", "id"),
    *(Index(f"job_by_{column}", column, "created_at", "id") for column in ("state", "pipeline", "route")),
    Column("progress", Float, nullable=False, server_default="0"),
    Column("activity", String(40), nullable=False, server_default=""),
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("lanes", JSON, nullable=False),
    Column("device", String(40), nullable=False),
    Column("models", JSON, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("reserved_mb", Float, nullable=False),
    Column("job_id", String(32), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("beat_s", Float, nullable=False),
)

asking = Table(
    "asking",
    metadata,
    Column("study_uid", String(64), primary_key=True),
    Column("job_id", String(32), primary_key=True),
    Column("caller", String(16), nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("until", Float, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(32), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("state", String(12), nullable=False),
    Column("station", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("seconds", JSON, nullable=False),
)

result_object = Table(
    "result_object",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("job_id", String(32), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("path", String(200), nullable=False),
    Column("kind", String(16), nullable=False, server_default=Kind.REPORT),
    Column("substitute", String(64), nullable=False, server_default=""),
    Column("series_uid", String(64), nullable=False, server_default=""),
    Column("frame_of_reference_uid", String(64), nullable=False, server_default=""),
)

delivery = Table(
    "delivery",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("job_id", String(32), nullable=False, index=True),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False),
    Column("answer", Text, nullable=False, default=""),
    Column("transaction_uid", String(64), nullable=False, default="", index=True),
    Column("asked_at", Float, nullable=False, default=0.0),
    Column("made_at", Float, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("asks", Integer, nullable=False, server_default="0"),
    Index("delivery_due", "state", "destination", "next_at"),
)

notice = Table(
    "notice",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("job_id", String(32), nullable=False, index=True),
    Column("peer", String(64), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("notice_due", "peer", "next_at"),
)

commit_request = Table(
    "commit_request",
    metadata,
    Column("transaction_uid", String(64), primary_key=True),
    Column("destination", String(64), primary_key=True),
    Column("sop_instance_uid", String(64), primary_key=True),
    Index("commit_request_by_delivery", "destination", "sop_instance_uid"),
)

circuit = Table(
    "circuit",
    metadata,
    Column("peer", String(64), primary_key=True),
    Column("failures", Integer, nullable=False, default=0),
    Column("opened_at", Float, nullable=False, default=0.0),
    Column("next_at", Float, nullable=False, default=0.0),
    Column("heard_at", Float, nullable=False, default=0.0),
    Column("answer", Text, nullable=False, default=""),
)

message = Table(
    "message",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("job_id", String(32), primary_key=True),
    Column("subject", String(12), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("answer", Text, nullable=False),
    Column("control_id", String(20), nullable=False),
    Column("told", String(20), nullable=False),
    Index("message_by_job", "job_id"),
    Index("message_due", "state", "destination", "next_at"),
)

task_teller = Table(
    "task_teller",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("after", Integer, nullable=False),
)
"""Up to which line of the history each receiver of tasks has been served."""

hook = Table(
    "hook",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("after", Integer, nullable=False),
    Column("paused_at", Float, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("heard_at", Float, nullable=False),
    Column("answer", Text, nullable=False),
)

hook_notice = Table(
    "hook_notice",
    metadata,
    Column("hook", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("job_id", String(32), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("job_state", String(12), nullable=False),
    Column("station", String(32), nullable=False),
    Column("code", String(40), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("route", String(200), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("answer", Text, nullable=False),
    Index("hook_notice_due", "hook", "state", "job_id", "number"),
)

submission = Table(
    "submission",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("peer", String(64), nullable=False),
    Column("route", String(200), nullable=False),
    Column("pipeline", String(200), nullable=False),
    Column("state", String(8), nullable=False, index=True),
    Column("asked_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("answer", Text, nullable=False),
    Column("jobs", JSON, nullable=False),
)

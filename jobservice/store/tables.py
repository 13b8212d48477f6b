"""The tables.  ``docs/architecture.md`` says what each is for."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from jobservice.domain.job import NAME_MAX_CHARS, PATH_MAX_CHARS, SCHEDULE_MAX_CHARS
from jobservice.store.types import Definition, Id, Instant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_WORD = String(20)
_NAME = String(NAME_MAX_CHARS)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("path", String(PATH_MAX_CHARS), nullable=False, unique=True),
    Column("schedule", String(SCHEDULE_MAX_CHARS), nullable=False),
    Column("run_once", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("time_limit_s", Integer, nullable=False),
    Column("memory_limit_mib", Integer, nullable=False),
    Column("isolation", _WORD, nullable=False),
    Column("overlap", _WORD, nullable=False),
    Column("misfire", _WORD, nullable=False),
    Column("misfire_grace_s", Integer, nullable=False),
    Column("repeat_after_crash", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("waiting", Boolean, nullable=False, comment="edited since the last reload"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", _NAME, nullable=False),
    # SQLite would give the id of a deleted job to the next one, and with it what is left of its history.
    sqlite_autoincrement=True,
)
Index("ix_job_waiting", job.c.id, sqlite_where=text("waiting"), postgresql_where=text("waiting"))

job_state = Table(
    "job_state",
    metadata,
    Column("job_id", Id, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("loaded", Definition, comment="the definition in force"),
    Column("status", _WORD, nullable=False),
    Column("next_fire_at", Instant),
    Column("began_at", Instant, comment="when it was loaded first, or revived"),
    Column("anchor_at", Instant, comment="the last planned fire time, or else began_at"),
    Column("ran_once_in_boot", Integer),
    Column("last_run_id", Id),
    Column("last_started_at", Instant),
    Column("last_outcome", _WORD),
    Column("last_error", JSON(none_as_null=True)),
    Column("last_error_at", Instant),
)
Index(
    "ix_job_state_next_fire_at",
    job_state.c.next_fire_at,
    sqlite_where=job_state.c.next_fire_at.is_not(None),
    postgresql_where=job_state.c.next_fire_at.is_not(None),
)

script = Table(
    "script",
    metadata,
    Column("id", Id, primary_key=True),
    Column("path", String(PATH_MAX_CHARS), nullable=False, unique=True),
    Column("revision", Integer, nullable=False, comment="number of the newest revision"),
)

script_revision = Table(
    "script_revision",
    metadata,
    Column("script_id", Id, ForeignKey("script.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("author", _NAME, nullable=False),
    Column("saved_at", Instant, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", Id, primary_key=True),
    # No foreign key: a deleted job's history is removed in small batches, off the request.
    Column("job_id", Id, nullable=False),
    Column("fire_time", Instant, nullable=False),
    Column("first_fire_time", Instant, nullable=False),
    Column("fire_count", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("cause", _WORD, nullable=False),
    Column("state", _WORD, nullable=False),
    Column("outcome", _WORD),
    Column("note", Text, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("path", String(PATH_MAX_CHARS), nullable=False),
    Column("revision", Integer),
    Column("asked_by", _NAME, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("node_id", Id),
    Column("fence", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    UniqueConstraint("job_id", "fire_time", "attempt"),
    # A service still holds the id of a run that was taken back; no other run may have it.
    sqlite_autoincrement=True,
)
Index("ix_run_job_id_id", run.c.job_id, run.c.id)
_UNFINISHED = text("state <> 'finished'")
Index("ix_run_unfinished", run.c.state, run.c.job_id, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)

run_output = Table(
    "run_output",
    metadata,
    Column("run_id", Id, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("text", Text, nullable=False),
)

deleted_job = Table(
    "deleted_job",
    metadata,
    Column("job_id", Id, primary_key=True, autoincrement=False, comment="its history is still to be removed"),
)

node = Table(
    "node",
    metadata,
    Column("id", Id, primary_key=True),
    Column("boot", Integer, nullable=False),
    Column("hostname", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_space", String(64), nullable=False, comment="where the pid means something"),
    Column("release", _WORD, nullable=False),
    Column("state", _WORD, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heartbeat_at", Instant, nullable=False),
    Column("lease_expires_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("last_reload_at", Instant),
    Column("missing_hardening", JSON, nullable=False),
)

request = Table(
    "request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", _WORD, nullable=False),
    Column("asked_by", _NAME, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("node_id", Id),
    Column("handled_at", Instant),
)
_UNHANDLED = text("handled_at IS NULL")
Index("ix_request_unhandled", request.c.id, sqlite_where=_UNHANDLED, postgresql_where=_UNHANDLED)

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("role", _WORD, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

login_session = Table(
    "login_session",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("account_id", Id, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(300), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("detail", JSON, nullable=False),
)

setting = Table(
    "setting",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

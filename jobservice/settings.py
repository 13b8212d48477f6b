"""Settings: read once from the environment, checked together, never changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobservice.domain.errors import SettingsError

PREFIX = "MOONTIDE_"

_SECRET = frozenset({"DATABASE_URL"})
"""Settings whose value may hold a password, so that messages never repeat it."""

_HIGHEST_PORT = 65_535

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator can set.

    Each field is the environment variable ``MOONTIDE_`` + its name in upper
    case; ``docs/settings.md`` explains them.
    """

    data_dir: Path
    database_url: str = field(repr=False)
    bind_host: str = "127.0.0.1"
    bind_port: int = 8420
    public_url: str | None = None
    trusted_proxies: int = 0
    secure_cookies: bool = False
    session_idle_minutes: int = 480
    session_absolute_hours: int = 168
    timezone: ZoneInfo
    apply_changes_at_once: bool = False
    lua_workers: int
    lua_workers_max: int = 16
    stop_grace_seconds: int = 10
    history_days: int = 30
    history_runs_per_job: int = 10_000
    log_level: str = "INFO"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is the embedded one."""
        return self.database_url.startswith("sqlite")

    @property
    def is_loopback_only(self) -> bool:
        """Whether the console listens on this machine alone."""
        return self.bind_host == "localhost" or ip_address(self.bind_host).is_loopback

    @property
    def stop_grace(self) -> timedelta:
        """How long a stopping service waits for what runs."""
        return timedelta(seconds=self.stop_grace_seconds)

    @property
    def control_socket(self) -> Path:
        """Where the service on this machine is woken."""
        return self.data_dir / "service.sock"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read and check every setting.

        :param environ: the variables; None for the process's own.
        :raises SettingsError: with all problems, each naming its variable,
            its value and what is allowed.
        """
        reader = _Reader(os.environ if environ is None else environ)
        data_dir = reader.value("DATA_DIR", _directory, default=Path("var"))
        values: dict[str, Any] = {
            "data_dir": data_dir,
            "database_url": reader.value("DATABASE_URL", _database_url, default=f"sqlite:///{data_dir}/moontide.db"),
            "bind_host": reader.value("BIND_HOST", _host, default="127.0.0.1"),
            "bind_port": reader.value("BIND_PORT", _whole(1, _HIGHEST_PORT), default=8420),
            "public_url": reader.value("PUBLIC_URL", _http_url, default=None),
            "trusted_proxies": reader.value("TRUSTED_PROXIES", _whole(0, 10), default=0),
            "secure_cookies": reader.value("SECURE_COOKIES", _boolean, default=False),
            "session_idle_minutes": reader.value("SESSION_IDLE_MINUTES", _whole(1, 43_200), default=480),
            "session_absolute_hours": reader.value("SESSION_ABSOLUTE_HOURS", _whole(1, 8_760), default=168),
            "timezone": reader.value("TIMEZONE", _zone, default=None) or _machine_zone(),
            "apply_changes_at_once": reader.value("APPLY_CHANGES_AT_ONCE", _boolean, default=False),
            "lua_workers": reader.value("LUA_WORKERS", _whole(1, 64), default=(os.cpu_count() or 1) + 1),
            "lua_workers_max": reader.value("LUA_WORKERS_MAX", _whole(1, 256), default=16),
            "stop_grace_seconds": reader.value("STOP_GRACE_SECONDS", _whole(0, 3_600), default=10),
            "history_days": reader.value("HISTORY_DAYS", _whole(1, 3_650), default=30),
            "history_runs_per_job": reader.value("HISTORY_RUNS_PER_JOB", _whole(10, 10_000_000), default=10_000),
            "log_level": reader.value("LOG_LEVEL", _log_level, default="INFO"),
        }
        if values["lua_workers_max"] < values["lua_workers"]:
            if "LUA_WORKERS_MAX" in reader.given:
                reader.problems.append(
                    f"{PREFIX}LUA_WORKERS_MAX is {values['lua_workers_max']}: it must be at least "
                    f"{PREFIX}LUA_WORKERS, which is {values['lua_workers']}."
                )
            values["lua_workers_max"] = values["lua_workers"]
        reader.refuse_unknown({known.name.upper() for known in fields(cls)})
        if reader.problems:
            raise SettingsError(reader.problems)
        return cls(**values)


class _Reader:
    """Reads variables and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.given: set[str] = set()

    def value(self, name: str, parse: Callable[[str], T], *, default: T | None) -> T | None:
        """Return ``MOONTIDE_<name>`` parsed, or the content of the file that ``MOONTIDE_<name>_FILE`` names."""
        text = self._text(name)
        if text is None:
            return default
        self.given.add(name)
        try:
            return parse(text)
        except ValueError as error:
            shown = "not understood" if name in _SECRET else repr(text)
            self.problems.append(f"{PREFIX}{name} is {shown}: {error}")
            return default

    def _text(self, name: str) -> str | None:
        text = self._environ.get(PREFIX + name)
        file = self._environ.get(f"{PREFIX}{name}_FILE")
        if text is not None or file is None:
            return text
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{PREFIX}{name}_FILE is {file!r}: the file cannot be read ({error}).")
            return None

    def refuse_unknown(self, known: set[str]) -> None:
        for variable in sorted(self._environ):
            name = variable.removeprefix(PREFIX)
            if variable.startswith(PREFIX) and name not in known and name.removesuffix("_FILE") not in known:
                self.problems.append(f"{variable} is not a setting. docs/settings.md lists them all.")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"enter a whole number from {low} to {high:,}.")
        return number

    return parse


def _boolean(text: str) -> bool:
    answers = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return answers[text.strip().lower()]
    except KeyError:
        raise ValueError("enter true or false.") from None


def _directory(text: str) -> Path:
    if not text.strip():
        raise ValueError("enter the path of a folder.")
    return Path(text).expanduser()


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and scheme in {"postgresql", "postgresql+psycopg"} and rest and _has_sound_port(rest):
        return f"postgresql+psycopg://{rest}"
    if separator and scheme == "sqlite" and rest.startswith("/") and rest not in {"/", "/:memory:"}:
        return text
    raise ValueError("enter sqlite:///path/to/file.db or postgresql://user:password@host/database.")


def _has_sound_port(rest: str) -> bool:
    """Return whether ``user:password@host:port/database`` has no port, or one that is a number."""
    address = rest.rpartition("@")[2].partition("/")[0]
    _, colon, port = address.rpartition(":")
    if not colon or port.endswith("]"):
        return True
    return port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _HIGHEST_PORT


def _host(text: str) -> str:
    if text == "localhost":
        return text
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("enter an IP address to listen on, such as 127.0.0.1 or 0.0.0.0.") from None


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or not text.partition("://")[2].strip("/"):
        raise ValueError("enter the console's address as people reach it, such as https://jobs.example.org.")
    return text.rstrip("/")


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("enter a zone of the tz database, such as Europe/Vienna or UTC.") from None


def _machine_zone() -> ZoneInfo:
    try:
        target = Path("/etc/localtime").resolve()
        return ZoneInfo(str(target).split("zoneinfo/", 1)[1])
    except (IndexError, ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _log_level(text: str) -> str:
    level = text.strip().upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("enter DEBUG, INFO, WARNING or ERROR.")
    return level

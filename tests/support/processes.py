"""Real processes of Moontide, started and ended by a test."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from webmin.command import cli

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30


def free_port() -> int:
    """Return a loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Moontide:
    """The command line with one set of settings, and the processes started with it."""

    def __init__(self, folder: Path, database_url: str | None = None, **settings: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "MOONTIDE_DATA_DIR": str(folder),
            "MOONTIDE_LUA_WORKERS": "2",
        } | settings
        if database_url is not None:
            self.environment["MOONTIDE_DATABASE_URL"] = database_url
        self._started: list[Process] = []

    def run(self, *arguments: str, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "webmin", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def invoke(self, *arguments: str, stdin: str = "") -> Result:
        """Run one short command to its end in this process, which takes a tenth of the time."""
        return CliRunner().invoke(cli, list(arguments), input=stdin, env=self.environment, prog_name="moontide")

    def start(self, *arguments: str, ready: str, extra: Mapping[str, str] | None = None) -> Process:
        """Start a command that stays, and wait for the line that says it is ready."""
        process = Process([sys.executable, "-m", "webmin", *arguments], self.environment | dict(extra or {}))
        self._started.append(process)
        process.wait_for(ready)
        return process

    def start_service(self) -> Process:
        return self.start("service", "start", ready="The job service runs")

    def start_console(self, port: int) -> Process:
        return self.start("console", ready="The console listens", extra={"MOONTIDE_BIND_PORT": str(port)})

    def end_all(self) -> None:
        """Kill what a test left running."""
        for process in self._started:
            process.kill()


class Process:
    """A running command with its output."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.pid = self._process.pid
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._process.stdout.close()

    @property
    def output(self) -> str:
        with self._news:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = START_TIMEOUT_S) -> str:
        """Wait until a line of the output matches, and return the match."""
        with self._news:
            found = self._news.wait_for(
                lambda: re.search(pattern, "".join(self._lines)) is not None or self._ended, timeout
            )
            match = re.search(pattern, "".join(self._lines))
        assert found, f"no {pattern!r} within {timeout} s in:\n{self.output}"
        assert match is not None, f"it ended without {pattern!r}:\n{self.output}"
        return match.group(0)

    def children(self) -> list[int]:
        """Return the ids of its child processes."""
        text = ""
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                text += " " + (task / "children").read_text(encoding="ascii")
        return [int(pid) for pid in text.split()]

    def signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    def kill(self) -> None:
        """Kill it as kill -9 does, and reap it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=10)
        self._reader.join(timeout=10)

    def stop(self, timeout: float = 30) -> int:
        """Ask it to stop, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=timeout)
        self._reader.join(timeout=10)
        return code

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

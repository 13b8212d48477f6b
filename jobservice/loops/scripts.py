"""Script sources for runs, read once a revision."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from jobservice.store.scripts import ScriptStore, StoredScript

CACHE_LIMIT_CHARS = 16 * 1024 * 1024


class ScriptCache:
    """Serves the newest revision of scripts; safe from any thread.

    A look-up always asks the database which revision is newest, by number
    and digest, so a saved script is used by the next run, and one that was
    deleted and made anew is never taken for the old one.
    """

    def __init__(self, store: ScriptStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, StoredScript] = OrderedDict()
        self._chars = 0

    def read_all(self, paths: Iterable[str]) -> Mapping[str, StoredScript]:
        """Return the newest revision of each path that exists."""
        newest = self._store.newest_revisions(set(paths))
        with self._lock:
            kept = {path: self._kept.get(path) for path in newest}
        found = {
            path: script
            for path, script in kept.items()
            if script is not None and (script.revision, script.sha256) == newest[path]
        }
        if len(found) < len(newest):
            for script in self._store.find_all(newest.keys() - found.keys()):
                self._keep(script)
                found[script.path] = script
        return found

    def read(self, path: str) -> str | None:
        """Return the newest source of one script, or None."""
        found = self.read_all([path]).get(path)
        return None if found is None else found.source

    def _keep(self, script: StoredScript) -> None:
        with self._lock:
            old = self._kept.pop(script.path, None)
            self._chars += len(script.source) - (len(old.source) if old else 0)
            self._kept[script.path] = script
            while self._chars > CACHE_LIMIT_CHARS and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._chars -= len(dropped.source)

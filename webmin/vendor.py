"""Third-party files that ship under ``static/vendor/``, and where else they may come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class VendorFile:
    """One third-party file, unchanged as its package published it.

    :ivar source: its path inside the npm package.
    :ivar file: its path under ``static/vendor/``; it names the version, so
        that a browser may keep it for ever.
    :ivar sha256: hexadecimal, for the test that nobody edited it.
    :ivar sha384: base64, for the browser's ``integrity`` check.
    :ivar module: the bare name under which other modules import it, or None.
    """

    name: str
    version: str
    licence: str
    source: str
    file: str
    sha256: str
    sha384: str
    module: str | None = None

    @property
    def integrity(self) -> str:
        """The value of an ``integrity`` attribute."""
        return f"sha384-{self.sha384}"


@dataclass(frozen=True, slots=True)
class Vendor:
    """All vendored files, as ``manifest.json`` lists them."""

    cdn: str
    files: Sequence[VendorFile]

    @classmethod
    def load(cls, manifest: Path) -> Vendor:
        """Read the manifest.

        :raises OSError: the file cannot be read.
        """
        content = json.loads(manifest.read_text(encoding="utf-8"))
        return cls(cdn=content["cdn"], files=tuple(VendorFile(**entry) for entry in content["files"]))

    def find(self, name: str, source: str) -> VendorFile:
        """Return the file ``source`` of package ``name``.

        :raises KeyError: it is not vendored.
        """
        for file in self.files:
            if (file.name, file.source) == (name, source):
                return file
        raise KeyError(f"{name}/{source}")

    @property
    def modules(self) -> Sequence[VendorFile]:
        """The files that an import map names."""
        return tuple(file for file in self.files if file.module is not None)

    def cdn_url(self, file: VendorFile) -> str:
        """Return the address of exactly this file of exactly this version on the CDN."""
        return f"{self.cdn}/{file.name}@{file.version}/{file.source}"

    def import_map(self, address: Callable[[VendorFile], str]) -> dict[str, Any]:
        """Return an import map, with an ``integrity`` for every address.

        :param address: where a browser gets a file.
        """
        return {
            "imports": {str(file.module): address(file) for file in self.modules},
            "integrity": {address(file): file.integrity for file in self.modules},
        }

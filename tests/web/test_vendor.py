import base64
import hashlib
import re
from pathlib import Path

from webmin.vendor import Vendor

STATIC = Path(__file__).parents[2] / "static"
VENDOR = Vendor.load(STATIC / "vendor" / "manifest.json")


def test_every_vendored_file_is_as_published() -> None:
    for file in VENDOR.files:
        content = (STATIC / "vendor" / file.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.file
        assert base64.b64encode(hashlib.sha384(content).digest()).decode() == file.sha384, file.file
        assert file.version in file.file.split("/")[0]
        assert file.licence


def test_no_file_is_vendored_without_an_entry() -> None:
    listed = {file.file for file in VENDOR.files} | {"manifest.json", "README.md"}
    present = {str(path.relative_to(STATIC / "vendor")) for path in (STATIC / "vendor").rglob("*") if path.is_file()}
    assert {name for name in present if not name.endswith("/LICENSE")} == listed


def test_import_map_names_every_module_that_a_module_imports() -> None:
    known = {str(file.module) for file in VENDOR.modules}
    own = [path.read_text() for path in (STATIC / "js").rglob("*.js")]
    vendored = [(STATIC / "vendor" / file.file).read_text() for file in VENDOR.modules]
    imported = set()
    for text in [*own, *vendored]:
        imported |= set(
            re.findall(r"^(?:import|export)\b[^'\"\n]*?from ['\"]([^.'\"][^'\"]*)['\"]", text, re.MULTILINE)
        )
    assert imported
    assert imported <= known


def test_old_package_of_the_same_name_is_not_used() -> None:
    assert "codemirror" not in {file.name for file in VENDOR.files}

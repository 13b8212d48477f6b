"""Templates hold no script, style or handler of their own: the content security policy would refuse it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


class Inline(HTMLParser):
    """Gathers what would be inline in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "style":
            self._note("a <style> element")
        self._in_script = tag == "script"
        if tag == "script" and "nonce" not in values:
            self._note("a <script> without a nonce")
        for name, value in values.items():
            if name == "style" or (name.startswith("on") and not name.startswith("once")):
                self._note(f"the attribute {name}")
            if name.startswith("hx-on"):
                self._note(f"the handler {name}")
            if (value or "").strip().lower().startswith("javascript:"):
                self._note(f"a javascript: address in {name}")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self._note("an inline script")

    def _note(self, what: str) -> None:
        self.found.append(f"line {self.getpos()[0]}: {what}")


def inline_in(text: str) -> list[str]:
    parser = Inline()
    parser.feed(text)
    parser.close()
    return parser.found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_has_nothing_inline(path: Path):
    assert inline_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_a_template_never_switches_escaping_off(path: Path):
    text = path.read_text(encoding="utf-8")

    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text


@pytest.mark.parametrize(
    "text",
    [
        "<a onclick='x()'>",
        "<p style='color: red'>",
        "<style>p {}</style>",
        "<script>x()</script>",
        "<script nonce='n'>x()</script>",
        "<script src='x.js'></script>",
        "<a href=' JavaScript:x()'>",
        "<div hx-on:click='x()'>",
    ],
)
def test_the_test_finds_what_it_looks_for(text):
    assert inline_in(text) != []

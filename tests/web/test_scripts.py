import json

import pytest

from tests.support.console import Console, Visitor, text_of

JSON = "application/json"


def test_editor_shows_source_revisions_and_jobs(console: Console, admin: Visitor) -> None:
    job_id = console.moontide.add_job("return 1 -- <b>", name="job")
    page = admin.get("/scripts/job.lua")
    assert "return 1 -- &lt;b&gt;" in page.text
    assert "Revisions up to 2" in text_of(page)
    assert f'href="/jobs/{job_id}"' in page.text


def test_first_empty_line_survives(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("\n\nreturn 1", name="job")
    assert ">\n\n\nreturn 1</textarea>" in admin.get("/scripts/job.lua").text


def test_save_without_script_makes_a_revision(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", source="new\r\nlines", revision=2)
    assert "Saved as revision 3." in text_of(admin.follow(answer))
    assert console.moontide.queries.get_script("job.lua").source == "new\nlines"


def test_save_in_the_background_answers_in_json(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", accept=JSON, source="new", revision=2)
    assert answer.json == {"revision": 3, "message": "Saved as revision 3."}


def test_same_text_again_makes_no_revision(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    for _ in range(2):
        answer = admin.post("/scripts/job.lua", accept=JSON, source="old", revision=2)
        assert answer.json is not None
        assert answer.json["revision"] == 2


def test_conflict_keeps_the_text_and_shows_what_is_stored(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    console.moontide.save("job.lua", "theirs")
    answer = admin.post("/scripts/job.lua", source="mine", revision=2)
    assert answer.status_code == 409
    assert "\nmine</textarea>" in answer.text
    assert "\ntheirs</textarea>" in answer.text
    assert console.moontide.queries.get_script("job.lua").source == "theirs"
    assert 'name="revision" type="hidden" value="3"' in answer.text
    assert admin.post("/scripts/job.lua", source="mine", revision=3).status_code == 303


def test_conflict_in_the_background_says_so(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", accept=JSON, source="mine", revision=1)
    assert answer.status_code == 409
    assert answer.json is not None
    assert answer.json["message"]


@pytest.mark.parametrize(
    ("source", "words"),
    [("a\0b", "NUL"), ("x" * (1024 * 1024 + 1), "at most 1 MiB"), ("\x1bLua", "compiled Lua")],
)
def test_unacceptable_source_stays_in_the_editor(console: Console, admin: Visitor, source: str, words: str) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", source=source, revision=2)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert admin.post("/scripts/job.lua", accept=JSON, source=source, revision=2).status_code == 422
    assert console.moontide.queries.get_script("job.lua").source == "old"


def test_new_script_is_made_by_saving(console: Console, admin: Visitor) -> None:
    assert "Nothing is stored under this path yet." in text_of(admin.get("/scripts/lib/new.lua"))
    assert admin.post("/scripts/lib/new.lua", source="return {}", revision="").status_code == 303
    assert console.moontide.queries.get_script("lib/new.lua").revision == 1


def test_viewer_reads_but_finds_no_save_button(console: Console, viewer: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    page = viewer.get("/scripts/job.lua")
    assert "readonly" in page.text
    assert "Save" not in text_of(page).replace("Saved", "").replace("saves", "")
    assert viewer.get("/scripts/absent.lua").status_code == 404


@pytest.mark.parametrize("path", ["x.txt", "a/../b.lua", ".hidden.lua", "a//b.lua", "ü.lua", "x%00.lua"])
def test_wrong_path_is_refused(admin: Visitor, path: str) -> None:
    assert admin.get(f"/scripts/{path}").status_code in {400, 404}
    assert admin.post(f"/scripts/{path}", source="", revision="").status_code in {400, 404}


@pytest.mark.parametrize(("query", "status"), [("line=3", 200), ("line=0", 400), ("line=x", 400), ("line=1e9", 400)])
def test_line_is_checked_and_handed_to_the_editor(console: Console, admin: Visitor, query: str, status: int) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.get(f"/scripts/job.lua?{query}")
    assert answer.status_code == status
    assert ('data-line="3"' in answer.text) is (status == 200)


@pytest.mark.parametrize("revision", ["x", "-1", "1" * 12])
def test_altered_revision_is_refused(console: Console, admin: Visitor, revision: str) -> None:
    console.moontide.add_job("old", name="job")
    answer = admin.post("/scripts/job.lua", source="new", revision=revision)
    assert answer.status_code == 422
    assert "Not saved. Reload the page" in text_of(answer)
    assert "\nnew</textarea>" in answer.text
    assert console.moontide.queries.get_script("job.lua").source == "old"


def test_check_names_line_and_problem(admin: Visitor) -> None:
    answer = admin.post("/scripts/job.lua/check", accept=JSON, source="ok\n@", revision="")
    assert answer.json == {
        "problems": [{"line": 2, "message": "unexpected symbol near '@'", "text": "Line 2: unexpected symbol near '@'"}]
    }


def test_editor_page_may_import_exactly_the_pinned_modules(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    policy = admin.get("/scripts/job.lua").headers["Content-Security-Policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    modules = [word for word in directives["script-src"].split() if word.startswith("https://")]
    assert len(modules) == 15
    assert all("@" in word and word.startswith("https://cdn.jsdelivr.net/npm/") for word in modules)
    assert directives["connect-src"].split()[1] in modules
    assert "cdn.jsdelivr.net" not in admin.get("/jobs").headers["Content-Security-Policy"]


def test_import_maps_have_an_integrity_for_each_module(console: Console, admin: Visitor) -> None:
    console.moontide.add_job("old", name="job")
    page = admin.get("/scripts/job.lua").text
    for attribute in ("data-cdn-map='", "data-own-map='"):
        written = json.loads(page.split(attribute)[1].split("'")[0].replace("&#39;", "'"))
        assert set(written["imports"].values()) == set(written["integrity"])
        assert "@codemirror/legacy-modes/mode/lua" in written["imports"]
        assert all(value.startswith("sha384-") for value in written["integrity"].values())

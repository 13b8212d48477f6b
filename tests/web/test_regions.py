import pytest

from tests.support.console import Console, Visitor, text_of

REGIONS = [
    ("/jobs", "job-list"),
    ("/jobs/1", "job-live"),
    ("/runs/1", "run-summary"),
    ("/runs/1", "run-log-lines"),
]


@pytest.fixture
def with_run(console: Console) -> Console:
    console.executor.behaviour = lambda _: None
    run_id = console.moontide.service.run_now(console.moontide.add_job("", name="job"), by="alice")
    console.moontide.step()
    console.executor.say(run_id, "a line\n")
    console.moontide.step()
    return console


@pytest.mark.parametrize(("address", "region"), REGIONS)
def test_region_equals_the_block_in_the_page(with_run: Console, operator: Visitor, address: str, region: str) -> None:
    answer = operator.get(address, region=region)
    assert answer.text.strip().startswith(f'<div id="{region}"')
    assert answer.text.strip() in operator.get(address).text


@pytest.mark.parametrize(("address", "region"), REGIONS)
def test_region_that_is_unchanged_is_not_sent_again(
    with_run: Console, operator: Visitor, address: str, region: str
) -> None:
    digest = operator.get(address, region=region).headers["Moontide-Digest"]
    again = operator.get(address, region=region, digest=digest)
    assert (again.status_code, again.text) == (204, "")


@pytest.mark.parametrize(("address", "region"), REGIONS)
def test_region_holds_no_token(with_run: Console, operator: Visitor, address: str, region: str) -> None:
    assert "csrf_token" not in operator.get(address, region=region).text


def test_region_of_a_viewer_has_no_buttons(with_run: Console, viewer: Visitor) -> None:
    for address, region in REGIONS:
        assert "<button" not in viewer.get(address, region=region).text


def test_error_of_a_region_is_one_plain_sentence(viewer: Visitor) -> None:
    answer = viewer.get("/runs/77", region="run-summary")
    assert answer.status_code == 404
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.text == "There is no run 77."


def test_run_button_in_the_list_becomes_a_link_to_the_run_that_goes_on(with_run: Console, viewer: Visitor) -> None:
    page = viewer.get("/jobs")
    assert 'href="/runs/1"' in page.text
    assert "Running" in text_of(page)

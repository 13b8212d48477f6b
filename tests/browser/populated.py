"""A console as it looks after some hours of work: jobs of every status, history, logs, an error, a run that goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import event

from jobservice.domain.job import JobDefinition, JobId
from jobservice.domain.run import Outcome, RunId, RunOrder, RunResult
from jobservice.testing import FakeClock
from tests.browser.site import Site
from tests.support import lua
from tests.support.console import TalkingExecutor
from tests.support.moontide import Moontide, settings_for

_PAST = timedelta(hours=2, minutes=3)

IMPORT = """\
-- Fetches the orders of the last five minutes and books them.
local job = core.job()
local orders = { 4711, 4712, 4713 }

local function book(number)
  core.log("booking order " .. number)
  core.sleep(0.2)
end

function job.run()
  for _, number in ipairs(orders) do
    book(number)
  end
  return job.OK, #orders .. " orders booked"
end

return job
"""
_SLOW = lua.script('for i = 1, 400 do print("page " .. i .. " of 400 indexed") core.sleep(0.2) end\nreturn job.OK')
_BROKEN = lua.script("local row = nil\nreturn row.price * 1.2")

_JOBS: tuple[tuple[str, str, str, str], ...] = (
    ("Book new orders", "shop/book_orders.lua", "every 5 minutes", IMPORT),
    ("Clean password resets", "admin/clean_resets.lua", "every 30 minutes", lua.OK),
    ("Index the manual", "search/index_docs.lua", "every 6 hours", _SLOW),
    ("Nightly sales report", "reports/sales.lua", "every 20 minutes", lua.SLEEP),
    ("Sync stock levels", "shop/sync_stock.lua", "every 10 minutes", lua.OK),
    ("Update exchange rates", "shop/rates.lua", "every 15 minutes", _BROKEN),
    ("Year-end closing", "reports/year_end.lua", "1", lua.STOP),
    ("Announce the start", "boot/announce.lua", "1", lua.OK),
    ("Warm the caches", "boot/warm_caches.lua", "every 45 minutes", lua.OK),
)
_RUN_ONCE = {"Announce the start", "Warm the caches"}


class Populated:
    """What the pages show; see ``populate``."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.jobs: dict[str, JobId] = {}
        self.finished: RunId
        self.failed: RunId
        self.running: RunId

    @property
    def pages(self) -> dict[str, str]:
        """Every page, by a name for its picture."""
        booking = self.jobs["Book new orders"]
        return {
            "jobs": "/jobs",
            "jobs-filtered": "/jobs?search=nothing",
            "job-new": "/jobs/new",
            "job": f"/jobs/{booking}",
            "job-failed": f"/jobs/{self.jobs['Update exchange rates']}",
            "job-edit": f"/jobs/{self.jobs['Update exchange rates']}/edit",
            "job-delete": f"/jobs/{booking}/delete",
            "reload": "/reload",
            "run": f"/runs/{self.finished}",
            "run-failed": f"/runs/{self.failed}",
            "run-running": f"/runs/{self.running}",
            "editor": "/scripts/shop/book_orders.lua?line=6",
            "account": "/account",
            "missing": "/jobs/999999",
        }


def populate(site: Site) -> Populated:
    """Fill the database with two hours of history, start the processes, and let the rest happen."""
    made = Populated(site)
    site.keeps_jobs = True
    _live_through_the_past(site, made)
    site.start_service()
    site.start_console()
    service = site.backend.service
    # A real run of each script, now that real workers are there.
    made.finished = service.run_now(made.jobs["Book new orders"], by="ada")
    made.failed = service.run_now(made.jobs["Update exchange rates"], by="ada")
    made.running = service.run_now(made.jobs["Index the manual"], by="ada")
    # What still waits for a reload.
    stored = site.backend.queries.get_job(made.jobs["Sync stock levels"])
    changed = JobDefinition(**stored.definition.to_dict() | {"schedule": "every 2 minutes", "time_limit_s": 300})
    service.update_job(made.jobs["Sync stock levels"], changed, expected_version=stored.version, by="ada")
    made.jobs["Remind of invoices"] = service.create_job(
        JobDefinition(name="Remind of invoices", path="shop/invoices.lua", schedule="every 1 day"), by="ada"
    )
    return made


def _live_through_the_past(site: Site, made: Populated) -> None:
    """Let an engine work on a clock that runs through the last two hours, without waiting for it."""
    clock = FakeClock(datetime.now(UTC) - _PAST)  # noqa: TID251 - the pages show real ages
    past = Moontide(settings_for(site.folder), _PastExecutor(clock), clock)
    event.listen(past.database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
    past.waits_for_runs = False
    past.boot()
    for name, path, schedule, source in _JOBS:
        once = name in _RUN_ONCE
        description = "Books what the shop sold, five minutes at a time.\nAsk Ada before changing it."
        made.jobs[name] = past.add_job(
            source,
            name=name,
            path=path,
            schedule=schedule,
            run_once=once,
            time_limit_s=120,
            description=description if name == "Book new orders" else "",
            reload=False,
            active=not once and schedule != "1",
        )
    past.reload()
    past.advance(_PAST, tick_s=1800)
    for name in ("Announce the start", "Warm the caches", "Year-end closing"):
        past.edit(made.jobs[name], active=True)
    past.reload()
    past.engine.stop(timedelta(0))
    past.close()


class _PastExecutor(TalkingExecutor):
    """Ends each run at once, as if it had taken some milliseconds."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, self._end)

    def _end(self, order: RunOrder) -> None:
        del self.running[order.run_id]
        self.say(order.run_id, "done\n")
        sleeps = order.path == "reports/sales.lua"
        note = "report of 1,204 sales sent" if sleeps else "3 orders booked" if "orders" in order.path else ""
        now = self.clock.now()
        assert self._events is not None
        self._events.run_finished(
            RunResult(
                run_id=order.run_id,
                fence=order.fence,
                outcome=Outcome.SLEEP if sleeps else Outcome.OK,
                started_at=now,
                finished_at=now + timedelta(milliseconds=20 + order.run_id * 37 % 400),
                note=note,
            )
        )

// Fetches a region again and again while the tab is visible: asks htmx to do it with the event
// "moontide:poll", slows down while the console cannot be reached, and shows the notice that says so.
const SLOWEST_MS = 30000;

export function start(element) {
  const every = Number(element.dataset.every);
  let wait = every;
  let timer = 0;
  let live = element.dataset.live ?? "yes";

  const ask = () => element.dispatchEvent(new CustomEvent("moontide:poll"));
  const plan = () => {
    clearTimeout(timer);
    if (live !== "no" && !document.hidden) {
      timer = setTimeout(ask, live === "more" ? 0 : wait);
    }
  };
  const notify = (name) => {
    for (const notice of element.querySelectorAll("[data-poll-notice]")) {
      notice.hidden = notice.dataset.pollNotice !== name;
    }
  };

  element.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.elt !== element) {
      return;
    }
    if (element.dataset.digest) {
      event.detail.headers["Moontide-Digest"] = element.dataset.digest;
    }
    if (element.dataset.after !== undefined) {
      const last = element.querySelector("[data-sequence]:last-of-type");
      event.detail.parameters.set("after", last ? last.dataset.sequence : element.dataset.after);
    } else {
      // The filter above the list changes the address without a new page.
      event.detail.path = location.pathname + location.search;
    }
  });

  element.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== element) {
      return;
    }
    const answer = event.detail.xhr;
    if (event.detail.successful) {
      wait = every;
      element.dataset.digest = answer.getResponseHeader("Moontide-Digest") ?? "";
      live = answer.getResponseHeader("Moontide-Live") ?? "no";
      notify(null);
    } else if (answer.status === 401) {
      live = "no";
      notify("signed-out");
    } else {
      live = "yes";
      wait = Math.min(wait * 2, SLOWEST_MS);
      notify("offline");
    }
    plan();
  });

  document.addEventListener("visibilitychange", () => (document.hidden || live === "no" ? clearTimeout(timer) : ask()));
  plan();
}

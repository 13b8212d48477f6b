// Applies a chosen theme at once and sends the form in the background.
export function start(form) {
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button) {
      return;
    }
    event.preventDefault();
    document.documentElement.dataset.theme = button.value;
    document.dispatchEvent(new CustomEvent("moontide:theme"));
    for (const other of form.querySelectorAll("[aria-pressed]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    const answer = new FormData(form, button);
    // "manual" keeps the browser from fetching the page that a plain form would go back to.
    // "keepalive" lets it arrive when the page is left at once.
    fetch(form.action, { method: "POST", body: answer, redirect: "manual", keepalive: true });
  });
}

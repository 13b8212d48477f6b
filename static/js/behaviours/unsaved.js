// Asks before a form with typed changes is left; a form that was refused begins as changed.
export function start(form) {
  let changed = form.dataset.changed === "yes";
  form.addEventListener("input", () => (changed = true));
  form.addEventListener("submit", () => (changed = false));
  window.addEventListener("beforeunload", (event) => {
    if (changed) {
      event.preventDefault();
    }
  });
}

// Asks the server what is wrong with the script; the editor marks it at its line, and a list names it.
function list(form, problems, view) {
  const items = problems.map((problem) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "code__problem", textContent: problem.text });
    button.addEventListener("click", () => {
      const line = view.state.doc.line(Math.min(problem.line, view.state.doc.lines));
      view.dispatch({ selection: { anchor: line.from }, scrollIntoView: true });
      view.focus();
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  form.querySelector("#editor-problems").replaceChildren(...items);
}

export async function problemsOf(form, view) {
  let problems = [];
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    problems = answer.ok ? (await answer.json()).problems : [];
  } catch {
    return []; // Nothing can be said while the server is away; saving will say so.
  }
  list(form, problems, view);
  return problems.map((problem) => {
    const line = view.state.doc.line(Math.min(Math.max(problem.line, 1), view.state.doc.lines));
    return { from: line.from, to: line.to, severity: "error", message: problem.message };
  });
}

// Binds behaviours: every element with data-behaviour="name" is given once to
// behaviours/name.js, also when it arrives with a swapped region.
const bound = new WeakSet();

async function bind(element) {
  if (bound.has(element)) {
    return;
  }
  bound.add(element);
  const behaviour = await import(`./behaviours/${element.dataset.behaviour}.js`);
  behaviour.start(element);
}

function bindAll(root) {
  if (root.matches?.("[data-behaviour]")) {
    bind(root);
  }
  root.querySelectorAll?.("[data-behaviour]").forEach(bind);
}

bindAll(document);
new MutationObserver((changes) => {
  for (const change of changes) {
    change.addedNodes.forEach(bindAll);
  }
}).observe(document.body, { childList: true, subtree: true });

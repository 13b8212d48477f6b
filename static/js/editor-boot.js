// Decides where the code editor comes from, then starts it in place of the text area.
// A classic script: some browsers take no import map once a module has begun to load,
// so this page loads its modules from here, after the map.
(async () => {
  const own = document.currentScript;
  const form = document.getElementById("editor");
  const source = document.getElementById("source");
  const cdnMap = JSON.parse(form.dataset.cdnMap);

  async function isReachable(address) {
    try {
      const answer = await fetch(address, { credentials: "omit", integrity: cdnMap.integrity[address], signal: AbortSignal.timeout(2000) });
      return answer.ok;
    } catch {
      return false;
    }
  }

  function addMap(map) {
    const element = document.createElement("script");
    element.type = "importmap";
    element.nonce = own.nonce;
    element.textContent = JSON.stringify(map);
    document.head.append(element);
  }

  // Browsers that know no "integrity" in import maps check it here: what is
  // preloaded is what a later import of the same address gets.
  function preload(map) {
    return Promise.all(Object.entries(map.integrity).map(([address, integrity]) => new Promise((resolve, reject) => {
      const link = Object.assign(document.createElement("link"), { rel: "modulepreload", href: address, integrity, crossOrigin: "anonymous" });
      link.addEventListener("load", resolve);
      link.addEventListener("error", () => reject(new Error(address)));
      document.head.append(link);
    })));
  }

  function keepPlain() {
    const reason = document.getElementById("editor-reason");
    reason.textContent = reason.dataset.tampered;
    reason.hidden = false;
    const line = Number(form.dataset.line);
    if (line) {
      const before = source.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = source.value.indexOf("\n", before);
      source.focus();
      source.setSelectionRange(before, end < 0 ? source.value.length : end);
    }
  }

  const map = (await isReachable(form.dataset.probe)) ? cdnMap : JSON.parse(form.dataset.ownMap);
  addMap(map);
  import(own.dataset.main);
  try {
    await preload(map);
    const editor = await import(own.dataset.editor);
    editor.start(form, source, own.nonce);
  } catch {
    keepPlain();
  }
})();

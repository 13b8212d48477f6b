// Sets the theme before the first paint, and again when it is chosen or the system changes.
// A classic script: a module would run too late and let the page flash.
(() => {
  const root = document.documentElement;
  const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

  function apply() {
    const chosen = root.dataset.theme;
    root.dataset.bsTheme = chosen === "system" ? (systemDark.matches ? "dark" : "light") : chosen;
  }

  apply();
  systemDark.addEventListener("change", apply);
  document.addEventListener("moontide:theme", apply);
})();

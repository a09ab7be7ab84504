// Dark or light: the system's wish, unless somebody chose. Read before the page is painted, so this
// is a script of its own and no module.

(() => {
  const KEY = "evorelay.theme";
  const ORDER = ["system", "dark", "light"];
  const root = document.documentElement;

  function apply(theme) {
    root.dataset.theme = theme;
    document.dispatchEvent(new Event("themechange"));
  }

  globalThis.EvoRelayTheme = {
    get current() { return root.dataset.theme; },
    next() {
      const theme = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
      localStorage.setItem(KEY, theme);
      apply(theme);
    },
  };
  const chosen = localStorage.getItem(KEY);
  apply(ORDER.includes(chosen) ? chosen : "system");
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", () => apply(root.dataset.theme));
})();

// A page without charts: dark or light as the reader has it, light on paper.
const root = document.documentElement, themeButton = document.getElementById("theme");
const wanted = window.matchMedia("(prefers-color-scheme: light)");
function setTheme(name) {
  root.dataset.theme = name;
  themeButton.textContent = name === "dark" ? "Light" : "Dark";
}
themeButton.addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
wanted.addEventListener("change", (event) => setTheme(event.matches ? "light" : "dark"));
setTheme(wanted.matches ? "light" : "dark");
let before = null;
window.addEventListener("beforeprint", () => { before = root.dataset.theme; setTheme("light"); });
window.addEventListener("afterprint", () => setTheme(before ?? root.dataset.theme));
root.dataset.ready = "true";

// Moving about: buttons, keys, layers, from a trade to the chart.
function showAll(stage) {
  const { count } = stage.scene;
  stage.scale.setVisibleLogicalRange({ from: -0.5 - count * 0.012, to: count - 0.5 + Math.max(4, count * 0.03) });
}

function jump(stage, k) {
  const { trades } = stage.scene;
  if (!(k >= 0 && k < trades.count)) return;
  stage.chosen = k;
  const held = trades.exit_candle[k] - trades.entry_candle[k], margin = Math.max(40, held * 0.6);
  stage.scale.setVisibleLogicalRange({ from: trades.entry_candle[k] - margin, to: trades.exit_candle[k] + margin });
  document.querySelectorAll("[data-trade]").forEach((mark) => mark.classList.toggle("chosen", Number(mark.dataset.trade) === trades.row[k]));
  stage.host.scrollIntoView({ block: "center", behavior: "instant" });
  stage.requestUpdate();
}

function addKeys(stage) {
  stage.host.addEventListener("keydown", (event) => {
    const range = stage.scale.getVisibleLogicalRange(), width = range.to - range.from;
    const moves = { ArrowLeft: [-0.1, -0.1], ArrowRight: [0.1, 0.1], "+": [0.15, -0.15], "=": [0.15, -0.15], "-": [-0.2, 0.2] };
    if (event.key === "Home") showAll(stage);
    else if (moves[event.key]) stage.scale.setVisibleLogicalRange({ from: range.from + width * moves[event.key][0], to: range.to + width * moves[event.key][1] });
    else if (["n", "p"].includes(event.key) && stage.scene.trades?.count)
      jump(stage, Math.min(Math.max(stage.chosen + (event.key === "n" ? 1 : -1), 0), stage.scene.trades.count - 1));
    else return;
    event.preventDefault();
  });
  document.querySelectorAll("[data-span]").forEach((button) =>
    button.addEventListener("click", () => {
      const span = Number(button.dataset.span);
      if (!span) return showAll(stage);
      const range = stage.scale.getVisibleLogicalRange(), to = Math.min(range.to, stage.scene.count + span * 0.04);
      stage.scale.setVisibleLogicalRange({ from: Math.max(to - span, -0.5), to: Math.max(to, span) });
    }),
  );
}

function addToggles(stage, ever = false) {
  const toggle = (name, change) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      change(on);
      stage.requestUpdate();
    });
    byId("toggles").append(button, " ");
  };
  const layers = (which) => (on) => {
    for (const k of which) stage.heatmap.shown[k] = on;
    stage.heatmap.paint(stage.colours);
  };
  const { scene } = stage;
  if (scene.map) toggle("Liquidations", layers([0, 1]));
  if (scene.map?.has_stops) toggle("Stops", layers([2, 3]));
  for (const [name, part] of [["Zones", "zones"], ["Channels", "channels"], ["Trades", "trades"]])
    if (ever ? scene[part] : scene[part]?.count) toggle(name, (on) => { stage.show[part] = on; });
}

function addTheme(stage) {
  const wanted = window.matchMedia("(prefers-color-scheme: light)");
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = name === "dark" ? "Light" : "Dark";
    stage.setTheme();
  };
  byId("theme").addEventListener("click", () => set(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  wanted.addEventListener("change", (event) => set(event.matches ? "light" : "dark"));
  set(wanted.matches ? "light" : "dark");
  return set;
}

// A page that plays bars: windows come from the server beside it, and what is after the playhead is not drawn.
const CANDLES = 700; // candles in sight at most: of longer spans several bars make one
const KEPT_WINDOWS = 8;
const TOLD = 9;

class Player {
  constructor(bars) {
    this.bars = bars;
    this.windows = new Map();
    this.playing = false;
    this.span = 300;
    this.bar = Math.min(bars, this.span); // bars that are known
  }

  get step() {
    return Math.max(1, Math.ceil(this.span / CANDLES));
  }
  // A window spans three spans; the playhead is in its middle one, so that a reload is due once a span.
  part(bar) {
    const length = Math.ceil(this.span / this.step) * this.step, at = Math.floor(Math.max(bar - 1, 0) / length);
    return { first: Math.max(at - 1, 0) * length, last: Math.min((at + 2) * length, this.bars), step: this.step };
  }
  async load(part) {
    const query = new URLSearchParams(part).toString();
    if (!this.windows.has(query)) {
      const asked = fetch(`window?${query}`).then((response) => {
        if (!response.ok) throw new Error(`the server said ${response.status}`);
        return response.json();
      }).then(readScene);
      asked.catch(() => this.windows.delete(query));
      this.windows.set(query, asked);
      while (this.windows.size > KEPT_WINDOWS) this.windows.delete(this.windows.keys().next().value);
    }
    return this.windows.get(query);
  }

  async seek(bar) {
    this.bar = Math.min(Math.max(Math.round(bar), 1), this.bars);
    const turn = (this.turn = (this.turn ?? 0) + 1), scene = await this.load(this.part(this.bar));
    if (turn !== this.turn) return; // another seek overtook this one
    const now = Math.min(Math.max(Math.floor((this.bar - scene.first) / scene.step), 1), scene.count);
    if (!this.stage) this.start(scene, now);
    else if (this.stage.scene !== scene) {
      scene.now = now;
      this.stage.setScene(scene);
    } else if (scene.now + 1 === now) this.stage.addBar();
    else if (scene.now !== now) {
      scene.now = now;
      this.stage.setBars();
    }
    this.show();
    for (const near of [this.bar + this.span, this.bar - this.span]) // fetched before they are needed, both ways
      if (near > 0 && near <= this.bars) this.load(this.part(near)).catch(() => {});
  }
  start(scene, now) {
    scene.now = now;
    this.stage = new Stage(scene);
    addTheme(this.stage);
    addToggles(this.stage, true); // the first window may lack what later ones hold
  }
  show() {
    const { stage } = this, { scene } = stage, wide = Math.ceil(this.span / scene.step);
    stage.pointed = null;
    stage.scale.setVisibleLogicalRange({ from: scene.now - wide * 0.82, to: scene.now + wide * 0.18 });
    stage.tellBar(scene.now - 1);
    stage.requestUpdate();
    byId("scrub").value = this.bar;
    byId("scrub").setAttribute("aria-valuetext", stamp(scene.bars.time[scene.now - 1]));
    byId("where").textContent = `bar ${number(this.bar, 0)} of ${number(this.bars, 0)}`;
    const rows = scene.told, end = firstWhere(rows.length, (k) => rows[k][0] >= this.bar);
    byId("told").replaceChildren(...rows.slice(Math.max(end - TOLD, 0), end).reverse().map(([bar, kind, words]) => {
      const line = document.createElement("li");
      line.className = kind;
      line.textContent = `${stamp(scene.bars.time[Math.min(Math.floor((bar - scene.first) / scene.step), scene.count - 1)]).slice(5)} ${words}`;
      return line;
    }));
  }

  play(on) {
    this.playing = on && this.bar < this.bars;
    byId("play").textContent = this.playing ? "❚❚ Pause" : "▶ Play";
    byId("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    if (this.playing && !this.running) this.run();
  }
  async run() {
    this.running = true;
    let last = performance.now(), due = 0;
    while (this.playing) {
      const time = await new Promise(requestAnimationFrame);
      due += ((Math.max(time - last, 0)) / 1000) * Number(byId("speed").value);
      last = time;
      if (due < 1) continue;
      const candles = Math.min(Math.floor(due), 8); // a slow machine plays slower, it does not leap
      due = Math.min(due - candles, 1);
      await this.seek(this.bar + candles * this.step);
      if (this.bar >= this.bars) this.play(false);
    }
    this.running = false;
  }
}

(async () => {
  const { bars } = JSON.parse(byId("payload").textContent);
  const player = new Player(bars);
  document.querySelectorAll("[data-span]").forEach((button) => button.remove());
  document.documentElement.dataset.theme = "dark";
  const spans = [150, 300, 700, 2000, 10_000, 50_000, 200_000, 1_000_000].filter((span, k) => !k || span < bars * 1.5);
  byId("span").replaceChildren(...spans.map((span) => new Option(`${number(span, 0)} bars`, span, false, span === player.span)));
  const move = (by) => { player.play(false); return player.seek(player.bar + by * player.step); };
  byId("back").addEventListener("click", () => move(-1));
  byId("on").addEventListener("click", () => move(1));
  byId("play").addEventListener("click", () => player.play(!player.playing));
  byId("scrub").addEventListener("input", (event) => player.seek(Number(event.target.value)));
  byId("span").addEventListener("change", (event) => { player.span = Number(event.target.value); player.seek(player.bar); });
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName) && event.key !== " ") return;
    if (event.target.tagName === "BUTTON" || event.target.tagName === "SELECT") return;
    const keys = { ArrowLeft: () => move(-1), ArrowRight: () => move(1), PageUp: () => move(-50), PageDown: () => move(50), " ": () => player.play(!player.playing), Home: () => move(-player.bars), End: () => move(player.bars) };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
  await player.seek(player.bar);
  if (!player.stage.scene.map) document.querySelector(".scale").remove();
  requestAnimationFrame(() => requestAnimationFrame(() => {
    player.stage.namePanes();
    window.forcedflow = { player, stage: player.stage, seek: (bar) => player.seek(bar), range: () => player.stage.scale.getVisibleLogicalRange() };
    document.documentElement.dataset.ready = "true";
  }));
})();

// The list of trades, a page of rows at a time; a row, or a point of a figure, leads to the chart.
const ROWS = 200;

class TradeList {
  constructor(stage) {
    this.stage = stage;
    const { scene } = stage, { trades } = scene, price = stage.price;
    this.columns = [
      ["#", (k) => String(trades.row[k] + 1)],
      ["Side", (k) => (trades.side[k] > 0 ? "long" : "short"), "left"],
      ["Entry, UTC", (k) => stamp(trades.entry_time[k])],
      ["Entry", (k) => price(trades.entry_price[k])],
      ["Stop", (k) => price(trades.stop[k])],
      ["Target", (k) => price(trades.target[k])],
      ["Exit, UTC", (k) => stamp(trades.exit_time[k])],
      ["Exit", (k) => price(trades.exit_price[k])],
      ["Why", (k) => trades.reasons[trades.exit_reason[k]] + (trades.ambiguous[k] ? " (ambiguous)" : ""), "left"],
      ["Bars", (k) => number(trades.bars_held[k], 0)],
      ["MAE, R", (k) => signed(trades.mae_r[k], 2)],
      ["MFE, R", (k) => signed(trades.mfe_r[k], 2)],
      ["R", (k) => signed(trades.r[k], 2), "outcome"],
      ["Net", (k) => signed(trades.net[k], 0), "outcome"],
    ];
    this.first = 0;
    this.head();
    this.rows();
    byId("trade-count").textContent = this.told();
    document.querySelectorAll("circle[data-trade]").forEach((point) => point.addEventListener("click", () => this.jumpToRow(Number(point.dataset.trade))));
  }

  told() {
    const { trades } = this.stage.scene;
    if (!trades.count) return "There were no trades.";
    const all = trades.of > trades.count ? `the ${number(trades.count, 0)} largest results of ${number(trades.of, 0)}` : number(trades.count, 0);
    return `${all}; click one to see it on the chart, or press n and p there`;
  }
  head() {
    const line = byId("trade-head").insertRow();
    for (const [name, , kind] of this.columns) {
      const cell = document.createElement("th");
      cell.textContent = name;
      cell.scope = "col";
      if (kind === "left") cell.className = "left";
      line.append(cell);
    }
  }
  rows() {
    const { trades } = this.stage.scene, body = byId("trade-rows");
    body.replaceChildren();
    for (let k = this.first; k < Math.min(this.first + ROWS, trades.count); k++) {
      const line = body.insertRow();
      line.tabIndex = 0;
      line.dataset.trade = trades.row[k];
      line.title = "Show on the chart";
      line.classList.toggle("chosen", k === this.stage.chosen);
      for (const [, value, kind] of this.columns) {
        const cell = line.insertCell();
        cell.textContent = value(k);
        if (kind) cell.className = kind === "left" ? kind : trades.net[k] >= 0 ? "good" : "bad";
      }
      line.addEventListener("click", () => jump(this.stage, k));
      line.addEventListener("keydown", (event) => { if (event.key === "Enter") jump(this.stage, k); });
    }
    const pages = byId("trade-pages");
    pages.replaceChildren();
    if (trades.count <= ROWS) return;
    for (const [name, by] of [["Earlier", -ROWS], ["Later", ROWS]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.disabled = this.first + by < 0 || this.first + by >= trades.count;
      button.addEventListener("click", () => { this.first += by; this.rows(); });
      pages.append(button, " ");
    }
  }
  jumpToRow(row) {
    const k = this.stage.scene.trades.row.indexOf(row);
    if (k < 0) return;
    this.first = Math.floor(k / ROWS) * ROWS;
    this.rows();
    jump(this.stage, k);
  }
}

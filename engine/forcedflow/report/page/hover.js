// What the crosshair tells of a bin and of the zone it lies in.
function tipTable(stage, candle, at, zone) {
  const { heatmap, scene } = stage, { map } = heatmap, column = heatmap.within[candle], bin = heatmap.rowAt(at);
  const table = document.createElement("table");
  const row = (name, value, kind = "") => {
    const line = table.insertRow();
    line.className = kind;
    line.insertCell().textContent = name;
    line.insertCell().textContent = value;
  };
  row("price", stage.price(at));
  if (bin >= 0 && bin < map.rows) {
    row("bin", `${stage.price(heatmap.rowPrice(bin))} – ${stage.price(heatmap.rowPrice(bin + 1))}`);
    const total = heatmap.total(candle, bin), gone = heatmap.reached(candle, bin);
    if (total)
      scene.layers.forEach((name, k) => {
        const waiting = heatmap.shown[k] ? heatmap.share(column, k, bin) : 0;
        if (waiting) row(name, short(waiting * map.oi[column]));
      });
    row("waiting here", total ? short(total * map.oi[column]) : gone ? "none: price has been here" : "none");
    if (total) {
      row("share of open interest", share(total));
      tellProvenance(row, heatmap.provenance(candle, [bin]));
    }
  }
  if (zone >= 0) tellZone(row, stage, candle, zone);
  row("as of", stamp(map.time[column]));
  return table;
}

function tellProvenance(row, { age, largest }) {
  if (age === null) return;
  row("mean age", duration(age));
  largest.forEach(([name, part], k) => row(k ? "" : "entered, about", `${share(part)} · ${name}`));
}

function tellZone(row, stage, candle, k) {
  const { scene, heatmap } = stage, { zones } = scene, step = scene.seconds;
  row(`zone ${zones.side[k] > 0 ? "above" : "below"}`, `${stage.price(zones.low[k])} – ${stage.price(zones.high[k])}`, "section");
  row("peak", stage.price(zones.peak[k]));
  row("mass when noticed", `${share(zones.mass[k])} of open interest`);
  row("fuel", `${number(zones.fuel[k], 1)} bars of volume`);
  row("age", duration((candle - zones.from[k]) * step));
  if (zones.to[k] <= scene.now && zones.swept[k] > 0) row("swept in the end", share(Math.min(zones.swept[k] / zones.mass[k], 1)));
  const from = Math.max(heatmap.rowAt(zones.low[k]), 0), to = Math.min(heatmap.rowAt(zones.high[k]), heatmap.map.rows - 1);
  const rows = Array.from({ length: Math.max(to - from + 1, 0) }, (_, i) => from + i);
  tellProvenance(row, heatmap.provenance(candle, rows));
}

// Beside the crosshair, on the side that has more room. The browser knows the tip's size when it lays the page out: to ask
// for it here would have it lay out twice.
function placeTip(tip, point, stage, table) {
  tip.replaceChildren(table);
  const wide = stage.scale.width() - 4, high = stage.host.clientHeight - 6, { x, y } = point;
  const across = x < wide / 2 ? `min(${x + 16}px, ${wide}px - 100%)` : `${x - 16}px - 100%`;
  const down = y < high / 2 ? `min(${y + 14}px, ${high}px - 100%)` : `${y - 14}px - 100%`;
  tip.style.transform = `translate(max(4px, ${across}), max(4px, ${down}))`;
}

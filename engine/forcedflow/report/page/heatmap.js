// The map of waiting forced orders: its colours, what price has reached since a snapshot, and where mass came from.
const PAINTED_DECADES = 1.6;
const ENTRIES = 3; // cohorts that are named, the largest first

class Heatmap {
  constructor(scene) {
    this.scene = scene;
    this.map = scene.map;
    this.shown = scene.layers.map(() => true);
    const map = this.map;
    this.shares = Float64Array.from({ length: 256 }, (_, k) => (k ? map.top * 10 ** (((k - 255) / 254) * map.decades) : 0));
    this.image = new OffscreenCanvas(map.columns, map.rows);
    this.runs = this.columnRuns();
    this.findReached();
  }

  share(column, layer, row) {
    return this.shares[this.map.levels[(column * this.shown.length + layer) * this.map.rows + row]];
  }

  // Logarithmic, bent so that a typical cell is dark and peaks stand out: `bend` comes with the data.
  brightness(total) {
    const level = 1 + Math.log10(total / this.map.bright) / PAINTED_DECADES;
    return level <= 0 ? 0 : Math.min(255, 1 + Math.floor(level ** this.map.bend * 255));
  }
  atBrightness(along) {
    return this.map.bright * 10 ** ((along ** (1 / this.map.bend) - 1) * PAINTED_DECADES);
  }

  paint(colours) {
    const { map, shown } = this, context = this.image.getContext("2d");
    const picture = context.createImageData(map.columns, map.rows), pixels = new Uint32Array(picture.data.buffer);
    const layers = shown.flatMap((on, k) => (on ? [k] : []));
    for (let column = 0; column < map.columns; column++)
      for (let row = 0; row < map.rows; row++) {
        let total = 0;
        for (const layer of layers) total += this.share(column, layer, row);
        if (total > 0) pixels[(map.rows - 1 - row) * map.columns + column] = colours[this.brightness(total)];
      }
    context.putImageData(picture, 0, 0);
  }

  // Columns of equal width are drawn in one go.
  columnRuns() {
    const { map } = this, runs = [];
    for (let from = 0; from < map.columns; ) {
      const width = from + 1 < map.columns ? map.start[from + 1] - map.start[from] : 1;
      let to = from + 1;
      while (to + 1 < map.columns && Math.abs(map.start[to + 1] - map.start[to] - width) < 1e-3) to++;
      runs.push({ from, to, left: map.start[from] - 0.5, right: map.start[from] - 0.5 + width * (to - from) });
      from = to;
    }
    return runs;
  }

  columnAt(logical) {
    return firstWhere(this.map.columns, (k) => this.map.start[k] - 0.5 > logical) - 1;
  }
  rowPrice(row) {
    return Math.exp(this.map.log_low + row * this.map.log_step);
  }
  rowAt(price) {
    return Math.floor((Math.log(price) - this.map.log_low) / this.map.log_step);
  }

  // A column stands until the next snapshot. Cells that price reaches meanwhile are gone: for each candle, the column
  // it lies in and the rows reached since that began. The entry after the last candle is what stands at the end.
  findReached() {
    const { count } = this.scene, { ohlc } = this.scene.bars, { rows } = this.map;
    this.within = new Int32Array(count + 1).fill(-1);
    this.lowest = new Int32Array(count + 1);
    this.highest = new Int32Array(count + 1);
    for (let i = 0; i <= count; i++) {
      this.within[i] = this.columnAt(i - 0.5);
      const fresh = i === 0 || this.within[i] !== this.within[i - 1];
      this.lowest[i] = Math.min(fresh ? rows : this.lowest[i - 1], i < count ? this.rowAt(ohlc[2 * count + i]) : rows);
      this.highest[i] = Math.max(fresh ? -1 : this.highest[i - 1], i < count ? this.rowAt(ohlc[count + i]) : -1);
    }
  }
  reached(candle, row) {
    return row >= this.lowest[candle] && row <= this.highest[candle];
  }
  total(candle, row) {
    const column = this.within[candle];
    if (column < 0 || this.reached(candle, row)) return 0;
    let total = 0;
    for (let k = 0; k < this.shown.length; k++) if (this.shown[k]) total += this.share(column, k, row);
    return total;
  }

  draw(context, view) {
    const { map, scene } = this;
    const bottom = view.y(this.rowPrice(0)), top = view.y(this.rowPrice(map.rows)), height = bottom - top; // rows are equally high
    const end = scene.now < scene.count ? view.x(scene.now - 0.5) : view.width; // what comes later is not known
    context.save();
    context.beginPath();
    context.rect(0, 0, end, view.height);
    context.clip();
    context.imageSmoothingEnabled = height < map.rows; // shrunk: average; enlarged: crisp cells
    for (const run of this.runs) {
      const left = view.x(run.left), right = run.to === map.columns ? view.width : view.x(run.right);
      if (right < 0 || left > end) continue;
      const last = run.to === map.columns ? view.x(run.right) : right;
      context.drawImage(this.image, run.from, 0, run.to - run.from, map.rows, left, top, last - left, height);
      if (last < right) context.drawImage(this.image, run.to - 1, 0, 1, map.rows, last, top, right - last, height);
    }
    this.blankReached(context, view);
    context.restore();
  }
  blankReached(context, view) {
    const { within, lowest, highest } = this, { count } = this.scene;
    context.fillStyle = view.stage;
    for (let i = Math.max(0, Math.floor(view.from) - 1), next; i <= count && i <= view.to + 1; i = next) {
      next = i + 1; // candles that reach nothing new are blanked in one go
      while (next <= count && within[next] === within[i] && lowest[next] === lowest[i] && highest[next] === highest[i]) next++;
      if (within[i] < 0 || lowest[i] > highest[i]) continue;
      const left = view.x(i - 0.5), right = next > count ? view.width : view.x(next - 0.5);
      if (right <= left) continue;
      const bottom = view.y(this.rowPrice(lowest[i])), top = view.y(this.rowPrice(highest[i] + 1));
      context.fillRect(left, top, right - left, bottom - top);
    }
  }

  // Where the mass of some rows came from: what each snapshot added to the one before (less what faded), as far as it
  // still stands. An entry's distance from price then tells its leverage, before maintenance margin. Coarse: the
  // pictures are some bars apart, levels are bytes, and additions between two pictures are one cohort.
  cohorts(candle, rows) {
    const { map, scene } = this, column = this.within[candle], { count } = scene, cohorts = [];
    const hourly = scene.hazard ?? 0;
    for (const row of rows) {
      if (this.reached(candle, row)) continue;
      for (let layer = 0; layer < 2; layer++) { // liquidations: a stop's distance is no leverage
        if (!this.shown[layer]) continue;
        const first = Math.max(0, column - 400);
        let kept = 1;
        for (let k = column; k >= first; k--) {
          const now = this.share(k, layer, row) * map.oi[k];
          if (!now) break;
          const fade = k > first ? Math.exp((-hourly * (map.time[k] - map.time[k - 1])) / 3600) : 1;
          const before = k > first ? this.share(k - 1, layer, row) * map.oi[k - 1] * fade : 0;
          const added = (now - before) * kept;
          if (added > 0.03 * now * kept || (k === first && first > 0)) {
            const at = Math.min(Math.max(Math.round(map.start[k]) - 1, 0), count - 1), close = scene.bars.ohlc[3 * count + at];
            const leverage = 1 / Math.max(Math.abs(Math.log(this.rowPrice(row + 0.5) / close)), 1e-3);
            cohorts.push({ mass: added, time: map.time[k], leverage, older: k === first });
          }
          kept *= fade;
        }
      }
    }
    return cohorts;
  }

  provenance(candle, rows) {
    const now = this.map.time[this.within[candle]], groups = new Map();
    let total = 0;
    for (const { mass, time, leverage, older } of this.cohorts(candle, rows)) {
      const rung = [3, 5, 10, 20, 25, 50, 75, 100, 125].reduce((a, b) => (Math.abs(Math.log(b / leverage)) < Math.abs(Math.log(a / leverage)) ? b : a));
      const name = `${older ? "before " : ""}${stamp(time).slice(0, 10)}, ~${rung}×`;
      const group = groups.get(name) ?? { name, mass: 0, age: 0 };
      group.mass += mass;
      group.age += mass * (now - time);
      groups.set(name, group);
      total += mass;
    }
    const sorted = [...groups.values()].sort((a, b) => b.mass - a.mass);
    return {
      age: total ? sorted.reduce((sum, group) => sum + group.age, 0) / total : null,
      largest: sorted.slice(0, ENTRIES).map(({ name, mass }) => [name, mass / total]),
    };
  }
}

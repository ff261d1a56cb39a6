"use strict";
// Draws the payload: candles over the evolving map, zones and trades, panes below, the profile at the right.
// Horizontal positions are logical: candle i lies at i and covers i - 0.5 to i + 0.5.
(async () => {
  const LWC = LightweightCharts;
  const data = JSON.parse(document.getElementById("payload").textContent);
  const byId = (id) => document.getElementById(id);
  const state = (window.forcedflow = { ready: false, frames: 0, paintMs: 0 });

  // ---- unpacking -------------------------------------------------------------------------------------------------
  const ARRAYS = { f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };
  async function unpack(text, type) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new ARRAYS[type](await new Response(stream).arrayBuffer());
  }
  const count = data.bars.count;
  const decimals = data.bars.decimals;
  const time = await unpack(data.bars.time, "u4");
  const ohlc = await unpack(data.bars.ohlc, "f4");
  const map = data.map && {
    ...data.map,
    start: await unpack(data.map.start, "f4"),
    time: await unpack(data.map.time, "u4"),
    oi: await unpack(data.map.oi, "f4"),
    levels: await unpack(data.map.levels, "u1"),
  };
  const curve = data.curve && {
    candle: await unpack(data.curve.candle, "i4"),
    equity: await unpack(data.curve.equity, "f4"),
    drawdown: await unpack(data.curve.drawdown, "f4"),
    sold: await unpack(data.curve.sold, "f4"),
    bought: await unpack(data.curve.bought, "f4"),
  };
  const zones = data.zones && {
    count: data.zones.count,
    from: await unpack(data.zones.from, "f4"),
    to: await unpack(data.zones.to, "f4"),
    low: await unpack(data.zones.low, "f4"),
    high: await unpack(data.zones.high, "f4"),
  };
  const channels = data.channels && {
    count: data.channels.count,
    from: await unpack(data.channels.from, "f4"),
    to: await unpack(data.channels.to, "f4"),
    upper: [await unpack(data.channels.upper_from, "f4"), await unpack(data.channels.upper_to, "f4")],
    lower: [await unpack(data.channels.lower_from, "f4"), await unpack(data.channels.lower_to, "f4")],
  };
  const marks = data.marks && {
    ...data.marks,
    candle: await unpack(data.marks.candle, "f4"),
    price: await unpack(data.marks.price, "f4"),
    kind: await unpack(data.marks.kind, "u1"),
    aligned: await unpack(data.marks.aligned, "u1"),
  };
  const trades = data.trades;

  // ---- formats and colours ---------------------------------------------------------------------------------------
  const number = (value, digits) =>
    value === null ? "–" : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const price = (value) => number(value, decimals);
  const short = (value) => value.toLocaleString("en-GB", { maximumSignificantDigits: 3, notation: value >= 1e5 ? "compact" : "standard" });
  const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // inferno (matplotlib, CC0), 13 of its 256 colours: even in lightness, safe for the colour-blind
  const INFERNO = ["000004", "110a30", "320a5e", "57106e", "781c6d", "9a2865", "bc3754", "d84c3e", "ed6925", "f98e09", "fbb61a", "f4df53", "fcffa4"];
  const PAINTED_DECADES = 1.3;
  function palette(dark) {
    const stops = INFERNO.map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
    const colours = new Uint32Array(256);
    for (let k = 1; k < 256; k++) {
      const along = dark ? 0.06 + (0.94 * k) / 255 : 1 - (0.8 * k) / 255;
      const at = Math.min(along * 12, 11.999), i = Math.floor(at);
      const [r, g, b] = stops[i].map((value, c) => Math.round(value + (stops[i + 1][c] - value) * (at - i)));
      const alpha = dark ? 255 : Math.min(255, 90 + k * 2); // pale colours melt into a light page
      colours[k] = (alpha << 24) | (b << 16) | (g << 8) | r;
    }
    return colours;
  }
  const asCss = (colour) => `rgba(${colour & 255},${(colour >> 8) & 255},${(colour >> 16) & 255},${(colour >>> 24) / 255})`;
  const wanted = window.matchMedia("(prefers-color-scheme: light)");
  let theme = wanted.matches ? "light" : "dark";
  let colours = palette(theme === "dark");

  // ---- the map ---------------------------------------------------------------------------------------------------
  const shown = data.layers.map(() => true);
  const image = map && new OffscreenCanvas(map.columns, map.rows);
  const shares = map && Float64Array.from({ length: 256 }, (_, k) => (k ? map.top * 10 ** (((k - 255) / 254) * map.decades) : 0));
  if (map) {
    const cells = data.layers.length * map.rows; // levels are differences along time, modulo 256
    for (let k = cells; k < map.levels.length; k++) map.levels[k] += map.levels[k - cells];
  }
  const share = (column, layer, row) => shares[map.levels[(column * data.layers.length + layer) * map.rows + row]];
  function brightness(total) {
    const level = 1 + Math.log10(total / map.bright) / PAINTED_DECADES;
    return level <= 0 ? 0 : Math.min(255, 1 + Math.floor(level * 255));
  }
  function paintMap() {
    if (!map) return;
    const context = image.getContext("2d");
    const picture = context.createImageData(map.columns, map.rows);
    const pixels = new Uint32Array(picture.data.buffer);
    const layers = shown.flatMap((on, k) => (on ? [k] : []));
    for (let column = 0; column < map.columns; column++)
      for (let row = 0; row < map.rows; row++) {
        let total = 0;
        for (const layer of layers) total += share(column, layer, row);
        if (total > 0) pixels[(map.rows - 1 - row) * map.columns + column] = colours[brightness(total)];
      }
    context.putImageData(picture, 0, 0);
    const scale = byId("scale").getContext("2d");
    for (let k = 0; k < 256; k++) {
      scale.clearRect(k, 0, 1, 1);
      scale.fillStyle = asCss(colours[Math.max(k, 1)]);
      scale.fillRect(k, 0, 1, 1);
    }
  }
  // columns of equal width are drawn in one go
  const runs = [];
  if (map)
    for (let from = 0; from < map.columns; ) {
      const width = from + 1 < map.columns ? map.start[from + 1] - map.start[from] : 1;
      let to = from + 1;
      while (to + 1 < map.columns && Math.abs(map.start[to + 1] - map.start[to] - width) < 1e-3) to++;
      runs.push({ from, to, left: map.start[from] - 0.5, right: map.start[from] - 0.5 + width * (to - from) });
      from = to;
    }
  const columnAt = (logical) => {
    let low = 0, high = map.columns; // the last column that begins at or before it
    while (low < high) {
      const middle = (low + high) >> 1;
      if (map.start[middle] - 0.5 <= logical) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };
  const rowPrice = (row) => Math.exp(map.log_low + row * map.log_step);
  const rowAt = (value) => Math.floor((Math.log(value) - map.log_low) / map.log_step);
  // A column stands until the next snapshot. Cells that price reaches meanwhile are gone: for each candle, the column
  // it lies in and the rows reached since that began. The entry after the last candle is what stands at the end.
  const within = new Int32Array(count + 1).fill(-1), lowest = new Int32Array(count + 1), highest = new Int32Array(count + 1);
  if (map)
    for (let i = 0; i <= count; i++) {
      within[i] = columnAt(i - 0.5);
      const fresh = i === 0 || within[i] !== within[i - 1];
      lowest[i] = Math.min(fresh ? map.rows : lowest[i - 1], i < count ? rowAt(ohlc[2 * count + i]) : map.rows);
      highest[i] = Math.max(fresh ? -1 : highest[i - 1], i < count ? rowAt(ohlc[count + i]) : -1);
    }
  const reached = (candle, row) => row >= lowest[candle] && row <= highest[candle];

  // ---- the chart -------------------------------------------------------------------------------------------------
  const host = byId("chart");
  if (!curve) host.classList.add("map-only");
  const chart = LWC.createChart(host, {
    autoSize: true,
    layout: { attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, panes: { enableResize: true } },
    grid: { vertLines: { visible: false }, horzLines: { visible: false } },
    crosshair: { mode: LWC.CrosshairMode.Normal },
    rightPriceScale: { borderVisible: false, minimumWidth: 76 },
    timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, minBarSpacing: 0.01, rightOffset: 6, enableConflation: true },
    localization: { timeFormatter: stamp },
  });
  const candles = chart.addSeries(LWC.CandlestickSeries, {
    priceFormat: { type: "custom", minMove: 10 ** -decimals, formatter: price },
    borderVisible: false,
    priceLineVisible: false,
  });
  candles.priceScale().applyOptions({ mode: LWC.PriceScaleMode.Logarithmic, scaleMargins: { top: 0.16, bottom: 0.16 } });
  candles.setData(
    Array.from(time, (at, i) => ({ time: at, open: ohlc[i], high: ohlc[count + i], low: ohlc[2 * count + i], close: ohlc[3 * count + i] })),
  );
  const panes = [];
  function pane(name, kind, options, points) {
    const series = chart.addSeries(kind, { priceLineVisible: false, ...options }, panes.includes(name) ? panes.indexOf(name) + 1 : panes.push(name));
    series.priceScale().applyOptions({ mode: LWC.PriceScaleMode.Normal, scaleMargins: { top: 0.24, bottom: 0.06 } });
    series.setData(points);
    return series;
  }
  const percent = { type: "custom", minMove: 0.01, formatter: (value) => `${value.toFixed(Math.abs(value) < 10 ? 1 : 0).replace("-", "−")}%` };
  let equity, drawdown, sold, bought;
  if (curve) {
    const points = (values) => Array.from(curve.candle, (candle, i) => ({ time: time[candle], value: values[i] }));
    const whole = { type: "custom", minMove: 1, formatter: (value) => number(value, 0) };
    const all = (values) => Array.from(values, (value, i) => ({ time: time[i], value }));
    equity = pane("Equity", LWC.AreaSeries, { lineWidth: 2, priceFormat: whole }, points(curve.equity));
    drawdown = pane("Drawdown", LWC.BaselineSeries, { lineWidth: 1, baseValue: { type: "price", price: 0 }, priceFormat: percent, lastValueVisible: false }, points(curve.drawdown));
    const flow = { ...percent, formatter: (value) => `${value.toFixed(2).replace("-", "−")}%` };
    bought = pane("Forced flow, % of open interest: bought up, sold down", LWC.HistogramSeries, { priceFormat: flow, lastValueVisible: false }, all(curve.bought));
    sold = pane("Forced flow, % of open interest: bought up, sold down", LWC.HistogramSeries, { priceFormat: flow, lastValueVisible: false }, all(curve.sold));
    [6.2, 1.3, 1, 1].forEach((share, i) => chart.panes()[i].setStretchFactor(share));
  }

  // ---- what lies under and over the candles ----------------------------------------------------------------------
  const show = { zones: true, channels: true, trades: true };
  let chosenTrade = -1;
  const scale = chart.timeScale();
  function frame(draw) {
    return (target) =>
      target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: h, verticalPixelRatio: v }) => {
        const origin = scale.logicalToCoordinate(0), spacing = (scale.logicalToCoordinate(1000) - origin) / 1000;
        const x = (logical) => Math.round((origin + logical * spacing) * h);
        const y = (value) => Math.round(candles.priceToCoordinate(value) * v);
        draw(context, { x, y, h, v, spacing, width: bitmapSize.width, height: bitmapSize.height });
      });
  }
  function drawMap(context, view) {
    if (!map) return;
    const began = performance.now();
    const bottom = view.y(rowPrice(0)), top = view.y(rowPrice(map.rows)), height = bottom - top; // rows are equally high
    context.imageSmoothingEnabled = height < map.rows; // shrunk: average; enlarged: crisp cells
    for (const run of runs) {
      const left = view.x(run.left), right = run.to === map.columns ? view.width : view.x(run.right);
      if (right < 0 || left > view.width) continue;
      const last = run.to === map.columns ? view.x(run.right) : right;
      context.drawImage(image, run.from, 0, run.to - run.from, map.rows, left, top, last - left, height);
      if (last < right) context.drawImage(image, run.to - 1, 0, 1, map.rows, last, top, right - last, height);
    }
    blankReached(context, view);
    state.frames++;
    state.paintMs = performance.now() - began;
    requestAnimationFrame(drawProfile);
  }
  function blankReached(context, view) {
    context.fillStyle = css("--stage");
    for (let i = 0, next; i <= count; i = next) {
      next = i + 1; // candles that reach nothing new are blanked in one go
      while (next <= count && within[next] === within[i] && lowest[next] === lowest[i] && highest[next] === highest[i]) next++;
      if (within[i] < 0 || lowest[i] > highest[i]) continue;
      const left = view.x(i - 0.5), right = next > count ? view.width : view.x(next - 0.5);
      if (right <= left || right < 0 || left > view.width) continue;
      const bottom = view.y(rowPrice(lowest[i])), top = view.y(rowPrice(highest[i] + 1));
      context.fillRect(left, top, right - left, bottom - top);
    }
  }
  function drawZones(context, view) {
    context.strokeStyle = css("--zone");
    context.lineWidth = view.v;
    for (let k = 0; k < zones.count; k++) {
      const left = view.x(zones.from[k] - 0.5), right = view.x(zones.to[k] - 0.5);
      if (right < 0 || left > view.width || right - left < 3 * view.h) continue;
      const top = view.y(zones.high[k]), bottom = view.y(zones.low[k]);
      context.strokeRect(left + 0.5, top + 0.5, right - left, Math.max(bottom - top, 2));
    }
  }
  function drawChannels(context, view) {
    const colour = css("--accent"), halo = css("--halo");
    for (let k = 0; k < channels.count; k++) {
      const left = view.x(channels.from[k] - 0.5), right = view.x(channels.to[k] + 0.5);
      if (right < 0 || left > view.width) continue;
      for (const [from, to] of [channels.upper, channels.lower]) {
        const ends = [[left, view.y(from[k])], [right, view.y(to[k])]];
        drawLine(context, ...ends, halo, 3 * view.v, []);
        drawLine(context, ...ends, colour, 1.5 * view.v, []);
      }
    }
    if (view.spacing < 0.5) return; // so far away that marks would hide price
    const size = 4 * view.h, ink = css("--ink");
    for (let k = 0; k < marks.count; k++) {
      const x = view.x(marks.candle[k]), y = view.y(marks.price[k]);
      if (x < -20 || x > view.width + 20) continue;
      context.beginPath(); // a break is a diamond, filled where a zone backs it; a failed one a cross; exhaustion a ring
      if (marks.titles[marks.kind[k]] === "ChannelBreak") {
        for (const [dx, dy] of [[0, -1.3], [1, 0], [0, 1.3], [-1, 0]]) context.lineTo(x + dx * size, y + dy * size);
        context.closePath();
      } else if (marks.titles[marks.kind[k]] === "FakeOut") {
        for (const way of [1, -1]) {
          context.moveTo(x - size, y - way * size);
          context.lineTo(x + size, y + way * size);
        }
      } else context.arc(x, y, size * 1.3, 0, 7);
      context.strokeStyle = halo;
      context.lineWidth = 4 * view.h;
      context.stroke();
      context.strokeStyle = ink;
      context.lineWidth = 1.5 * view.h;
      context.stroke();
      context.fillStyle = colour;
      if (marks.aligned[k]) context.fill();
    }
  }
  function drawLine(context, from, to, colour, width, dash) {
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.setLineDash([]);
  }
  function drawTrades(context, view) {
    const [ink, halo, good, bad] = ["--ink", "--halo", "--good", "--bad"].map(css);
    const near = view.spacing > 2.5; // close enough for levels to be told apart
    const plain = view.spacing < 0.5; // so far that markers would hide price: fewer and lighter
    const size = (near ? 7 : 3) * view.h;
    let marked = -Infinity;
    for (let k = 0; k < trades.side.length; k++) {
      const left = view.x(trades.entry_candle[k]), right = view.x(trades.exit_candle[k]);
      if (right < -20 || left > view.width + 20) continue;
      const from = view.y(trades.entry_price[k]), to = view.y(trades.exit_price[k]);
      const outcome = trades.net[k] >= 0 ? good : bad;
      const chosen = k === chosenTrade;
      if (plain && !chosen && left - marked < 2 * size) continue;
      marked = left;
      if (near || chosen) {
        for (const [level, colour] of [[trades.stop[k], bad], [trades.target[k], good]]) {
          if (level === null) continue;
          drawLine(context, [left, view.y(level)], [right, view.y(level)], halo, 4 * view.v, []);
          drawLine(context, [left, view.y(level)], [right, view.y(level)], colour, 2 * view.v, [6 * view.h, 4 * view.h]);
        }
        const width = (chosen ? 2.5 : 1.5) * view.v;
        drawLine(context, [left, from], [right, to], halo, width + 2 * view.v, []);
        drawLine(context, [left, from], [right, to], ink, width, []);
      }
      context.lineWidth = (near ? 1.5 : 1) * view.h;
      context.strokeStyle = halo;
      const way = trades.side[k] > 0 ? 1 : -1;
      context.beginPath(); // entry: an arrow in its direction, its tip at the price
      context.moveTo(left, from);
      context.lineTo(left - size * 0.8, from + way * size * 1.5);
      context.lineTo(left + size * 0.8, from + way * size * 1.5);
      context.closePath();
      context.fillStyle = ink;
      context.globalAlpha = plain && !chosen ? 0.6 : 1;
      if (!plain) context.stroke();
      context.fill();
      context.globalAlpha = 1;
      if (!near && !chosen) continue;
      context.beginPath(); // exit: a dot in the colour of its outcome
      context.arc(right, to, size * 0.6, 0, 7);
      context.fillStyle = outcome;
      context.stroke();
      context.fill();
    }
  }
  const layer = (zOrder, draw) => ({ zOrder: () => zOrder, renderer: () => ({ draw: frame(draw) }) });
  const under = layer("bottom", drawMap);
  const over = layer("top", (context, view) => {
    if (zones && show.zones) drawZones(context, view);
    if (channels && show.channels) drawChannels(context, view);
    if (trades && show.trades) drawTrades(context, view);
  });
  let requestUpdate = () => {};
  candles.attachPrimitive({ paneViews: () => [under, over], attached: (given) => { requestUpdate = given.requestUpdate; } });

  // ---- the profile at the right -----------------------------------------------------------------------------------
  const profile = byId("profile");
  let pointed = null; // candle under the crosshair
  function drawProfile() {
    if (!map) return;
    const ratio = window.devicePixelRatio, height = chart.panes()[0].getHeight(), width = 128;
    if (profile.height !== Math.round(height * ratio)) {
      profile.width = width * ratio;
      profile.height = Math.round(height * ratio);
      profile.style.height = `${height}px`;
    }
    const title = byId("profile-title");
    title.style.top = `${height + 6}px`;
    const context = profile.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const range = scale.getVisibleLogicalRange();
    const candle = pointed ?? Math.max(0, Math.min(range ? Math.round(range.to) : count, count));
    const column = within[candle];
    const totals = new Float64Array(map.rows);
    title.textContent = column < 0 ? "" : `Forced orders as of\n${stamp(map.time[column])}`;
    if (column < 0) return;
    let most = 0;
    for (let row = 0; row < map.rows; row++) {
      if (reached(candle, row)) continue;
      for (let k = 0; k < shown.length; k++) if (shown[k]) totals[row] += share(column, k, row);
      const at = candles.priceToCoordinate(rowPrice(row + 0.5));
      if (at >= 0 && at <= height) most = Math.max(most, totals[row]);
    }
    for (let row = 0; row < map.rows; row++) {
      if (!totals[row]) continue;
      const bottom = candles.priceToCoordinate(rowPrice(row)), top = candles.priceToCoordinate(rowPrice(row + 1));
      if (bottom < 0 || top > height) continue;
      context.fillStyle = asCss(colours[Math.max(60, brightness(totals[row]))]);
      context.fillRect(4, top, ((width - 10) * totals[row]) / most, Math.max(bottom - top - (bottom - top > 3 ? 1 : 0), 1));
    }
  }

  // ---- crosshair ---------------------------------------------------------------------------------------------------
  const tip = byId("tip"), readout = byId("readout");
  function row(table, name, value) {
    const line = table.insertRow();
    line.insertCell().textContent = name;
    line.insertCell().textContent = value;
  }
  function tell(i) {
    const [open, high, low, close] = [0, 1, 2, 3].map((k) => price(ohlc[k * count + i]));
    readout.textContent = `${stamp(time[i])} · O ${open} · H ${high} · L ${low} · C ${close}`;
  }
  chart.subscribeCrosshairMove((event) => {
    const inside = event.point && event.logical !== undefined;
    const candle = inside ? Math.min(Math.max(Math.round(event.logical), 0), count) : count;
    tell(Math.min(candle, count - 1));
    const column = inside ? within[candle] : -1;
    pointed = column >= 0 ? candle : null;
    requestAnimationFrame(drawProfile);
    tip.hidden = !(column >= 0 && event.paneIndex === 0);
    if (tip.hidden) return;
    const at = candles.coordinateToPrice(event.point.y), bin = rowAt(at);
    const table = document.createElement("table");
    row(table, "price", price(at));
    if (bin >= 0 && bin < map.rows) {
      row(table, "bin", `${price(rowPrice(bin))} – ${price(rowPrice(bin + 1))}`);
      const gone = reached(candle, bin);
      let total = 0;
      if (!gone)
        data.layers.forEach((name, k) => {
          const waiting = share(column, k, bin);
          total += waiting;
          if (waiting) row(table, name, short(waiting * map.oi[column]));
        });
      row(table, "waiting here", total ? short(total * map.oi[column]) : gone ? "none: price has been here" : "none");
      if (total) row(table, "share of open interest", `${(100 * total).toPrecision(2)}%`);
    }
    row(table, "as of", stamp(map.time[column]));
    tip.replaceChildren(table);
    const after = event.point.x + 16, before = event.point.x - tip.offsetWidth - 16, room = scale.width() - tip.offsetWidth - 4;
    tip.style.left = `${Math.max(4, after <= room ? after : Math.min(before, room))}px`;
    tip.style.top = `${Math.max(4, Math.min(event.point.y + 14, chart.panes()[0].getHeight() - tip.offsetHeight - 6))}px`;
  });

  // ---- moving about --------------------------------------------------------------------------------------------------
  const all = () => scale.setVisibleLogicalRange({ from: -0.5 - count * 0.012, to: count - 0.5 + Math.max(4, count * 0.03) });
  function jump(k) {
    chosenTrade = k;
    const held = trades.exit_candle[k] - trades.entry_candle[k], margin = Math.max(40, held * 0.6);
    scale.setVisibleLogicalRange({ from: trades.entry_candle[k] - margin, to: trades.exit_candle[k] + margin });
    document.querySelectorAll("#trade-rows tr").forEach((line) => line.classList.toggle("chosen", Number(line.dataset.trade) === k));
    host.scrollIntoView({ block: "center", behavior: "instant" });
  }
  document.querySelectorAll("[data-span]").forEach((button) =>
    button.addEventListener("click", () => {
      const span = Number(button.dataset.span);
      if (!span) return all();
      const range = scale.getVisibleLogicalRange(), to = Math.min(range.to, count + span * 0.04);
      scale.setVisibleLogicalRange({ from: Math.max(to - span, -0.5), to: Math.max(to, span) });
    }),
  );
  host.addEventListener("keydown", (event) => {
    const range = scale.getVisibleLogicalRange(), width = range.to - range.from;
    const moves = { ArrowLeft: [-0.1, -0.1], ArrowRight: [0.1, 0.1], "+": [0.15, -0.15], "=": [0.15, -0.15], "-": [-0.2, 0.2] };
    if (event.key === "Home") all();
    else if (moves[event.key]) scale.setVisibleLogicalRange({ from: range.from + width * moves[event.key][0], to: range.to + width * moves[event.key][1] });
    else return;
    event.preventDefault();
  });
  function toggle(name, change) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      change(on);
      requestUpdate();
    });
    byId("toggles").append(button, " ");
  }
  if (map) {
    const pick = (layers) => (on) => { for (const k of layers) shown[k] = on; paintMap(); };
    toggle("Liquidations", pick([0, 1]));
    if (map.has_stops) toggle("Stops", pick([2, 3]));
  }
  if (zones && zones.count) toggle("Zones", (on) => { show.zones = on; });
  if (channels && channels.count) toggle("Channels", (on) => { show.channels = on; });
  if (trades && trades.side.length) toggle("Trades", (on) => { show.trades = on; });

  // ---- trades ----------------------------------------------------------------------------------------------------------
  function listTrades() {
    const columns = [
      ["#", (k) => String(k + 1)], ["Side", (k) => (trades.side[k] > 0 ? "long" : "short"), "left"], ["Entry, UTC", (k) => stamp(trades.entry_time[k])],
      ["Entry", (k) => price(trades.entry_price[k])], ["Stop", (k) => price(trades.stop[k])], ["Target", (k) => price(trades.target[k])],
      ["Exit, UTC", (k) => stamp(trades.exit_time[k])], ["Exit", (k) => price(trades.exit_price[k])], ["Why", (k) => trades.exit_reason[k] + (trades.ambiguous[k] ? " (ambiguous)" : ""), "left"],
      ["Bars", (k) => number(trades.bars_held[k], 0)], ["MAE, R", (k) => signed(trades.mae_r[k], 2)], ["MFE, R", (k) => signed(trades.mfe_r[k], 2)],
      ["R", (k) => signed(trades.r[k], 2), "outcome"], ["Net", (k) => signed(trades.net[k], 0), "outcome"],
    ];
    const head = byId("trade-head").insertRow();
    for (const [name, , kind] of columns) {
      const cell = document.createElement("th");
      cell.textContent = name;
      cell.scope = "col";
      if (kind === "left") cell.className = "left";
      head.append(cell);
    }
    const body = byId("trade-rows");
    for (let k = 0; k < trades.side.length; k++) {
      const line = body.insertRow();
      line.tabIndex = 0;
      line.dataset.trade = k;
      line.title = "Show on the chart";
      for (const [, value, kind] of columns) {
        const cell = line.insertCell();
        cell.textContent = value(k);
        if (kind) cell.className = kind === "left" ? kind : trades.net[k] >= 0 ? "good" : "bad";
      }
      line.addEventListener("click", () => jump(k));
      line.addEventListener("keydown", (event) => { if (event.key === "Enter") jump(k); });
    }
    byId("trade-count").textContent = trades.side.length ? `${trades.side.length}, click one to see it on the chart` : "There were no trades.";
  }
  const signed = (value, digits) => (value === null ? "–" : (value > 0 ? "+" : "") + number(value, digits).replace("-", "−"));
  if (trades) listTrades();

  // ---- theme -----------------------------------------------------------------------------------------------------------
  function setTheme(name) {
    theme = name;
    document.documentElement.dataset.theme = name;
    byId("theme").textContent = name === "dark" ? "Light" : "Dark";
    colours = palette(name === "dark");
    const [line, muted, up, down, bad, accent] = ["--line", "--muted", "--up", "--down", "--bad", "--accent"].map(css);
    chart.applyOptions({
      layout: { background: { type: LWC.ColorType.Solid, color: css("--stage") }, textColor: muted, panes: { separatorColor: line, separatorHoverColor: accent + "33" } },
      crosshair: { vertLine: { color: muted, labelBackgroundColor: "#44546e" }, horzLine: { color: muted, labelBackgroundColor: "#44546e" } },
    });
    candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    if (curve) {
      equity.applyOptions({ lineColor: up, topColor: up + "55", bottomColor: up + "05" });
      drawdown.applyOptions({ topLineColor: bad, bottomLineColor: bad, topFillColor1: bad + "00", topFillColor2: bad + "00", bottomFillColor1: bad + "18", bottomFillColor2: bad + "66" });
      sold.applyOptions({ color: bad });
      bought.applyOptions({ color: accent });
    }
    paintMap();
    requestUpdate();
  }
  byId("theme").addEventListener("click", () => setTheme(theme === "dark" ? "light" : "dark"));
  wanted.addEventListener("change", (event) => setTheme(event.matches ? "light" : "dark"));

  // ---- printing --------------------------------------------------------------------------------------------------------
  // Canvases that scripts size do not follow a sheet's width: a sheet gets one picture of them all, in light colours.
  let printing = null;
  function drawPrinted() {
    const picture = byId("printed"), ratio = window.devicePixelRatio, shot = chart.takeScreenshot(true, false);
    const aside = profile.clientWidth ? profile.width : 0;
    [picture.width, picture.height] = [shot.width + aside, shot.height];
    const context = picture.getContext("2d");
    context.fillStyle = css("--stage");
    context.fillRect(0, 0, picture.width, picture.height);
    context.drawImage(shot, 0, 0);
    if (aside) context.drawImage(profile, shot.width, 0);
    context.fillStyle = css("--muted");
    context.font = `${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "top";
    for (const label of document.querySelectorAll(".pane-name, #profile-title"))
      if (label.offsetWidth)
        label.textContent.split("\n").forEach((line, k) => context.fillText(line, label.offsetLeft * ratio, (label.offsetTop + 15 * k) * ratio));
  }
  window.addEventListener("beforeprint", () => {
    printing = { theme, range: scale.getVisibleLogicalRange() };
    setTheme("light");
    drawProfile();
    drawPrinted();
  });
  window.addEventListener("afterprint", () => {
    setTheme(printing.theme);
    requestAnimationFrame(() => scale.setVisibleLogicalRange(printing.range));
  });

  function namePanes() {
    document.querySelectorAll(".pane-name").forEach((label) => label.remove());
    let top = chart.panes()[0].getHeight() + 1;
    panes.forEach((name, i) => {
      const label = document.createElement("div");
      label.className = "pane-name";
      label.style.top = `${top + 3}px`;
      label.textContent = name;
      host.parentElement.append(label);
      top += chart.panes()[i + 1].getHeight() + 1;
    });
    readout.style.maxWidth = `${scale.width() - 20}px`; // clear of the axis
    drawProfile();
  }
  if (map) {
    const width = `${Number((1e4 * map.log_step).toPrecision(3))} bps`;
    byId("scale-top").textContent = `${(100 * map.bright).toPrecision(2)}% of OI per ${width}${map.pool > 1 ? ` (${map.pool} bins)` : " bin"}`;
  } else document.querySelector(".scale").remove();
  tell(count - 1);
  setTheme(theme);
  all();
  new ResizeObserver(() => requestAnimationFrame(namePanes)).observe(host);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    namePanes();
    Object.assign(state, {
      ready: true, chart, jump, setTheme, image, candles: count, version: LWC.version(),
      range: () => scale.getVisibleLogicalRange(), theme: () => theme,
      reachedPrices: (some) => some.map((i) => [rowPrice(lowest[i]), rowPrice(highest[i] + 1)]),
      heights: (rows) => rows.map((row) => candles.priceToCoordinate(rowPrice(row))),
    });
    document.documentElement.dataset.ready = "true";
  }));
})();

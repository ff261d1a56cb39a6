// The stage: candles over the map, panes below, the profile at the right, and what the crosshair tells.
const byId = (id) => document.getElementById(id);
const LWC = LightweightCharts;
const FLOW = "Forced flow, % of open interest: bought up, sold down";
const PROFILE = 128; // pixels
const BLIND = { blind_placement: "dotted: blind in stops and targets", blind_selection: "dashed: blind in entries" }; // medians of accounts

class Stage {
  constructor(scene) {
    this.host = byId("chart");
    this.show = { zones: true, channels: true, trades: true };
    this.chosen = -1; // trade
    this.hovered = -1; // zone
    this.pointed = null; // candle under the crosshair
    this.event = {}; // what the crosshair last said
    this.paintMs = [];
    this.frames = 0;
    if (!scene.curve) this.host.classList.add("map-only");
    this.chart = LWC.createChart(this.host, {
      autoSize: true,
      layout: { attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, panes: { enableResize: true } },
      grid: { vertLines: { visible: false }, horzLines: { visible: false } },
      crosshair: { mode: LWC.CrosshairMode.Normal },
      rightPriceScale: { borderVisible: false, minimumWidth: 76 },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, minBarSpacing: 0.01, rightOffset: 6, enableConflation: true },
      localization: { timeFormatter: stamp },
    });
    this.scale = this.chart.timeScale();
    this.price = (value) => number(value, scene.bars.decimals);
    this.candles = this.chart.addSeries(LWC.CandlestickSeries, {
      priceFormat: { type: "custom", minMove: 10 ** -scene.bars.decimals, formatter: this.price },
      borderVisible: false,
      priceLineVisible: false,
      lastValueVisible: false, // a tag would lie over the axis' own labels
    });
    this.candles.priceScale().applyOptions({ mode: LWC.PriceScaleMode.Logarithmic, scaleMargins: { top: 0.14, bottom: 0.14 }, entireTextOnly: true });
    this.panes = [];
    if (scene.curve) this.addPanes(scene);
    this.candles.attachPrimitive({
      paneViews: () => [this.layer("bottom", "drawUnder"), this.layer("normal", "drawOver")],
      attached: (given) => { this.requestUpdate = given.requestUpdate; },
    });
    this.chart.subscribeCrosshairMove((event) => {
      this.event = event;
      this.follow(requestAnimationFrame);
    });
    new ResizeObserver(() => requestAnimationFrame(() => this.namePanes())).observe(this.host);
    this.setScene(scene);
  }

  addPanes(scene) {
    const percent = (digits) => ({ type: "custom", minMove: 0.01, formatter: (value) => `${number(value, digits)}%` });
    const whole = { type: "custom", minMove: 1, formatter: (value) => number(value, 0) };
    const zero = { baseValue: { type: "price", price: 0 } };
    const pane = (name, kind, options, top = 0.28) => {
      const at = this.panes.includes(name) ? this.panes.indexOf(name) + 1 : this.panes.push(name);
      const series = this.chart.addSeries(kind, { priceLineVisible: false, lastValueVisible: false, lineWidth: 1, ...options }, at);
      series.priceScale().applyOptions({ mode: LWC.PriceScaleMode.Normal, scaleMargins: { top, bottom: 0.08 }, entireTextOnly: true });
      return series;
    };
    const bound = (minValue, maxValue) => ({ autoscaleInfoProvider: () => ({ priceRange: { minValue, maxValue } }) });
    this.blind = Object.keys(BLIND).filter((name) => scene.curve[name]);
    const equity = ["Equity", ...this.blind.map((name) => BLIND[name])].join(", ");
    this.series = {
      equity: pane(equity, LWC.AreaSeries, { lineWidth: 2, priceFormat: whole }),
      drawdown: pane("Drawdown", LWC.BaselineSeries, { ...zero, priceFormat: percent(1) }, 0.42),
      exposure: pane("Exposure, % of equity: long up, short down", LWC.BaselineSeries, { ...zero, priceFormat: percent(0), lineType: LWC.LineType.WithSteps }, 0.36),
      coverage: pane("Coverage, located % of open interest", LWC.AreaSeries, { priceFormat: percent(0), ...bound(0, 100) }, 0.36),
      bought: pane(FLOW, LWC.HistogramSeries, { priceFormat: percent(2) }, 0.34),
      sold: pane(FLOW, LWC.HistogramSeries, { priceFormat: percent(2) }, 0.34),
    };
    for (const name of this.blind)
      this.series[name] = pane(equity, LWC.LineSeries, { priceFormat: whole, crosshairMarkerVisible: false, lineStyle: name === "blind_placement" ? LWC.LineStyle.Dotted : LWC.LineStyle.Dashed });
    [7.4, 1.3, 0.9, 0.8, 0.8, 1].forEach((part, i) => this.chart.panes()[i].setStretchFactor(part));
  }

  setScene(scene) {
    this.scene = scene;
    const shown = this.heatmap?.shown;
    this.heatmap = scene.map && new Heatmap(scene);
    if (this.heatmap && shown) this.heatmap.shown = shown;
    this.hovered = -1;
    this.setBars();
    if (this.colours) this.heatmap?.paint(this.colours);
    this.tellBar(scene.now - 1);
  }

  // The candles that are known, and what belongs to them in the panes.
  setBars() {
    const { scene } = this, { time, ohlc } = scene.bars, { count, now } = scene;
    const blank = (i) => ({ time: time[i] });
    this.candles.setData(Array.from(time, (at, i) =>
      i < now ? { time: at, open: ohlc[i], high: ohlc[count + i], low: ohlc[2 * count + i], close: ohlc[3 * count + i] } : blank(i)));
    if (!scene.curve) return;
    const { curve } = scene;
    for (const name of ["equity", "drawdown", "exposure", ...this.blind])
      this.series[name].setData(Array.from(curve.candle, (i, k) => (i < now ? { time: time[i], value: curve[name][k] } : blank(i))));
    for (const name of ["coverage", "bought", "sold"])
      this.series[name].setData(Array.from(curve[name], (value, i) => (i < now ? { time: time[i], value } : blank(i))));
  }

  // One candle more, without building all of them again.
  addBar() {
    const { scene } = this, i = scene.now++, { time, ohlc } = scene.bars, { count, curve } = scene;
    this.candles.update({ time: time[i], open: ohlc[i], high: ohlc[count + i], low: ohlc[2 * count + i], close: ohlc[3 * count + i] }, true);
    if (!curve) return;
    const k = curve.candle.length === count ? i : curve.candle.indexOf(i);
    for (const name of ["equity", "drawdown", "exposure"]) if (k >= 0) this.series[name].update({ time: time[i], value: curve[name][k] }, true);
    for (const name of ["coverage", "bought", "sold"]) this.series[name].update({ time: time[i], value: curve[name][i] }, true);
  }

  layer(zOrder, method) {
    return { zOrder: () => zOrder, renderer: () => ({ draw: (target) => target.useBitmapCoordinateSpace((space) => this[method](space.context, this.view(space))) }) };
  }
  view({ bitmapSize, horizontalPixelRatio: h, verticalPixelRatio: v }) {
    const origin = this.scale.logicalToCoordinate(0), spacing = (this.scale.logicalToCoordinate(1000) - origin) / 1000;
    return {
      ...this.theme, h, v, spacing, width: bitmapSize.width, height: bitmapSize.height,
      from: -origin / spacing, to: (bitmapSize.width / h - origin) / spacing,
      x: (logical) => Math.round((origin + logical * spacing) * h),
      y: (value) => Math.round(this.candles.priceToCoordinate(value) * v),
    };
  }
  drawUnder(context, view) {
    const began = performance.now();
    if (view.spacing < 1.6 !== this.far) this.paintCandles(view.spacing < 1.6);
    this.heatmap?.draw(context, view);
    this.frames++;
    this.paintMs = [...this.paintMs.slice(-99), performance.now() - began];
    this.follow(queueMicrotask); // once the chart is drawn, and within the same frame
  }
  // What stands beside the chart follows it, once a frame however often the chart says that it moved.
  follow(when) {
    this.behind = true;
    when(() => {
      if (!this.behind) return;
      this.behind = false;
      this.tell(this.event);
      this.drawProfile();
    });
  }
  drawOver(context, view) {
    const { scene, show } = this;
    if (scene.voids && show.zones) drawVoids(context, view, scene);
    if (scene.zones && show.zones) drawZones(context, view, scene, this.hovered);
    if (scene.channels && show.channels) drawChannels(context, view, scene);
    if (scene.trades && show.trades) drawTrades(context, view, scene, this.chosen);
  }

  setTheme() {
    const names = ["stage", "line", "muted", "up", "down", "good", "bad", "accent", "zone", "ink", "halo"];
    this.theme = Object.fromEntries(names.map((name) => [name, css(`--${name}`)]));
    this.theme.zoneFill = css("--zone-fill");
    this.theme.zoneHovered = css("--zone-hovered");
    const { stage, line: separator, muted, up, bad, accent } = this.theme;
    this.colours = palette(document.documentElement.dataset.theme === "dark");
    this.chart.applyOptions({
      layout: { background: { type: LWC.ColorType.Solid, color: stage }, textColor: muted, panes: { separatorColor: separator, separatorHoverColor: `${accent}33` } },
      crosshair: { vertLine: { color: muted, labelBackgroundColor: "#44546e" }, horzLine: { color: muted, labelBackgroundColor: "#44546e" } },
    });
    this.paintCandles(this.far ?? false);
    if (this.series) {
      const { equity, drawdown, exposure, coverage, bought, sold } = this.series, area = (colour) => ({ lineColor: colour, topColor: `${colour}55`, bottomColor: `${colour}08` });
      equity.applyOptions(area(up));
      coverage.applyOptions(area(accent));
      drawdown.applyOptions({ topLineColor: bad, bottomLineColor: bad, topFillColor1: `${bad}00`, topFillColor2: `${bad}00`, bottomFillColor1: `${bad}18`, bottomFillColor2: `${bad}66` });
      exposure.applyOptions({ topLineColor: up, topFillColor1: `${up}66`, topFillColor2: `${up}22`, bottomLineColor: accent, bottomFillColor1: `${accent}22`, bottomFillColor2: `${accent}66` });
      for (const name of this.blind) this.series[name].applyOptions({ color: accent });
      sold.applyOptions({ color: bad });
      bought.applyOptions({ color: accent });
    }
    this.heatmap?.paint(this.colours);
    this.paintScale();
    this.requestUpdate();
  }
  // From afar two colours of candles are noise: one line of price says more.
  paintCandles(far) {
    this.far = far;
    const { up, down } = this.theme, falling = far ? up : down;
    this.candles.applyOptions({ upColor: up, downColor: falling, wickUpColor: up, wickDownColor: falling });
  }
  paintScale() {
    const { heatmap, colours } = this;
    if (!heatmap) return;
    const context = byId("scale").getContext("2d");
    for (let k = 0; k < 256; k++) {
      context.clearRect(k, 0, 1, 1);
      context.fillStyle = asCss(colours[Math.max(k, 1)]);
      context.fillRect(k, 0, 1, 1);
    }
    const { map } = heatmap, width = `${Number((1e4 * map.log_step).toPrecision(3))} bps`;
    byId("scale-ends").replaceChildren(...[0, 0.5, 1].map((along) => {
      const label = document.createElement("span");
      label.textContent = share(heatmap.atBrightness(along));
      return label;
    }));
    byId("scale-unit").textContent = `of open interest per ${width}${map.pool > 1 ? ` (${map.pool} bins)` : " bin"}`;
  }

  lastSeen() {
    const range = this.scale.getVisibleLogicalRange();
    return Math.min(Math.max(range ? Math.floor(range.to) : this.scene.now - 1, 0), this.scene.now - 1);
  }
  // The candle whose map the profile shows: under the crosshair, else the last one in sight.
  profiled() {
    const range = this.scale.getVisibleLogicalRange(), { count, now } = this.scene;
    const last = now < count ? now : count; // after the last candle stands what is left at the end
    return Math.min(this.pointed ?? Math.max(0, range ? Math.round(range.to) : last), last);
  }
  drawProfile() {
    const { heatmap, candles } = this, profile = byId("profile");
    if (!heatmap) return;
    const ratio = window.devicePixelRatio, height = this.chart.panes()[0].getHeight();
    if (profile.height !== Math.round(height * ratio)) {
      profile.width = PROFILE * ratio;
      profile.height = Math.round(height * ratio);
      profile.style.height = `${height}px`;
    }
    const title = byId("profile-title"), context = profile.getContext("2d");
    title.style.top = `${height + 6}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, PROFILE, height);
    const candle = this.profiled(), column = heatmap.within[candle], { rows } = heatmap.map;
    title.textContent = "";
    if (column < 0) return;
    const totals = Float64Array.from({ length: rows }, (_, row) => heatmap.total(candle, row));
    let most = 0;
    for (let row = 0; row < rows; row++) {
      const at = candles.priceToCoordinate(heatmap.rowPrice(row + 0.5));
      if (at >= 0 && at <= height) most = Math.max(most, totals[row]);
    }
    title.textContent = `Forced orders as of\n${stamp(heatmap.map.time[column])}\nlongest bar: ${share(most)}`;
    for (let row = 0; row < rows; row++) {
      if (!totals[row]) continue;
      const bottom = candles.priceToCoordinate(heatmap.rowPrice(row)), top = candles.priceToCoordinate(heatmap.rowPrice(row + 1));
      if (bottom < 0 || top > height) continue;
      context.fillStyle = asCss(this.colours[Math.max(60, heatmap.brightness(totals[row]))]);
      context.fillRect(4, top, ((PROFILE - 10) * totals[row]) / most, Math.max(bottom - top - (bottom - top > 3 ? 1 : 0), 1));
    }
  }

  tellBar(i) {
    if (i < 0) return;
    const { time, ohlc } = this.scene.bars, { count } = this.scene;
    const [open, high, low, close] = [0, 1, 2, 3].map((k) => this.price(ohlc[k * count + i]));
    byId("readout").textContent = `${stamp(time[i])} · O ${open} · H ${high} · L ${low} · C ${close}`;
    const { curve } = this.scene, percent = (value, digits) => `${number(value, digits)}%`;
    const flow = (bought, sold) => (bought || sold ? `+${percent(bought, 3)}, ${percent(sold, 3)}` : "none");
    if (!curve) return;
    const k = curve.candle.length === count ? i : curve.candle.indexOf(i);
    const [equity, drawdown, exposure] = ["equity", "drawdown", "exposure"].map((name) => (k < 0 ? NaN : curve[name][k]));
    const told = [number(equity, 0), percent(drawdown, 1), percent(exposure, 0), percent(curve.coverage[i], 0), flow(curve.bought[i], curve.sold[i])];
    document.querySelectorAll(".pane-name b").forEach((value, n) => { value.textContent = told[n]; });
  }
  tell(event) {
    const { scene, heatmap } = this, inside = event.point && event.logical !== undefined;
    const last = scene.now < scene.count ? scene.now : scene.count;
    const candle = inside ? Math.min(Math.max(Math.round(event.logical), 0), last) : last;
    this.tellBar(inside ? Math.min(candle, scene.now - 1) : this.lastSeen());
    const column = inside && heatmap ? heatmap.within[candle] : -1;
    this.pointed = column >= 0 ? candle : null;
    const on = inside && event.paneIndex === 0, at = on ? this.candles.coordinateToPrice(event.point.y) : null;
    const zone = on && scene.zones && this.show.zones ? zoneAt(scene, event.logical, at) : -1;
    if (zone !== this.hovered) {
      this.hovered = zone;
      this.requestUpdate();
    }
    const tip = byId("tip");
    tip.hidden = !(on && column >= 0);
    if (!tip.hidden) placeTip(tip, event.point, this, tipTable(this, candle, at, zone));
  }

  namePanes() {
    document.querySelectorAll(".pane-name").forEach((label) => label.remove());
    let top = this.chart.panes()[0].getHeight() + 1;
    this.panes.forEach((name, i) => {
      const label = document.createElement("div");
      label.className = "pane-name";
      label.style.top = `${top + 2}px`;
      label.append(`${name} `, document.createElement("b"));
      this.host.parentElement.append(label);
      top += this.chart.panes()[i + 1].getHeight() + 1;
    });
    this.tellBar(this.lastSeen());
    byId("readout").style.maxWidth = `${this.scale.width() - 20}px`; // clear of the axis
    this.drawProfile();
  }
}

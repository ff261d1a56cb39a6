// What lies over the candles: zones, channels and what became of them, trades with their stops and targets.
const FAR = 0.5, NEAR = 2.5; // pixels a candle: farther, marks would hide price; nearer, levels can be told apart
const SHORTEST = 36; // pixels: a channel shorter than this says nothing but scratches the page

function line(context, from, to, colour, width, dash = []) {
  context.setLineDash(dash);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.setLineDash([]);
}

function drawZones(context, view, scene, hovered) {
  const { zones } = scene;
  context.lineWidth = view.v;
  for (let k = 0; k < zones.count; k++) {
    if (zones.known[k] >= scene.now) continue;
    const left = view.x(zones.from[k] - 0.5), right = view.x(Math.min(zones.to[k], scene.now) - 0.5);
    if (right < 0 || left > view.width || right - left < 3 * view.h) continue;
    const top = view.y(zones.high[k]), height = Math.max(view.y(zones.low[k]) - top, 2);
    context.fillStyle = k === hovered ? view.zoneHovered : view.zoneFill;
    context.fillRect(left, top, right - left, height);
    context.strokeStyle = view.halo;
    context.strokeRect(left - 0.5, top - 0.5, right - left + 2, height + 2);
    context.strokeStyle = view.zone;
    context.strokeRect(left + 0.5, top + 0.5, right - left, height);
  }
}

// A void: hardly any forced order ahead of price. Dashed, since there is nothing to fill.
function drawVoids(context, view, scene) {
  const { voids } = scene;
  if (view.spacing < FAR) return;
  for (let k = 0; k < voids.count; k++) {
    if (voids.from[k] >= scene.now) continue;
    const left = view.x(voids.from[k] - 0.5), right = view.x(Math.min(voids.to[k], scene.now) - 0.5);
    if (right < 0 || left > view.width || right - left < 12 * view.h) continue;
    const top = view.y(voids.high[k]), height = view.y(voids.low[k]) - top;
    context.setLineDash([3 * view.h, 4 * view.h]);
    context.lineWidth = view.v;
    context.strokeStyle = view.muted;
    context.strokeRect(left + 0.5, top + 0.5, right - left, height);
    context.setLineDash([]);
    if (right - left < 40 * view.h || height < 16 * view.v) continue;
    context.font = `${11 * view.v}px sans-serif`;
    context.textBaseline = "top";
    context.strokeStyle = view.stage; // candles may lie behind it
    context.lineWidth = 4 * view.v;
    context.strokeText("void", left + 4 * view.h, top + 3 * view.v);
    context.fillStyle = view.muted;
    context.fillText("void", left + 4 * view.h, top + 3 * view.v);
  }
}

function zoneAt(scene, logical, price) {
  const { zones } = scene;
  let found = -1;
  for (let k = 0; k < zones.count; k++)
    if (zones.known[k] < scene.now && logical >= zones.from[k] - 0.5 && logical <= zones.to[k] - 0.5 && price >= zones.low[k] && price <= zones.high[k] && (found < 0 || zones.mass[k] > zones.mass[found])) found = k;
  return found;
}

function drawChannels(context, view, scene) {
  const { channels, marks } = scene;
  for (let k = 0; k < channels.count; k++) {
    if (channels.from[k] >= scene.now) continue;
    const whole = channels.to[k] + 1 - channels.from[k], known = Math.min(channels.to[k] + 1, scene.now) - channels.from[k];
    const left = view.x(channels.from[k] - 0.5), right = view.x(channels.from[k] + known - 0.5);
    if (right < 0 || left > view.width || view.spacing * whole < SHORTEST) continue;
    for (const side of ["upper", "lower"]) {
      const from = channels[`${side}_from`][k], to = channels[`${side}_to`][k];
      const ends = [[left, view.y(from)], [right, view.y(from * (to / from) ** (known / whole))]];
      line(context, ...ends, view.halo, 3 * view.v);
      line(context, ...ends, view.accent, 1.5 * view.v);
    }
  }
  if (view.spacing < NEAR) return;
  const size = 4 * view.h;
  for (let k = 0; k < marks.count; k++) {
    const x = view.x(marks.candle[k]), y = view.y(marks.price[k]);
    if (x < -20 || x > view.width + 20 || marks.candle[k] >= scene.now) continue;
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
    context.strokeStyle = view.halo;
    context.lineWidth = 4 * view.h;
    context.stroke();
    context.strokeStyle = view.ink;
    context.lineWidth = 1.5 * view.h;
    context.stroke();
    context.fillStyle = view.accent;
    if (marks.aligned[k]) context.fill();
  }
}

function drawTrades(context, view, scene, chosen) {
  const { trades } = scene, near = view.spacing > NEAR, plain = view.spacing < FAR;
  const size = (near ? 7 : 4.5) * view.h;
  let marked = -Infinity;
  for (let k = 0; k < trades.count; k++) {
    if (trades.entry_candle[k] >= scene.now) continue;
    const open = trades.exit_candle[k] >= scene.now;
    const left = view.x(trades.entry_candle[k]), right = view.x(open ? scene.now - 1 : trades.exit_candle[k]);
    if (right < -20 || left > view.width + 20) continue;
    if (plain && k !== chosen && left - marked < 2 * size) continue; // fewer where they would hide price
    marked = left;
    drawTrade(context, view, { k, trades, left, right, open, size, close: near || k === chosen, chosen: k === chosen });
  }
}

function drawTrade(context, view, { k, trades, left, right, open, size, close, chosen }) {
  const from = view.y(trades.entry_price[k]), to = view.y(trades.exit_price[k]), way = trades.side[k] > 0 ? 1 : -1;
  if (close) {
    for (const [level, colour] of [[trades.stop[k], view.bad], [trades.target[k], view.good]]) {
      if (Number.isNaN(level)) continue;
      line(context, [left, view.y(level)], [right, view.y(level)], view.halo, 4 * view.v);
      line(context, [left, view.y(level)], [right, view.y(level)], colour, 2 * view.v, [6 * view.h, 4 * view.h]);
    }
    const width = (chosen ? 2.5 : 1.5) * view.v;
    if (!open) {
      line(context, [left, from], [right, to], view.halo, width + 2 * view.v);
      line(context, [left, from], [right, to], view.ink, width);
    }
  }
  context.lineWidth = 1.5 * view.h;
  context.strokeStyle = view.halo;
  context.beginPath(); // entry: an arrow in its direction, its tip at the price
  context.moveTo(left, from);
  context.lineTo(left - size * 0.8, from + way * size * 1.5);
  context.lineTo(left + size * 0.8, from + way * size * 1.5);
  context.closePath();
  context.fillStyle = view.ink;
  context.stroke();
  context.fill();
  if (!close || open) return;
  context.beginPath(); // exit: a dot in the colour of its outcome
  context.arc(right, to, size * 0.6, 0, 7);
  context.fillStyle = trades.net[k] >= 0 ? view.good : view.bad;
  context.stroke();
  context.fill();
}

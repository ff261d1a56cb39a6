// Colours: the scale of the map, and the theme of the page.
// inferno (matplotlib, CC0), 13 of its 256 colours: even in lightness, safe for the colour-blind
const INFERNO = ["000004", "110a30", "320a5e", "57106e", "781c6d", "9a2865", "bc3754", "d84c3e", "ed6925", "f98e09", "fbb61a", "f4df53", "fcffa4"];

function palette(dark) {
  const stops = INFERNO.map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const colours = new Uint32Array(256);
  for (let k = 1; k < 256; k++) {
    const along = dark ? 0.05 + (0.95 * k) / 255 : 1 - (0.82 * k) / 255;
    const at = Math.min(along * 12, 11.999), i = Math.floor(at);
    const [r, g, b] = stops[i].map((value, c) => Math.round(value + (stops[i + 1][c] - value) * (at - i)));
    const alpha = dark ? 255 : Math.min(255, 70 + k * 2); // pale colours melt into a light page
    colours[k] = (alpha << 24) | (b << 16) | (g << 8) | r;
  }
  return colours;
}
const asCss = (colour) => `rgba(${colour & 255},${(colour >> 8) & 255},${(colour >> 16) & 255},${(colour >>> 24) / 255})`;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

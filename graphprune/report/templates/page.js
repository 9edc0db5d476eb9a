"use strict";
// Shared by all pages: the data, packed arrays, the theme, and figures in its colors.
const GP = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const drawn = new Map();
  const kinds = {u1: Uint8Array, i4: Int32Array, f4: Float32Array, f8: Float64Array, scaled: Uint16Array};

  // Unpacks the arrays of payload.py (little-endian, like all machines that run browsers).
  function unpack(packed) {
    const text = atob(packed.b);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const raw = new kinds[packed.t](bytes.buffer);
    if (packed.t !== "scaled") return raw;
    const scale = (packed.hi - packed.lo) / 65534;
    return Float32Array.from(raw, (step) => (step === 65535 ? NaN : packed.lo + step * scale));
  }

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // A copy of a specification in which every "@name" is replaced by that color of the theme.
  function themed(value) {
    if (typeof value === "string") return /^@[a-z-]+\d?$/.test(value) ? color(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
  }

  function layoutOf(layout) {
    const axis = {gridcolor: "@line", linecolor: "@line", zerolinecolor: "@line", tickcolor: "@line", automargin: true};
    const full = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {family: getComputedStyle(document.body).fontFamily, size: 12.5, color: "@ink"},
      margin: {l: 56, r: 16, t: 30, b: 48},
      hoverlabel: {bgcolor: "@surface", bordercolor: "@line", font: {color: "@ink"}, align: "left"},
      dragmode: false, ...layout,
    };
    for (const name of new Set(["xaxis", "yaxis", ...Object.keys(layout)])) {
      if (!/^[xy]axis/.test(name)) continue;
      full[name] = {...axis, ...layout[name]};
      if (full[name].title) full[name].title = {font: {size: 12.5, color: "@muted"}, ...full[name].title};
    }
    return themed(full);
  }

  const narrow = () => window.innerWidth < 640;

  function draw(element, figure) {
    drawn.set(element, figure);
    const traces = themed(figure.data).map((trace) =>
      trace.mode === "markers+text" && trace.meta && narrow() ? {...trace, text: trace.meta} : trace);
    return Plotly.react(element, traces, layoutOf(figure.layout), {displayModeBar: false, responsive: true});
  }

  const redraw = () => drawn.forEach((figure, element) => draw(element, figure));
  const listeners = [];
  const onTheme = (listener) => listeners.push(listener);
  const changed = () => { redraw(); listeners.forEach((listener) => listener()); };

  const media = window.matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : media.matches;
    root.dataset.theme = dark ? "light" : "dark";
    changed();
  });
  let wasNarrow = narrow();
  window.addEventListener("resize", () => { if (narrow() !== wasNarrow) { wasNarrow = narrow(); redraw(); } });

  for (const element of document.querySelectorAll("[data-figure]")) draw(element, data.figures[element.dataset.figure]);

  // Points are drawn with WebGL if the browser supports it.
  const canvas = document.createElement("canvas");
  const points = canvas.getContext("webgl2") || canvas.getContext("webgl") ? "scattergl" : "scatter";

  function options(select, entries, chosen) {
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, value === chosen)));
  }
  const short = (number) => Number.isFinite(number) ? Number(number.toPrecision(4)).toString().replace("-", "−") : "–";
  const count = (number) => number.toLocaleString("en-US");

  return {data, unpack, color, draw, narrow, onTheme, points, options, short, count};
})();

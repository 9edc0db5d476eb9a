"use strict";
// The map of samples, the effect of a keep fraction, and galleries.
(() => {
  const all = GP.data.samples;
  if (!all) return;
  const at = (name) => document.getElementById("map-" + name);
  const cache = new Map();
  const column = (packed) => { if (!cache.has(packed)) cache.set(packed, GP.unpack(packed)); return cache.get(packed); };
  const ids = column(all.ids), measured = column(all.measured), n = ids.length;
  const labels = all.labels && column(all.labels);
  const names = Object.keys(all.scores);
  const orders = new Map();
  const days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
  const ends = "%";
  let kept = new Uint8Array(n);

  // Rows by descending score, ties to the lower row, as the rule "top" keeps them.
  function order(name) {
    if (!orders.has(name)) {
      const values = column(all.scores[name]);
      orders.set(name, Uint32Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b));
    }
    return orders.get(name);
  }

  function choose() {
    const arm = at("rule").value;
    at("slider").hidden = arm !== "";
    at("keep-text").textContent = at("keep").value + " " + ends;
    if (arm !== "") { kept = column(all.kept[arm.slice(1)]); return; }
    kept = new Uint8Array(n);
    const rows = order(at("score").value);
    const room = Math.max(1, Math.floor(at("keep").value / 100 * n + 0.5));
    for (let i = 0; i < room; i++) kept[rows[i]] = 1;
  }

  function counts() {
    let total = 0, seeds = 0;
    for (let i = 0; i < n; i++) if (kept[i]) { total++; seeds += measured[i]; }
    at("counts").textContent = `${GP.count(total)} of ${GP.count(n)} kept (${(100 * total / n).toFixed(1)} %), ${GP.count(n - total)} removed. `
      + `Among the kept samples, ${GP.count(seeds)} have measured and ${GP.count(total - seeds)} have predicted scores.`;
  }

  // Created once; moving the slider only changes widths and figures.
  const bars = [];
  function listClasses() {
    const list = document.createElement("ul"), title = document.createElement("h3");
    list.className = "shares";
    title.textContent = "Fraction kept of each class";
    list.append(...all.classes.slice(0, 200).map((name) => {
      const [item, text, track, bar, figure] = ["li", "span", "span", "i", "span"].map((tag) => document.createElement(tag));
      text.className = "name"; text.textContent = text.title = name;
      track.className = "track"; track.append(bar);
      figure.className = "figure";
      bars.push([bar, figure]);
      item.append(text, track, figure);
      return item;
    }));
    at("classes").replaceChildren(title, list);
  }

  function shares() {
    if (!labels) return;
    if (!bars.length) listClasses();
    const size = new Uint32Array(all.classes.length), stay = new Uint32Array(all.classes.length);
    for (let i = 0; i < n; i++) { size[labels[i]]++; stay[labels[i]] += kept[i]; }
    bars.forEach(([bar, figure], c) => {
      const share = 100 * stay[c] / size[c];
      bar.style.width = share + ends;
      figure.textContent = `${share.toFixed(0)} % of ${GP.count(size[c])}`;
    });
  }

  function heat() {
    at("heat-figure").hidden = !all.hour;
    if (!all.hour) return;
    const hour = column(all.hour), weekday = column(all.weekday);
    const size = days.map(() => new Array(24).fill(0)), stay = days.map(() => new Array(24).fill(0));
    for (let i = 0; i < n; i++) { size[weekday[i]][hour[i]]++; stay[weekday[i]][hour[i]] += kept[i]; }
    GP.draw(at("heat"), {
      data: [{type: "heatmap", x: [...Array(24).keys()], y: days, z: size.map((row, d) => row.map((m, h) => (m ? 100 * stay[d][h] / m : null))),
              zmin: 0, zmax: 100, colorscale: [[0, "@wash"], [1, "@accent"]], xgap: 1, ygap: 1, customdata: size,
              colorbar: {ticksuffix: " %", thickness: 10, outlinewidth: 0},
              hovertemplate: "%{y} %{x}:00<br>%{z:.0f} % of %{customdata} windows kept<extra></extra>"}],
      layout: {height: 270, margin: {l: 44, r: 8, t: 8, b: 42}, xaxis: {title: {text: "hour of day"}, dtick: 3, showgrid: false},
               yaxis: {autorange: "reversed", showgrid: false}},
    });
  }

  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  // 256 steps between the given colors.
  function ramp(stops) {
    const parts = stops.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
    return Uint32Array.from({length: 256}, (_, i) => {
      const place = i / 255 * (parts.length - 1), low = Math.min(parts.length - 2, Math.floor(place)), share = place - low;
      const [red, green, blue] = parts[low].map((value, c) => Math.round(value + (parts[low + 1][c] - value) * share));
      return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
    });
  }

  // One color per sample, and the legend.
  function colors() {
    const by = at("color").value, out = new Uint32Array(n), hues = Array.from({length: 8}, (_, i) => GP.color("hue" + i));
    if (by === "score") {
      const values = column(all.scores[at("score").value]), rows = order(at("score").value), steps = ramp(VIRIDIS);
      const [low, high] = [values[rows[Math.floor(0.98 * (n - 1))]], values[rows[Math.floor(0.02 * (n - 1))]]];
      for (let i = 0; i < n; i++) out[i] = steps[Math.max(0, Math.min(255, Math.round(255 * (values[i] - low) / ((high - low) || 1))))];
      legend([["", GP.short(low)], [`linear-gradient(to right, ${VIRIDIS.join(",")})`, GP.short(high)]]);
      return out;
    }
    const names = by === "label" ? all.classes : ["predicted", "measured"], codes = by === "label" ? labels : measured;
    const shades = by === "label" ? hues : [GP.color("muted"), GP.color("accent")], numbers = shades.map(canvas.number);
    for (let i = 0; i < n; i++) out[i] = numbers[codes[i] % shades.length];
    legend(names.slice(0, 12).map((name, c) => [shades[c % shades.length], name]));
    return out;
  }

  function legend(entries) {
    at("legend").replaceChildren(...entries.flatMap(([background, name]) => {
      const [chip, text] = [document.createElement("i"), document.createElement("span")];
      chip.style.background = background;
      chip.className = background.startsWith("linear") ? "ramp" : "chip";
      text.textContent = name;
      return background ? [chip, text] : [text];
    }));
  }

  let canvas = null, painted = null;
  function map(repaint) {
    if (!all.x) { document.querySelector(".map").classList.add("bare"); return; }
    if (!canvas) canvas = GP.pointMap(at("plot"), column(all.x), column(all.y), all, card);
    if (!painted || repaint) painted = colors();
    canvas.draw(kept, painted);
  }

  function picture(row, width) {
    if (all.sprite) {
      const {tile, columns, lines} = all.sprite, place = column(all.sprite.at)[row];
      if (place < 0) return null;
      const scale = width / tile[1], box = document.createElement("span");
      box.className = "picture sprite";
      Object.assign(box.style, {
        width: width + "px", height: tile[0] * scale + "px", backgroundSize: `${columns * width}px ${lines * tile[0] * scale}px`,
        backgroundPosition: `-${(place % columns) * width}px -${Math.floor(place / columns) * tile[0] * scale}px`,
      });
      return box;
    }
    return all.series ? curve(row, width) : null;
  }

  function curve(row, width) {
    const space = "http://www.w3.org/2000/svg", series = column(all.series), {lo, hi} = all.series, height = 0.6 * width;
    const svg = document.createElementNS(space, "svg"), line = document.createElementNS(space, "polyline");
    const spots = Array.from({length: all.steps}, (_, t) => [t, series[row * all.steps + t]]).filter(([, v]) => Number.isFinite(v));
    line.setAttribute("points", spots.map(([t, v]) => `${t / Math.max(1, all.steps - 1) * width},${height - 3 - (v - lo) / ((hi - lo) || 1) * (height - 6)}`).join(" "));
    Object.entries({fill: "none", stroke: "var(--accent)", "stroke-width": 1.5}).forEach(([key, value]) => line.setAttribute(key, value));
    Object.entries({class: "picture", width, height, viewBox: `0 0 ${width} ${height}`}).forEach(([key, value]) => svg.setAttribute(key, value));
    svg.append(line);
    return svg;
  }

  const clock = (row) => `${days[column(all.weekday)[row]]} ${column(all.hour)[row]}:00`;

  function card(row) {
    const list = document.createElement("dl");
    const add = (key, value) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = key; dd.textContent = value;
      list.append(dt, dd);
    };
    add("id", ids[row]);
    if (labels) add("class", all.classes[labels[row]]);
    if (all.hour) add("forecast starts", clock(row));
    add("score", measured[row] ? "measured (seed)" : "predicted");
    for (const name of names) {
      const std = all.stds[name] && !measured[row] ? column(all.stds[name])[row] : NaN;
      add(name, GP.short(column(all.scores[name])[row]) + (Number.isFinite(std) ? " ± " + GP.short(std) : ""));
    }
    add("kept", kept[row] ? "yes" : "no");
    at("card").replaceChildren(...[picture(row, 120), list].filter(Boolean));
  }

  function galleries() {
    const name = at("score").value, values = column(all.scores[name]);
    const titles = {highest: "Highest scores (kept first)", lowest: "Lowest scores (removed first)", uncertain: "Most uncertain predictions"};
    const parts = Object.entries(all.galleries[name]).flatMap(([kind, rows]) => {
      const title = document.createElement("h3"), grid = document.createElement("div");
      title.textContent = titles[kind];
      grid.className = "gallery";
      grid.append(...rows.map((row) => {
        const item = document.createElement("div"), text = document.createElement("span");
        text.textContent = [labels ? all.classes[labels[row]] : all.hour ? clock(row) : "id " + ids[row], GP.short(values[row])].join(" · ");
        item.title = "id " + ids[row];
        item.append(...[picture(row, 64), text].filter(Boolean));
        return item;
      }));
      return [title, grid];
    });
    at("galleries").replaceChildren(...(all.sprite || all.series ? parts : []));
  }

  function update(repaint = false) { choose(); counts(); shares(); heat(); map(repaint); }
  let waiting = false;
  function soon() {
    at("keep-text").textContent = at("keep").value + " " + ends;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; update(); });
  }

  if (all.sprite) {
    const style = document.createElement("style");
    style.textContent = `.sprite { background-image: url("${all.sprite.uri}"); }`;
    document.head.append(style);
  }
  GP.options(at("score"), names.map((name) => [name, name]));
  GP.options(at("rule"), [["", "the highest scores"], ...Object.keys(all.kept).map((arm) => ["=" + arm, "as arm " + arm])]);
  GP.options(at("color"), [["score", "by score"], ...(labels ? [["label", "by class"]] : []), ["measured", "measured or predicted"]]);
  at("color-label").hidden = !all.x;
  at("keep").addEventListener("input", soon);
  at("rule").addEventListener("change", () => update());
  at("color").addEventListener("change", () => map(true));
  at("score").addEventListener("change", () => { update(true); galleries(); });
  GP.onTheme(() => map(true));
  update();
  galleries();
  const notes = all.x ? ["Colored points are kept, pale gray points are removed. Drag to zoom in, double-click to zoom out."] : [];
  if (n < all.n) notes.push(`The map shows ${GP.count(n)} of ${GP.count(all.n)} samples, selected at random; the counts refer to these.`);
  notes.push("The slider keeps the highest scores of all samples; arms may use another rule.");
  at("note").textContent = notes.join(" ");
})();

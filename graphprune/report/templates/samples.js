"use strict";
// The map of samples, what a keep fraction keeps, and galleries.
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
  let kept = new Uint8Array(n), shown = [[], []];

  // Rows by descending score, ties to the lower row: what the rule "top" keeps first.
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
    at("counts").textContent = `${GP.count(total)} of ${GP.count(n)} kept (${(100 * total / n).toFixed(1)} %), ${GP.count(n - total)} go. `
      + `Of the kept ones ${GP.count(seeds)} are measured and ${GP.count(total - seeds)} predicted.`;
  }

  function shares() {
    if (!labels) return;
    const size = new Array(all.classes.length).fill(0), stay = size.slice();
    for (let i = 0; i < n; i++) { size[labels[i]]++; stay[labels[i]] += kept[i]; }
    const list = document.createElement("ul");
    list.className = "shares";
    list.append(...all.classes.slice(0, 200).map((name, c) => {
      const share = 100 * stay[c] / size[c];
      const [item, text, track, bar, figure] = ["li", "span", "span", "i", "span"].map((tag) => document.createElement(tag));
      text.className = "name"; text.textContent = text.title = name;
      track.className = "track"; bar.style.width = share + ends; track.append(bar);
      figure.className = "figure"; figure.textContent = `${share.toFixed(0)} % of ${GP.count(size[c])}`;
      item.append(text, track, figure);
      return item;
    }));
    const title = document.createElement("h3");
    title.textContent = "Share kept of each class";
    at("classes").replaceChildren(title, list);
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

  function colours() {
    const by = at("colour").value;
    if (by === "measured") return {values: measured, extra: {colorscale: [[0, GP.colour("faint")], [1, GP.colour("accent")]], cmin: 0, cmax: 1}};
    if (by === "label") {
      const hues = Array.from({length: 8}, (_, i) => GP.colour("hue" + i)), top = Math.max(1, all.classes.length - 1);
      const scale = all.classes.flatMap((_, c) => [[Math.max(0, (c - 0.5) / top), hues[c % 8]], [Math.min(1, (c + 0.5) / top), hues[c % 8]]]);
      return {values: labels, extra: {colorscale: scale.length > 2 ? scale : [[0, hues[0]], [1, hues[0]]], cmin: 0, cmax: top}};
    }
    const values = column(all.scores[at("score").value]), rows = order(at("score").value);
    const [low, high] = [values[rows[Math.floor(0.98 * (n - 1))]], values[rows[Math.floor(0.02 * (n - 1))]]];
    return {values, extra: {colorscale: "Viridis", cmin: low, cmax: high, showscale: true, colorbar: {thickness: 10, outlinewidth: 0, len: 0.6}}};
  }

  // Fixed, so that the picture stands still and Plotly need not search for the extremes at each step.
  const span = ({lo, hi}) => [lo - 0.03 * (hi - lo || 1), hi + 0.03 * (hi - lo || 1)];

  function map() {
    if (!all.x) { document.querySelector(".map").classList.add("bare"); return; }
    const x = column(all.x), y = column(all.y), {values, extra} = colours();
    shown = [[], []];
    for (let i = 0; i < n; i++) shown[kept[i]].push(i);
    const pick = (from, rows) => {
      const out = new Float32Array(rows.length);
      for (let i = 0; i < rows.length; i++) out[i] = from[rows[i]];
      return out;
    };
    const size = n > 10000 ? 3 : n > 2000 ? 4 : 6;
    const trace = (rows, marker) => ({type: GP.points, mode: "markers", x: pick(x, rows), y: pick(y, rows), hoverinfo: "none", marker});
    GP.draw(at("plot"), {
      data: [
        trace(shown[0], {size: Math.max(2, size - 1), color: "@faint", opacity: 0.3}),
        trace(shown[1], {size, color: pick(values, shown[1]), opacity: 0.9, ...extra}),
      ],
      layout: {showlegend: false, dragmode: GP.narrow() ? false : "zoom", hovermode: "closest", uirevision: "map", margin: {l: 4, r: 4, t: 4, b: 4},
               xaxis: {visible: false, range: span(all.x)}, yaxis: {visible: false, range: span(all.y)}},
    });
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
    if (all.hour) add("starts", clock(row));
    add("score", measured[row] ? "measured (seed)" : "predicted");
    for (const name of names) {
      const std = all.stds[name] && !measured[row] ? column(all.stds[name])[row] : NaN;
      add(name, GP.short(column(all.scores[name])[row]) + (Number.isFinite(std) ? " ± " + GP.short(std) : ""));
    }
    add("stays", kept[row] ? "yes" : "no");
    at("card").replaceChildren(...[picture(row, 120), list].filter(Boolean));
  }

  function galleries() {
    const name = at("score").value, values = column(all.scores[name]);
    const titles = {highest: "Highest scores: kept first", lowest: "Lowest scores: first to go", uncertain: "Most uncertain predictions"};
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

  function update() { choose(); counts(); shares(); heat(); map(); }
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
  GP.options(at("colour"), [["score", "by score"], ...(labels ? [["label", "by class"]] : []), ["measured", "measured or predicted"]]);
  at("colour-label").hidden = !all.x;
  at("keep").addEventListener("input", soon);
  at("rule").addEventListener("change", update);
  at("colour").addEventListener("change", map);
  at("score").addEventListener("change", () => { update(); galleries(); });
  GP.onTheme(map);
  update();
  galleries();
  if (all.x) for (const event of ["plotly_hover", "plotly_click"]) at("plot").on(event, ({points: [hit]}) => card(shown[hit.curveNumber][hit.pointNumber]));
  const notes = all.x ? ["Filled points stay, pale grey ones go; drag to enlarge, double-click to return."] : [];
  if (n < all.n) notes.push(`${GP.count(n)} of ${GP.count(all.n)} samples are drawn, chosen at random; the counts are of those.`);
  notes.push("The slider keeps the highest scores of all samples; arms may choose by another rule.");
  at("note").textContent = notes.join(" ");
})();

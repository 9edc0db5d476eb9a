"use strict";
// A map of many points on a plain canvas: pixels are written directly, so 50,000 points need no GPU.
GP.pointMap = (host, x, y, extent, onPick) => {
  const canvas = document.createElement("canvas"), box = document.createElement("div"), ring = document.createElement("div");
  box.className = "zoom"; ring.className = "ring"; box.hidden = ring.hidden = true;
  host.replaceChildren(canvas, box, ring);
  const context = canvas.getContext("2d");
  const pad = ({lo, hi}) => [lo - 0.03 * (hi - lo || 1), hi + 0.03 * (hi - lo || 1)];
  const whole = [...pad(extent.x), ...pad(extent.y)], n = x.length;
  let view = whole, state = null, scale = 1, picked = -1;

  // A color of the theme as one little-endian RGBA number; the canvas converts all color notations.
  function number(text) {
    context.fillStyle = text;
    const [, red, green, blue] = /^#(..)(..)(..)/.exec(context.fillStyle).map((part) => parseInt(part, 16));
    return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
  }
  const mix = (a, b, share) => [0, 8, 16].reduce(
    (sum, at) => sum | Math.round((a >>> at & 255) * share + (b >>> at & 255) * (1 - share)) << at, 255 << 24) >>> 0;

  function place() {
    const {width, height} = canvas;
    const [x0, x1, y0, y1] = view;
    return {kx: width / (x1 - x0), ky: height / (y1 - y0), x0, y1, width, height};
  }

  function stamp(pixels, p, row, size, color) {
    const left = Math.round((x[row] - p.x0) * p.kx - size / 2), top = Math.round((p.y1 - y[row]) * p.ky - size / 2);
    if (!(left > -size && top > -size && left < p.width && top < p.height)) return;
    const cut = size > 3 ? 1 : 0;
    for (let dy = 0; dy < size; dy++) {
      const line = top + dy;
      if (line < 0 || line >= p.height) continue;
      // Without its corners, a small square looks like a dot.
      const inset = cut && (dy === 0 || dy === size - 1) ? 1 : 0;
      const from = Math.max(0, left + inset), to = Math.min(p.width, left + size - inset);
      for (let at = line * p.width + from, end = line * p.width + to; at < end; at++) pixels[at] = color;
    }
  }

  function paint() {
    scale = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.max(1, Math.round(host.clientWidth * scale)), height = Math.max(1, Math.round(host.clientHeight * scale));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer), p = place();
    const {kept, colors} = state, size = Math.round((n > 10000 ? 3 : n > 2000 ? 4 : 6) * scale), small = Math.max(2, size - 1);
    const pale = mix(number(GP.color("faint")), number(GP.color("surface")), 0.4);
    for (let row = 0; row < n; row++) if (!kept[row]) stamp(pixels, p, row, small, pale);
    for (let row = 0; row < n; row++) if (kept[row]) stamp(pixels, p, row, size, colors[row]);
    context.putImageData(image, 0, 0);
    mark();
  }

  function mark() {
    ring.hidden = picked < 0;
    if (picked < 0) return;
    const p = place();
    ring.style.left = (x[picked] - p.x0) * p.kx / scale + "px";
    ring.style.top = (p.y1 - y[picked]) * p.ky / scale + "px";
  }

  // The nearest point within 14 pixels of the pointer, or -1.
  function nearest(px, py) {
    const p = place();
    let best = 14 * 14 * scale * scale, found = -1;
    for (let row = 0; row < n; row++) {
      const dx = (x[row] - p.x0) * p.kx - px * scale, dy = (p.y1 - y[row]) * p.ky - py * scale, far = dx * dx + dy * dy;
      if (far < best) { best = far; found = row; }
    }
    return found;
  }

  const spot = (event) => { const at = host.getBoundingClientRect(); return [event.clientX - at.left, event.clientY - at.top]; };
  let from = null;
  function pick(event) {
    const row = nearest(...spot(event));
    if (row < 0 || row === picked) return;
    picked = row;
    mark();
    onPick(row);
  }
  host.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && event.button === 0) from = spot(event); pick(event); });
  host.addEventListener("pointermove", (event) => {
    if (!from) { pick(event); return; }
    const [px, py] = spot(event);
    box.hidden = false;
    Object.assign(box.style, {left: Math.min(px, from[0]) + "px", top: Math.min(py, from[1]) + "px", width: Math.abs(px - from[0]) + "px", height: Math.abs(py - from[1]) + "px"});
  });
  window.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [ax, ay] = from, [bx, by] = spot(event), [x0, x1, y0, y1] = view, w = host.clientWidth, h = host.clientHeight;
    from = null; box.hidden = true;
    if (Math.abs(ax - bx) < 6 || Math.abs(ay - by) < 6) return;
    const across = (px) => x0 + (x1 - x0) * px / w, down = (py) => y1 - (y1 - y0) * py / h;
    view = [across(Math.min(ax, bx)), across(Math.max(ax, bx)), down(Math.max(ay, by)), down(Math.min(ay, by))];
    paint();
  });
  host.addEventListener("dblclick", () => { view = whole; paint(); });
  new ResizeObserver(() => { if (state) paint(); }).observe(host);
  return {number, draw(kept, colors) { state = {kept, colors}; paint(); }};
};

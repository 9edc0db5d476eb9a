"use strict";
// Predicted and true scores for the selected score and method.
(() => {
  const scores = GP.data.trust;
  const panel = document.getElementById("trust-panel");
  if (!panel || !Object.keys(scores).length) return;
  const at = (name) => document.getElementById("trust-" + name);
  const axes = {x: {title: {text: "predicted"}}, y: {title: {text: "true"}}};
  const layout = (more) => ({height: 330, margin: {l: 56, r: 12, t: 12, b: 46}, showlegend: false, ...more});
  const words = {
    oracle: "agreement with the full-data scores (oracle)",
    oracle_clear: "agreement with the full-data scores (oracle) on windows disjoint from the seed windows",
    heldout: "agreement with the seed run (held-out seeds)",
  };

  function diagonal(...columns) {
    let low = Infinity, high = -Infinity;
    for (const column of columns) for (const v of column) { if (v < low) low = v; if (v > high) high = v; }
    return {type: "scatter", mode: "lines", x: [low, high], y: [low, high], line: {color: "@muted", width: 1, dash: "dot"}, hoverinfo: "skip"};
  }

  function show() {
    const methods = scores[at("score").value], name = at("method").value, method = methods[name];
    const predicted = GP.unpack(method.predicted), truth = GP.unpack(method.truth);
    at("kind").textContent = words[method.kind];
    const opacity = Math.max(0.03, Math.min(0.7, 400 / predicted.length));
    GP.draw(at("scatter"), {
      data: [
        {type: GP.points, mode: "markers", x: predicted, y: truth, marker: {size: 4, color: "@accent", opacity},
         hovertemplate: "predicted %{x:.4g}<br>true %{y:.4g}<extra></extra>"},
        diagonal(predicted, truth),
      ],
      layout: layout({xaxis: axes.x, yaxis: axes.y, hovermode: "closest"}),
    });
    const bins = method.calibration;
    GP.draw(at("calibration"), {
      data: [
        diagonal(bins.predicted, bins.truth),
        {type: "scatter", mode: "lines+markers", x: bins.predicted, y: bins.truth, line: {color: "@accent", width: 1.5},
         marker: {color: "@accent", size: 7}, hovertemplate: "mean predicted %{x:.4g}<br>mean true %{y:.4g}<extra></extra>"},
      ],
      layout: layout({xaxis: {title: {text: "mean predicted"}}, yaxis: {title: {text: "mean true"}}}),
    });
    overlap(methods, name);
    const bias = method.bias;
    at("bias-figure").hidden = !bias;
    if (bias) {
      GP.draw(at("bias"), {
        data: [{type: "bar", x: bias.map((b) => b.name), y: bias.map((b) => b.bias), text: bias.map((b) => GP.count(b.n)), textposition: "none",
                marker: {color: "@accent"}, hovertemplate: "%{x}: %{y:.4g}<br>%{text} samples<extra></extra>"}],
        layout: layout({xaxis: {type: "category"}, yaxis: {title: {text: "mean of predicted − true"}, zerolinecolor: "@ink"}}),
      });
    }
    const parts = [`${GP.count(method.n)} samples`];
    if (predicted.length < method.n) parts.push(`${GP.count(predicted.length)} of them are shown, selected at random`);
    if (method.coverage !== null) parts.push(`the 90 % interval (prediction ± 1.645 std) contains ${(100 * method.coverage).toFixed(1)} % of the true scores`);
    at("note").textContent = parts.join("; ") + ". A perfect prediction lies on the diagonal.";
  }

  function overlap(methods, chosen) {
    const lines = Object.entries(methods).sort(([a], [b]) => (a === chosen) - (b === chosen)).map(([name, method]) => {
      const keeps = Object.keys(method.overlap).sort((a, b) => a - b).filter((k) => method.overlap[k] !== null);
      const mine = name === chosen;
      return {type: "scatter", mode: mine ? "lines+markers" : "lines", x: keeps.map((k) => 100 * k), y: keeps.map((k) => 100 * method.overlap[k]),
              line: {color: mine ? "@accent" : "@faint", width: mine ? 2 : 1}, opacity: mine ? 1 : 0.6, text: keeps.map(() => name.replace(/&/g, "&amp;").replace(/</g, "&lt;")),
              hovertemplate: "%{text}<br>keep %{x:.0f} %: %{y:.1f} % overlap<extra></extra>"};
    });
    const chance = {type: "scatter", mode: "lines+text", x: [0, 70, 100], y: [0, 70, 100], text: ["", "chance", ""], textposition: "bottom right", textfont: {color: "@muted"},
                    line: {color: "@muted", width: 1, dash: "dot"}, hoverinfo: "skip"};
    GP.draw(at("overlap"), {
      data: [chance, ...lines],
      layout: layout({xaxis: {title: {text: "kept, %"}, range: [0, 100]}, yaxis: {title: {text: "overlap, %"}, range: [0, 102]}, hovermode: "closest"}),
    });
  }

  function methodsOf() {
    const entries = Object.keys(scores[at("score").value]);
    const keep = entries.includes(at("method").value) ? at("method").value : entries[0];
    GP.options(at("method"), entries.map((name) => [name, name]), keep);
    show();
  }
  GP.options(at("score"), Object.keys(scores).map((name) => [name, name]));
  at("score").addEventListener("change", methodsOf);
  at("method").addEventListener("change", show);
  methodsOf();
})();

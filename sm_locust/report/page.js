"use strict";
// What scrolls can be reached by keys: not every browser lets them in by itself.
for (const node of document.querySelectorAll(".scroll, pre")) node.tabIndex = 0;
(() => {
  const charts = JSON.parse(document.getElementById("figures").textContent);
  const nodes = charts.map((_, i) => document.getElementById("chart-" + i));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue("--" + name).trim();
  const PAPER = 660; // pixels: what a sheet of A4 or letter paper holds between the edges of a card
  const GAP = 18; // pixels between two pictures that stand beside each other

  // The service time is drawn dotted over the latency: while the generator is on time the two are one line. So are planned
  // and sent, and with one instance the invocations and its share of them: the first of each is wide, under the other.
  const WIDE = new Set(["planned", "invocations"]);
  const DASHED = {
    desired: "dot", service: "dot", "service-high": "dot",
    before: "dash", "run-1": "dash", "run-2": "dot", "run-3": "dashdot", "run-4": "longdash", "run-5": "longdashdot",
  };
  const line = (role) => ({
    color: color(role),
    width: WIDE.has(role) ? 6 : role.startsWith("service") ? 1.8 : 2,
    dash: DASHED[role] || "solid",
  });

  function trace(chart, curve, i) {
    const hover = "%{y:,.4~r} " + chart.unit;
    if (chart.kind === "bars") {
      const fill = color(curve.role === "error" ? "e" + (i % 6) : curve.role);
      return { type: "bar", name: curve.name, x: curve.x, y: curve.y, width: chart.width, marker: { color: fill, line: { width: 0 } }, hovertemplate: hover };
    }
    const known = curve.y.filter((y) => y !== null).length;
    // Points that stand for a stretch of time reach to both sides; levels last until the next one.
    const shape = chart.kind === "steps" ? (chart.marks && chart.marks.length ? "hv" : "hvh") : "linear";
    const filled = chart.kind === "steps" && curve.role === "instances";
    return { type: "scatter", mode: known < 3 && chart.kind !== "steps" ? "lines+markers" : "lines", name: curve.name, x: curve.x, y: curve.y, line: { ...line(curve.role), shape }, fill: filled ? "tozeroy" : "none", fillcolor: color("shade-strong"), hovertemplate: hover };
  }

  function traces(chart) {
    if (chart.heat) {
      const [x, y, counts] = chart.heat;
      // Colours by the order of magnitude: one slow request among thousands is what is looked for.
      const z = counts.map((row) => row.map((n) => (n ? Math.log10(n) : null)));
      const most = Math.max(0.3, ...z.map((row) => Math.max(...row.map((n) => n || 0))));
      return [{
        type: "heatmap", x, y, z, customdata: counts, zmin: 0, zmax: most, xgap: 0, ygap: 0, hoverongaps: false,
        colorscale: [0, 0.25, 0.5, 0.75, 1].map((at, n) => [at, color("h" + n)]), showscale: !coarse.matches,
        // Under the picture: beside it, its time would be another than that of the other pictures.
        colorbar: { orientation: "h", thickness: 8, len: 0.3, x: 1, xanchor: "right", y: 0, yref: "container", yanchor: "bottom", outlinewidth: 0, tickvals: [0, 1, 2, 3, 4, 5, 6], ticktext: ["1", "10", "100", "1k", "10k", "100k", "1M"], title: { text: "requests", side: "top" }, xpad: 0, ypad: 2 },
        hovertemplate: "%{customdata:,} requests about %{y:,.3~g} " + chart.unit + "<extra></extra>",
      }];
    }
    const found = chart.curves.map((curve, i) => trace(chart, curve, i));
    if (chart.marks && chart.marks.length) {
      const top = chart.range[1];
      found.push({ type: "scatter", mode: "markers", name: "what happened", x: chart.marks.map(([x]) => x), y: chart.marks.map(() => top * 0.97), text: chart.marks.map(([, what]) => what), marker: { symbol: "triangle-down", size: 9, color: color("mark") }, hovertemplate: "%{text}<extra></extra>" });
    }
    return found;
  }

  // A curve that hardly moves still needs a decade around it, or a logarithmic axis has no label to show.
  function range(chart) {
    if (chart.heat) return [chart.heat[1][0], chart.heat[1].at(-1)].map(Math.log10);
    if (chart.range) return chart.log ? chart.range.map(Math.log10) : chart.range;
    const values = chart.curves.flatMap((curve) => curve.y).concat(chart.limits.map(([value]) => value)).filter((y) => y > 0);
    if (!values.length) return undefined;
    if (!chart.log) return chart.kind === "bars" ? undefined : [0, values.reduce((a, b) => Math.max(a, b)) * 1.08];
    const low = Math.log10(values.reduce((a, b) => Math.min(a, b))), high = Math.log10(values.reduce((a, b) => Math.max(a, b)));
    const room = Math.max(0.1, (1 - (high - low)) / 2);
    return [low - room, high + room];
  }

  // Rows of the legend, which stands under the picture: on a phone one name a row, else as many as there is room for.
  const perRow = (chart) => Math.max(1, Math.floor((nodes[charts.indexOf(chart)].clientWidth - 74) / (52 + 7 * Math.max(...chart.curves.map((curve) => curve.name.length)))));
  const narrow = () => innerWidth < 560;
  const listed = (chart) => !chart.heat && (chart.curves.length > 1 || chart.kind === "bars");
  const rows = (chart) => (!listed(chart) ? 0 : narrow() ? chart.curves.length + (chart.marks && chart.marks.length ? 1 : 0) : Math.ceil(chart.curves.length / perRow(chart)));
  const below = (chart) => 54 + (chart.heat && !coarse.matches ? 36 : 0) + 20 * rows(chart);

  // Where the label of each limit stands: over its line, else under it, else further to the left: on no other label.
  const LABEL = 15, LETTER = 6.5, TOP = 22; // pixels: height of a label, width of a letter, room over a picture
  function labels(chart) {
    const [low, high] = range(chart) || [0, 1];
    const pixels = (nodes[charts.indexOf(chart)].clientHeight - TOP - below(chart)) / (high - low);
    const taken = [];
    const free = ([value, label]) => {
      const line = ((chart.log ? Math.log10(value) : value) - low) * pixels, width = LETTER * label.length;
      for (let left = 0; ; left += LETTER) {
        for (const [yanchor, bottom] of [["bottom", line], ["top", line - LABEL]]) {
          if (taken.some((other) => Math.abs(other.bottom - bottom) < LABEL && left < other.left + other.width && other.left < left + width)) continue;
          taken.push({ bottom, left, width });
          return { yanchor, xshift: -left };
        }
      }
    };
    return new Map([...chart.limits].sort(([a], [b]) => b - a).map((limit) => [limit, free(limit)]));
  }

  function layout(chart, width) {
    const ink = color("ink"), soft = color("soft"), grid = color("line");
    const shapes = chart.phases.map(([, from, to], i) => ({ type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: 0, y1: 1, layer: "below", line: { width: 0 }, fillcolor: i % 2 ? "rgba(0,0,0,0)" : color("shade") }));
    const annotations = chart.phases.map(([name, from]) => ({ xref: "x", yref: "paper", x: from, y: 1, xanchor: "left", yanchor: "bottom", text: name, showarrow: false, font: { size: 11, color: soft } }));
    for (const [x] of chart.marks || []) {
      shapes.push({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color: color("mark"), width: 1, dash: "dot" } });
    }
    const places = labels(chart);
    for (const limit of chart.limits) {
      const [value, label] = limit;
      shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: value, y1: value, line: { color: color("bad"), width: 1, dash: "dash" } });
      annotations.push({ xref: "paper", yref: "y", x: 1, y: chart.log ? Math.log10(value) : value, xanchor: "right", ...places.get(limit), text: label, showarrow: false, font: { size: 11, color: color("bad") } });
    }
    return {
      width, barmode: "stack", bargap: 0, shapes, annotations, hovermode: chart.heat ? "closest" : "x unified",
      showlegend: listed(chart),
      dragmode: coarse.matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: soft },
      hoverlabel: { bgcolor: color("card"), bordercolor: grid, font: { color: ink } },
      margin: { l: 62, r: 12, t: TOP, b: below(chart) },
      legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", font: { color: ink, size: narrow() ? 11 : 12 } },
      // Time alone is zoomed: a height that moved with it would hide that one stretch is worse than another.
      xaxis: { title: { text: chart.along, standoff: 8 }, range: shown(chart), gridcolor: "rgba(0,0,0,0)", linecolor: grid, zeroline: false, ticks: "outside", tickcolor: grid, unifiedhovertitle: { text: chart.along.startsWith("schedule ") ? chart.along.slice(9) + " %{x:.4~g}" : "%{x:,.4~g} " + chart.along } },
      yaxis: { type: chart.log ? "log" : "linear", rangemode: "tozero", range: range(chart), fixedrange: true, gridcolor: grid, zeroline: false, tickformat: chart.log ? "~g" : ",~g", dtick: chart.log ? "D2" : chart.kind === "steps" && chart.range && chart.range[1] < 8 ? 1 : undefined, nticks: 6, automargin: false },
    };
  }

  // -- one time for all of them ---------------------------------------------------------------------------------------

  const zoomed = new Map(); // what an axis counts → its range, where it is not the whole
  const shown = (chart) => zoomed.get(chart.along) || [chart.since, chart.until];
  const kin = (i) => charts.map((_, n) => n).filter((n) => n !== i && charts[n].along === charts[i].along);
  const whole = document.createElement("button");
  whole.id = "whole";
  whole.textContent = "Show the whole run";
  whole.hidden = true;
  whole.addEventListener("click", () => { zoomed.clear(); moveAll(charts.map((_, n) => n)); });

  let moving = false;
  function moveAll(which) {
    whole.hidden = !zoomed.size;
    moving = true;
    Promise.all(which.map((n) => Plotly.relayout(nodes[n], { "xaxis.range": shown(charts[n]) }))).finally(() => { moving = false; });
  }

  function onZoom(i, change) {
    if (moving) return;
    // A stretch that was drawn comes as two ends, a double click as the range that the picture began with.
    const chart = charts[i], range = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    const [from, to] = range;
    if (change["xaxis.autorange"]) zoomed.delete(chart.along);
    else if (from === undefined) return;
    else if (Math.abs(from - chart.since) < 1e-9 && Math.abs(to - chart.until) < 1e-9) zoomed.delete(chart.along);
    else zoomed.set(chart.along, [Math.max(chart.since, from), Math.min(chart.until, to)]);
    moveAll([i, ...kin(i)]);
  }

  let hovering = false;
  function onHover(i, event) {
    if (hovering || !event.xvals) return;
    hovering = true;
    for (const n of kin(i)) {
      const box = nodes[n].getBoundingClientRect();
      // A heat map has no one value at a time.
      if (!charts[n].heat && box.bottom > 0 && box.top < innerHeight) Plotly.Fx.hover(nodes[n], { xval: event.xvals[0] });
    }
    hovering = false;
  }

  function onUnhover(i) {
    if (hovering) return;
    hovering = true;
    for (const n of kin(i)) if (!charts[n].heat) Plotly.Fx.unhover(nodes[n]);
    hovering = false;
  }

  function draw(paper) {
    charts.forEach((chart, i) => {
      const width = paper && (nodes[i].closest(".pair") ? (paper - GAP) / 2 : paper);
      if (narrow()) nodes[i].style.height = (chart.kind === "steps" ? 130 : 200) + below(chart) + "px";
      Plotly.react(nodes[i], traces(chart), layout(chart, width), { displaylogo: false, displayModeBar: false, showTips: false, responsive: true });
    });
  }

  if (charts.length) {
    draw();
    document.body.append(whole);
    nodes.forEach((node, i) => {
      node.on("plotly_relayout", (change) => onZoom(i, change));
      node.on("plotly_hover", (event) => onHover(i, event));
      node.on("plotly_unhover", () => onUnhover(i));
    });
    dark.addEventListener("change", () => draw());
    // Paper is white and narrow, whatever the screen is.
    addEventListener("beforeprint", () => { document.documentElement.dataset.paper = ""; draw(PAPER); });
    addEventListener("afterprint", () => { delete document.documentElement.dataset.paper; draw(); });
  }
})();

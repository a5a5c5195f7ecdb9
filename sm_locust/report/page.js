"use strict";
// What scrolls can be reached by keys: not every browser lets them in by itself.
for (const node of document.querySelectorAll(".scroll, pre")) node.tabIndex = 0;
(() => {
  const charts = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue("--" + name).trim();

  // The service time is drawn dotted over the latency: while the generator is on time the two are one line. So are planned
  // and sent, and with one instance the invocations and its share of them: the first of each is wide, under the other.
  const dashes = { before: "dash", "run-1": "dash", "run-2": "dot", "run-3": "dashdot", "run-4": "longdash", "run-5": "longdashdot" };
  const line = (role) => ({
    color: color(role),
    width: role === "planned" || role === "invocations" ? 6 : role.startsWith("service") ? 1.8 : 2,
    dash: role.startsWith("service") ? "dot" : dashes[role] || "solid",
  });

  function trace(chart, curve, i) {
    const hover = "%{y:,.4~g} " + chart.unit;
    if (chart.kind === "bars") {
      const fill = color(curve.role === "dropped" ? "dropped" : "e" + (i % 6));
      return { type: "bar", name: curve.name, x: curve.x, y: curve.y, width: chart.width, marker: { color: fill, line: { width: 0 } }, hovertemplate: hover };
    }
    const known = curve.y.filter((y) => y !== null).length;
    const shape = chart.kind === "steps" ? "hvh" : "linear";
    return { type: "scatter", mode: known < 3 ? "lines+markers" : "lines", name: curve.name, x: curve.x, y: curve.y, line: { ...line(curve.role), shape }, fill: chart.kind === "steps" ? "tozeroy" : "none", fillcolor: color("shade-strong"), hovertemplate: hover };
  }

  // A curve that hardly moves still needs a decade around it, or a logarithmic axis has no label to show.
  function range(chart) {
    if (chart.range) return chart.log ? chart.range.map(Math.log10) : chart.range;
    if (!chart.log) return undefined;
    const values = chart.curves.flatMap((curve) => curve.y).concat(chart.limits.map(([value]) => value)).filter((y) => y > 0);
    if (!values.length) return undefined;
    const low = Math.log10(Math.min(...values)), high = Math.log10(Math.max(...values));
    const room = Math.max(0.1, (1 - (high - low)) / 2);
    return [low - room, high + room];
  }

  function layout(chart) {
    const ink = color("ink"), soft = color("soft"), grid = color("line");
    const shapes = chart.phases.map(([, from, to], i) => ({ type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: 0, y1: 1, layer: "below", line: { width: 0 }, fillcolor: i % 2 ? "rgba(0,0,0,0)" : color("shade") }));
    const annotations = chart.phases.map(([name, from]) => ({ xref: "x", yref: "paper", x: from, y: 1, xanchor: "left", yanchor: "bottom", text: name, showarrow: false, font: { size: 11, color: soft } }));
    for (const [value, label] of chart.limits) {
      shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: value, y1: value, line: { color: color("bad"), width: 1, dash: "dash" } });
      annotations.push({ xref: "paper", yref: "y", x: 1, y: chart.log ? Math.log10(value) : value, xanchor: "right", yanchor: "bottom", text: label, showarrow: false, font: { size: 11, color: color("bad") } });
    }
    return {
      barmode: "stack", bargap: 0, shapes, annotations, hovermode: "x unified", showlegend: chart.kind !== "steps",
      dragmode: coarse.matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: soft },
      hoverlabel: { bgcolor: color("card"), bordercolor: grid, font: { color: ink } },
      margin: { l: 58, r: 12, t: 22, b: 40 },
      legend: { orientation: "h", x: 0, y: -0.2, yanchor: "top", font: { color: ink } },
      xaxis: { title: { text: chart.along, standoff: 6 }, range: [chart.since, chart.until], gridcolor: "rgba(0,0,0,0)", linecolor: grid, zeroline: false, ticks: "outside", tickcolor: grid },
      yaxis: { type: chart.log ? "log" : "linear", rangemode: "tozero", range: range(chart), gridcolor: grid, zeroline: false, tickformat: chart.log ? "~g" : ",~g", dtick: chart.log ? "D2" : chart.kind === "steps" && chart.range[1] < 8 ? 1 : undefined, nticks: 6, automargin: true },
    };
  }

  function draw() {
    charts.forEach((chart, i) => {
      const node = document.getElementById("chart-" + i);
      const traces = chart.curves.map((curve, n) => trace(chart, curve, n));
      Plotly.react(node, traces, layout(chart), { displaylogo: false, displayModeBar: false, responsive: true });
    });
  }

  if (charts.length) {
    draw();
    dark.addEventListener("change", draw);
  }
})();

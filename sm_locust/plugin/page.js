"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const UNKNOWN = "–";

  // -- light and dark, as Locust's page has it ----------------------------------------------------------------------
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const chosen = localStorage.theme;
    document.documentElement.dataset.theme = chosen || (wish.matches ? "dark" : "light");
  };
  addEventListener("storage", paint);
  wish.addEventListener("change", paint);
  paint();

  // -- words and numbers ----------------------------------------------------------------------------------------------
  const known = (value) => value !== null && value !== undefined;
  const count = (value) => (known(value) ? Math.round(value).toLocaleString("en") : UNKNOWN);
  const short = (value) => (!known(value) ? UNKNOWN : value >= 100 ? count(value) : String(+value.toPrecision(3)));
  const ms = (value) => (!known(value) ? UNKNOWN : `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : count(value)} ms`);
  const percent = (ratio) => (known(ratio) ? `${+(ratio * 100).toFixed(2)}%` : UNKNOWN);
  const two = (n) => String(n).padStart(2, "0");
  const clock = (s) => `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(Math.floor(s) % 60)}`;
  const words = (n, one) => `${count(n)} ${one}${n === 1 ? "" : "s"}`;
  // Whatever a text holds, it is text: nothing here is ever read as HTML.
  const el = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const limit = (rule) => (rule.metric === "error_rate" ? percent(rule.limit) : ms(rule.limit * 1e3));
  const value = (rule) => (rule.metric === "error_rate" ? percent(rule.value) : ms(known(rule.value) ? rule.value * 1e3 : null));

  // -- charts: lines over schedule time, one time axis and one cursor for all of them ---------------------------------
  const H = 170, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 20, MOST = 600;
  const charts = [];
  let cursor = null; // schedule seconds
  const svg = (tag, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const step = (span, steps) => steps.find((s) => span / s <= 6) || steps[steps.length - 1];
  const nice = (top) => {
    const power = 10 ** Math.floor(Math.log10(top / 4));
    return [1, 2, 5, 10].map((m) => m * power).find((s) => top / s <= 4 + 1e-9);
  };
  const thinned = (points, how) => {
    const each = Math.ceil(points.length / MOST);
    if (each === 1) return points;
    const found = [];
    for (let i = 0; i < points.length; i += each) {
      const some = points.slice(i, i + each), values = some.map((p) => p[1]).filter(known);
      const sum = values.reduce((a, b) => a + b, 0);
      found.push([some[0][0], !values.length ? null : how === "max" ? Math.max(...values) : sum / values.length]);
    }
    return found;
  };

  class Chart {
    constructor({ title, lines, nothing, log, whole }) {
      Object.assign(this, { title, lines, nothing, log, whole });
      this.figure = el("figure");
      this.caption = el("figcaption");
      this.said = lines.map((line) => {
        const item = el("span"), swatch = el("i");
        swatch.style.background = `var(--${line.color})`;
        item.append(swatch, document.createTextNode(""));
        return item;
      });
      this.caption.append(el("b", title), ...this.said);
      this.svg = svg("svg", { role: "img", "aria-label": title });
      this.empty = el("p", "", "nothing");
      this.figure.append(this.caption, this.svg, this.empty);
      $("charts").append(this.figure);
      this.svg.addEventListener("pointermove", (e) => {
        const box = this.svg.getBoundingClientRect();
        const [from, until] = this.range;
        point(from + Math.max(0, (e.clientX - box.left - LEFT) / (this.width - LEFT - RIGHT)) * (until - from));
      });
      this.svg.addEventListener("pointerleave", () => point(null));
      charts.push(this);
    }

    draw(series, range, bands, missing) {
      this.series = series;
      this.range = range;
      const drawn = series.map((points, i) => thinned(points, this.lines[i].how));
      const values = drawn.flatMap((points) => points.map((p) => p[1])).filter((v) => known(v) && (!this.log || v > 0));
      this.svg.style.display = values.length ? "" : "none";
      this.empty.hidden = values.length > 0;
      this.empty.textContent = missing || this.nothing;
      if (values.length) this.lay(drawn, values, bands);
      this.say();
    }

    lay(drawn, values, bands) {
      const [from, until] = this.range, top = Math.max(...values) || 1, width = Math.max(160, this.svg.clientWidth);
      const inner = width - LEFT - RIGHT, floor = H - BOTTOM, parts = [];
      this.width = width;
      const x = (s) => LEFT + ((s - from) / (until - from)) * inner;
      let y, ticks;
      if (this.log) {
        const low = Math.floor(Math.log10(Math.min(...values))), high = Math.max(low + 1, Math.ceil(Math.log10(top)));
        y = (v) => floor - ((Math.log10(v) - low) / (high - low)) * (floor - TOP);
        ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
      } else {
        const each = this.whole ? Math.max(1, nice(top)) : nice(top), high = Math.ceil(top / each - 1e-9) * each;
        y = (v) => floor - (v / high) * (floor - TOP);
        ticks = Array.from({ length: Math.round(high / each) + 1 }, (_, i) => i * each);
      }
      const label = (tx, ty, text, anchor) => svg("text", { x: tx, y: ty, "text-anchor": anchor }, text);
      bands.forEach(([name, start, end], i) => {
        if (end <= from || start >= until) return;
        const a = x(Math.max(start, from)), b = x(Math.min(end, until));
        if (i % 2) parts.push(svg("rect", { class: "band", x: a, y: TOP, width: b - a, height: floor - TOP }));
        if (this === charts[0] && b - a > 40) parts.push(label(a + 4, TOP + 10, name, "start"));
      });
      for (const tick of ticks) {
        parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }));
        parts.push(label(LEFT - 6, y(tick) + 4, short(tick), "end"));
      }
      const each = step(until - from, [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400]);
      for (let s = Math.ceil(from / each) * each; s <= until; s += each) {
        if (x(s) < width - RIGHT - 14) parts.push(label(x(s), H - 5, until - from < 300 ? clock(s) : clock(s).slice(0, -3), "middle"));
      }
      drawn.forEach((points, i) => {
        let path = "", before = null;
        for (const [s, v] of points) {
          if (!known(v) || (this.log && v <= 0)) { before = null; continue; }
          path += before === null ? `M${x(s).toFixed(1)} ${y(v).toFixed(1)}` : "";
          if (before !== null) path += (this.lines[i].step ? `H${x(s).toFixed(1)}` : "") + `L${x(s).toFixed(1)} ${y(v).toFixed(1)}`;
          else path += "h.1"; // a single point is to be seen, too
          before = v;
        }
        const line = svg("path", { d: path });
        line.style.stroke = `var(--${this.lines[i].color})`;
        if (this.lines[i].dashed) line.style.strokeDasharray = "5 4";
        parts.push(line);
      });
      this.cursor = svg("line", { class: "cursor", y1: TOP, y2: floor, visibility: "hidden" });
      this.x = x;
      this.svg.replaceChildren(...parts, this.cursor);
    }

    say() {
      const texts = this.lines.map((line, i) => {
        const points = (this.series && this.series[i]) || [], at = cursor === null ? Infinity : cursor;
        let found = null;
        for (const [s, v] of points) if (s <= at && known(v)) found = v; else if (s > at) break;
        return `${line.label} ${line.said ? line.said(found) : short(found)}`;
      });
      texts.forEach((text, i) => { this.said[i].lastChild.data = text; });
      this.svg.setAttribute("aria-label", `${this.title}: ${texts.join(", ")}`);
      if (!this.cursor) return;
      this.cursor.setAttribute("visibility", cursor === null ? "hidden" : "visible");
      if (cursor !== null) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(Math.min(cursor, this.range[1])));
    }
  }
  const point = (at) => { cursor = at; charts.forEach((chart) => chart.say()); };

  const QUIET = "Nothing has been counted yet.", NO_METRICS = "CloudWatch has said nothing yet.";
  const make = () => {
    new Chart({ title: "Arrivals a second", nothing: QUIET, lines: [
      { label: "planned", color: "planned" }, { label: "delivered", color: "main" }] });
    new Chart({ title: "Latency from the scheduled time, ms (log)", log: true, nothing: QUIET, lines: [
      { label: "p50", color: "main", how: "max", said: ms }, { label: "p99", color: "second", how: "max", said: ms }] });
    new Chart({ title: "Failed and dropped, a second", whole: true, nothing: QUIET, lines: [
      { label: "failed", color: "second", how: "max" }, { label: "dropped", color: "third", how: "max" }] });
    new Chart({ title: "Requests in flight", whole: true, nothing: QUIET, lines: [{ label: "in flight", color: "main", how: "max" }] });
    new Chart({ title: "Invocations a minute (CloudWatch)", nothing: NO_METRICS, lines: [
      { label: "all", color: "planned" }, { label: "per instance", color: "main" }, { label: "target", color: "second", dashed: true }] });
    new Chart({ title: "ModelLatency, mean, ms (CloudWatch)", nothing: NO_METRICS, lines: [
      { label: "mean", color: "fourth", said: ms }] });
    new Chart({ title: "Instances", whole: true, nothing: "Nobody has said yet how many there are.", lines: [
      { label: "desired", color: "third", step: true, dashed: true }, { label: "in service", color: "main", step: true }] });
    new Chart({ title: "Lateness of sends, p99, ms", nothing: QUIET, lines: [
      { label: "p99", color: "third", how: "max", said: ms }] });
  };
  make();

  // -- what is known --------------------------------------------------------------------------------------------------
  const KINDS = ["seconds", "cloudwatch", "scaling", "steps"];
  let run = null, version = 0, rows = {}, last = null;
  const forget = () => { version = 0; for (const kind of KINDS) rows[kind] = new Map(); };
  forget();
  const take = (answer) => {
    if (answer.run !== run) { run = answer.run; forget(); }
    for (const kind of KINDS) for (const row of answer[kind] || []) rows[kind].set(row[0], row);
    version = answer.version;
    last = answer;
  };
  const sorted = (kind) => [...rows[kind].values()].sort((a, b) => a[0] - b[0]);
  const scaling = () => [...rows.scaling.values()].sort((a, b) => a[1] - b[1]); // by time: an activity is told of late

  // -- what is shown --------------------------------------------------------------------------------------------------
  const show = () => {
    const { state, final, now, total, speed } = last;
    $("links").hidden = !last.folder;
    if (last.folder) {
      $("report").setAttribute("href", `runs/${encodeURIComponent(run)}/report.html`);
      $("download").setAttribute("href", `runs/${encodeURIComponent(run)}.zip`);
    }
    $("run").textContent = run || UNKNOWN;
    if (state === "none") {
      $("headline").textContent = "No run yet";
      $("status").textContent = "Start one in Locust's own page; this one fills by itself.";
      return;
    }
    const at = last.elapsed * speed, phase = last.phases.find(([, from, until]) => last.elapsed >= from && last.elapsed < until);
    const whole = last.phases.length ? last.phases[last.phases.length - 1][2] : null;
    $("headline").textContent = final ? final.headline : phase ? `Phase ${phase[0]}` : state === "running" ? "The load runs" : "The load is over";
    $("status").textContent = {
      running: `${clock(at)}${whole ? ` of ${clock(whole * speed)}${speed === 1 ? "" : " on the schedule"}, ${clock(Math.max(0, whole - last.elapsed))} left` : " since the start"}`,
      ending: `Arrivals ended at ${clock(at)}; what is in flight is still counted.`,
      settling: `The load ended at ${clock(at)}; ${last.waiting}`,
      done: last.waiting || `The load ended at ${clock(at)}; all that was waited for is in.`,
    }[state];
    $("speed").hidden = !last.compressed;
    $("speed").textContent = last.compressed;
    tiles(final, now || {}, total);
    standing(final);
    draw(at);
    table("events", ["Schedule", "Desired", "In service", "What happened"], "scaling", scaling()
      .filter((row) => row[4]).map((row) => [clock(row[1]), count(row[2]), count(row[3]), row[4]]).reverse());
    table("steps", ["Step", "Wanted/s", "Sent/s", "Requests", "Outcome", "Decided by"], "search", sorted("steps")
      .map(([, kind, rate, , , offered, requests, outcome, metric]) => [kind, short(rate), short(offered), count(requests), outcome, metric]).reverse());
    $("search").hidden = !last.search;
    if (last.search) $("search-now").textContent = last.search.doing ? `Now: ${last.search.doing}, ${short(last.search.rate)} arrivals a second.` : "The search is over.";
  };

  const tiles = (final, now, total) => {
    const level = scaling().filter((row) => known(row[3])).pop() || [];
    const asked = final ? final.requests : total, sent = final ? final.arrivals.sent : now.sent;
    const failed = asked.failed, answered = asked.ok + failed;
    const found = [
      ["planned", final ? "Planned" : "Planned a second", count(final ? final.arrivals.planned : now.planned), final ? "arrivals" : ""],
      ["sent", final ? "Sent" : "Delivered a second", count(sent), final ? `${percent(final.arrivals.delivered_ratio)} of the plan` : ""],
      ["in-flight", "In flight", final ? UNKNOWN : count(now.in_flight), ""],
      ["lateness", "Lateness p99", ms(final ? final.lateness_ms.p99 : now.lateness_p99_ms), "of sends"],
      ["p50", "Latency p50", ms(final ? final.latency_ms.p50 : now.p50_ms), final ? "whole run" : "last second"],
      ["p99", "Latency p99", ms(final ? final.latency_ms.p99 : now.p99_ms), final ? "whole run" : "last second"],
      ["failed", "Failed", count(failed), answered ? `${percent(failed / answered)} of all answered` : "", failed ? "bad" : ""],
      ["instances", "Instances", known(level[3]) ? count(level[3]) : UNKNOWN, known(level[2]) ? `${count(level[2])} desired` : "in service"],
    ].filter(([id]) => !(final && id === "in-flight"));
    if (total.dropped) found.push(["dropped", "Dropped", count(total.dropped), "arrivals not sent", "bad"]);
    $("tiles").replaceChildren(...found.map(([id, label, text, more, mood]) => {
      const tile = el("div"), main = el("dd", text, mood);
      main.id = `tile-${id}`;
      tile.append(el("dt", label), main, el("dd", more));
      return tile;
    }));
  };

  const standing = (final) => {
    const { verdict, slo } = final || last;
    $("standing").hidden = !verdict;
    if (!verdict) return;
    const title = $("standing-title"), rules = slo.rules, failing = rules.filter((rule) => rule.passed === false);
    const shown = { true: "PASSED", false: "FAILED", null: "NOT SHOWN" }[slo.passed];
    title.textContent = final
      ? `${verdict.valid ? "VALID" : "NOT VALID"}${rules.length ? `, SLO ${shown}` : ""}`
      : `Up to ${clock(last.judged_until * last.speed)}: ${verdict.valid ? "valid" : "not valid"}${!rules.length ? "" : failing.length ? ", the SLO does not hold" : ", the SLO holds"}`;
    title.className = !verdict.valid || failing.length ? "bad" : "good";
    $("reasons").replaceChildren(
      ...verdict.reasons.map((reason) => el("li", reason.text, reason.invalidates ? "bad" : "warn")),
      ...rules.map((rule) => el("li", `${rule.metric} ${value(rule)} (at most ${limit(rule)}), ${rule.where}${rule.note ? `: ${rule.note}` : ""}`,
        rule.passed === false ? "bad" : rule.passed ? "" : "warn")));
  };

  const draw = (at) => {
    const { speed } = last, seconds = sorted("seconds"), told = sorted("cloudwatch"), levels = scaling().filter((row) => known(row[3]));
    const first = seconds.length ? seconds[0][0] * speed : 0;
    const end = Math.max(at, first + 10 * speed, ...told.slice(-1).map((row) => row[0])), range = [first, end];
    const bands = last.phases.map(([name, from, until]) => [name, from * speed, until * speed]);
    // What was sent in the second in which arrivals end is no rate.
    const of = (index) => seconds.filter((row) => row[0] < last.elapsed).map((row) => [row[0] * speed, row[index]]);
    const rates = seconds.filter((row) => row[0] + 1 <= last.elapsed + 1e-6);
    const rate = (index) => rates.map((row) => [row[0] * speed, row[index]]);
    // The count of a period that is not whole would be drawn as a collapse; its mean is a mean.
    const told_of = (index) => told.filter((row) => row[0] >= first - 1e-6 && (index === 3 || row[4])).map((row) => [row[0], row[index]]);
    const level = (index) => {
      const points = levels.map((row) => [Math.max(row[1], first), row[index]]);
      return points.length ? [...points, [at, points[points.length - 1][1]]] : [];
    };
    const target = known(last.target) && told.length ? [[first, last.target], [end, last.target]] : [];
    const unwatched = last.watched ? "" : "Nothing is watched: the configuration names no endpoint.";
    [[rate(1), rate(2)], [of(8), of(9)], [of(4), of(6)], [of(7)], [told_of(1), told_of(2), target], [told_of(3)], [level(2), level(3)], [of(10)]]
      .forEach((series, i) => charts[i].draw(series, range, bands, i > 3 && i < 7 ? unwatched : ""));
  };

  const table = (id, header, section, found) => {
    $(section).hidden = !found.length;
    const line = (cells, tag) => {
      const row = el("tr");
      row.append(...cells.map((cell) => el(tag, cell)));
      return row;
    };
    $(id).replaceChildren(line(header, "th"), ...found.slice(0, 200).map((cells) => line(cells, "td")));
  };

  // -- asking ---------------------------------------------------------------------------------------------------------
  const EVERY = { running: 1000, ending: 1000, settling: 2000, done: 4000, none: 2000 };
  let timer = null, asking = false;
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(ask, wait); };
  const ask = async () => {
    if (document.hidden || asking) return; // asked again when somebody looks
    asking = true;
    let wait = 3000;
    try {
      const answer = await fetch(`state?run=${encodeURIComponent(run || "")}&since=${version}`, { cache: "no-store" });
      if (answer.redirected || answer.status === 401) {
        $("status").textContent = "You are not logged in any more: load Locust's page again.";
        return;
      }
      take(await answer.json());
      show();
      wait = last.more ? 100 : EVERY[last.state];
    } catch {
      $("status").textContent = "Locust does not answer: it may have ended. This page asks again.";
    } finally {
      asking = false;
    }
    later(wait);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) later(0); });
  addEventListener("resize", () => { if (last && last.state !== "none") show(); });
  ask();
})();

// Charts over the last hour: lines that differ in colour and in dashes, and the same numbers as a table behind each.
/* global uPlot */
import { byId, clock, element, fill, rate, seconds } from "./words.js";

const LINES = {
  "c-requests": {
    title: "Requests a second, by what became of them", spelled: rate, lines: [
      ["hit", "hit", "hit", []], ["miss", "asked of Jira", "miss", [6, 3]], ["passed", "passed on", "passed", [2, 3]],
      ["write", "write", "write", [10, 4]], ["refused", "refused or failed", "refused", [8, 3, 2, 3]],
    ],
  },
  "c-latency": {
    title: "Time until answered (logarithmic)", spelled: seconds, logarithmic: true, lines: [
      ["hit_p50", "hit, median", "hit", []], ["hit_p99", "hit, slowest 1 %", "hit", [3, 3]],
      ["miss_p50", "miss, median", "miss", []], ["miss_p99", "miss, slowest 1 %", "miss", [3, 3]],
    ],
  },
  "c-calls": {
    title: "Calls of Jira a second", spelled: rate, lines: [
      ["calls", "made", "miss", [6, 3]], ["saved", "saved", "hit", []],
    ],
  },
};
const TABLED = 12;

/** What `var(--name)` is in the theme in force; a canvas knows no variables. */
function colour(name) {
  const probe = byId("news");
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function sample(tint, dashes) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("aria-hidden", "true");
  const drawn = { x1: 0, x2: 26, y1: 5, y2: 5, stroke: tint, "stroke-width": 2.5, "stroke-dasharray": dashes.join(" ") };
  for (const [key, value] of Object.entries(drawn)) line.setAttribute(key, value);
  svg.append(line);
  return svg;
}

/** One figure: caption, legend, plot, table. */
class Chart {
  constructor(id, columns) {
    this.kind = LINES[id];
    this.at = this.kind.lines.map(([column]) => columns.indexOf(column));
    this.figure = byId(id);
    this.legend = element("ul", { class: "legend" });
    this.place = element("div", { class: "plot", "aria-hidden": "true" });
    const head = element("tr", {}, ...["Time", ...this.kind.lines.map((line) => line[1])].map((name, at) =>
      element("th", { scope: "col", ...(at ? { class: "n" } : {}) }, name)));
    this.table = element("table", {}, element("caption", { class: "hint" }, this.kind.title), element("thead", {}, head), element("tbody"));
    this.details = element("details", {}, element("summary", {}, "As a table"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": this.kind.title }, this.table));
    this.details.addEventListener("toggle", () => this.tabulate());
    this.figure.replaceChildren(element("figcaption", {}, this.kind.title), this.legend, this.place, this.details);
    this.rows = [];
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.place);
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 120), height: this.place.clientHeight };
  }

  /** Draw anew in the colours of the theme. */
  paint() {
    const [grid, soft] = [colour("grid"), colour("soft")];
    const tints = this.kind.lines.map((line) => colour(line[2]));
    this.legend.replaceChildren(...this.kind.lines.map(([, label, , dashes], at) => element("li", {}, sample(tints[at], dashes), label)));
    const axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px system-ui" };
    this.plot?.destroy();
    this.plot = new uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: this.kind.logarithmic ? { distr: 3 } : { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
      axes: [
        { ...axis, values: (_, moments, __, ___, step) => moments.map((moment) => clock(moment).slice(0, step < 60 ? 8 : 5)) },
        { ...axis, size: 58, values: (_, marks) => marks.map((mark) => (mark === null ? "" : this.kind.logarithmic ? seconds(mark).replace(".0", "") : rate(mark).replace(/\.0+$/, ""))) },
      ],
      series: [{}, ...this.kind.lines.map(([, label, , dash], at) => ({ label, stroke: tints[at], width: 2, dash, points: { show: false }, spanGaps: true }))],
    }, this.data(), this.place);
  }

  data() {
    return [this.rows.map((row) => row[0]), ...this.at.map((at) => this.rows.map((row) => row[at]))];
  }

  draw(rows) {
    this.rows = rows;
    this.plot?.setData(this.data());
    this.tabulate();
  }

  tabulate() {
    if (!this.details.open) return;
    const rows = this.rows.slice(-TABLED).reverse();
    const numbers = this.at.map((_, at) => at + 1);
    fill(this.table, rows.map((row) => [clock(row[0]), ...this.at.map((at) => this.kind.spelled(row[at] ?? null))]), numbers);
  }
}

/** All charts. Rows are numbers in the order of `columns`, the first of which is a time. */
export class Charts {
  constructor(columns) {
    this.charts = Object.keys(LINES).map((id) => new Chart(id, columns));
    this.paint();
  }

  paint() {
    for (const chart of this.charts) chart.paint();
  }

  draw(rows) {
    for (const chart of this.charts) chart.draw(rows);
  }
}

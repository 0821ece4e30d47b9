// One chart: a title, its lines with their present values as a legend, and uPlot below.

import { age, count, duration, percent, rate } from "./figures.js";

// Each chart of a disk: which series of a sample its lines show. "second" goes with the axis on the right.
export const charts = [
  { id: "requests", title: "Requests / s", format: count, lines: [["read", "reads"], ["write", "writes"], ["flush", "flushes"], ["discard, zero", "others"]] },
  { id: "throughput", title: "Throughput", format: rate, lines: [["read", "readBytes"], ["write", "writtenBytes"], ["to host", "hostBytes"]] },
  { id: "latency", title: "Latency", format: duration, log: true, lines: [["p50", "p50"], ["p99", "p99"]] },
  { id: "flushes", title: "Flushes and barriers / s: guest → host", format: count, lines: [["flushes", "flushes"], ["→ host", "hostFlushes"], ["barriers", "guestBarriers"], ["→ host", "barriers"]] },
  { id: "journal", title: "Journal fill", format: percent, top: 100, journal: true, fill: true, lines: [["used", "journalFill"]] },
  { id: "lag", title: "Checkpoint lag", format: count, journal: true, lines: [["transactions", "pending"], ["oldest", "oldestPending", age]] },
];

const shown = { minutes: 3 };

/** How much of the past all charts show. */
export const showMinutes = (minutes) => { shown.minutes = minutes; };

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const decades = (low, high) => {
  let [from, to] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
  if (to <= from) to = from * 10;
  return [from, to];
};

// Lines at whole decades only: those between them say nothing at this size.
const wholeDecades = (_, __, low, high) => {
  const found = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) found.push(10 ** power);
  return found;
};

const options = (chart, width, height, present) => {
  const axis = { stroke: style("--quiet"), grid: { stroke: style("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const scales = { x: { time: true, range: () => [present() - shown.minutes * 60, present()] } };
  scales.y = chart.log
    ? { distr: 3, range: (_, low, high) => (low == null || low <= 0 ? [1, 1000] : decades(low, high)) }
    : { range: (_, low, high) => [0, chart.top ?? (high > 0 ? high * 1.08 : 10)] };
  const axes = [
    { ...axis, size: 24, space: 70, values: (_, times) => times.map((time) => new Date(time * 1000).toTimeString().slice(0, shown.minutes > 3 ? 5 : 8)) },
    { ...axis, size: 62, space: 26, ...(chart.log ? { splits: wholeDecades } : {}), values: (_, values) => values.map((value) => (value == null ? "" : chart.format(value))) },
  ];
  const series = [{}];
  chart.lines.forEach(([name, , format], index) => {
    const color = style(`--line-${index + 1}`);
    const line = { label: name, stroke: color, width: 1.6, points: { show: false }, spanGaps: false };
    if (chart.fill) line.fill = color + "33";
    if (format) {
      line.scale = "second";
      scales.second = { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 10] };
      axes.push({ ...axis, side: 1, scale: "second", size: 50, space: 26, grid: { show: false }, values: (_, values) => values.map((value) => (value == null ? "" : format(value))) });
    }

    series.push(line);
  });
  return { width, height, scales, axes, series, legend: { show: false }, cursor: { sync: { key: "disks" }, y: false, drag: { x: false, y: false } }, padding: [8, chart.lines.some(([, , format]) => format) ? 0 : 24, 0, 0] };
};

/** A chart in the page, for one disk. */
export class Chart {
  #chart;
  #columns;
  #present;
  #plot;
  #values = [];
  #box;

  constructor(chart, parent, columns, present) {
    this.#chart = chart;
    this.#columns = columns;
    this.#present = present;
    const figure = document.createElement("figure");
    figure.className = "chart";
    figure.dataset.chart = chart.id;
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.appendChild(document.createElement("b")).textContent = chart.title;
    chart.lines.forEach(([name, series], index) => {
      const entry = caption.appendChild(document.createElement("span"));
      entry.className = `entry line-${index + 1}`;
      entry.append(name + " ");
      const value = entry.appendChild(document.createElement("output"));
      value.dataset.series = series;
      this.#values.push(value);
    });
    this.#box = figure.appendChild(document.createElement("div"));
    this.#box.className = "plot";
    parent.appendChild(figure);
    this.make();
  }

  /** Draws anew from nothing: the colours changed. */
  make() {
    this.#plot?.destroy();
    const made = options(this.#chart, this.#box.clientWidth || 300, 150, this.#present);
    made.hooks = { setCursor: [(plot) => this.#showValues(plot.cursor.idx)] };
    this.#plot = new uPlot(made, this.#data(), this.#box);
    this.#showValues(null);
  }

  /** The columns have changed, or how much of them is shown. */
  update() {
    this.#plot.setData(this.#data());
    this.#showValues(this.#plot.cursor.idx);
  }

  /** The page has another width. */
  fit() {
    const width = this.#box.clientWidth;
    if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: 150 });
  }

  #data() {
    return [this.#columns.time, ...this.#chart.lines.map(([, series]) => this.#columns[series])];
  }

  // Under the cursor, or the latest.
  #showValues(index) {
    this.#chart.lines.forEach(([, series, format], line) => {
      const column = this.#columns[series];
      this.#values[line].textContent = (format ?? this.#chart.format)(column[index ?? column.length - 1]);
    });
  }
}

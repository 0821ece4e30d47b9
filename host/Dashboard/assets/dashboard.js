// The page: a section a disk, kept up to date by the server's events. Nothing is asked of any other server.

import { Chart, charts, showMinutes } from "./charts.js";
import { count, duration, exact, percent, rate, size } from "./figures.js";

// After an answer that was no stream (too many pages are open) the browser does not try again by itself.
const retryAfter = 2000;

// No event for so long and the connection is dead, whatever the browser thinks: a laptop that slept.
const silenceAfter = 6000;

// More disks than this begin folded: each has six charts to draw.
const maxUnfolded = 4;

const page = { disks: new Map(), series: [], samples: 600, minutes: 3, latest: Date.now() / 1000, heard: Date.now(), source: null };
const one = (selector) => document.querySelector(selector);

class Disk {
  constructor(description) {
    this.columns = { time: [], ...Object.fromEntries(page.series.map((name) => [name, []])) };
    this.charts = [];
    this.section = document.createElement("details");
    this.section.className = "disk";
    this.section.dataset.disk = description.name;
    this.section.open = page.disks.size < maxUnfolded;
    this.section.innerHTML = `<summary><h2></h2><span class="pill state"></span><span class="facts"></span><span class="brief"></span></summary>
      <dl class="tiles"></dl><div class="charts"></div><details class="totals"><summary>Totals since it was opened</summary><table><tbody></tbody></table></details>`;
    this.section.querySelector("h2").textContent = description.name;
    this.section.addEventListener("toggle", () => this.draw());
    one("#disks").appendChild(this.section);
  }

  get isOpen() { return this.section.open; }

  add([time, ...values]) {
    this.columns.time.push(time / 1000);
    page.series.forEach((name, i) => this.columns[name].push(values[i]));
    const over = this.columns.time.length - page.samples;
    if (over > 0) for (const column of Object.values(this.columns)) column.splice(0, over);
  }

  now(series) { return this.columns[series].at(-1); }

  describe({ stats, export: through, size: bytes }) {
    this.stats = stats;
    const state = this.section.querySelector(".state");
    state.textContent = stats.state;
    state.dataset.state = stats.state;
    const clients = stats.connections == null ? "" : ` · ${stats.connections} ${stats.connections === 1 ? "connection" : "connections"}`;
    this.section.querySelector(".facts").textContent = `${stats.pipeline} · ${through} · ${size(bytes)}${clients}`;
    const requests = ["reads", "writes", "flushes", "guestBarriers", "others"].reduce((sum, name) => sum + (this.now(name) ?? 0), 0);
    const bytesMoved = (this.now("readBytes") ?? 0) + (this.now("writtenBytes") ?? 0);
    this.section.querySelector(".brief").textContent = `${count(Math.round(requests))} requests/s`;
    this.tiles([
      ["requests", "Requests / s", count(Math.round(requests)), `${exact(stats.activeRequests)} under way`],
      ["throughput", "Throughput", rate(bytesMoved), ""],
      ["p50", "Latency p50", duration(this.now("p50")), "of the last second"],
      ["p99", "Latency p99", duration(this.now("p99")), "of the last second"],
      ["amplification", "Host / guest flushes", stats.guestFlushes > 0 ? (stats.hostFlushes / stats.guestFlushes).toFixed(2) : "–", `${count(stats.guestFlushes)} → ${count(stats.hostFlushes)} in all`],
      stats.journal
        ? ["journal", "Journal", percent(this.now("journalFill")), `of ${size(stats.journal.capacityBytes)}, ${count(stats.journal.pendingTransactions)} to replay`]
        : ["journal", "Journal", "none", "nothing to replay"],
    ]);
    if (this.section.querySelector(".totals").open) this.totals();
  }

  tiles(values) {
    const list = this.section.querySelector(".tiles");
    if (list.children.length === 0) {
      for (const [id, title] of values) {
        const tile = list.appendChild(document.createElement("div"));
        tile.dataset.tile = id;
        tile.innerHTML = "<dt></dt><dd></dd><small></small>";
        tile.querySelector("dt").textContent = title;
      }
    }

    values.forEach(([, , value, note], i) => {
      list.children[i].querySelector("dd").textContent = value;
      list.children[i].querySelector("small").textContent = note;
    });
  }

  totals() {
    const s = this.stats;
    const rows = [
      ["Guest reads", exact(s.guestReads), size(s.guestReadBytes)],
      ["Guest writes, discards and zeroings", exact(s.guestWrites), size(s.guestWrittenBytes)],
      ["Guest flushes", exact(s.guestFlushes), ""],
      ["Guest barriers", exact(s.guestBarriers), ""],
      ["Host reads", exact(s.hostReads), size(s.hostReadBytes)],
      ["Host flushes", exact(s.hostFlushes), ""],
      ["Host barriers", exact(s.barriers), ""],
      ...Object.entries(s.hostBytesWritten).map(([name, bytes]) => [`Host wrote: ${name.replace(/[A-Z]/g, (c) => " " + c.toLowerCase())}`, "", size(bytes)]),
    ];
    const body = this.section.querySelector("tbody");
    body.replaceChildren(...rows.map((cells) => {
      const row = document.createElement("tr");
      row.append(...cells.map((text, i) => Object.assign(document.createElement(i === 0 ? "th" : "td"), { textContent: text })));
      return row;
    }));
  }

  // Charts are made when they are first seen: a canvas that is folded has no width.
  draw() {
    if (!this.isOpen) return;
    const wanted = charts.filter((chart) => !chart.journal || this.columns.journalFill.some((value) => value != null));
    if (this.charts.length !== wanted.length) {
      const parent = this.section.querySelector(".charts");
      parent.replaceChildren();
      this.charts = wanted.map((chart) => new Chart(chart, parent, this.columns, () => page.latest));
    }

    for (const chart of this.charts) {
      chart.fit();
      chart.update();
    }
  }
}

const link = (state, text, notice = "") => {
  const pill = one("#link");
  pill.dataset.state = state;
  pill.textContent = text;
  document.body.classList.toggle("stale", state === "lost" || state === "ended");
  const line = one("#notice");
  line.textContent = notice;
  line.hidden = notice === "";
};

const begin = (event) => {
  const all = JSON.parse(event.data);
  page.series = all.series;
  page.samples = all.samples;
  one("#machine").textContent = `${all.version} on ${all.machine}`;
  document.title = `sphost on ${all.machine}`;
  const open = new Map([...page.disks].map(([name, disk]) => [name, disk.isOpen]));
  one("#disks").replaceChildren();
  page.disks.clear();
  for (const description of all.disks) {
    const disk = new Disk(description);
    if (open.has(description.name)) disk.section.open = open.get(description.name);
    page.disks.set(description.name, disk);
    for (const sample of description.history) disk.add(sample);
    if (description.history.length > 0) page.latest = description.history.at(-1)[0] / 1000;
    disk.describe(description);
  }

  finish(all);
  link("live", "live");
};

const tick = (event) => {
  const now = JSON.parse(event.data);
  for (const description of now.disks) {
    let disk = page.disks.get(description.name);
    if (!disk) page.disks.set(description.name, disk = new Disk(description));
    if (description.sample.length > 0) {
      disk.add(description.sample);
      page.latest = description.sample[0] / 1000;
    }

    disk.describe(description);
  }

  const served = new Set(now.disks.map((description) => description.name));
  for (const [name, disk] of page.disks) {
    if (served.has(name)) continue;
    const state = disk.section.querySelector(".state");
    state.textContent = state.dataset.state = "no longer served";
    disk.section.classList.add("gone");
  }

  finish(now);
};

const finish = ({ disksLeftOut }) => {
  page.heard = Date.now();
  const line = one("#left-out");
  line.hidden = disksLeftOut === 0;
  line.textContent = `${disksLeftOut} further disks are served and have no charts here; 'sphost disk stats' and OTLP have them.`;
  if (page.disks.size === 0) one("#disks").textContent = "No disk is served.";
  if (!document.hidden) for (const disk of page.disks.values()) disk.draw();
};

const connect = () => {
  page.source?.close();
  page.heard = Date.now();
  const source = page.source = new EventSource("/events");
  source.addEventListener("history", begin);
  source.addEventListener("tick", tick);
  source.addEventListener("end", () => link("ended", "stopped", "sphost has stopped. These are its last figures; the page goes on when it is started again."));
  source.addEventListener("error", () => {
    if (one("#link").dataset.state !== "ended") link("lost", "reconnecting", "sphost does not answer. These are the last figures; trying again …");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, retryAfter);
  });
};

for (const button of document.querySelectorAll(".ranges button")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll(".ranges button")) other.setAttribute("aria-pressed", String(other === button));
    showMinutes(Number(button.dataset.minutes));
    for (const disk of page.disks.values()) disk.draw();
  });
}

const redraw = () => {
  for (const disk of page.disks.values()) for (const chart of disk.charts) chart.make();
};

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => { for (const disk of page.disks.values()) disk.draw(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) for (const disk of page.disks.values()) disk.draw(); });
document.addEventListener("toggle", (event) => {
  if (event.target.classList?.contains("totals")) page.disks.get(event.target.closest(".disk").dataset.disk)?.totals();
}, true);
setInterval(() => {
  if (one("#link").dataset.state === "live" && Date.now() - page.heard > silenceAfter) {
    link("lost", "reconnecting", "sphost does not answer. These are the last figures; trying again …");
    connect();
  }
}, 1000);
connect();

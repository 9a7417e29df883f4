// The timeline: a lane per task in its states, lanes for the loop, timers, sources and counters.
// Drawn on one canvas, only what is visible; the same facts are in the other panels as text.
import { K } from "./trace.js";
import { big, cause, label, nanos, sentence, shortName, taskName, place } from "./text.js";
import { LOST, Lane, SLICE, lastAtMost } from "./history.js";
import { GLYPH, fit, h, niceStep, palette, timeTick } from "./dom.js";

const AXIS = 26;
const ROW = 24;
/** With more tasks than this, those spawned at one place share a lane until it is opened. */
const FOLD_ABOVE = 60;
/** With more sources than this, they share a lane until it is opened. */
const FOLD_SOURCES = 12;
/** With more wakes in view than this, only those of the selected task are drawn. */
const MAX_ARROWS = 120;
const TIMER_ROWS = 4;
/** Less tall than this, the timeline shows tasks before counters. */
const LOW = 260;
/** Values of a counter of which the largest is kept. */
const BLOCK = 64;
const FONT = "12px ui-sans-serif, system-ui, sans-serif";
const SMALL = "11px ui-sans-serif, system-ui, sans-serif";

/** The largest of each `BLOCK` values. */
function blocksOf(values) {
  const blocks = new Uint32Array(Math.ceil(values.length / BLOCK));
  values.forEach((value, i) => {
    const block = Math.floor(i / BLOCK);
    if (value > blocks[block]) blocks[block] = value;
  });
  return blocks;
}

/** The largest of a row's values from `first` to `last`. */
function most({ of, blocks }, first, last) {
  let largest = 0;
  for (let i = first; i <= last;) {
    const whole = i % BLOCK === 0 && i + BLOCK <= last;
    const value = whole ? blocks[i / BLOCK] : of[i];
    if (value > largest) largest = value;
    i += whole ? BLOCK : 1;
  }
  return largest;
}

export class Timeline {
  constructor(app) {
    this.app = app;
    this.opened = new Set();
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.spacer = h("div", { class: "spacer" }, this.canvas);
    this.tip = h("div", { class: "tip", hidden: true });
    this.scroller = h("div", {
      class: "timeline", tabindex: "0", role: "img",
      "aria-label": "Timeline of the run. The stepper below says in words what is at the cursor.",
    }, this.spacer);
    this.element = h("div", { class: "timeline-frame" }, this.scroller, this.tip);
    this.pointers = new Map();
    this.listen();
  }

  /** The rows to draw, top down. */
  layout() {
    const { app, opened } = this;
    const { run, history } = app;
    const rows = [{ type: "loop", name: "loop", height: ROW + 4 }];
    const counters = [
      { type: "counter", name: "ready", of: history.ready, height: 26 },
      { type: "counter", name: "waiting", of: history.inFlight, height: 26 },
    ];
    // Where there is little room, tasks come first.
    if (!this.low) rows.push(...counters);
    const lanes = [...history.tasks.values()].sort((a, b) => a.id - b.id);
    const groups = new Map();
    if (lanes.length > FOLD_ABOVE) {
      for (const lane of lanes) {
        const site = place(run, lane.id);
        if (!groups.has(site)) groups.set(site, []);
        groups.get(site).push(lane);
      }
    }
    const told = new Set();
    for (const lane of lanes) {
      const site = place(run, lane.id);
      const group = groups.get(site);
      if (group && group.length > 3) {
        if (!told.has(site)) {
          rows.push({ type: "group", site, lanes: group, height: 34, open: opened.has(site) });
        }
        told.add(site);
        if (!opened.has(site)) continue;
      }
      rows.push({ type: "task", id: lane.id, lane, height: ROW, inset: told.has(site) });
    }
    if (history.timers.size > 0) rows.push(this.timerRows());
    const sources = [...history.sources.values()];
    const folded = sources.length > FOLD_SOURCES;
    const open = opened.has("sources");
    if (folded) rows.push({ type: "sources", site: "sources", lanes: sources, height: ROW, open });
    for (const lane of folded && !open ? [] : sources) {
      rows.push({ type: "source", id: lane.id, lane, height: ROW, inset: folded });
    }
    if (this.low) rows.push(...counters);
    let top = AXIS;
    this.rowOf = new Map();
    for (const row of rows) {
      row.top = top;
      top += row.height;
      if (row.type === "task") this.rowOf.set(row.id, row);
      for (const lane of row.type === "group" && !row.open ? row.lanes : []) {
        this.rowOf.set(lane.id, row);
      }
    }
    this.rows = rows;
    this.total = top + 8;
    this.for = run;
  }

  timerRows() {
    const ends = Array(TIMER_ROWS).fill(-1);
    const lanes = [...this.app.history.timers.values()].sort((a, b) => a.start - b.start);
    for (const lane of lanes) {
      let row = ends.findIndex((end) => end <= lane.start);
      if (row < 0) row = ends.indexOf(Math.min(...ends));
      ends[row] = lane.end;
      lane.row = row;
    }
    const used = ends.filter((end) => end >= 0).length;
    return { type: "timers", lanes, used, height: 10 + used * 9 };
  }

  // --- where things are ------------------------------------------------------------------

  get labels() {
    return Math.min(190, Math.round(this.width * 0.27));
  }

  x(i) {
    const { from, to } = this.app.view;
    return this.labels + (this.app.position(i) - from) / (to - from) * (this.width - this.labels);
  }

  positionAt(x) {
    const { from, to } = this.app.view;
    return from + (x - this.labels) / (this.width - this.labels) * (to - from);
  }

  rowAt(y) {
    return this.rows.find((row) => y >= row.top && y < row.top + row.height);
  }

  // --- drawing ---------------------------------------------------------------------------

  render() {
    this.width = this.scroller.clientWidth;
    this.height = this.scroller.clientHeight;
    if (this.width === 0) return;
    const low = this.height < LOW;
    if (!this.rows || this.for !== this.app.run || this.low !== low) {
      this.low = low;
      this.layout();
    }
    this.colours = palette();
    this.spacer.style.height = `${Math.max(this.total, this.height)}px`;
    const draw = fit(this.canvas, this.width, this.height);
    this.draw = draw;
    draw.textBaseline = "middle";
    this.scroll = this.scroller.scrollTop;
    const { view } = this.app;
    this.first = Math.max(0, this.app.indexAt(view.from) - 1);
    this.last = Math.min(this.app.horizon, this.app.indexAt(view.to) + 1);
    this.drawGrid();
    const seen = this.rows.filter(({ top, height }) => {
      const y = top - this.scroll;
      return y + height >= AXIS && y <= this.height;
    });
    for (const row of seen) this.drawGround(row, row.top - this.scroll);
    this.drawRange();
    this.drawArrows();
    this.drawCursor();
    for (const row of seen) this.drawRow(row, row.top - this.scroll);
    this.drawHidden();
    this.drawAxis();
  }

  clip(inner) {
    const { draw } = this;
    draw.save();
    draw.beginPath();
    draw.rect(this.labels, AXIS, this.width - this.labels, this.height - AXIS);
    draw.clip();
    inner();
    draw.restore();
  }

  drawGrid() {
    const { draw, colours, app } = this;
    const step = niceStep(app.view.to - app.view.from, (this.width - this.labels) / 110);
    // The axis tells the time that events tell, also where a ring has forgotten the beginning.
    const zero = app.axis === "time" ? app.run.start : 0;
    this.ticks = [];
    this.step = step;
    for (let k = Math.ceil((app.view.from + zero) / step); k * step <= app.view.to + zero; k++) {
      const x = this.labels + (k * step - zero - app.view.from) / (app.view.to - app.view.from)
        * (this.width - this.labels);
      this.ticks.push([x, k * step]);
    }
    draw.fillStyle = colours.line;
    for (const [x] of this.ticks) draw.fillRect(Math.round(x), AXIS, 1, this.height);
  }

  drawRange() {
    const { draw, colours, app } = this;
    if (!app.range) return;
    const [from, to] = app.ends(app.range).map((at) =>
      this.labels + (at - app.view.from) / (app.view.to - app.view.from) * (this.width - this.labels));
    this.clip(() => {
      draw.fillStyle = colours.mark;
      draw.fillRect(from, AXIS, Math.max(1, to - from), this.height);
      draw.fillStyle = colours.accent;
      for (const x of [from, to]) draw.fillRect(x - 0.5, AXIS, 1, this.height);
    });
  }

  /** Whether a row is about something that the reader has not come to yet. */
  comes(row) {
    const { horizon, hides } = this.app;
    const lanes = hides ? row.lanes ?? [row.lane] : [];
    return lanes.length > 0 && lanes[0] && lanes.every((lane) => (lane.start[0] ?? lane.start) >= horizon);
  }

  /** Covers what comes after the cursor, where that is to be predicted. */
  drawHidden() {
    const { draw, colours, app } = this;
    if (!app.hides) return;
    const x = Math.max(this.labels, this.x(Math.max(0, app.horizon - 1)) + 3);
    draw.fillStyle = colours.raised;
    draw.fillRect(x, AXIS, this.width - x, this.height);
  }

  /** The moments of the run, by number. */
  drawMoments() {
    const { draw, colours, app } = this;
    app.runs[app.at].moments.forEach(({ at }, k) => {
      const x = this.x(at);
      if (at >= app.horizon || x < this.labels || x > this.width - 8) return;
      let left = Math.min(this.width - 17, Math.max(this.labels + 1, x - 8));
      while (!this.free(left, left + 16)) left += 17;
      draw.fillStyle = colours.ink;
      draw.beginPath();
      draw.arc(left + 8, 10, 8, 0, 7);
      draw.fill();
      draw.fillStyle = colours.ground;
      this.texts.push([left, left + 16]);
      draw.fillText(String(k + 1), left + 8 - draw.measureText(String(k + 1)).width / 2, 10.5);
      draw.fillStyle = colours.soft;
    });
  }

  drawAxis() {
    const { draw, colours, app } = this;
    draw.fillStyle = colours.ground;
    draw.fillRect(0, 0, this.width, AXIS);
    draw.fillStyle = colours.line;
    draw.fillRect(0, AXIS - 1, this.width, 1);
    draw.fillRect(this.labels - 1, 0, 1, this.height);
    draw.font = SMALL;
    draw.fillStyle = colours.soft;
    draw.textAlign = "left";
    this.texts = [];
    this.put(app.axis === "time" ? "time" : "events", 10, AXIS / 2);
    this.drawMoments();
    for (const [x, value] of this.ticks) {
      const said = app.axis === "time" ? timeTick(value, this.step) : big(Math.round(value));
      const half = draw.measureText(said).width / 2;
      if (x - half > this.labels + 2 && x + half < this.width) this.put(said, x - half, AXIS / 2);
    }
    const x = this.x(Math.max(0, app.cursor - 1));
    if (x < this.labels || x > this.width) return;
    draw.fillStyle = colours.accent;
    draw.beginPath();
    draw.moveTo(x - 6, AXIS - 9);
    draw.lineTo(x + 6, AXIS - 9);
    draw.lineTo(x, AXIS - 1);
    draw.fill();
  }

  /** Whether no text of this row lies between two places. */
  free(left, right) {
    return this.texts.every(([from, to]) => right <= from || left >= to);
  }

  /** Draws a text, unless another lies there: no text is drawn over a text. */
  put(text, x, y) {
    const right = x + this.draw.measureText(text).width;
    if (!this.free(x, right)) return;
    this.texts.push([x, right]);
    this.draw.fillText(text, x, y);
  }

  drawGround(row, y) {
    const { draw, colours, app } = this;
    const chosen = row.type === "task" && row.id === app.selected;
    if (!chosen && row !== this.hover) return;
    draw.fillStyle = chosen ? colours.mark : colours.raised;
    draw.fillRect(0, y, this.width, row.height);
  }

  drawRow(row, y) {
    const { draw, colours } = this;
    if (this.comes(row)) return;
    // What has scrolled below the axis says nothing.
    this.texts = y + row.height / 2 < AXIS + 8 ? [[-Infinity, Infinity]] : [];
    this.clip(() => {
      if (row.type === "task") this.drawTask(row, y);
      else if (row.type === "loop") this.drawLoop(row, y);
      else if (row.type === "counter") this.drawCounter(row, y);
      else if (row.type === "group") this.drawGroup(row, y);
      else if (row.type === "timers") this.drawTimers(row, y);
      else if (row.type === "sources") this.drawSources(row, y);
      else this.drawSource(row, y);
    });
    draw.fillStyle = colours.faint;
    draw.fillRect(0, y + row.height - 1, this.width, 1);
    this.drawLabel(row, y);
  }

  drawLabel(row, y) {
    const { draw, colours, app } = this;
    const strong = row.type === "task" && row.id === app.selected;
    draw.font = strong ? `600 ${FONT}` : FONT;
    draw.fillStyle = row.type === "task" || row.type === "group" ? colours.ink : colours.soft;
    let text = row.name ?? row.type;
    if (row.type === "task") text = shortName(app.run, row.id);
    if (row.type === "source") text = `source ${row.id}`;
    const come = row.lanes?.filter(({ start }) => (start[0] ?? start) < app.horizon).length;
    if (row.type === "sources") text = `${row.open ? "▾" : "▸"} ${come} sources`;
    if (row.type === "group") {
      const file = row.site.split("/").pop() || "no place";
      text = `${row.open ? "▾" : "▸"} ${come} × ${file}`;
    }
    const inset = row.inset ? 22 : 10;
    const middle = y + row.height / 2;
    this.put(this.shorten(text, this.labels - inset - 8), inset, middle);
  }

  shorten(text, width) {
    const { draw } = this;
    if (draw.measureText(text).width <= width) return text;
    let length = Math.min(text.length, Math.floor(width / 5));
    while (length > 1 && draw.measureText(`${text.slice(0, length)}…`).width > width) length--;
    return `${text.slice(0, length)}…`;
  }

  /**
   * Calls `paint(x, width, k)` for the visible slices, or those of one code; of those within one
   * pixel, for the first and whatever is longer. The hot loop of the page: no calls, no objects.
   */
  eachSlice(lane, paint, only = -1) {
    const { run, view, axis } = this.app;
    const { start, end, code } = lane;
    const { at, n } = run;
    const byTime = axis === "time";
    const scale = (this.width - this.labels) / (view.to - view.from);
    const zero = this.labels - (view.from + (byTime ? run.start : 0)) * scale;
    let pixel = -1;
    let widest = -1;
    for (let k = lane.from(this.first); k < start.length && start[k] <= this.last; k++) {
      if (only >= 0 && code[k] !== only) continue;
      const from = start[k];
      const to = end[k] < n ? end[k] : n;
      const x = zero + (byTime ? at[from] : from) * scale;
      const width = zero + (byTime ? (to < n ? at[to] : run.end) : to) * scale - x;
      if (width < 1) {
        const here = Math.floor(x);
        if (here === pixel && width <= widest) continue;
        pixel = here;
        widest = width;
      }
      paint(x, width, k);
    }
  }

  hatch(x, y, width, height) {
    const { draw, colours } = this;
    draw.fillStyle = colours.ready;
    const left = Math.max(x, this.labels);
    const right = Math.min(x + width, this.width);
    if (right - left < 4) return draw.fillRect(x, y, width, height);
    draw.save();
    draw.beginPath();
    draw.rect(left, y, right - left, height);
    draw.clip();
    draw.strokeStyle = colours.ready;
    draw.lineWidth = 1;
    draw.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    draw.beginPath();
    for (let line = left - left % 6 - height; line < right; line += 6) {
      draw.moveTo(line, y + height);
      draw.lineTo(line + height, y);
    }
    draw.stroke();
    draw.restore();
  }

  inside(text, x, width, y, colour) {
    const left = Math.max(x, this.labels) + 5;
    const room = Math.min(x + width, this.width) - left - 4;
    if (room < 18) return;
    const { draw } = this;
    draw.font = SMALL;
    const shown = this.shorten(text, room);
    if (shown.length < 2) return;
    draw.fillStyle = colour;
    this.put(shown, left, y);
  }

  drawTask(row, y) {
    const { draw, colours, app } = this;
    const { lane } = row;
    const middle = y + row.height / 2;
    const top = y + 4;
    const height = row.height - 9;
    const end = this.endOf(lane);
    this.eachSlice(lane, (x, width, k) => {
      if (lane.code[k] === SLICE.running) {
        draw.fillStyle = colours.run;
        draw.fillRect(x, top, Math.max(1.5, width), height);
        if (width > 30) this.inside("run", x, width, middle - 0.5, colours["run-ink"]);
      } else if (lane.code[k] === SLICE.scheduled) {
        this.hatch(x, top, Math.max(1, width), height);
        if (width > 46) this.boxed("ready", x, width, middle - 0.5);
      } else {
        draw.fillStyle = colours.idle;
        draw.fillRect(x, middle - 1.5, Math.max(1, width), 2);
        if (width > 60 && lane.note[k] === LOST) {
          this.boxed("lost waker: no waker of it is left", x, width, middle - 0.5);
        } else if (width > 60 && lane.note[k] >= 0) {
          const last = Math.min(lane.end[k], this.app.run.n) - 1;
          const waits = [lane.note[k], ...this.app.history.waitsBehind(lane.note[k], last)];
          this.boxed(waits.map((wait) => this.waitText(wait)).join(" › "), x, width, middle - 0.5);
        }
      }
    });
    if (!end) return;
    draw.fillStyle = colours[lane.ended];
    draw.fillRect(end.x - 1, top, 2, height);
    if (!end.fits) return;
    draw.font = `600 ${FONT}`;
    draw.fillStyle = colours.ground;
    draw.fillRect(end.left - 2, middle - 8, end.width + 4, 15);
    draw.fillStyle = colours[lane.ended];
    draw.fillText(end.said, end.left, middle);
  }

  /** Where a lane says how its task ended: room that no other text of the row may take. */
  endOf(lane) {
    if (!lane.ended || lane.endEvent >= this.app.horizon) return null;
    const x = this.x(lane.endEvent);
    if (x < this.labels || x > this.width) return null;
    this.draw.font = `600 ${FONT}`;
    const said = `${GLYPH[lane.ended]} ${lane.ended}`;
    const { width } = this.draw.measureText(said);
    // No room at the right edge: to the left of the end.
    const left = x + width + 8 < this.width || x - width - 10 < this.labels ? x + 5 : x - width - 6;
    const fits = this.free(left, left + width);
    if (fits) this.texts.push([left - 4, left + width + 4]);
    return { x, said, left, width, fits };
  }

  /** A text on a patch of ground, so that a line or a pattern behind it does not cross it. */
  boxed(text, x, width, y) {
    const { draw, colours } = this;
    draw.font = SMALL;
    const left = Math.max(x, this.labels) + 4;
    const room = Math.min(x + width, this.width) - left - 8;
    if (room < 24) return;
    const shown = this.shorten(text, room);
    const { width: wide } = draw.measureText(shown);
    if (shown.length < 3 || !this.free(left, left + wide + 6)) return;
    draw.fillStyle = colours.ground;
    draw.fillRect(left, y - 7, wide + 6, 14);
    draw.fillStyle = colours.soft;
    this.put(shown, left + 3, y);
  }

  waitText(i) {
    const { run } = this.app;
    const [a, b] = [run.f[0][i], run.f[1][i]];
    switch (run.kind[i]) {
      case K.timer_armed: return `timer #${a}`;
      case K.waits_for_timer: return `timer #${a}`;
      case K.waits_for_source: return `source ${b} ${a === 0 ? "readable" : "writable"}`;
      case K.waits_for_task: return `for ${taskName(run, a)}`;
      case K.span_opened: return label(run, run.f[2][i]);
      default: return `blocking job ${a}`;
    }
  }

  drawLoop(row, y) {
    const { draw, colours, app } = this;
    const { loop, turns } = app.history;
    const top = y + 5;
    const height = row.height - 11;
    const seen = lastAtMost(turns, this.last) - Math.max(0, lastAtMost(turns, this.first));
    if (seen < (this.width - this.labels) / 5) {
      draw.fillStyle = colours.soft;
      for (let t = Math.max(0, lastAtMost(turns, this.first)); turns[t] <= this.last; t++) {
        draw.fillRect(this.x(turns[t]), y + 2, 1, row.height - 5);
      }
    }
    this.eachSlice(loop, (x, width, k) => {
      if (loop.code[k] === SLICE.poll) {
        draw.fillStyle = colours.run;
        draw.fillRect(x, top, Math.max(1.5, width), height);
        const name = width > 20 ? shortName(app.run, loop.note[k]) : "";
        if (name) this.inside(name, x, width, y + row.height / 2, colours["run-ink"]);
      } else {
        draw.fillStyle = colours.park;
        draw.fillRect(x, top + height / 2 - 3, Math.max(1, width), 6);
        const text = loop.code[k] === SLICE.park ? "park" : "look";
        if (width > 50) this.boxed(text, x, width, y + row.height / 2);
      }
    });
  }

  drawCounter(row, y) {
    const { draw, colours } = this;
    const left = this.labels;
    const columns = Math.max(1, Math.floor(this.width - left));
    row.blocks ??= blocksOf(row.of);
    row.max ??= row.blocks.reduce((max, value) => Math.max(max, value), 1);
    const base = y + row.height - 3;
    const room = row.height - 8;
    draw.fillStyle = colours.idle;
    const { app } = this;
    const { n } = app.run;
    // The value after `count` events; of a column, the largest that it had there.
    let count = this.first;
    for (let column = 0; column < columns && count < n; column++) {
      const until = this.positionAt(left + column + 1);
      const end = app.place(count) > until ? count : Math.min(n, app.indexAt(until) + 1);
      const height = room * most(row, count, end) / row.max;
      count = end;
      draw.fillRect(left + column, base - height, 1, height);
    }
    const said = `≤ ${row.max}`;
    draw.font = SMALL;
    if (!app.hides) this.boxed(said, this.width - draw.measureText(said).width - 18, this.width, y + 11);
  }

  /** Many tasks in one lane: how many are alive, and when one of them runs. */
  drawGroup(row, y) {
    const { draw, colours, app } = this;
    if (!row.runs) this.sumUp(row);
    const base = y + row.height - 5;
    const room = row.height - 16;
    draw.fillStyle = colours.idle;
    // Of steps within a pixel, the highest; after that pixel, what the last of them left.
    let left = -Infinity;
    let high = 0;
    let now = 0;
    const bar = (from, to, value) => {
      const height = room * value / row.max;
      if (value > 0 && to > from) draw.fillRect(from, base - height, to - from, height);
    };
    const upTo = (x) => {
      bar(left, left + 1, high);
      bar(left + 1, x, now);
    };
    for (let k = Math.max(0, lastAtMost(row.at, this.first)); k < row.at.length; k++) {
      if (row.at[k] > this.last) break;
      const x = this.x(row.at[k]);
      if (x >= left + 1) {
        upTo(x);
        left = x;
        high = 0;
      }
      high = Math.max(high, row.alive[k]);
      now = row.alive[k];
    }
    upTo(this.x(Math.min(this.last, app.run.n)));
    draw.fillStyle = colours.run;
    this.eachSlice(row.runs, (x, width) => draw.fillRect(x, y + 3, Math.max(1, width), 7));
  }

  /** How many of a group's tasks are alive after which event, and all their slices in one lane. */
  sumUp(row) {
    const changes = [];
    const runs = [];
    for (const lane of row.lanes) {
      if (lane.start.length === 0) continue;
      changes.push([lane.start[0], 1]);
      if (lane.ended) changes.push([lane.endEvent, -1]);
      for (let k = 0; k < lane.start.length; k++) {
        if (lane.code[k] === SLICE.running) runs.push([lane.start[k], lane.end[k]]);
      }
    }
    changes.sort((a, b) => a[0] - b[0]);
    let alive = 0;
    row.at = changes.map(([i]) => i);
    row.alive = changes.map(([, by]) => (alive += by));
    row.max = row.alive.reduce((max, value) => Math.max(max, value), 1);
    // One task runs at a time, so no two of them overlap.
    runs.sort((a, b) => a[0] - b[0]);
    row.runs = new Lane();
    for (const [start, end] of runs) {
      row.runs.begin(start, SLICE.running);
      row.runs.finish(end);
    }
  }

  drawTimers(row, y) {
    const { draw, colours, app } = this;
    // Of timers that end within a pixel of each other, one is drawn.
    const drawn = Array(TIMER_ROWS).fill(-Infinity);
    for (const timer of row.lanes) {
      if (timer.end < this.first || timer.start > this.last) continue;
      const right = this.x(Math.min(timer.end, app.run.n));
      const mine = timer.task === app.selected && app.selected !== 0;
      if (right < drawn[timer.row] + 1 && !mine) continue;
      drawn[timer.row] = Math.max(drawn[timer.row], right);
      const x = this.x(timer.start);
      const middle = y + 9 + timer.row * 9;
      draw.fillStyle = mine ? colours.accent : colours.idle;
      draw.fillRect(x, middle - 0.5, Math.max(1, right - x), 1);
      draw.fillRect(x, middle - 3, 1, 6);
      if (timer.fired >= 0) {
        draw.beginPath();
        draw.arc(right, middle, 3, 0, 7);
        draw.fill();
      }
    }
  }

  drawSource(row, y) {
    const { draw, colours, app } = this;
    const { run } = app;
    const { lane } = row;
    const middle = y + row.height / 2;
    this.eachSlice(lane, (x, width) => {
      draw.fillStyle = colours.idle;
      draw.fillRect(x, middle - 0.5, Math.max(1, width), 1);
    });
    draw.font = SMALL;
    let free = -1;
    for (let k = Math.max(0, lastAtMost(lane.marks, this.first)); k < lane.marks.length; k++) {
      const i = lane.marks[k];
      if (i > this.last) break;
      const x = this.x(i);
      if (run.kind[i] === K.source_ready) {
        draw.fillStyle = colours.accent;
        draw.beginPath();
        draw.arc(x, middle, 3, 0, 7);
        draw.fill();
        if (x > free) {
          const text = (run.f[0][i] ? "R" : "") + (run.f[1][i] ? "W" : "");
          this.put(text, x + 5, middle);
          free = x + 26;
        }
      } else {
        draw.fillStyle = run.f[1][i] === 1 ? colours.ready : colours.soft;
        draw.fillRect(x - 0.5, middle - 6, 1.5, 12);
      }
    }
  }

  /** Many sources in one lane: where any of them became ready. */
  drawSources(row, y) {
    const { draw, colours, app } = this;
    const { run } = app;
    const seen = new Set();
    for (const lane of row.lanes) {
      for (let k = Math.max(0, lastAtMost(lane.marks, this.first)); k < lane.marks.length; k++) {
        const i = lane.marks[k];
        if (i > this.last) break;
        if (run.kind[i] === K.source_ready) seen.add(Math.round(this.x(i)));
      }
    }
    draw.fillStyle = colours.accent;
    for (const x of seen) {
      draw.beginPath();
      draw.arc(x, y + row.height / 2, 3, 0, 7);
      draw.fill();
    }
  }

  /** The row that a wake comes from. */
  sourceRow(i) {
    const by = this.app.run.enums.CauseKind[this.app.run.f[1][i]];
    const id = this.app.run.f[2][i];
    const from = by === "task" || by === "join" || by === "spawn" ? this.rowOf.get(id) : null;
    if (by === "timer") return this.rows.find((row) => row.type === "timers") ?? this.rows[0];
    if (by === "source") {
      return this.rows.find((row) => row.type === "source" && row.id === id)
        ?? this.rows.find((row) => row.type === "sources") ?? this.rows[0];
    }
    return from ?? this.rows[0];
  }

  drawArrows() {
    const { app, colours } = this;
    const { wakes } = app.history;
    const low = lastAtMost(wakes, this.first - 1) + 1;
    const high = lastAtMost(wakes, this.last);
    const chain = new Set(app.history.chain(Math.max(0, app.cursor - 1)));
    this.clip(() => {
      for (let k = low; k <= high; k++) {
        const i = wakes[k];
        const mine = app.selected !== 0 && app.run.task[i] === app.selected;
        if (chain.has(i)) this.arrow(i, colours.accent, 2);
        else if (mine) this.arrow(i, colours.ink, 1.2);
        else if (high - low < MAX_ARROWS) this.arrow(i, colours.idle, 0.8);
      }
    });
  }

  arrow(i, colour, width) {
    const to = this.rowOf.get(this.app.run.task[i]);
    const from = this.sourceRow(i);
    if (!to || from === to) return;
    const { draw } = this;
    const x = this.x(i);
    const down = to.top > from.top;
    const start = from.top - this.scroll + (down ? from.height - 6 : 6);
    const end = to.top - this.scroll + (down ? 4 : to.height - 4);
    draw.strokeStyle = draw.fillStyle = colour;
    draw.lineWidth = width;
    draw.beginPath();
    draw.moveTo(x, start);
    draw.lineTo(x, end + (down ? -4 : 4));
    draw.stroke();
    draw.beginPath();
    draw.moveTo(x, end);
    draw.lineTo(x - 3.5, end + (down ? -6 : 6));
    draw.lineTo(x + 3.5, end + (down ? -6 : 6));
    draw.fill();
  }

  drawCursor() {
    const { draw, colours, app } = this;
    const i = Math.max(0, app.cursor - 1);
    const x = this.x(i);
    if (x < this.labels - 1 || x > this.width) return;
    draw.fillStyle = colours.accent;
    draw.fillRect(x - 0.75, AXIS, 1.5, this.height);
    const row = this.rowOf.get(app.run.task[i]);
    if (!row || app.cursor === 0) return;
    draw.strokeStyle = colours.accent;
    draw.lineWidth = 2;
    draw.beginPath();
    draw.arc(x, row.top - this.scroll + row.height / 2, 5, 0, 7);
    draw.stroke();
  }

  // --- hands -----------------------------------------------------------------------------

  listen() {
    const { canvas, scroller } = this;
    scroller.addEventListener("scroll", () => this.app.changed());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.up(event, end));
    }
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("dblclick", (event) => this.zoomTo(event));
  }

  wheel(event) {
    const overflows = this.total > this.height + 1;
    const zooms = event.ctrlKey || event.altKey || (!overflows && !event.shiftKey);
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (zooms && event.deltaY !== 0) {
      event.preventDefault();
      this.app.zoom(Math.exp(event.deltaY * 0.0022), this.positionAt(event.offsetX));
    } else if (Math.abs(sideways) > 0) {
      event.preventDefault();
      this.app.pan(sideways / (this.width - this.labels));
    }
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.moved = 0;
    // A mouse selects a range; with Shift, and by touch, it moves the view.
    const selects = event.pointerType !== "touch" && !event.shiftKey && event.offsetX > this.labels;
    this.rangeFrom = selects ? this.positionAt(event.offsetX) : null;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.point(event);
    const now = { x: event.offsetX, y: event.offsetY };
    const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId);
    this.moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    this.pointers.set(event.pointerId, now);
    if (others.length > 0) {
      const other = others[0][1];
      const apart = (p) => Math.max(20, Math.abs(p.x - other.x));
      this.app.zoom(apart(before) / apart(now), this.positionAt((now.x + other.x) / 2));
    } else if (this.moved > 4 && this.rangeFrom !== null) {
      this.app.setRange(this.rangeFrom, this.positionAt(Math.max(this.labels, now.x)));
    } else if (this.moved > 4) {
      this.app.pan((before.x - now.x) / (this.width - this.labels));
    }
  }

  up(event, how) {
    const was = this.pointers.delete(event.pointerId);
    if (was && how === "pointerup" && this.moved <= 4) this.click(event);
  }

  click(event) {
    const row = this.rowAt(event.offsetY + this.scroll);
    this.app.clearRange();
    if (row?.site) return this.fold([row]);
    if (row?.type === "task") this.app.select(row.id);
    if (event.offsetX >= this.labels) this.app.go(this.eventUnder(row, event.offsetX) + 1);
  }

  /** Unfolds these rows, or folds them if all are open. */
  fold(rows) {
    const unfold = rows.some((row) => !row.open);
    for (const { site } of rows) this.opened[unfold ? "add" : "delete"](site);
    this.layout();
    this.app.changed();
  }

  /** Does so with the group of a task or, without one, with all that can be folded. */
  foldAround(task) {
    const has = (row) => row.type === "group" && row.lanes.some((lane) => lane.id === task);
    this.fold(this.rows.filter((row) => row.site && (!task || has(row))));
    // Once the rows are as tall as they are now, the task's is brought into view.
    if (task) requestAnimationFrame(() => this.app.select(task));
  }

  /** The event that a click means: the start of the slice under it, else the one at that place. */
  eventUnder(row, x) {
    const most = this.app.horizon - 1;
    const i = Math.max(0, Math.min(most, this.app.indexAt(this.positionAt(x))));
    const lane = row?.type === "task" ? row.lane : row?.type === "loop" ? this.app.history.loop : null;
    if (!lane) return Math.min(i, this.app.run.n - 1);
    // A slice may be thinner than the finger or pointer that aims at it.
    const near = Math.min(most, this.app.indexAt(this.positionAt(x + 4)));
    const k = lastAtMost(lane.start, near);
    return k < 0 ? i : lane.start[k];
  }

  zoomTo(event) {
    const row = this.rowAt(event.offsetY + this.scroll);
    const lane = row?.type === "task" ? row.lane : row?.type === "loop" ? this.app.history.loop : null;
    const k = lane ? lastAtMost(lane.start, this.app.indexAt(this.positionAt(event.offsetX))) : -1;
    if (k < 0) return this.app.zoom(0.5, this.positionAt(event.offsetX));
    const from = this.app.position(lane.start[k]);
    const to = this.app.position(Math.min(lane.end[k], this.app.run.n));
    const margin = Math.max((to - from) * 0.15, (this.app.view.to - this.app.view.from) * 0.02);
    this.app.look(from - margin, to + margin);
  }

  /** Shows what is under the pointer. */
  point(event) {
    const row = event ? this.rowAt(event.offsetY + this.scroll) : null;
    if (row !== this.hover) this.app.changed();
    this.hover = row;
    this.tip.hidden = !row || this.comes(row) || this.app.horizon === 0 || event.offsetX < this.labels || event.pointerType === "touch";
    if (this.tip.hidden) return;
    const i = this.eventUnder(row, event.offsetX);
    const { run } = this.app;
    const lines = [`${nanos(run.at[i])} · event ${big(run.first + i)}`, sentence(run, i)];
    const wake = this.app.history.wakeOf[i];
    if (wake >= 0) {
      lines.push(`woken by ${cause(run, run.f[1][wake], run.f[2][wake])}`);
    }
    this.tip.replaceChildren(...lines.map((line) => h("div", {}, line)));
    const left = Math.min(event.offsetX + 14, this.width - 290);
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${event.offsetY + 16}px)`;
  }
}

/** The whole run in a strip: how busy the loop was, and the part that the timeline shows. */
export class Minimap {
  constructor(app) {
    this.app = app;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.element = h("div", { class: "minimap" }, this.canvas);
    const aim = (event) => {
      const { from, to } = app.view;
      const whole = app.whole();
      const at = whole.from + event.offsetX / this.width * (whole.to - whole.from);
      app.look(at - (to - from) / 2, at + (to - from) / 2);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      aim(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && aim(event));
  }

  /** The share of each column in which a task ran; found once for a run, axis and width. */
  busy(columns) {
    const { app } = this;
    const key = `${app.at} ${app.axis} ${columns}`;
    if (this.key === key) return this.shares;
    this.key = key;
    this.shares = new Float64Array(columns);
    const { loop } = app.history;
    const whole = app.whole();
    const scale = columns / (whole.to - whole.from);
    for (let k = 0; k < loop.start.length; k++) {
      if (loop.code[k] !== SLICE.poll) continue;
      let x = (app.position(loop.start[k]) - whole.from) * scale;
      const end = (app.position(Math.min(loop.end[k], app.run.n)) - whole.from) * scale;
      this.shares[Math.min(columns - 1, Math.floor(x))] += 0.02;
      while (x < end) {
        const next = Math.min(end, Math.floor(x) + 1);
        this.shares[Math.min(columns - 1, Math.floor(x))] += next - x;
        x = next;
      }
    }
    return this.shares;
  }

  render() {
    const { app } = this;
    this.width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (this.width === 0) return;
    const colours = palette();
    const draw = fit(this.canvas, this.width, height);
    const shares = this.busy(Math.floor(this.width));
    draw.fillStyle = colours.run;
    shares.forEach((share, x) => {
      const tall = Math.min(1, share) * (height - 14);
      if (share > 0) draw.fillRect(x, height - 2 - Math.max(1.5, tall), 1, Math.max(1.5, tall));
    });
    const whole = app.whole();
    const x = (position) => (position - whole.from) / (whole.to - whole.from) * this.width;
    draw.fillStyle = colours.panicked;
    for (const finding of app.hides ? [] : app.run.findings) {
      const i = finding.evidence[0] - app.run.first;
      if (!(i >= 0 && i < app.run.n)) continue;
      const at = x(app.position(i));
      draw.beginPath();
      draw.moveTo(at - 4, 1);
      draw.lineTo(at + 4, 1);
      draw.lineTo(at, 8);
      draw.fill();
    }
    const left = x(app.view.from);
    const right = x(app.view.to);
    draw.fillStyle = colours.ground;
    draw.globalAlpha = 0.66;
    draw.fillRect(0, 0, left, height);
    draw.fillRect(right, 0, this.width - right, height);
    draw.globalAlpha = 1;
    draw.fillStyle = colours.raised;
    const now = x(app.position(Math.max(0, app.cursor - 1)));
    if (app.hides) draw.fillRect(now, 0, this.width - now, height);
    draw.strokeStyle = colours.accent;
    draw.lineWidth = 1.5;
    draw.strokeRect(left + 0.75, 0.75, Math.max(3, right - left) - 1.5, height - 1.5);
    draw.fillStyle = colours.accent;
    draw.fillRect(now - 0.75, 0, 1.5, height);
  }
}

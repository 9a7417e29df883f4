// Two or three runs on one scale, and where they first do different things.
import { K } from "./trace.js";
import { big, nanos, sentence, shortName } from "./text.js";
import { SLICE, sumsSince } from "./history.js";
import { GLYPH, fill, fit, h, niceStep, palette } from "./dom.js";

/** With no more tasks than this, each has a row in the charts. */
const MAX_LANES = 14;
const ROW_OF_CHART = 16;

/** What a run comes to, in numbers. */
function sums({ run, history }) {
  const { totals } = history.last;
  const span = Math.max(1, run.end - run.start);
  const { busy } = sumsSince(run, history.last);
  let weighted = 0;
  let most = 0;
  for (let i = 0; i < run.n; i++) {
    most = Math.max(most, history.inFlight[i + 1]);
    const until = i + 1 < run.n ? run.at[i + 1] : run.at[i];
    weighted += history.inFlight[i + 1] * (until - run.at[i]);
  }
  let queued = 0;
  for (const task of history.last.tasks.values()) queued = Math.max(queued, task.longest_queued);
  return [
    ["took", nanos(run.end - run.start)],
    ["busy", `${(100 * busy / span).toFixed(1)} %`],
    ["waiting at once, mean", (weighted / span).toFixed(1)],
    ["waiting at once, most", big(most)],
    ["longest poll", nanos(history.longestPoll)],
    ["longest stay in the queue", nanos(queued)],
    ["latest timer", nanos(totals.latest_timer)],
    ["tasks", big(totals.spawned)],
    ["turns", big(totals.turns)],
    ["polls", big(totals.polls)],
    ["wakes", big(totals.wakes)],
    ["findings", big(run.findings.length)],
  ];
}

export class Compare {
  constructor(app) {
    this.app = app;
    this.charts = app.runs.map(() => h("canvas", { "aria-hidden": "true" }));
    this.facts = h("table", { class: "plain compare" });
    this.apart = h("p", { class: "apart" });
    this.frames = app.runs.map(({ run }, k) => h("figure", {},
      h("figcaption", {}, h("button", { type: "button", class: "link", onclick: () => app.show(k) },
        run.title), h("span", { class: "quiet" }, ` ${nanos(run.end - run.start)}`)),
      this.charts[k]));
    this.key = h("p", { class: "key quiet" });
    this.hidden = h("p", { class: "quiet" }, "The runs are hidden while you predict.");
    this.element = h("div", { class: "panel" }, this.hidden,
      app.runs.length < 2 ? h("p", { class: "quiet" },
        "This page holds one run. A page of two or three shows them here on one scale.") : null,
      this.key,
      this.frames, h("div", { class: "wide" }, this.facts), this.apart);
    this.tell();
  }

  tell() {
    const { runs } = this.app;
    const all = runs.map(sums);
    fill(this.facts, h("thead", {}, h("tr", {}, h("th", {}, ""),
      runs.map(({ run }) => h("th", { scope: "col" }, run.title)))),
    h("tbody", {}, all[0].map(([name], row) => h("tr", {}, h("th", { scope: "row" }, name),
      all.map((sum) => h("td", {}, sum[row][1]))))));
    if (runs.length < 2) return;
    const [one, two] = runs.map(({ run }) => run);
    const same = (i) => one.kind[i] === two.kind[i] && one.task[i] === two.task[i]
      && (one.kind[i] === K.source_registered || one.f.every((f, j) => f[i] === two.f[j][i]));
    const end = Math.min(one.n, two.n);
    let i = 0;
    while (i < end && same(i)) i++;
    const said = (run) => (i < run.n ? sentence(run, i) : "it has ended");
    this.apart.textContent = i === end && one.n === two.n
      ? "The first two runs did the same, event by event."
      : `The first two runs part at event ${big(i)}: in "${one.title}" ${said(one)}; `
        + `in "${two.title}" ${said(two)}.`;
  }

  render() {
    const { runs } = this.app;
    for (const part of [...this.frames, this.facts, this.apart]) part.hidden = this.app.hides;
    this.hidden.hidden = !this.app.hides;
    if (this.app.hides) return;
    const byTime = this.app.axis === "time";
    const longest = Math.max(...runs.map(({ run }) => (byTime ? run.end - run.start : run.n)));
    const most = Math.max(1, ...runs.map(({ history }) =>
      history.inFlight.reduce((max, value) => Math.max(max, value), 0)));
    const few = Math.max(...runs.map(({ history }) => history.tasks.size)) <= MAX_LANES;
    this.key.textContent = few ? "a row for each task: hatched or solid where it is ready or runs, a line where it waits"
      : "area: tasks that wait at the same time · bars below: a task runs";
    runs.forEach((entry, k) => this.chart(this.charts[k], entry, { longest, most, few, byTime }));
  }

  chart(canvas, { run, history }, { longest, most, few, byTime }) {
    const width = this.element.clientWidth - 40;
    if (width < 50) return;
    const left = few ? Math.min(120, width * 0.25) : 0;
    const lanes = few ? [...history.tasks.values()] : [];
    const floor = few ? lanes.length * ROW_OF_CHART + 2 : 70;
    const height = floor + (few ? 17 : 26);
    const colours = palette();
    const draw = fit(canvas, width, height);
    const scale = (width - left) / longest;
    const x = (i) => left + (byTime ? (i < run.n ? run.at[i] : run.end) - run.start : Math.min(i, run.n)) * scale;
    draw.fillStyle = colours.raised;
    draw.fillRect(left, 0, Math.max(2, x(run.n) - left), floor);
    draw.font = "11px ui-sans-serif, system-ui, sans-serif";
    draw.textBaseline = "middle";
    lanes.forEach((lane, row) => {
      const y = (row + 0.5) * ROW_OF_CHART + 1;
      draw.fillStyle = colours.ink;
      draw.fillText(shortName(run, lane.id).slice(0, Math.floor(left / 7)), 0, y);
      lane.start.forEach((start, k) => {
        const wide = Math.max(1.5, x(Math.min(lane.end[k], run.n)) - x(start));
        const code = lane.code[k];
        draw.fillStyle = [colours.ready, colours.run, colours.idle][code];
        if (code === SLICE.idle) return draw.fillRect(x(start), y - 1, wide, 2);
        if (code === SLICE.running) return draw.fillRect(x(start), y - 4, wide, 9);
        for (let at = 0; at < wide; at += 4) draw.fillRect(x(start) + at, y - 4, 1.5, 9);
      });
      if (lane.ended) {
        draw.fillStyle = colours[lane.ended];
        draw.fillRect(x(lane.endEvent), y - 5, 2, 11);
        draw.fillText(GLYPH[lane.ended], x(lane.endEvent) + 4, y);
      }
    });
    if (!few) this.area(draw, { run, history }, { most, floor, x, colours });
    draw.fillStyle = colours.soft;
    draw.textBaseline = "bottom";
    const step = niceStep(longest, (width - left) / 110);
    for (let at = 0; at <= longest; at += step) {
      draw.fillRect(left + at * scale, height - 17, 1, 4);
      if (left + at * scale < width - 40) {
        draw.fillText(byTime ? nanos(Math.round(at)) : big(at), left + at * scale + 3, height);
      }
    }
  }

  /** How many tasks wait, and when one runs. */
  area(draw, { run, history }, { most, floor, x, colours }) {
    draw.fillStyle = colours.idle;
    for (let i = 0; i < run.n; i++) {
      const tall = (floor - 6) * history.inFlight[i + 1] / most;
      const wide = x(i + 1) - x(i);
      if (wide > 0.02) draw.fillRect(x(i), floor - tall, Math.max(0.5, wide), tall);
    }
    draw.fillStyle = colours.run;
    const { loop } = history;
    for (let k = 0; k < loop.start.length; k++) {
      if (loop.code[k] !== SLICE.poll) continue;
      const from = x(loop.start[k]);
      draw.fillRect(from, floor + 2, Math.max(1, x(Math.min(loop.end[k], run.n)) - from), 7);
    }
  }
}

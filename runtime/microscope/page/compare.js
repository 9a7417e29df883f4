// Two or three runs on one scale, and where they first do different things.
import { K } from "./trace.js";
import { big, nanos, sentence } from "./text.js";
import { SLICE, sumsSince } from "./history.js";
import { fill, fit, h, niceStep, palette } from "./dom.js";

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
    this.element = h("div", { class: "panel" },
      app.runs.length < 2 ? h("p", { class: "quiet" },
        "This page holds one run. A page of two or three shows them here on one scale.") : null,
      h("p", { class: "key quiet" }, "area: tasks that wait at the same time · bars below: a task runs"),
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
    const longest = Math.max(...runs.map(({ run }) => run.end - run.start));
    const most = Math.max(1, ...runs.map(({ history }) =>
      history.inFlight.reduce((max, value) => Math.max(max, value), 0)));
    runs.forEach((entry, k) => this.chart(this.charts[k], entry, longest, most));
  }

  chart(canvas, { run, history }, longest, most) {
    const width = this.element.clientWidth - 40;
    if (width < 50) return;
    const height = 96;
    const floor = height - 26;
    const colours = palette();
    const draw = fit(canvas, width, height);
    const x = (at) => (at - run.start) / longest * width;
    draw.fillStyle = colours.raised;
    draw.fillRect(0, 0, Math.max(2, x(run.end)), floor);
    draw.fillStyle = colours.idle;
    draw.globalAlpha = 0.6;
    for (let i = 0; i < run.n; i++) {
      const until = i + 1 < run.n ? run.at[i + 1] : run.end;
      const tall = (floor - 6) * history.inFlight[i + 1] / most;
      const left = x(run.at[i]);
      const wide = x(until) - left;
      if (wide > 0.02) draw.fillRect(left, floor - tall, Math.max(0.5, wide), tall);
    }
    draw.globalAlpha = 1;
    draw.fillStyle = colours.run;
    const { loop } = history;
    for (let k = 0; k < loop.start.length; k++) {
      if (loop.code[k] !== SLICE.poll) continue;
      const left = x(run.at[loop.start[k]]);
      const right = x(run.at[Math.min(loop.end[k], run.n - 1)]);
      draw.fillRect(left, floor + 2, Math.max(1, right - left), 7);
    }
    draw.fillStyle = colours.soft;
    draw.font = "11px ui-sans-serif, system-ui, sans-serif";
    draw.textBaseline = "bottom";
    const step = niceStep(longest, width / 110);
    for (let at = 0; at <= longest; at += step) {
      const left = at / longest * width;
      draw.fillRect(left, floor + 9, 1, 4);
      if (left < width - 40) draw.fillText(nanos(Math.round(at)), left + 3, height);
    }
  }
}

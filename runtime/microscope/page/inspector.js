// The inspector: everything about one task at the cursor, and about the event under it.
import { K, KIND_NAMES, UNCOUNTED } from "./trace.js";
import { big, cause, count, nanos, place, sentence, taskName } from "./text.js";
import { hasEnded, stateWord } from "./why.js";
import { sumsSince } from "./history.js";
import { arms, badge, fill, h } from "./dom.js";
import { durations, histogram, sumsOf } from "./range.js";

const MAX_POLLS = 12;
const MAX_REASONS = 8;

export class Inspector {
  constructor(app) {
    this.app = app;
    this.body = h("div", { class: "inspector-body" });
    this.element = h("aside", { class: "inspector", "aria-label": "Inspector" }, this.body);
  }

  /** A link to the event of that number. */
  event(number, text) {
    const { app } = this;
    const known = number >= app.run.first && number < app.run.first + app.run.n;
    if (!known) return h("span", { class: "quiet" }, text ?? "before this trace");
    return h("button", { type: "button", class: "link", onclick: () => app.goTo(number) },
      text ?? `event ${big(number)}`);
  }

  taskLink(id) {
    if (!id) return "code outside of the loop";
    return h("button", { type: "button", class: "link", onclick: () => this.app.select(id) },
      taskName(this.app.run, id));
  }

  render() {
    const { app } = this;
    const model = app.model();
    const task = model.tasks.get(app.selected);
    fill(this.body, app.range ? this.range() : null, app.selected === 0 ? this.overview(model)
      : task ? this.task(model, task) : this.unborn(), this.currentEvent());
  }

  /** The sums of the range that is selected. */
  range() {
    const { app } = this;
    const { run } = app;
    const all = sumsOf(app.runs[app.at], app.range);
    const span = Math.max(1, app.range.to - app.range.from);
    const share = (part) => `${nanos(Math.round(part))} (${(100 * part / span).toFixed(1)} %)`;
    const tasks = [...all.byTask.values()].sort((a, b) => b.busy - a.busy || b.polls - a.polls || a.id - b.id);
    const act = (text, onclick) => h("button", { type: "button", onclick }, text);
    const [from, to] = app.ends(app.range);
    return h("section", { class: "range", "aria-label": "Selected range" },
      h("h2", {}, `Range of ${nanos(Math.round(span))}`),
      this.facts([
        ["from, to", `${nanos(Math.round(app.range.from))}, ${nanos(Math.round(app.range.to))}`],
        ["events", big(Math.max(0, app.range.last - app.range.first + 1))],
        ["busy", share(all.busy)], ["parked", share(all.parked)],
        ["turns", big(all.turns)], ["polls", big(all.polls)], ["wakes", big(all.wakes)],
        ["spawned, ended", `${big(all.spawned)}, ${big(all.ended)}`],
      ]),
      tasks.length > 0 ? h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["task", "polls", "busy"]
        .map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, tasks.slice(0, MAX_POLLS).map((task) =>
        h("tr", {}, h("td", {}, this.taskLink(task.id)), h("td", {}, big(task.polls)),
          h("td", {}, nanos(Math.round(task.busy))))))) : null,
      tasks.length > MAX_POLLS ? h("p", { class: "quiet" }, `and ${big(tasks.length - MAX_POLLS)} more tasks`) : null,
      h("div", { class: "group" }, act("zoom to it", () => app.look(from - (to - from) / 20, to + (to - from) / 20)),
        act("clear (Esc)", () => app.clearRange())));
  }

  facts(rows) {
    return h("dl", {}, rows.filter(Boolean).map(([name, value]) =>
      [h("dt", {}, name), h("dd", {}, value)]));
  }

  overview(model) {
    const { run } = this.app;
    const alive = [...model.tasks.values()].filter((task) => !hasEnded(task.state));
    const span = Math.max(1, (model.now || run.end) - run.start);
    const percent = (part) => `${(100 * part / span).toFixed(1)} %`;
    const { totals } = model;
    const { busy, parked } = sumsSince(run, model);
    return [
      h("h2", {}, "The run so far"),
      h("p", { class: "quiet" }, "Pick a task to see why it is, or is not, running."),
      this.facts([
        ["tasks alive", big(alive.length)],
        ["done / cancelled", `${big(totals.done)} / ${big(totals.cancelled)}`],
        ["turns", big(totals.turns)], ["polls", big(totals.polls)], ["wakes", big(totals.wakes)],
        ["busy", `${nanos(busy)} (${percent(busy)})`],
        ["parked", `${nanos(parked)} (${percent(parked)})`],
        totals.paused > 0 && ["kept by the recorder", nanos(totals.paused)],
        ["timers fired", totals.timers_fired === 0 ? "none"
          : `${big(totals.timers_fired)}, the latest ${nanos(totals.latest_timer)} late`],
        model.illegal.length > 0 && ["illegal events", h("ul", {}, model.illegal.slice(0, 5)
          .map((one) => h("li", {}, this.event(one.event, one.what))))],
      ]),
      ...this.alive(model),
    ];
  }

  /** Why the loop does not end. */
  alive(model) {
    const { lines, all } = model.whyAlive(MAX_REASONS);
    if (all === 0) return [];
    const more = all - MAX_REASONS;
    return [
      h("h3", {}, "The loop goes on because"),
      h("ul", {}, lines.map((line) => h("li", {}, line)),
        more > 0 ? h("li", { class: "quiet" }, `and ${big(more)} more reasons`) : null),
    ];
  }

  unborn() {
    return [
      h("h2", {}, taskName(this.app.run, this.app.selected)),
      h("p", { class: "quiet" }, "It has not been spawned at this point of the run."),
    ];
  }

  task(model, task) {
    const { run } = this.app;
    const text = run.tasks.get(task.id);
    const { evidence } = model.why(task.id);
    // What came of it later is no part of what can be known at a cursor that hides it.
    const why = this.app.hides ? model.whyInWords(run, task.id) : this.app.history.why(task.id, this.app.cursor);
    const children = [...model.tasks.values()].filter((child) => child.parent === task.id);
    const spans = [...model.spans.values()].filter((span) => span.task === task.id);
    return [
      h("h2", {}, taskName(run, task.id), " ", badge(stateWord(task.state))),
      h("p", { class: "verdict" }, why),
      this.evidence(evidence),
      this.facts([
        ["spawned by", [this.taskLink(task.parent), " at ",
          this.event(task.spawned_event, nanos(task.spawned))]],
        place(run, task.id) && ["spawned in", this.written(text)],
        text?.size && ["future", count(text.size, "byte")],
        ["polls", big(task.polls)],
        ["busy", nanos(task.busy)],
        task.polls > 0 && ["longest poll", this.event(task.longest_poll_event, nanos(task.longest_poll))],
        ["in the queue", `${nanos(task.queued)}, at most ${nanos(task.longest_queued)}`],
        ["wakes", `${big(task.wakes)}, ${big(task.self_wakes)} by itself`],
        ["wakers", `${big(task.holders)} held; at least ${big(task.waker_clones)} cloned, ${
          big(task.waker_drops)} dropped`],
        task.cancel && ["cancel asked", this.event(task.cancel.event)],
        task.detached && ["handle", "dropped: detached"],
        spans.length > 0 && ["inside", arms(run, model, task.id)],
        spans.length > 0 && ["awaits in", this.written(run.labels.get(spans.at(-1).label))],
        children.length > 0 && ["children", children.slice(0, 8).map((child, i) =>
          [i ? ", " : "", this.taskLink(child.id)])],
      ]),
      ...this.whyRan(task),
      ...this.histograms(task),
      ...this.polls(task),
    ];
  }

  /** A place in the source and, where the page has it, its line. */
  written({ file, line, column } = {}) {
    if (!file) return "unknown";
    const quoted = this.app.sources?.[`${file}:${line}`];
    return [h("code", {}, `${file}:${line}:${column}`), quoted ? h("pre", {}, quoted) : null];
  }

  /** The events that prove a verdict, each as what it says. */
  evidence(numbers) {
    const { run } = this.app;
    const known = numbers.filter((number) => number >= run.first && number < run.first + run.n);
    const more = known.length - MAX_REASONS;
    return known.length === 0 ? null : h("ul", { class: "evidence", "aria-label": "Evidence" },
      known.slice(0, MAX_REASONS).map((number) => h("li", {}, this.event(number, sentence(run, number - run.first)),
        ` at ${nanos(run.at[number - run.first])}`)),
      more > 0 ? h("li", {}, `and ${big(more)} more events`) : null);
  }

  /** How long its polls took and how long it was ready before it ran, as histograms. */
  histograms(task) {
    const { app } = this;
    const { polls, queued } = durations(app.runs[app.at], task.id, app.cursor);
    return [histogram("Time of a poll", polls), histogram("From scheduled to running", queued)];
  }

  /** The chain from the task's latest poll back to the first cause. */
  whyRan(task) {
    const { app } = this;
    const { run, history } = app;
    const lane = history.tasks.get(task.id);
    const poll = history.polls.findLast((i) => i < app.cursor && run.task[i] === task.id);
    if (!lane || poll === undefined) return [];
    const links = history.chain(poll, 13);
    const tell = (i) => {
      if (run.kind[i] === K.poll_started) return `${taskName(run, run.task[i])} ran`;
      return `because ${cause(run, run.f[1][i], run.f[2][i])} woke it`;
    };
    return [
      h("h3", {}, "Why did it run?"),
      h("ol", { class: "chain" }, links.slice(0, 12).map((i) =>
        h("li", {}, this.event(run.first + i, tell(i)), h("small", {}, nanos(run.at[i]))))),
      run.meta.detail === "basic" && run.kind[links.at(-1)] === K.poll_started
        ? h("p", { class: "quiet" }, "This recording is basic: it does not tell who wakes a task "
          + "while it runs.") : null,
      links.length > 12 ? h("p", { class: "quiet" }, "… and so on, back to its first cause") : null,
    ];
  }

  polls(task) {
    const { app } = this;
    const { run, history } = app;
    const starts = [];
    for (let k = history.polls.length - 1; k >= 0 && starts.length < MAX_POLLS; k--) {
      const i = history.polls[k];
      if (i < app.cursor && run.task[i] === task.id) starts.push(i);
    }
    if (starts.length === 0) return [];
    const rows = starts.map((start) => {
      let end = start + 1;
      const { horizon } = app;
      while (end < horizon && !(run.kind[end] === K.poll_ended && run.task[end] === task.id)) end++;
      const over = end < horizon;
      const outcome = over ? run.enums.PollOutcome[run.f[0][end]] : "running";
      const held = run.f[0][start] === UNCOUNTED ? "" : big(run.f[0][start]);
      return h("tr", {}, h("td", {}, this.event(run.first + start, nanos(run.at[start]))),
        h("td", {}, over ? nanos(run.at[end] - run.at[start]) : ""), h("td", {}, outcome),
        h("td", {}, over ? `${held} → ${big(run.f[2][end])}` : held));
    });
    return [
      h("h3", {}, `Latest of ${count(task.polls, "poll")}`),
      h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ["at", "took", "answer", "wakers"]
        .map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows)),
    ];
  }

  currentEvent() {
    const { app } = this;
    const { run } = app;
    const i = app.cursor - 1;
    if (i < 0) return null;
    const fields = run.kinds[Object.keys(run.kinds).find((n) =>
      run.kinds[n][0] === KIND_NAMES[run.kind[i]])]?.slice(1) ?? [];
    const told = { [K.span_opened]: 2, [K.marked]: 0 }[run.kind[i]];
    const value = (type, raw) => {
      if (type === "bool") return raw ? "yes" : "no";
      return run.enums[type] ? run.enums[type][raw] : raw === -1 ? "never"
        : raw === UNCOUNTED ? "not counted" : big(raw);
    };
    return h("section", { class: "event-facts" },
      h("h3", {}, `Event ${big(run.first + i)}`),
      h("p", {}, sentence(run, i)),
      this.facts([["kind", KIND_NAMES[run.kind[i]].replaceAll("_", " ")],
        ["at", `${big(run.at[i])} ns`],
        run.task[i] !== 0 && ["task", this.taskLink(run.task[i])],
        told !== undefined && ["written in", this.written(run.labels.get(run.f[told][i]))],
        ...fields.map(([name, type], j) => [name.replaceAll("_", " "), value(type, run.f[j][i])])]));
  }
}

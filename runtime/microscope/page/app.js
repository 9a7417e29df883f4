// Puts the page together: what is shown, what the keys do, and the address that remembers it.
import { K, KIND_NAMES, load } from "./trace.js";
import { big, count, place, sentence, shortName } from "./text.js";
import { History, lastAtMost } from "./history.js";
import { fill, h } from "./dom.js";
import { Minimap, Timeline } from "./timeline.js";
import { Stepper } from "./stepper.js";
import { Inspector } from "./inspector.js";
import { Findings, Log, Table, Tree } from "./tables.js";
import { Compare } from "./compare.js";
import { Help } from "./help.js";
import { Lesson } from "./lesson.js";
import { busiest, moments } from "./story.js";

const ALL_PANELS = ["timeline", "tree", "table", "findings", "compare", "log", "help"];
const UNDO = 50;
const MAX_HITS = 12;

export class App {
  constructor(traces, lesson, sources) {
    Object.assign(this, { lesson, sources });
    this.names = lesson ? ["lesson", ...ALL_PANELS] : ALL_PANELS;
    this.runs = traces.map((json) => {
      const run = load(json);
      // The rows are columns now, and would be in the way of whatever moves or marks what lives.
      json.events = null;
      const entry = { run, history: new History(run) };
      return { ...entry, moments: moments(entry) };
    });
    this.at = 0;
    this.cursor = 0;
    this.selected = 0;
    this.finding = -1;
    this.range = null;
    this.undo = [];
    this.position = (i) => this.place(i);
    this.timeline = new Timeline(this);
    this.minimap = new Minimap(this);
    this.stepper = new Stepper(this);
    this.inspector = new Inspector(this);
    this.panels = {
      timeline: this.timeline, tree: new Tree(this), table: new Table(this),
      findings: new Findings(this), compare: new Compare(this), log: new Log(this), help: new Help(),
      lesson: lesson && new Lesson(this, lesson),
    };
    this.build();
    this.open(0);
    this.panel = lesson ? "lesson" : this.runs.length > 1 ? "compare" : "timeline";
    this.readAddress();
    this.listen();
    this.changed();
  }

  get run() {
    return this.runs[this.at].run;
  }

  get history() {
    return this.runs[this.at].history;
  }

  /** The state at the cursor. */
  model() {
    return this.history.seek(this.cursor);
  }

  /** How many events are shown: those before the cursor where the reader is to predict the rest. */
  get horizon() {
    const asks = this.lesson && this.answer === undefined;
    return asks || this.stepper?.predicts.checked ? this.cursor : this.run.n;
  }

  get hides() {
    return this.horizon < this.run.n;
  }

  /** What event `i` of run `k` is, in words. */
  say(k, i) {
    return sentence(this.runs[k].run, i);
  }

  // --- the axis --------------------------------------------------------------------------

  /** Where event `i` lies on the axis; the end of the run for `i` past the last. */
  place(i) {
    if (this.axis === "events") return i;
    const { run } = this;
    return (i < run.n ? run.at[i] : run.end) - run.start;
  }

  /** The last event at or before a place on the axis. */
  indexAt(position) {
    if (this.axis === "events") return Math.max(0, Math.min(this.run.n - 1, Math.floor(position)));
    return Math.max(0, lastAtMost(this.run.at, position + this.run.start));
  }

  whole() {
    const { run } = this;
    const end = this.axis === "events" ? Math.max(1, run.n) : run.end - run.start;
    return { from: -end * 0.01, to: end * 1.09 };
  }

  look(from, to, remember = true) {
    const whole = this.whole();
    const least = this.axis === "events" ? 4 : 50;
    const span = Math.max(least, Math.min(to - from, whole.to - whole.from));
    const middle = (from + to) / 2;
    const left = Math.max(whole.from, Math.min(middle - span / 2, whole.to - span));
    if (remember) {
      this.undo.push({ ...this.view });
      if (this.undo.length > UNDO) this.undo.shift();
    }
    this.view = { from: left, to: left + span };
    this.changed();
  }

  zoom(factor, around = this.place(Math.max(0, this.cursor - 1))) {
    const { from, to } = this.view;
    this.look(around - (around - from) * factor, around + (to - around) * factor);
  }

  pan(share) {
    const by = (this.view.to - this.view.from) * share;
    this.look(this.view.from + by, this.view.to + by, false);
  }

  fit() {
    const { from, to } = this.whole();
    this.look(from, to);
  }

  back() {
    const before = this.undo.pop();
    if (before) this.view = before;
    this.changed();
  }

  setAxis(axis) {
    const middle = this.view ? this.indexAt((this.view.from + this.view.to) / 2) : 0;
    const ratio = this.view ? (this.view.to - this.view.from) / (this.whole().to - this.whole().from) : 1;
    this.axis = axis;
    this.undo = [];
    const { from, to } = this.whole();
    this.view = { from, to };
    const span = (to - from) * ratio / 2;
    if (ratio < 0.98) this.look(this.place(middle) - span, this.place(middle) + span, false);
    this.axisButton.textContent = axis === "time" ? "axis: time" : "axis: events";
    this.changed();
  }

  /** Selects what lies between two places on the axis, of which the inspector tells the sums. */
  setRange(a, b) {
    const { run } = this;
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    const time = this.axis === "time";
    const most = this.horizon - 1;
    const last = Math.min(most, this.indexAt(high));
    const first = time ? lastAtMost(run.at, low + run.start - 1e-6) + 1 : Math.max(0, Math.ceil(low));
    const from = time ? Math.max(run.start, low + run.start) : run.at[Math.min(first, run.n - 1)];
    const to = time ? Math.min(this.hides ? run.at[last] : run.end, high + run.start) : run.at[last];
    this.range = run.n > 0 && to >= from ? { first, last, from, to } : null;
    this.changed();
  }

  /** By keyboard: the first press marks one end of a range, the second the other. */
  markRange() {
    if (this.rangeFrom === undefined) {
      this.rangeFrom = this.cursor;
      return this.stepper.say("A range begins here. Move the cursor to its end and press M again.");
    }
    const [a, b] = [this.rangeFrom, this.cursor].map((cursor) => this.place(Math.max(0, cursor - 1)));
    this.rangeFrom = undefined;
    this.stepper.say("");
    this.setRange(a, b);
  }

  clearRange() {
    this.range = null;
    this.rangeFrom = undefined;
    this.changed();
  }

  /** Where a range lies on the axis. */
  ends({ first, last, from, to }) {
    return this.axis === "events" ? [first, last] : [from - this.run.start, to - this.run.start];
  }

  // --- the cursor ------------------------------------------------------------------------

  /** Puts the cursor after the first `count` events. */
  go(cursor) {
    this.cursor = Math.max(0, Math.min(this.run.n, cursor));
    const at = this.place(Math.max(0, this.cursor - 1));
    const { from, to } = this.view;
    if (at < from || at > to) this.look(at - (to - from) / 2, at + (to - from) / 2, false);
    this.changed();
  }

  /** Puts the cursor after the event of that number. */
  goTo(number) {
    const i = number - this.run.first;
    if (i >= 0 && i < this.run.n) this.go(i + 1);
    else this.stepper.say(`Event ${big(number)} is not in this trace.`);
  }

  select(id) {
    this.selected = id;
    this.changed();
    const row = this.timeline.rowOf?.get(id);
    if (!row || this.panel !== "timeline") return;
    const { scroller } = this.timeline;
    if (row.top < scroller.scrollTop + 30) scroller.scrollTop = row.top - 60;
    const bottom = row.top + row.height;
    if (bottom > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = bottom - scroller.clientHeight + 40;
    }
  }

  showFinding(k) {
    const { findings } = this.run;
    if (this.hides) return this.stepper.say("What is found is hidden while you predict.");
    if (findings.length === 0) return this.stepper.say("There are no findings in this run.");
    this.finding = (k + findings.length) % findings.length;
    const finding = findings[this.finding];
    this.selected = finding.task;
    if (finding.evidence.length > 0) this.goTo(finding.evidence[0]);
    this.stepper.say(`${finding.title}: ${finding.what}.`);
  }

  /** Shows one of the runs. */
  open(k) {
    this.at = k;
    this.selected = 0;
    this.finding = -1;
    this.undo = [];
    this.view = null;
    this.range = null;
    const asks = this.lesson && this.answer === undefined;
    this.cursor = asks ? 0 : busiest(this.runs[k]);
    this.timeline.rows = null;
    this.setAxis(this.run.meta.clock === "virtual" ? "events" : "time");
    if (this.run.findings.length > 0 && !asks) this.showFinding(0);
    const { meta } = this.run;
    const chip = (text, title) => h("span", { class: "fact", title }, text);
    fill(this.facts, chip(`${meta.clock} clock`),
      meta.seed == null ? null : chip(`seed ${meta.seed}`, "seed of the scheduler"),
      chip(`hash ${String(meta.hash).slice(0, 8)}`, `runs with the same hash did the same: ${meta.hash}`),
      chip(`${big(this.run.n)} events`), chip(count(this.run.tasks.size, "task")),
      meta.detail === "basic"
        ? chip("basic detail", "recorded without turns, and without wakes that change nothing") : null,
      meta.lost > 0 ? chip(`${big(meta.lost)} events lost`, "the recorder was full") : null,
      this.run.first > 0 ? chip(`${big(this.run.first)} before`, "events before this trace") : null);
    this.heading.textContent = this.run.title;
    [...this.runChoice.children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === k)));
    this.changed();
  }

  /** The reader has answered the question of the lesson, or (-1) passed: shows the event to look at. */
  reveal(answer) {
    const { lesson } = this;
    this.answer = answer;
    this.open(0);
    this.setAxis(lesson.time ? "time" : "events");
    this.selected = lesson.task;
    if (lesson.event !== null) this.goTo(lesson.event);
    this.changed();
  }

  show(k) {
    this.open(k);
    this.setPanel("timeline");
  }

  setPanel(name) {
    this.panel = name;
    // On a phone the tabs are wider than the screen.
    this.tabs[name].scrollIntoView({ block: "nearest", inline: "center" });
    this.changed();
  }

  // --- the document ----------------------------------------------------------------------

  build() {
    this.moments = h("ol", { class: "moments" });
    const key = (kind, text) => h("span", {}, h("i", { class: `key-${kind}` }), text);
    this.intro = h("section", { class: "intro", "aria-label": "Legend and moments" },
      h("p", { class: "legend" }, key("ready", "ready"), key("run", "runs"), key("idle", "waits"),
        key("wake", "a wake, from its cause"), key("cursor", "cursor")), this.moments);
    const button = (text, title, act) => h("button", {
      type: "button", title, onclick: act, "aria-label": /\w/.test(text) ? null : title,
    }, text);
    this.heading = h("h1", {});
    this.facts = h("div", { class: "facts" });
    this.runChoice = h("div", { class: "group", role: "group", "aria-label": "Run", hidden: this.runs.length < 2 },
      this.runs.map(({ run }, k) => button(run.title, `Show this run`, () => this.show(k))));
    this.search = h("input", {
      type: "search", placeholder: "search  /", "aria-label": "Search tasks, places, spans, marks, kinds, #event",
      oninput: () => this.find(), onkeydown: (event) => this.searchKey(event),
      onblur: () => setTimeout(() => fill(this.hits), 200),
    });
    this.hits = h("div", { class: "hits" });
    this.axisButton = button("axis: time", "Axis of time or of events (X)", () =>
      this.setAxis(this.axis === "time" ? "events" : "time"));
    this.tabs = Object.fromEntries(this.names.map((name, i) => [name, h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "stage", title: `(${i + 1})`,
      onclick: () => this.setPanel(name),
    }, name[0].toUpperCase() + name.slice(1))]));
    this.stage = h("div", { id: "stage", role: "tabpanel" },
      this.names.map((name) => this.panels[name].element));
    document.body.append(h("div", { class: "page" },
      h("header", {}, h("div", { class: "title" }, this.heading, this.facts), this.runChoice,
        h("div", { class: "search", role: "search" }, this.search, this.hits)),
      h("nav", { "aria-label": "Panels and zoom" },
        h("div", { role: "tablist", "aria-label": "Panels", onkeydown: (event) => this.tabKey(event) },
          Object.values(this.tabs)),
        h("span", { class: "gap" }), this.axisButton,
        button("−", "Zoom out (S)", () => this.zoom(1.6)),
        button("+", "Zoom in (W)", () => this.zoom(1 / 1.6)),
        button("fit", "Fit the whole run (F)", () => this.fit())),
      this.intro, this.minimap.element, h("main", { class: "stage" }, this.stage), this.inspector.element,
      this.stepper.element));
  }

  /** The arrow keys go from tab to tab; the one that has the focus is shown. */
  tabKey(event) {
    const at = this.names.indexOf(this.panel);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const name = this.names[(to + this.names.length) % this.names.length];
    this.setPanel(name);
    this.tabs[name].tabIndex = 0;
    this.tabs[name].focus();
  }

  /** Something changed: draws at the next frame. */
  changed() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  render() {
    for (const name of this.names) {
      const here = name === this.panel;
      this.panels[name].element.hidden = !here;
      this.tabs[name].setAttribute("aria-selected", String(here));
      this.tabs[name].tabIndex = here ? 0 : -1;
    }
    this.stage.setAttribute("aria-labelledby", `tab-${this.panel}`);
    this.tabs.findings.textContent = `Findings ${this.hides ? "?" : this.run.findings.length || "✓"}`;
    this.panels[this.panel].render();
    this.minimap.render();
    // The words change only with the cursor and the choice, not with every frame of a drag.
    const words = [this.at, this.cursor, this.selected, this.stepper.asking, this.horizon,
      ...Object.values(this.range ?? {})].join();
    if (words !== this.words) {
      this.words = words;
      this.showMoments();
      this.stepper.render();
      this.inspector.render();
    }
    this.writeAddress();
  }

  /** The moments of the run; of those that are hidden, that there are some. */
  showMoments() {
    fill(this.moments, this.runs[this.at].moments.map(({ at, text }) => h("li", {}, h("button", {
      type: "button", class: "link", disabled: at >= this.horizon,
      "aria-current": at === this.cursor - 1 ? "true" : null, onclick: () => this.go(at + 1),
    }, at < this.horizon ? text : "hidden"))));
  }

  // --- the address -----------------------------------------------------------------------

  writeAddress() {
    const { from, to } = this.view;
    const parts = { ...(this.answer === undefined ? {} : { answer: this.answer }), run: this.at, panel: this.panel, event: this.cursor, task: this.selected,
      axis: this.axis, from: Math.round(from), to: Math.round(to) };
    const address = `#${new URLSearchParams(parts)}`;
    clearTimeout(this.writing);
    // Browsers refuse to have the address written at every frame.
    this.writing = setTimeout(() => {
      this.written = address;
      history.replaceState(null, "", address);
    }, 250);
  }

  readAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const number = (name, otherwise) => {
      const value = Number(parts.get(name) ?? NaN);
      return Number.isFinite(value) ? value : otherwise;
    };
    if (this.lesson && parts.has("answer")) this.reveal(number("answer", -1));
    const run = number("run", 0);
    if (run !== this.at && this.runs[run]) this.open(run);
    if (this.names.includes(parts.get("panel"))) this.panel = parts.get("panel");
    if (["time", "events"].includes(parts.get("axis"))) this.setAxis(parts.get("axis"));
    this.selected = number("task", this.selected);
    if (parts.has("event")) this.go(number("event", this.cursor));
    if (parts.has("from")) this.look(number("from", this.view.from), number("to", this.view.to), false);
  }

  // --- search and keys -------------------------------------------------------------------

  /** What a search text finds: events by number, tasks by id, name or place, spans, marks, kinds of event. */
  matches(text) {
    const { run } = this;
    if (/^#\d+$/.test(text)) {
      return [{ text: `event ${text}`, act: () => this.goTo(Number(text.slice(1))) }];
    }
    const low = text.toLowerCase();
    const known = (id) => this.history.tasks.get(id)?.start[0] < this.horizon;
    const tasks = [...run.tasks.keys()].filter(known).filter((id) => String(id) === low
      || shortName(run, id).toLowerCase().includes(low) || place(run, id).toLowerCase().includes(low));
    const hits = tasks.slice(0, MAX_HITS / 2).map((id) => ({
      text: `${shortName(run, id)}  ${place(run, id)}`, act: () => this.select(id),
    }));
    const said = [...run.labels.values()].filter((label) => label.text.toLowerCase().includes(low));
    for (const [kind, field, noun] of [[K.span_opened, 2, "span"], [K.marked, 0, "mark"]]) {
      for (const { text, ids } of this.labelled(kind, field, said)) {
        hits.push({ text: `${noun} "${text}"`, act: () => this.nextWhere(`${noun} "${text}"`,
          (i) => run.kind[i] === kind && ids.has(run.f[field][i])) });
      }
    }
    for (const [n, name] of Object.entries(KIND_NAMES)) {
      if (!name.replaceAll("_", " ").includes(low)) continue;
      hits.push({ text: `next "${name.replaceAll("_", " ")}"`, act: () => this.nextOf(Number(n)) });
    }
    return hits.slice(0, MAX_HITS);
  }

  /** The texts of these labels that spans, or marks, in sight have, each once. */
  labelled(kind, field, labels) {
    const { run } = this;
    if (labels.length === 0) return [];
    const used = new Set();
    for (let i = 0; i < this.horizon; i++) if (run.kind[i] === kind) used.add(run.f[field][i]);
    const byText = new Map();
    for (const { id, text } of labels) {
      if (used.has(id)) byText.set(text, (byText.get(text) ?? new Set()).add(id));
    }
    return [...byText].slice(0, MAX_HITS / 2).map(([text, ids]) => ({ text, ids }));
  }

  nextOf(kind) {
    const name = KIND_NAMES[kind].replaceAll("_", " ");
    this.nextWhere(`"${name}"`, (i) => this.run.kind[i] === kind);
  }

  /** Goes to the next event that is so, from the beginning again after the last. */
  nextWhere(what, is) {
    const { run } = this;
    for (let k = 0; k < run.n; k++) {
      const i = (this.cursor + k) % run.n;
      if (!is(i)) continue;
      if (run.task[i]) this.select(run.task[i]);
      return this.go(i + 1);
    }
    this.stepper.say(`There is no ${what} in this run.`);
  }

  find() {
    const text = this.search.value.trim();
    this.hit = -1;
    this.found = text ? this.matches(text) : [];
    fill(this.hits, this.found.map((hit) => h("button", {
      type: "button", onmousedown: (event) => event.preventDefault(), onclick: hit.act,
    }, hit.text)), text && this.found.length === 0 ? h("p", { class: "quiet" }, "nothing found") : null);
  }

  searchKey(event) {
    if (event.key === "Escape") {
      this.search.value = "";
      this.find();
      this.search.blur();
    } else if (event.key === "Enter" && this.found?.length) {
      this.hit = (this.hit + (event.shiftKey ? -1 : 1) + this.found.length) % this.found.length;
      [...this.hits.children].forEach((child, i) => child.classList.toggle("chosen", i === this.hit));
      this.found[this.hit].act();
    }
    event.stopPropagation();
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (typing || event.altKey || event.metaKey) return;
    const unit = event.ctrlKey ? "turn" : event.shiftKey ? "poll" : "event";
    const on = {
      ArrowLeft: () => this.stepper.step(unit, -1), ArrowRight: () => this.stepper.step(unit, 1),
      ArrowUp: () => this.neighbour(-1), ArrowDown: () => this.neighbour(1),
      Home: () => this.go(0), End: () => this.go(this.run.n),
    };
    const plain = {
      " ": () => this.stepper.toggle(),
      w: () => this.zoom(1 / 1.4), s: () => this.zoom(1.4), a: () => this.pan(-0.2), d: () => this.pan(0.2),
      f: () => this.fit(), z: () => this.back(), c: () => this.centre(),
      x: () => this.setAxis(this.axis === "time" ? "events" : "time"),
      n: () => this.showFinding(this.finding + 1), p: () => this.showFinding(this.finding - 1),
      e: () => this.timeline.foldAround(this.selected),
      g: () => this.ask(), m: () => this.markRange(), "/": () => this.search.focus(), "?": () => this.setPanel("help"),
      "[": () => this.open((this.at + this.runs.length - 1) % this.runs.length),
      "]": () => this.open((this.at + 1) % this.runs.length),
      escape: () => (this.range || this.rangeFrom !== undefined ? this.clearRange() : this.select(0)),
    };
    this.names.forEach((name, i) => (plain[i + 1] = () => this.setPanel(name)));
    const act = on[event.key] ?? (event.ctrlKey ? null : plain[event.key.toLowerCase()]);
    // What has the focus is pressed by the space bar.
    if (!act || (event.key === " " && /^(BUTTON|INPUT|TR)$/.test(event.target.tagName))) return;
    event.preventDefault();
    act();
  }

  neighbour(way) {
    const ids = [...this.history.tasks.keys()].sort((a, b) => a - b);
    const at = ids.indexOf(this.selected);
    if (ids.length > 0) this.select(ids[Math.max(0, Math.min(ids.length - 1, at + way))]);
  }

  centre() {
    const at = this.place(Math.max(0, this.cursor - 1));
    const span = (this.view.to - this.view.from) / 2;
    this.look(at - span, at + span);
  }

  ask() {
    this.search.value = "#";
    this.search.focus();
  }

  listen() {
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.changed());
    addEventListener("hashchange", () => location.hash !== this.written && this.readAddress());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    new ResizeObserver(() => this.changed()).observe(this.stage);
  }
}

/** Starts the page on the traces that it carries, or says what is wrong with them. */
export function start() {
  try {
    const [traces, lesson, sources] = ["runs", "lesson", "sources"].map((id) =>
      JSON.parse(document.getElementById(id)?.textContent ?? "null"));
    globalThis.microscope = new App(traces, lesson, sources);
  } catch (error) {
    document.body.append(h("div", { class: "broken", role: "alert" },
      h("h1", {}, "This run cannot be shown"), h("p", {}, error.message)));
  }
}

if (typeof document !== "undefined") start();

// The stepper: what the loop holds at the cursor, in boxes and one sentence, and the buttons that
// move the cursor by event, poll and turn, or to the next event that a breakpoint describes.
import { K, KIND_NAMES } from "./trace.js";
import { big, count, label, nanos, sentence, shortName, taskName } from "./text.js";
import { hasEnded, least, sooner, stateWord } from "./why.js";
import { lastAtMost } from "./history.js";
import { GLYPH, fill, h } from "./dom.js";

/** Tasks shown in one box; of further ones only the number. */
const MAX_CHIPS = 24;
const STATES = ["idle", "scheduled", "running", "done", "panicked", "cancelled"];
const SPEEDS = [1, 4, 16, 64];

export class Stepper {
  constructor(app) {
    this.app = app;
    this.speed = 0;
    this.timer = null;
    const box = (name, title) => {
      const body = h("div", { class: "box-body" });
      this[name] = body;
      return h("section", { class: `box box-${name}` }, h("h3", {}, title), body);
    };
    this.boxes = h("div", { class: "boxes" },
      box("ready", "Ready queue"), h("span", { class: "flow", "aria-hidden": "true" }, "→"),
      box("now", "Now"), h("span", { class: "flow", "aria-hidden": "true" }, "→"),
      box("waiting", "Waiting"), box("timers", "Timers"), box("reactor", "Reactor"),
      box("ended", "Ended"));
    this.where = h("span", { class: "where" });
    this.said = h("p", { class: "said", "aria-live": "polite" });
    this.message = h("p", { class: "message", role: "status" });
    this.element = h("section", { class: "stepper", "aria-label": "Stepper" },
      h("div", { class: "bar" }, h("div", { class: "sentence" }, this.where, this.said),
        this.controls(), this.message),
      this.boxes);
  }

  controls() {
    const button = (text, title, act) =>
      h("button", { type: "button", title, "aria-label": title, onclick: act }, text);
    this.play = button("▶ play", "Play (Space)", () => this.toggle());
    this.rate = button("×1", "Speed ×1", () => {
      this.speed = (this.speed + 1) % SPEEDS.length;
      this.rate.textContent = `×${SPEEDS[this.speed]}`;
      this.named(this.rate, `Speed ×${SPEEDS[this.speed]}`);
    });
    this.predicts = h("input", { type: "checkbox", id: "predict", onchange: () => {
      this.asking = undefined;
      this.say(this.predicts.checked ? "What comes after the cursor is hidden. Step on, and say which task runs next." : "");
      this.app.changed();
    } });
    return h("div", { class: "controls" },
      h("div", { class: "group" },
        button("|◂", "First event (Home)", () => this.app.go(0)),
        button("◂ turn", "A turn back (Ctrl+←)", () => this.step("turn", -1)),
        button("◂ poll", "A poll back (Shift+←)", () => this.step("poll", -1)),
        button("◂ event", "An event back (←)", () => this.step("event", -1)),
        button("event ▸", "An event on (→)", () => this.step("event", 1)),
        button("poll ▸", "A poll on (Shift+→)", () => this.step("poll", 1)),
        button("turn ▸", "A turn on (Ctrl+→)", () => this.step("turn", 1)),
        button("▸|", "Last event (End)", () => this.app.go(this.app.run.n))),
      h("div", { class: "group" }, this.play, this.rate),
      h("label", { class: "check", title: "Guess which task runs next before it is shown" },
        this.predicts, " predict"),
      this.breakpoint());
  }

  breakpoint() {
    const choice = (name, options, title) => {
      this[name] = h("select", { "aria-label": title, title },
        options.map(([value, text]) => h("option", { value }, text)));
      return this[name];
    };
    const states = STATES.map((state) => [state, `becomes ${state}`]);
    const kinds = Object.keys(K).map((name) => [name, name.replaceAll("_", " ")]);
    this.task = h("input", {
      type: "text", size: "6", placeholder: "any task", "aria-label": "Break on task: id or name",
    });
    this.longer = h("input", {
      type: "text", size: "5", placeholder: "> ms", "aria-label": "Break on polls longer than, in ms",
    });
    const run = (way) => () => this.runTo(way);
    return h("form", { class: "group breakpoint", onsubmit: (event) => event.preventDefault() },
      h("span", { class: "quiet" }, "break on"), this.task,
      choice("state", [["", "any state"], ...states], "Break on state"),
      choice("kind", [["", "any event"], ...kinds], "Break on kind of event"), this.longer,
      h("button", { type: "button", title: "Run back to it", onclick: run(-1) }, "◂ run"),
      h("button", { type: "submit", title: "Run on to it", onclick: run(1) }, "run ▸"));
  }

  /** Says something about where the cursor is: it is gone when the cursor moves on. */
  say(text) {
    this.message.textContent = text;
    this.saidAt = `${this.app.at} ${this.app.cursor}`;
    this.app.changed();
  }

  // --- moving ----------------------------------------------------------------------------

  /** Moves the cursor by an event, poll or turn. */
  step(unit, way) {
    const { app } = this;
    const { run, history, cursor } = app;
    if (way > 0 && this.asks(unit)) return;
    this.say("");
    if (unit === "event") return app.go(cursor + way);
    const marks = unit === "poll" ? history.polls : history.turns;
    const at = lastAtMost(marks, cursor - 1);
    if (way > 0) return app.go(at + 1 < marks.length ? marks[at + 1] + 1 : run.n);
    const before = marks[at] === cursor - 1 ? at - 1 : at;
    app.go(before >= 0 ? marks[before] + 1 : 0);
  }

  /** With "predict" on: asks which task runs next, if that is what the next step would show. */
  asks(unit) {
    const { app } = this;
    if (!this.predicts.checked || this.answered === app.cursor) return false;
    const next = unit === "event" ? app.cursor : app.history.polls.find((i) => i >= app.cursor);
    if (next === undefined || app.run.kind[next] !== K.poll_started) return false;
    if (app.cursor !== next) app.go(next);
    this.say("Which task runs next? Pick it in the ready queue.");
    this.asking = next;
    app.changed();
    return true;
  }

  guess(id) {
    const { app } = this;
    const next = this.asking;
    if (next === undefined || next !== app.cursor) return app.select(id);
    const truth = app.run.task[next];
    this.asking = undefined;
    this.answered = app.cursor;
    app.go(next + 1);
    this.say(id === truth ? `Right: ${taskName(app.run, truth)} runs.`
      : `It is ${taskName(app.run, truth)} that runs, not ${taskName(app.run, id)}.`);
  }

  toggle() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = null;
    } else {
      if (this.app.cursor >= this.app.run.n) this.app.go(0);
      this.timer = setInterval(() => {
        const by = SPEEDS[this.speed];
        if (this.app.cursor >= this.app.run.n) this.toggle();
        else this.app.go(Math.min(this.app.run.n, this.app.cursor + by));
      }, 250);
    }
    this.play.textContent = this.timer ? "❚❚ pause" : "▶ play";
    this.named(this.play, this.timer ? "Pause (Space)" : "Play (Space)");
  }

  /** Gives a button the name of what it does now. */
  named(button, name) {
    button.title = name;
    button.setAttribute("aria-label", name);
  }

  /** The task that a text means: an id, or the first whose name contains it. */
  findTask(text) {
    if (/^\d+$/.test(text)) return this.app.run.tasks.has(Number(text)) ? Number(text) : 0;
    const low = text.toLowerCase();
    const hit = [...this.app.run.tasks.values()].find((t) => (t.name ?? "").toLowerCase().includes(low));
    return hit ? hit.id : 0;
  }

  runTo(way) {
    const { app } = this;
    const { run, history } = app;
    const [state, kind] = [this.state.value, this.kind.value];
    const text = this.task.value.trim();
    const task = text ? this.findTask(text) : 0;
    const limit = this.longer.value.trim();
    const longer = Number(limit) * 1e6;
    if (text && !task) return this.say(`There is no task "${text}" in this run.`);
    if (limit && !(longer >= 0)) return this.say(`"${limit}" is no number of milliseconds.`);
    if (!text && !state && !kind && !limit) {
      return this.say("Say what to break on: a task, a state, an event or a duration.");
    }
    // A model of its own: the cursor's is shown meanwhile.
    const matches = (i, before, after) => {
      if (task && run.task[i] !== task) return false;
      if (kind && KIND_NAMES[run.kind[i]] !== kind) return false;
      if (state && (before === state || after !== state)) return false;
      if (!limit) return true;
      const started = history.pollOf[i];
      return run.kind[i] === K.poll_ended && started >= 0 && run.at[i] - run.at[started] > longer;
    };
    const hit = this.search(way, matches);
    if (hit < 0) return this.say(`No such event ${way > 0 ? "after" : "before"} the cursor.`);
    this.say("");
    app.go(hit + 1);
    if (task) app.select(task);
  }

  search(way, matches) {
    const { app } = this;
    const { run, history } = app;
    const model = history.seek(way > 0 ? app.cursor : 0).clone();
    const word = (i) => {
      const task = model.tasks.get(run.task[i]);
      return task ? stateWord(task.state) : "";
    };
    let hit = -1;
    const end = way > 0 ? run.n : app.cursor - 1;
    for (let i = way > 0 ? app.cursor : 0; i < end; i++) {
      const before = word(i);
      model.apply(run, i);
      if (!matches(i, before, word(i))) continue;
      hit = i;
      if (way > 0) break;
    }
    return hit;
  }

  // --- showing ---------------------------------------------------------------------------

  chip(id, word, detail) {
    const { app } = this;
    return h("button", {
      type: "button", class: `chip is-${word}${id === app.selected ? " chosen" : ""}`,
      title: `${taskName(app.run, id)}${detail ? `: ${detail}` : ""}`,
      onclick: () => (word === "scheduled" ? this.guess(id) : app.select(id)),
    }, h("span", { class: "glyph", "aria-hidden": "true" }, GLYPH[word]),
    h("span", { class: "name" }, shortName(app.run, id)), detail ? h("small", {}, detail) : null);
  }

  /** Fills a box with the first of `all` things, of which there may be very many. */
  chips(box, all, chip, none, order = null) {
    const more = all.length - MAX_CHIPS;
    const shown = order ? least(all, MAX_CHIPS, order) : all.slice(0, MAX_CHIPS);
    fill(box, shown.map(chip), more > 0 ? h("span", { class: "quiet" }, `and ${big(more)} more`) : null,
      all.length === 0 ? h("span", { class: "quiet" }, none) : null);
  }

  render() {
    const { app } = this;
    const { run, cursor } = app;
    const model = app.model();
    const i = cursor - 1;
    const at = i >= 0 ? run.at[i] : run.start;
    if (this.saidAt !== `${app.at} ${cursor}`) this.message.textContent = "";
    this.where.textContent =
      `${big(cursor)} of ${app.hides ? "?" : big(run.n)} · ${nanos(at)} · turn ${big(model.turn)}`;
    this.said.textContent = i >= 0 ? sentence(run, i) : "Before the first event.";
    const asking = this.asking === cursor;
    const tasks = [...model.tasks.values()];
    const idle = tasks.filter((task) => task.state.is === "idle");
    const ended = tasks.filter((task) => hasEnded(task.state));
    this.chips(this.ready, model.ready, (id) => this.chip(id, "scheduled"), "none");
    const now = tasks.filter((task) => task.id === model.running || task.state.is === "ending");
    if (now.length > 0) fill(this.now, now.map((task) => this.chip(task.id, task.state.is)));
    else fill(this.now, h("span", { class: "quiet" }, asking ? "?" : this.phase(model)));
    this.chips(this.waiting, idle, (task) => {
      const { reasons } = model.why(task.id);
      const short = (r) => (r.is === "outside" ? model.inside(task.id).map((n) => `"${label(run, n)}"`)[0]
        ?? `${count(r.id, "waker")} outside`
        : { task: "task ", timer: "timer #", source: "source ", job: "job " }[r.is] + r.id);
      const more = reasons.length > 2 ? ` and ${reasons.length - 2} more` : "";
      return this.chip(task.id, "idle", reasons.length
        ? reasons.slice(0, 2).map(short).join(", ") + more : "no waker of it is left");
    }, "none");
    this.chips(this.timers, [...model.timers.values()], (timer) => this.link(timer.event,
      `#${timer.id} ${model.due(timer.deadline).replace(/^due /, "")}`,
      timer.task ? `for ${taskName(run, timer.task)}` : ""), "none armed", sooner);
    this.chips(this.reactor, [...model.sources.values()], (source) => this.link(source.event,
      `${source.id} ${run.enums.SourceKind[source.kind]} `
      + `${source.readable ? "R" : "·"}${source.writable ? "W" : "·"}`,
      `${count(source.read, "byte")} read, ${count(source.written, "byte")} written`), "no sources", (a, b) => a.id - b.id);
    this.chips(this.ended, ended, (task) => this.chip(task.id, stateWord(task.state)), "none yet",
      (a, b) => b.since_event - a.since_event);
    this.boxes.classList.toggle("asking", asking);
  }

  phase(model) {
    switch (model.phase.is) {
      case "parked": return model.phase.timeout === 0 ? "looking for readiness" : "parked";
      case "dispatching": return "handing out readiness";
      case "outside": return "outside of the loop";
      default: return "between polls";
    }
  }

  link(number, text, title) {
    return h("button", {
      type: "button", class: "chip", title, onclick: () => this.app.goTo(number),
    }, text);
  }
}

// The panels that are text: the tree of tasks, the table of tasks, the findings, the log.
import { big, count, nanos, place, sentence, taskName } from "./text.js";
import { hasEnded, stateWord } from "./why.js";
import { arms, badge, fill, h } from "./dom.js";

/** Rows of a list in the document; of further ones only the number. */
const MAX_ROWS = 300;
const LOG_AROUND = 60;

const more = (shown, all, noun) =>
  all > shown ? h("p", { class: "quiet" }, `… and ${count(all - shown, noun)} more`) : null;

/** Tasks under those that spawned them, or under those that await them, at the cursor. */
export class Tree {
  constructor(app) {
    this.app = app;
    this.by = "spawn";
    const choose = (by, text) => h("button", {
      type: "button", "aria-pressed": "false", "data-by": by,
      onclick: () => {
        this.by = by;
        app.changed();
      },
    }, text);
    this.choice = h("div", { class: "group", role: "group", "aria-label": "Tree of" },
      h("span", { class: "quiet", "aria-hidden": "true" }, "tree of"), choose("spawn", "spawns"), choose("await", "awaits"));
    this.body = h("div", { class: "tree" });
    this.element = h("div", { class: "panel" }, this.choice, this.body);
  }

  render() {
    const { app } = this;
    const model = app.model();
    for (const button of this.choice.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.by === this.by));
    }
    const tasks = [...model.tasks.values()].sort((a, b) => a.id - b.id);
    const under = new Map();
    const put = (parent, child) => {
      if (!under.has(parent)) under.set(parent, []);
      under.get(parent).push(child);
    };
    if (this.by === "spawn") {
      for (const task of tasks) put(model.tasks.has(task.parent) ? task.parent : 0, task);
    } else {
      const awaited = new Set();
      for (const task of tasks) {
        for (const reason of task.state.is === "idle" ? model.why(task.id).reasons : []) {
          if (reason.is !== "task") continue;
          put(task.id, model.tasks.get(reason.id));
          awaited.add(reason.id);
        }
      }
      for (const task of tasks) {
        if (!awaited.has(task.id) && !hasEnded(task.state)) put(0, task);
      }
    }
    this.left = MAX_ROWS;
    fill(this.body, tasks.length === 0 ? h("p", { class: "quiet" }, "No task yet.")
      : this.list(model, under, 0, new Set()),
    more(MAX_ROWS - this.left, this.by === "spawn" ? tasks.length : 0, "task"));
  }

  list(model, under, id, path) {
    const children = under.get(id);
    if (!children || path.has(id)) return null;
    const inner = new Set(path).add(id);
    const items = [];
    for (const task of children) {
      if (this.left-- <= 0) break;
      items.push(h("li", {}, this.line(model, task),
        this.by === "await" && !hasEnded(task.state) ? arms(this.app.run, model, task.id) : null,
        this.list(model, under, task.id, inner)));
    }
    return h("ul", {}, items);
  }

  line(model, task) {
    const { app } = this;
    const ended = hasEnded(task.state);
    return h("div", { class: `line${task.id === app.selected ? " chosen" : ""}` },
      h("button", { type: "button", class: "link", onclick: () => app.select(task.id) },
        taskName(app.run, task.id)), badge(stateWord(task.state)),
      h("span", { class: "quiet" }, ended ? "" : model.whyInWords(app.run, task.id)));
  }
}

const COLUMNS = [
  ["id", (t) => t.id, (t) => t.id],
  ["name", (t, run) => run.tasks.get(t.id)?.name ?? "", (t, run) => run.tasks.get(t.id)?.name ?? "–"],
  ["state", (t) => stateWord(t.state), (t) => badge(stateWord(t.state))],
  ["polls", (t) => t.polls, (t) => big(t.polls)],
  ["busy", (t) => t.busy, (t) => nanos(t.busy)],
  ["longest poll", (t) => t.longest_poll, (t) => nanos(t.longest_poll)],
  ["queued", (t) => t.queued, (t) => nanos(t.queued)],
  ["longest wait", (t) => t.longest_queued, (t) => nanos(t.longest_queued)],
  ["wakes", (t) => t.wakes, (t) => big(t.wakes)],
  ["by itself", (t) => t.self_wakes, (t) => big(t.self_wakes)],
  ["lived", (t, _, now) => (hasEnded(t.state) ? t.since : now) - t.spawned, null],
  ["spawned in", (t, run) => place(run, t.id), (t, run) => h("code", {}, place(run, t.id))],
];

/** All tasks at the cursor, sortable by any column, grouped by spawn place on demand. */
export class Table {
  constructor(app) {
    this.app = app;
    this.column = 0;
    this.down = false;
    this.group = h("input", { type: "checkbox", id: "by-place", onchange: () => app.changed() });
    this.heads = COLUMNS.map(([name], i) => h("th", { scope: "col" },
      h("button", { type: "button", onclick: () => this.sort(i) }, name)));
    this.body = h("tbody", {});
    this.note = h("div", {});
    this.element = h("div", { class: "panel" },
      h("label", { class: "check" }, this.group, " group by place of spawn"),
      h("div", { class: "wide" }, h("table", { class: "tasks" },
        h("thead", {}, h("tr", {}, this.heads)), this.body)), this.note);
  }

  sort(column) {
    this.down = this.column === column ? !this.down : column > 2;
    this.column = column;
    this.app.changed();
  }

  render() {
    const { app } = this;
    const model = app.model();
    const { run } = app;
    this.heads.forEach((head, i) => head.setAttribute("aria-sort",
      i !== this.column ? "none" : this.down ? "descending" : "ascending"));
    const key = COLUMNS[this.column][1];
    const compare = ([x, a], [y, b]) => {
      const order = x < y ? -1 : x > y ? 1 : a.id - b.id;
      return this.down ? -order : order;
    };
    const tasks = Array.from(model.tasks.values(), (task) => [key(task, run, model.now), task])
      .sort(compare).map(([, task]) => task);
    // What makes each row: most of very many are not shown.
    const rows = [];
    if (this.group.checked) {
      const groups = new Map();
      for (const task of tasks) {
        const site = place(run, task.id) || "no place";
        if (!groups.has(site)) groups.set(site, []);
        groups.get(site).push(task);
      }
      for (const [site, members] of groups) {
        const sum = (of) => members.reduce((total, task) => total + of(task), 0);
        rows.push(() => h("tr", { class: "sum" }, h("th", { colspan: COLUMNS.length, scope: "rowgroup" },
          `${site} — ${count(members.length, "task")}, ${big(sum((t) => t.polls))} polls, `
          + `busy ${nanos(sum((t) => t.busy))}`)));
        for (const task of members) rows.push(() => this.row(task, model));
      }
    } else {
      for (const task of tasks) rows.push(() => this.row(task, model));
    }
    fill(this.body, rows.slice(0, MAX_ROWS).map((make) => make()));
    fill(this.note, more(Math.min(rows.length, MAX_ROWS), rows.length, "row"));
  }

  /** Enter and the space bar choose a row; the arrow keys go from row to row. */
  key(event, id) {
    const row = event.currentTarget;
    const to = { ArrowUp: row.previousElementSibling, ArrowDown: row.nextElementSibling }[event.key];
    if (event.key === "Enter" || event.key === " ") this.app.select(id);
    else if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    else if (to?.tabIndex === 0) to.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  row(task, model) {
    const { app } = this;
    return h("tr", {
      class: task.id === app.selected ? "chosen" : "", onclick: () => app.select(task.id), tabindex: "0",
      "aria-current": task.id === app.selected ? "true" : null, onkeydown: (event) => this.key(event, task.id),
    }, COLUMNS.map(([, key, show]) => h("td", {}, show ? show(task, app.run)
      : nanos(key(task, app.run, model.now)))));
  }
}

/** What is wrong, worst first; each leads to its evidence. */
export class Findings {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "panel findings" });
  }

  render() {
    const { app } = this;
    const { findings, first } = app.run;
    const shown = `${app.at} ${app.finding} ${app.hides}`;
    if (this.shown === shown) return;
    this.shown = shown;
    if (app.hides) return fill(this.element, h("p", { class: "quiet" }, "What is found is hidden while you predict."));
    const said = (number) => {
      const i = number - first;
      return i >= 0 && i < app.run.n ? sentence(app.run, i) : `event ${big(number)}, before this trace`;
    };
    const card = (finding, k) => h("article", { class: `finding${k === app.finding ? " chosen" : ""}` },
      h("h3", {}, h("button", { type: "button", class: "link", onclick: () => app.showFinding(k) },
        finding.title), h("code", {}, finding.code)),
      h("p", {}, `${finding.what[0].toUpperCase()}${finding.what.slice(1)}.`),
      h("p", { class: "quiet" }, finding.advice),
      h("ul", { class: "evidence", "aria-label": "Evidence" }, finding.evidence.map((number) => h("li", {},
        h("button", {
          type: "button", class: "link", disabled: number < first, onclick: () => app.goTo(number),
        }, said(number)), number < first ? null : ` at ${nanos(app.run.at[number - first])}`))));
    fill(this.element, findings.length === 0
      ? h("p", { class: "all-well" }, "✓ Nothing is wrong with this run, as far as its events tell.")
      : findings.map(card));
  }
}

/** The events around the cursor, as text. */
export class Log {
  constructor(app) {
    this.app = app;
    this.only = h("input", { type: "checkbox", id: "only", onchange: () => app.changed() });
    this.body = h("ol", { class: "log" });
    this.element = h("div", { class: "panel" },
      h("label", { class: "check" }, this.only, " only the selected task"), this.body);
  }

  render() {
    const { app } = this;
    const { run } = app;
    const wanted = (i) => !this.only.checked || !app.selected || run.task[i] === app.selected;
    const shown = [];
    for (let i = app.cursor - 1; i >= 0 && shown.length < LOG_AROUND; i--) if (wanted(i)) shown.unshift(i);
    for (let i = app.cursor; i < app.horizon && shown.length < 2 * LOG_AROUND; i++) if (wanted(i)) shown.push(i);
    fill(this.body, shown.map((i) => h("li", { class: i === app.cursor - 1 ? "chosen" : "" },
      h("button", { type: "button", class: "link", onclick: () => app.go(i + 1) },
        h("span", { class: "number" }, big(run.first + i)),
        h("span", { class: "number" }, nanos(run.at[i])), sentence(run, i)))));
    const here = this.body.querySelector(".chosen");
    if (here) {
      const box = this.body;
      const top = here.offsetTop - box.offsetTop;
      if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 40) {
        box.scrollTop = top - box.clientHeight / 2;
      }
    }
  }
}

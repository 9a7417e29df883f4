// Why is a task not running, and why does the loop not end: the twin of `src/model/why.rs`.
import { ABLE, NEVER, count, isNever, label, nanos, taskName } from "./text.js";

/** Reasons of one sort that are named; of more, two are named and the others counted. */
const NAMED = 3;

/** Waits that a row looks at. */
const LOOKED_AT = 64;

export const hasEnded = (state) => state.is === "done" || state.is === "cancelled";

/** One word for a state, as people say it. */
export const stateWord = (state) =>
  state.is === "done" && state.panicked ? "panicked" : state.is;

/** Timers in the order in which they fire. */
export function sooner(a, b) {
  const last = (deadline) => (isNever(deadline) ? NEVER : deadline);
  return last(a.deadline) - last(b.deadline) || a.id - b.id;
}

/** The first `most` of some values, in order: without sorting the rest of what may be very many. */
export function least(values, most, order) {
  const first = [];
  for (const value of values) {
    if (first.length === most && order(value, first[most - 1]) >= 0) continue;
    let place = first.length;
    while (place > 0 && order(value, first[place - 1]) < 0) place--;
    first.splice(place, 0, value);
    if (first.length > most) first.pop();
  }
  return first;
}

/** What a task really waits for comes before a timer, which beside it is mostly a time limit. */
const RANK = { task: 0, source: 1, job: 2, outside: 3, timer: 4 };

function firstTold({ on: a }, { on: b }) {
  return RANK[a.is] - RANK[b.is]
    || (a.is === "timer" ? sooner(a, b) : a.id - b.id || (a.direction ?? 0) - (b.direction ?? 0));
}

/** The waits of a task, in the order in which people want to be told. */
export const inOrder = (task) => [...task.waits.values()].sort(firstTold);

/** The verdicts on a state, for a model that has its members. */
export class Verdicts {
  /** Why a task is not running: a verdict in words, and the numbers of the events that prove it. */
  why(id) {
    const task = this.tasks.get(id);
    if (!task) return { why: "unknown", evidence: [], reasons: [] };
    const evidence = [task.since_event];
    const since = `since ${nanos(task.since)}`;
    const behind = () => {
      const n = Math.max(0, this.ready.indexOf(id));
      return n === 0 ? "next in line" : `behind ${count(n, "other")}`;
    };
    let reasons = [];
    let why;
    switch (task.state.is) {
      case "done": case "cancelled": why = `finished: ${stateWord(task.state)}`; break;
      case "running": case "ending": why = `running ${since}`; break;
      case "scheduled":
        if (task.woken) evidence.push(task.woken.event);
        why = `queued, ${behind()}, ${since}`;
        if (task.cancel) {
          evidence.push(task.cancel.event);
          why = `queued to be cancelled, ${behind()}, ${since}`;
        }
        break;
      default:
        reasons = this.reasons(task);
        if (reasons.length === 0) {
          why = "stuck for ever: no waker of it is left";
          break;
        }
        evidence.push(...inOrder(task).map((wait) => wait.event));
        why = `waiting for ${this.listed(reasons, (other) => `task ${other}`, [])}`;
    }
    return { why, reasons, evidence: evidence.filter((n, i) => n !== evidence[i - 1]) };
  }

  /** All that can wake an idle task. */
  reasons(task) {
    if (task.holders === 0) return [];
    const reasons = inOrder(task).map(({ on, event }) => ({ ...on, event }));
    const outside = reasons.length === 0 ? Math.max(1, task.outside) : task.outside;
    if (outside > 0) {
      const timers = reasons.findIndex((reason) => reason.is === "timer");
      reasons.splice(timers < 0 ? reasons.length : timers, 0, { is: "outside", id: outside });
    }
    return reasons;
  }

  /** The one task that an idle task waits for, if there is one and no more. */
  waitsForOne(id) {
    const task = this.tasks.get(id);
    if (task?.state.is !== "idle") return undefined;
    const [first, second] = least(task.waits.values(), 2, firstTold);
    return first?.on.is === "task" && second?.on.is !== "task" ? first.on.id : undefined;
  }

  /**
   * The tasks through which a task waits, each for the next, as long as each waits for one. Where they
   * wait for each other the last is in it twice, or is the task itself.
   */
  waitsThrough(id) {
    const chain = [];
    const seen = new Set([id]);
    for (let next = this.waitsForOne(id); next !== undefined; next = this.waitsForOne(next)) {
      chain.push(next);
      if (seen.has(next)) break;
      seen.add(next);
    }
    return chain;
  }

  /** The labels of a task's open spans that have no open span in them: where it is, arm by arm. */
  inside(id) {
    const spans = [...this.tasks.get(id)?.spans ?? []].sort((a, b) => a - b)
      .map((span) => this.spans.get(span)).filter(Boolean);
    const around = new Set(spans.map((span) => span.parent));
    return spans.filter((span) => !around.has(span.id)).map((span) => span.label);
  }

  /** Why a task is not running, in one sentence with names, down to the end of the chain of tasks. */
  whyInWords(run, id) {
    const { why, reasons } = this.why(id);
    return reasons.length === 0 ? why : `waiting for ${this.chained(run, id, reasons, [id])}`;
  }

  chained(run, id, reasons, path) {
    const inside = this.inside(id).map((one) => label(run, one));
    const one = this.waitsForOne(id);
    const named = (other) => {
      const name = taskName(run, other);
      if (one === undefined) return name;
      const chain = this.waitsThrough(id);
      const last = chain[chain.length - 1];
      const circle = last === id || chain.indexOf(last) < chain.length - 1;
      if (path.includes(other) || circle && path.length > NAMED) {
        return `${name}: they wait for each other`;
      }
      const end = reasons.length > 1 ? "," : "";
      if (path.length > NAMED && last !== other) {
        const which = this.which(run, last, [...path, last]);
        const between = count(chain.length - 2, "other task");
        return `${name}, and so on through ${between} to ${taskName(run, last)}, which ${which}${end}`;
      }
      return `${name}, which ${this.which(run, other, [...path, other])}${end}`;
    };
    return this.listed(reasons, named, inside);
  }

  /** What a task that another waits for does. */
  which(run, id, path) {
    const { why, reasons } = this.why(id);
    const [first] = reasons;
    if (first?.is === "timer") {
      if (isNever(first.deadline)) return `sleeps for ever (timer #${first.id})`;
      return first.deadline <= this.now ? `sleeps: timer #${first.id} is overdue`
        : `sleeps until ${nanos(first.deadline)} (timer #${first.id})`;
    }
    if (first) return `waits for ${this.chained(run, id, reasons, path)}`;
    for (const verdict of ["queued to be cancelled", "queued", "running"]) {
      if (why.startsWith(verdict)) return `is ${verdict}`;
    }
    return why.startsWith("stuck") ? `is ${why}` : "has ended";
  }

  /**
   * The wait that a row shows of an idle task: the first of those that were told first. `undefined` if it
   * waits for nothing that the loop knows.
   */
  firstWait(task) {
    const some = [];
    for (const wait of task.waits.values()) if (some.push(wait) === LOOKED_AT) break;
    return least(some, 1, firstTold)[0];
  }

  /** All reasons in words, bounded however many they are. */
  listed(reasons, task, inside) {
    const sorts = [];
    for (const reason of reasons) {
      const last = sorts[sorts.length - 1];
      if (last?.[0].is === reason.is) last.push(reason);
      else sorts.push([reason]);
    }
    return sorts.map((sort) => this.sortOfReasons(sort, task, inside)).join(" or ");
  }

  /** Reasons of one sort: each by name, or, if they are many, two by number and how many more. */
  sortOfReasons(sort, task, inside) {
    const words = { task: "task", source: "source", job: "blocking job", timer: "timer" };
    const sign = (reason) => (reason.is === "timer" ? "#" : "");
    const one = (reason) => {
      switch (reason.is) {
        case "task": return task(reason.id);
        case "source": return `source ${reason.id} to become ${ABLE[reason.direction]}`;
        case "job": return `blocking job ${reason.id}`;
        case "timer": return `timer #${reason.id} ${this.due(reason.deadline)}`;
        default: {
          const held = `${count(reason.id, "waker")} held outside of the loop`;
          return inside.length === 0 ? held : `${held}, inside \`${inside.join("` or `")}\``;
        }
      }
    };
    if (sort.length <= NAMED) return sort.map(one).join(" or ");
    const [a, b] = sort;
    const end = a.is === "timer" ? `, the first ${this.due(a.deadline)}` : "";
    return `${words[a.is]} ${sign(a)}${a.id}, ${sign(b)}${b.id} and ${sort.length - 2} more${end}`;
  }

  /**
   * What keeps the loop from ending, one line each; empty if nothing does. Of more lines than `most`,
   * only how many there are in all.
   */
  whyAlive(most = Infinity) {
    const lines = [];
    if (this.ready.length > 0) lines.push(`${count(this.ready.length, "task")} ready to run`);
    const [next] = least(this.timers.values(), 1, sooner);
    if (next) {
      lines.push(`${count(this.timers.size, "timer")} armed, the next is timer #${next.id} `
        + this.due(next.deadline));
    }
    if (this.jobs.size > 0) lines.push(`${count(this.jobs.size, "blocking job")} on the pool`);
    let all = lines.length;
    const idle = [...this.tasks.values()].filter((task) => task.state.is === "idle");
    for (const task of idle.sort((a, b) => a.id - b.id)) {
      const reasons = this.reasons(task);
      if (reasons.length > 0 && reasons.every((reason) => reason.is === "timer")) continue;
      if (all++ < most) lines.push(`task ${task.id} is ${this.why(task.id).why}`);
    }
    return most === Infinity ? lines : { lines, all };
  }

  due(deadline) {
    const ahead = deadline - this.now;
    if (isNever(deadline)) return "due never";
    return ahead >= 0 ? `due in ${nanos(ahead)}` : `overdue by ${nanos(-ahead)}`;
  }
}

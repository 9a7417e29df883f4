// From events to state: the twin of `src/model`. A test applies both to the same events and
// compares every member, so whatever is changed here is changed there.
import { K } from "./trace.js";
import { NEVER, count, isNever, nanos } from "./text.js";

const TURNING = { is: "turning" };
const IDLE = { is: "idle" };
const SCHEDULED = { is: "scheduled" };
const RUNNING = { is: "running" };
const MAPS = ["tasks", "timers", "sources", "jobs", "spans"];
const MAX_ILLEGAL = 100;
let epochs = 0;

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

export class Model {
  /** The state that a trace's snapshot tells. */
  static from(snapshot) {
    const model = Object.assign(new Model(), structuredClone(snapshot));
    for (const map of MAPS) {
      model[map] = new Map(snapshot[map].map((value) => [value.id, { ...structuredClone(value) }]));
    }
    model.epoch = ++epochs;
    return model;
  }

  /** A copy. What neither of the two changes afterwards, they share. */
  clone() {
    const copy = Object.assign(new Model(), this);
    for (const map of MAPS) copy[map] = new Map(this[map]);
    copy.ready = this.ready.slice();
    copy.totals = { ...this.totals };
    copy.illegal = this.illegal.slice();
    copy.epoch = ++epochs;
    this.epoch = ++epochs;
    return copy;
  }

  /** How many things it holds. */
  size() {
    return MAPS.reduce((sum, map) => sum + this[map].size, 0);
  }

  /** The members as Rust's model is written, for comparing. */
  plain() {
    const { epoch, byTask, ...members } = this;
    const listed = (map) => [...map.values()].sort((a, b) => a.id - b.id)
      .map(({ epoch: _, ...value }) => value);
    for (const map of MAPS) members[map] = listed(this[map]);
    return members;
  }

  /** An entry of a map that may be changed: a copy, if another model shares it. */
  own(map, id) {
    let value = this[map].get(id);
    if (value && value.epoch !== this.epoch) {
      value = { ...value, epoch: this.epoch };
      if (value.waits) value.waits = value.waits.slice();
      this[map].set(id, value);
    }
    return value;
  }

  /** Takes note of event `i` of a run. */
  apply(run, i) {
    const at = run.at[i];
    const id = run.task[i];
    const a = run.f[0][i], b = run.f[1][i], c = run.f[2][i], d = run.f[3][i];
    const event = { at, id, kind: run.kind[i] };
    if (at > this.now) this.now = at;
    switch (event.kind) {
      case K.loop_entered: this.phase = { is: "between" }; break;
      case K.loop_left: this.phase = { is: "outside" }; break;
      case K.turn_started:
        this.turn = b;
        this.totals.turns++;
        this.phase = TURNING;
        break;
      case K.turn_ended: this.phase = { is: "between" }; break;
      case K.parked: this.phase = { is: "parked", since: at, timeout: a }; break;
      case K.unparked:
        if (this.phase.is === "parked") this.totals.parked += Math.max(0, at - this.phase.since);
        this.phase = { is: "dispatching" };
        break;
      case K.clock_jumped: if (a > this.now) this.now = a; break;
      case K.decided:
        // The scheduler changes the head of the queue with the task that it drew.
        if (b < this.ready.length) {
          [this.ready[0], this.ready[b]] = [this.ready[b], this.ready[0]];
        } else {
          this.illegalEvent(event, "drawn from beyond the ready queue");
        }
        break;
      case K.advanced:
        if (a + b <= this.ready.length) {
          this.ready.unshift(...this.ready.splice(a, b));
        } else {
          this.illegalEvent(event, "advanced from beyond the ready queue");
        }
        break;
      case K.spawned: this.spawned(event, a); break;
      case K.woken: this.woken(event, a, { event: this.next, at, by: b, id: c }); break;
      case K.poll_started: this.pollStarted(event); break;
      case K.poll_ended: this.pollEnded(event, a, b, c); break;
      case K.done:
        this.ended(event, { is: "done", panicked: !!a, beat_cancel: !!b }, ["ending"]);
        break;
      case K.cancelled:
        this.ended(event, { is: "cancelled", origin: a, by: b }, ["idle", "scheduled"]);
        break;
      case K.cancel_requested:
        this.change(event, (task) => {
          const ignored = a === 2;
          if (!ignored) task.cancel ??= { event: this.next, by: b };
          return ignored || !hasEnded(task.state);
        });
        break;
      case K.detached:
        this.change(event, (task) => {
          const before = task.detached;
          task.detached = true;
          return !before;
        });
        break;
      case K.output_taken:
        this.change(event, (task) => (task.output_taken = true) && hasEnded(task.state));
        break;
      case K.panic_unseen:
        this.change(event, (task) => (task.panic_unseen = true) && !!task.state.panicked
          && task.state.is === "done");
        break;
      case K.waits_for_task: this.waits(event, { is: "task", id: a }); break;
      case K.waits_for_source: this.waits(event, { is: "source", id: b, direction: a }); break;
      case K.timer_armed:
        this.insert(event, "timers", "a timer armed already",
          { id: a, task: id, deadline: b, event: this.next, at });
        break;
      case K.timer_fired:
        this.totals.timers_fired++;
        if (b > this.totals.latest_timer) this.totals.latest_timer = b;
        this.remove(event, "timers", a, "a timer that is not armed");
        break;
      case K.timer_dropped: this.remove(event, "timers", a, "a timer that is not armed"); break;
      case K.source_registered:
        this.insert(event, "sources", "a source registered already", {
          id: b, kind: a, fd: c, task: id, event: this.next,
          readable: 0, writable: 0, read: 0, written: 0,
        });
        break;
      case K.source_ready:
        this.totals.readiness++;
        this.source(event, c, (source) => {
          if (a) source.readable = this.next + 1;
          if (b) source.writable = this.next + 1;
        });
        break;
      case K.source_tried:
        this.source(event, c, (source) => {
          source[a === 0 ? "read" : "written"] += d;
          // Would block, short, or cleared by the program: drained.
          if (b === 1 || b >= 4) source[a === 0 ? "readable" : "writable"] = 0;
        });
        break;
      case K.source_closed:
        this.remove(event, "sources", a, "a source that is not registered");
        break;
      case K.job_queued: this.put("jobs", { id: a, task: id, event: this.next, at }); break;
      case K.job_ended: this.remove(event, "jobs", a, "a job that was not queued"); break;
      case K.span_opened:
        this.put("spans", { id: a, task: id, parent: b, label: c, event: this.next });
        break;
      case K.span_closed: this.remove(event, "spans", a, "a span that is not open"); break;
    }
    this.next++;
  }

  illegalEvent(event, state) {
    this.totals.illegal++;
    const name = Object.keys(K).find((name) => K[name] === event.kind);
    if (this.illegal.length < MAX_ILLEGAL) {
      const what = `task ${event.id} was ${state} when told ${name}`;
      this.illegal.push({ event: this.next, what });
    }
  }

  /** Changes the task an event is about; `change` says whether the event was legal. */
  change(event, change) {
    const task = this.own("tasks", event.id);
    if (task) {
      const before = stateWord(task.state);
      if (!change(task)) this.illegalEvent(event, before);
    } else if (this.forgotten === 0) {
      this.illegalEvent(event, "unknown");
    }
  }

  enter(task, state, event) {
    task.state = state;
    task.since = event.at;
    task.since_event = this.next;
  }

  /** Puts a new value into a map, which from now on owns it. */
  put(map, value) {
    value.epoch = this.epoch;
    this[map].set(value.id, value);
  }

  insert(event, map, told, value) {
    const before = this[map].has(value.id);
    this.put(map, value);
    if (before) this.illegalEvent(event, `told of ${told}`);
  }

  remove(event, map, id, told) {
    if (!this[map].delete(id)) this.illegalEvent(event, `told of ${told}`);
  }

  source(event, id, change) {
    const source = this.own("sources", id);
    if (source) change(source);
    else this.illegalEvent(event, "told of a source that is not registered");
  }

  spawned(event, parent) {
    this.totals.spawned++;
    const before = this.tasks.has(event.id);
    this.put("tasks", {
      id: event.id, parent, state: SCHEDULED, since: event.at, since_event: this.next,
      spawned: event.at, spawned_event: this.next, polls: 0, poll_event: 0, busy: 0, queued: 0,
      longest_poll: 0, longest_poll_event: 0, longest_queued: 0, wakes: 0, self_wakes: 0,
      woken: null, holders: 0, cancel: null, detached: false, output_taken: false,
      panic_unseen: false, waits: [],
    });
    if (before) this.illegalEvent(event, "spawned already");
    this.ready.push(event.id);
  }

  woken(event, effect, wake) {
    const TASK = 2, SPAWN = 1, SHUTDOWN = 9;
    this.totals.wakes++;
    let enters = false;
    this.change(event, (task) => {
      task.wakes++;
      if (wake.by === TASK && wake.id === task.id) task.self_wakes++;
      const state = task.state.is;
      switch (effect) {
        case 0:
          if (state !== "idle") return state === "scheduled" && wake.by === SPAWN;
          task.woken = wake;
          this.enter(task, SCHEDULED, event);
          enters = true;
          return true;
        case 1: return state === "scheduled";
        case 2:
          task.woken = wake;
          return state === "running" || state === "ending";
        // A future that is being dropped may wake its own task, just before that is told to have
        // ended.
        default:
          return hasEnded(task.state) || state === "ending" || task.cancel !== null
            || wake.by === SHUTDOWN;
      }
    });
    if (enters) this.ready.push(event.id);
  }

  leaveReady(id) {
    if (this.ready[0] === id) return this.ready.shift();
    const position = this.ready.indexOf(id);
    if (position >= 0) this.ready.splice(position, 1);
  }

  pollStarted(event) {
    this.leaveReady(event.id);
    if (this.running !== 0) this.illegalEvent(event, "polled inside another poll");
    this.running = event.id;
    // A look at readiness in the middle of a batch is over.
    this.phase = TURNING;
    this.totals.polls++;
    this.change(event, (task) => {
      const legal = task.state.is === "scheduled";
      const queued = Math.max(0, event.at - task.since);
      task.queued += queued;
      task.longest_queued = Math.max(task.longest_queued, queued);
      task.polls++;
      task.poll_event = this.next;
      this.enter(task, RUNNING, event);
      return legal;
    });
  }

  pollEnded(event, outcome, requeued, holders) {
    this.running = 0;
    let ran = 0;
    this.change(event, (task) => {
      const legal = task.state.is === "running";
      ran = Math.max(0, event.at - task.since);
      task.busy += ran;
      if (ran >= task.longest_poll) {
        task.longest_poll = ran;
        task.longest_poll_event = this.next;
      }
      task.holders = holders;
      // Who woke it while it ran, a basic recording does not tell.
      if (outcome === 0 && requeued && task.woken?.event <= task.poll_event) task.woken = null;
      const pending = requeued ? SCHEDULED : IDLE;
      this.enter(task, outcome === 0 ? pending : { is: "ending", panicked: outcome === 2 }, event);
      return legal;
    });
    this.totals.busy += ran;
    if (outcome === 0 && requeued) this.ready.push(event.id);
  }

  ended(event, state, legal) {
    this.leaveReady(event.id);
    this.change(event, (task) => {
      const before = task.state.is;
      task.waits = [];
      this.enter(task, state, event);
      return legal.includes(before);
    });
    if (state.is === "cancelled") this.totals.cancelled++;
    else this.totals.done++;
  }

  waits(event, on) {
    this.change(event, (task) => {
      const same = (wait) => wait.on.is === on.is && wait.on.id === on.id
        && wait.on.direction === on.direction;
      task.waits = task.waits.filter((wait) => !same(wait));
      task.waits.push({ on, event: this.next, at: event.at, poll: task.polls });
      return task.state.is === "running";
    });
  }

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
        if (task.holders === 0) {
          why = "stuck for ever: nobody holds its waker";
          break;
        }
        reasons = this.reasons(task);
        evidence.push(...reasons.map((reason) => reason.event));
        why = reasons.length > 0 ? `waiting for ${reasons.map((r) => r.say()).join(" or ")}`
          : `waiting for whoever holds its ${count(task.holders, "waker")}: `
            + "a thread or another future";
    }
    return { why, reasons, evidence: evidence.filter((n, i) => n !== evidence[i - 1]) };
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
      const reasons = task.holders === 0 ? [] : this.reasons(task);
      if (reasons.length > 0 && reasons.every((reason) => reason.is === "timer")) continue;
      if (all++ < most) lines.push(`task ${task.id} is ${this.why(task.id).why}`);
    }
    return most === Infinity ? lines : { lines, all };
  }

  /** What an idle task waits for: its timers by deadline, then what its last poll waited on. */
  reasons(task) {
    const timers = this.of("timers", task.id).sort(sooner)
      .map((timer) => ({
        is: "timer", id: timer.id, event: timer.event,
        say: () => `timer #${timer.id} ${this.due(timer.deadline)}`,
      }));
    const live = ({ on }) => on.is === "source" ? this.sources.has(on.id)
      : this.tasks.has(on.id) && !hasEnded(this.tasks.get(on.id).state);
    // A wait that the last poll did not renew may belong to a future that is gone; it counts only
    // where that poll renewed none, as when one of several inner futures is polled alone.
    const renewed = task.waits.some((wait) => wait.poll === task.polls && live(wait))
      || timers.some((timer) => timer.event > task.poll_event);
    const waits = task.waits
      .filter((wait) => live(wait) && (!renewed || wait.poll === task.polls))
      .map(({ on, event }) => ({
        is: on.is, id: on.id, event,
        say: () => (on.is === "task" ? `task ${on.id}`
          : `source ${on.id} to become ${on.direction === 0 ? "readable" : "writable"}`),
      }));
    const jobs = this.of("jobs", task.id)
      .sort((a, b) => a.id - b.id)
      .map((job) => ({ is: "job", id: job.id, event: job.event, say: () => `blocking job ${job.id}` }));
    return [...timers, ...waits, ...jobs];
  }

  /** What a task has of a map. Sorted out by tasks once for each state that is asked. */
  of(map, task) {
    if (this.byTask?.next !== this.next) {
      this.byTask = { next: this.next };
      for (const name of ["timers", "jobs"]) {
        const sorted = this.byTask[name] = new Map();
        for (const value of this[name].values()) {
          if (sorted.has(value.task)) sorted.get(value.task).push(value);
          else sorted.set(value.task, [value]);
        }
      }
    }
    return this.byTask[map].get(task) ?? [];
  }

  due(deadline) {
    const ahead = deadline - this.now;
    if (isNever(deadline)) return "due never";
    return ahead >= 0 ? `due in ${nanos(ahead)}` : `overdue by ${nanos(-ahead)}`;
  }
}

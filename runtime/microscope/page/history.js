// A whole run at once: what the timeline draws and the stepper seeks in, found in one pass.
import { K } from "./trace.js";
import { Model } from "./model.js";
import { cause, nanos } from "./text.js";
import { hasEnded } from "./why.js";

/** What a slice of a lane shows. */
export const SLICE = { scheduled: 0, running: 1, idle: 2, poll: 1, park: 3, look: 4, turn: 5 };

/** A row of slices, as columns. A slice lies between two events: their indexes are its borders. */
export class Lane {
  constructor() {
    this.start = [];
    this.end = [];
    this.code = [];
    this.note = [];
    this.open = false;
  }

  begin(i, code, note = -1) {
    this.finish(i);
    this.start.push(i);
    this.end.push(Infinity);
    this.code.push(code);
    this.note.push(note);
    this.open = true;
  }

  finish(i) {
    if (this.open) this.end[this.end.length - 1] = i;
    this.open = false;
  }

  /** Position of the first slice that ends at or after event `i`. */
  from(i) {
    return lastAtMost(this.end, i - 1) + 1;
  }
}

class TaskLane extends Lane {
  constructor(id) {
    super();
    this.id = id;
    this.ended = "";
    this.endEvent = -1;
    // The wake that it has not been polled for yet.
    this.woken = -1;
  }
}

/** Position of the last element that is at most `value`, or -1. */
export function lastAtMost(column, value) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** In the place of a wait: no waker of the task is left. */
export const LOST = -2;

/** Time in polls and in parks since the recording begins: what began before it counts from there. */
export function sumsSince(run, model) {
  const { totals, running, tasks, phase } = run.snapshot;
  const since = (began) => Math.max(0, run.start - began);
  const polled = tasks.find((task) => task.id === running);
  const busy = totals.busy + (polled ? since(polled.since) : 0);
  const parked = totals.parked + (phase.is === "parked" ? since(phase.since) : 0);
  return {
    busy: Math.max(0, model.totals.busy - busy),
    parked: Math.max(0, model.totals.parked - parked),
  };
}

export class History {
  constructor(run) {
    this.run = run;
    const n = run.n;
    // Copies of the model, and how many events each is after. The larger it is, the fewer there are: a copy
    // costs as much as applying an event for each of the things in it, and again when those change.
    this.every = Math.max(4096, Math.ceil(n / 128));
    this.checkpoints = [];
    this.checkpointAt = [];
    this.tasks = new Map();
    this.loop = new Lane();
    this.timers = new Map();
    this.sources = new Map();
    this.ready = new Uint32Array(n + 1);
    this.alive = new Uint32Array(n + 1);
    this.inFlight = new Uint32Array(n + 1);
    this.pollOf = new Int32Array(n).fill(-1);
    // Of each event that begins a poll: the wake that led to it, or -1.
    this.wakeOf = new Int32Array(n).fill(-1);
    this.wakes = [];
    this.turns = [];
    this.polls = [];
    this.spawns = [];
    // How many events lead to the state in which most tasks are ready.
    this.busiest = 0;
    this.longestPoll = 0;
    this.longestAt = -1;
    // How long the recorder kept the loop within the poll that begins at an event.
    this.pausedIn = new Map();
    this.read();
    this.current = this.checkpoints[0].clone();
  }

  lane(id) {
    let lane = this.tasks.get(id);
    if (!lane) {
      lane = new TaskLane(id);
      this.tasks.set(id, lane);
    }
    return lane;
  }

  read() {
    const { run } = this;
    const model = Model.from(run.snapshot);
    let alive = 0;
    let idle = 0;
    for (const task of [...model.tasks.values()].sort((a, b) => a.id - b.id)) {
      if (hasEnded(task.state)) continue;
      alive++;
      if (task.state.is === "idle") idle++;
      const wait = task.state.is === "idle" ? this.waitOf(task, model) : -1;
      this.lane(task.id).begin(0, SLICE[task.state.is] ?? SLICE.running, wait);
    }
    for (const timer of model.timers.values()) this.armed(timer.id, timer.task, 0);
    for (const source of model.sources.values()) this.registered(source.id, 0);
    let poll = -1;
    let next = 0;
    for (let i = 0; i < run.n; i++) {
      if (i >= next) {
        this.checkpoint(model, i);
        next = i + Math.max(this.every, 2 * model.size());
      }
      const id = run.task[i];
      const before = model.tasks.get(id)?.state.is;
      model.apply(run, i);
      const state = model.tasks.get(id)?.state;
      if (state && state.is !== before) {
        alive += (before === undefined) - hasEnded(state);
        idle += (state.is === "idle") - (before === "idle");
      }
      if (run.kind[i] === K.poll_started) poll = i;
      this.pollOf[i] = poll;
      this.note(i, state, before, model);
      if (run.kind[i] === K.poll_ended) poll = -1;
      this.ready[i + 1] = model.ready.length;
      if (model.ready.length > this.ready[this.busiest]) this.busiest = i + 1;
      this.alive[i + 1] = alive;
      this.inFlight[i + 1] = idle;
    }
    if (this.checkpoints.length === 0) this.checkpoint(model, 0);
    this.last = model;
    const rows = [...this.tasks.values(), ...this.sources.values()];
    for (const lane of [this.loop, ...rows]) lane.finish(run.n);
  }

  checkpoint(model, i) {
    this.checkpoints.push(model.clone());
    this.checkpointAt.push(i);
  }

  armed(id, task, i) {
    this.timers.set(id, { id, task, start: i, end: Infinity, fired: -1, late: 0, row: 0 });
  }

  registered(id, i) {
    const lane = Object.assign(new Lane(), { id, marks: [] });
    lane.begin(i, SLICE.idle);
    this.sources.set(id, lane);
  }

  /** The event that began what an idle task waits for: a wait, or the span it is in; -1, or `LOST`. */
  waitOf(task, model) {
    if (task.holders === 0) return LOST;
    const wait = model.firstWait(task);
    const span = model.spans.get([...task.spans].pop());
    const limited = !wait || wait.on.is === "timer" && task.outside > 0;
    const told = limited && span ? span : wait;
    return Math.max(-1, (told?.event ?? -1) - this.run.first);
  }

  /**
   * Where a wait of a task for another ends, as of event `i`: that of the other, or of the one which that
   * waits for, and so on. Events, the first of them first.
   */
  waitsBehind(wait, i) {
    const waits = [];
    while (wait >= 0 && this.run.kind[wait] === K.waits_for_task && waits.length < 8) {
      const lane = this.tasks.get(this.run.f[0][wait]);
      const slice = lane ? lastAtMost(lane.start, i) : -1;
      wait = slice >= 0 && lane.end[slice] > i ? lane.note[slice] : -1;
      if (wait < 0 || waits.includes(wait)) break;
      waits.push(wait);
    }
    return waits;
  }

  /** Takes event `i` into the lanes. */
  note(i, state, before, model) {
    const { run } = this;
    const [id, a] = [run.task[i], run.f[0][i]];
    switch (run.kind[i]) {
      case K.spawned: this.spawns.push(i); break;
      case K.woken:
        if (a === 0 || a === 2) {
          this.lane(id).woken = i;
          this.wakes.push(i);
        }
        break;
      case K.poll_started:
        this.polls.push(i);
        this.wakeOf[i] = this.lane(id).woken;
        this.lane(id).woken = -1;
        this.loop.begin(i, SLICE.poll, id);
        break;
      case K.poll_ended: {
        this.loop.finish(i);
        const started = this.pollOf[i];
        if (started >= 0) {
          const took = run.at[i] - run.at[started] - (this.pausedIn.get(started) ?? 0);
          if (took > this.longestPoll) [this.longestPoll, this.longestAt] = [took, started];
        }
        break;
      }
      case K.observer_paused: {
        const poll = this.pollOf[i];
        if (poll >= 0) this.pausedIn.set(poll, (this.pausedIn.get(poll) ?? 0) + a);
        break;
      }
      case K.turn_started: this.turns.push(i); break;
      case K.parked: this.loop.begin(i, a === 0 ? SLICE.look : SLICE.park); break;
      case K.unparked: this.loop.finish(i); break;
      case K.timer_armed: this.armed(a, id, i); break;
      case K.timer_fired: case K.timer_dropped: {
        const timer = this.timers.get(a);
        if (!timer) break;
        timer.end = i;
        if (run.kind[i] !== K.timer_fired) break;
        timer.fired = i;
        timer.late = run.f[1][i];
        break;
      }
      case K.source_registered: this.registered(run.f[1][i], i); break;
      case K.source_ready: case K.source_tried: this.sources.get(run.f[2][i])?.marks.push(i); break;
      case K.source_closed: this.sources.get(a)?.finish(i); break;
    }
    if (!state || state.is === before) return;
    const lane = this.lane(id);
    if (hasEnded(state)) {
      lane.finish(i);
      lane.ended = state.is === "cancelled" ? "cancelled" : state.panicked ? "panicked" : "done";
      lane.endEvent = i;
    } else if (state.is === "ending") {
      lane.finish(i);
    } else {
      const wait = state.is === "idle" ? this.waitOf(model.tasks.get(id), model) : -1;
      lane.begin(i, SLICE[state.is], wait);
    }
  }

  /** The model after the first `count` events. It is the caller's until the next call. */
  seek(count) {
    const have = this.current.next - this.run.first;
    const checkpoint = lastAtMost(this.checkpointAt, count);
    // Going on is cheaper than a copy, unless the copy is nearer by more than it costs.
    const ahead = this.checkpointAt[checkpoint] - have;
    if (have > count || ahead > this.current.size()) {
      this.current = this.checkpoints[checkpoint].clone();
    }
    for (let i = this.current.next - this.run.first; i < count; i++) {
      this.current.apply(this.run, i);
    }
    return this.current;
  }

  /**
   * Why a task is not running after `count` events, in words and with what came of it: what a lock or a
   * channel of another crate does is unknown to a loop until the wake comes.
   */
  why(id, count) {
    const { run } = this;
    const model = this.seek(count);
    const words = model.whyInWords(run, id);
    const lane = this.tasks.get(id);
    if (!lane || model.why(id).reasons[0]?.is !== "outside") return words;
    const end = lane.end[lastAtMost(lane.start, count - 1)] ?? Infinity;
    if (!(end < run.n) || run.kind[end] !== K.woken) return words;
    const after = nanos(Math.max(0, run.at[end] - model.tasks.get(id).since));
    return `${words}: woken ${after} later by ${cause(run, run.f[1][end], run.f[2][end])}`;
  }

  /**
   * Why did the poll at event `i` happen? Events from it back to the first cause: the poll, the
   * wake that led to it, the poll in which that wake was made, and so on.
   */
  chain(i, limit = 40) {
    const events = [];
    let poll = this.run.kind[i] === K.poll_started ? i : this.pollOf[i];
    while (poll >= 0 && events.length < limit) {
      events.push(poll);
      const wake = this.wakeOf[poll];
      if (wake < 0) break;
      events.push(wake);
      poll = this.pollOf[wake];
    }
    return events;
  }
}

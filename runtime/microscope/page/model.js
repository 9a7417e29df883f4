// From events to state: the twin of `src/model`. A test applies both to the same events and
// compares every member, so whatever is changed here is changed there.
import { K, UNCOUNTED } from "./trace.js";
import { Verdicts, hasEnded, inOrder, stateWord } from "./why.js";

const TURNING = { is: "turning" };
const IDLE = { is: "idle" };
const SCHEDULED = { is: "scheduled" };
const RUNNING = { is: "running" };
const MAPS = ["tasks", "timers", "sources", "jobs", "spans"];
/** Members that are sets of ids: of a source by direction. */
const SIDES = ["readers", "writers"];
const SETS = ["spans", ...SIDES];
const MAX_ILLEGAL = 100;
let epochs = 0;

/** Tells a wait from the others of its task. */
const waitKey = ({ is, id, direction }) => `${is}${id}${direction ?? ""}`;

export class Model extends Verdicts {
  /** The state that a trace's snapshot tells. */
  static from(snapshot) {
    const model = Object.assign(new Model(), structuredClone(snapshot));
    for (const map of MAPS) {
      for (const value of model[map]) {
        for (const set of SETS) if (value[set]) value[set] = new Set(value[set]);
        if (value.waits) {
          value.waits = new Map(value.waits.map(([on, wait]) => [waitKey(on), { on, ...wait }]));
        }
      }
      model[map] = new Map(model[map].map((value) => [value.id, value]));
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
    const { epoch, ...members } = this;
    const listed = (map) => [...map.values()].sort((a, b) => a.id - b.id)
      .map(({ epoch: _, ...value }) => {
        for (const set of SETS) if (value[set]) value[set] = [...value[set]].sort((a, b) => a - b);
        if (value.waits) {
          value.waits = inOrder(value).map(({ on, ...wait }) => [on, wait]);
        }
        return value;
      });
    for (const map of MAPS) members[map] = listed(this[map]);
    return members;
  }

  /** An entry of a map that may be changed: a copy, if another model shares it. */
  own(map, id) {
    let value = this[map].get(id);
    if (value && value.epoch !== this.epoch) {
      value = { ...value, epoch: this.epoch };
      this[map].set(id, value);
    }
    return value;
  }

  /** A set or map of such an entry that may be changed, if there is the entry. */
  inner(map, id, name) {
    const value = this.own(map, id);
    if (value && value[name].epoch !== this.epoch) {
      value[name] = new value[name].constructor(value[name]);
      value[name].epoch = this.epoch;
    }
    return value?.[name];
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
      case K.poll_started: this.pollStarted(event, a); break;
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
        this.endJoin(id);
        break;
      case K.output_taken:
        this.change(event, (task) => (task.output_taken = true) && hasEnded(task.state));
        break;
      case K.panic_unseen:
        this.change(event, (task) => (task.panic_unseen = true) && !!task.state.panicked
          && task.state.is === "done");
        break;
      case K.waits_for_task: {
        // One task at a time waits for another: the one that polled the handle last.
        const other = this.own("tasks", a);
        if (!other || hasEnded(other.state)) break;
        const on = { is: "task", id: a };
        if (other.joiner !== id) this.endWait(other.joiner, on);
        other.joiner = id;
        this.beginWait(event, on);
        break;
      }
      case K.task_wait_dropped: this.endJoin(a); break;
      case K.waits_for_source: {
        const waiting = this.inner("sources", b, SIDES[a]);
        if (!waiting) break;
        waiting.add(id);
        this.beginWait(event, { is: "source", id: b, direction: a });
        break;
      }
      case K.source_wait_dropped: {
        const on = { is: "source", id: b, direction: a };
        const waits = this.inner("tasks", id, "waits");
        const wait = waits?.get(waitKey(on));
        if (wait?.futures > 1) {
          waits.set(waitKey(on), { ...wait, futures: wait.futures - 1 });
        } else {
          this.endWait(id, on);
          this.inner("sources", b, SIDES[a])?.delete(id);
        }
        break;
      }
      case K.waits_for_timer: case K.waits_for_job: {
        const map = event.kind === K.waits_for_timer ? "timers" : "jobs";
        const thing = this.own(map, a);
        if (!thing) break;
        const on = map === "jobs" ? { is: "job", id: a }
          : { is: "timer", deadline: thing.deadline, id: a };
        this.endWait(thing.task, on);
        thing.task = id;
        this.beginWait(event, on);
        break;
      }
      case K.timer_armed:
        this.insert(event, "timers", "a timer armed already",
          { id: a, task: id, deadline: b, event: this.next, at });
        this.beginWait(event, { is: "timer", deadline: b, id: a });
        break;
      case K.timer_fired:
        this.totals.timers_fired++;
        if (b > this.totals.latest_timer) this.totals.latest_timer = b;
        this.disarm(event, a);
        break;
      case K.timer_dropped: this.disarm(event, a); break;
      case K.source_registered:
        this.insert(event, "sources", "a source registered already", {
          id: b, kind: a, fd: c, task: id, event: this.next,
          readable: 0, writable: 0, read: 0, written: 0, readers: new Set(), writers: new Set(),
        });
        break;
      case K.source_ready:
        this.totals.readiness++;
        this.source(event, c, (source) => {
          if (a) source.readable = this.next + 1;
          if (b) source.writable = this.next + 1;
        });
        if (a) this.endSourceWaits(c, 0);
        if (b) this.endSourceWaits(c, 1);
        break;
      case K.source_tried:
        this.source(event, c, (source) => {
          source[a === 0 ? "read" : "written"] += d;
          // Would block, short, or cleared by the program: drained.
          if (b === 1 || b >= 4) source[a === 0 ? "readable" : "writable"] = 0;
        });
        break;
      case K.source_closed:
        this.endSourceWaits(a, 0);
        this.endSourceWaits(a, 1);
        this.remove(event, "sources", a, "a source that is not registered");
        break;
      case K.job_queued:
        this.put("jobs", { id: a, task: id, event: this.next, at });
        this.beginWait(event, { is: "job", id: a });
        break;
      case K.job_ended: case K.job_dropped: {
        const job = this.remove(event, "jobs", a, "a job that was not queued");
        if (job) this.endWait(job.task, { is: "job", id: a });
        break;
      }
      case K.span_opened:
        this.put("spans", { id: a, task: id, parent: b, label: c, event: this.next });
        this.inner("tasks", id, "spans")?.add(a);
        break;
      case K.span_closed: {
        const span = this.remove(event, "spans", a, "a span that is not open");
        if (span) this.inner("tasks", span.task, "spans")?.delete(a);
        break;
      }
      case K.observer_paused:
        this.totals.paused += a;
        this.running_paused += a;
        break;
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

  /** Takes a value out of a map and gives it. */
  remove(event, map, id, told) {
    const value = this[map].get(id);
    if (!this[map].delete(id)) this.illegalEvent(event, `told of ${told}`);
    return value;
  }

  disarm(event, id) {
    const timer = this.remove(event, "timers", id, "a timer that is not armed");
    if (timer) this.endWait(timer.task, { is: "timer", deadline: timer.deadline, id });
  }

  beginWait(event, on) {
    const waits = this.inner("tasks", event.id, "waits");
    const before = waits?.get(waitKey(on));
    // Of the other kinds there is one wait for each thing.
    const futures = on.is === "source" ? (before?.futures ?? 0) + 1 : 1;
    waits?.set(waitKey(on), { on, event: this.next, at: event.at, futures });
  }

  /** The wait of one task is over. */
  endWait(id, on) {
    this.inner("tasks", id, "waits")?.delete(waitKey(on));
  }

  /** What waited for this task to end waits no more. */
  endJoin(id) {
    const task = this.own("tasks", id);
    if (!task) return;
    this.endWait(task.joiner, { is: "task", id });
    task.joiner = 0;
  }

  /** All tasks that wait in a direction of a source are woken. */
  endSourceWaits(id, direction) {
    const source = this.own("sources", id);
    if (!source) return;
    const tasks = source[SIDES[direction]];
    source[SIDES[direction]] = new Set();
    for (const task of tasks) this.endWait(task, { is: "source", id, direction });
  }

  /** A task that ends waits for nothing. */
  endAll(id) {
    const task = this.own("tasks", id);
    if (!task) return;
    for (const { on } of task.waits.values()) {
      if (on.is === "task") {
        const other = this.own("tasks", on.id);
        if (other) other.joiner = 0;
      } else if (on.is === "source") {
        this.inner("sources", on.id, SIDES[on.direction])?.delete(id);
      } else {
        const thing = this.own(on.is === "job" ? "jobs" : "timers", on.id);
        if (thing) thing.task = 0;
      }
    }
    task.waits = new Map();
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
      woken: null, holders: 0, waker_clones: 0, waker_drops: 0, outside: 0, cancel: null,
      detached: false, output_taken: false, panic_unseen: false, waits: new Map(), joiner: 0, spans: new Set(),
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

  /** So many wakers of a task are held now. */
  hold(task, holders) {
    if (holders === UNCOUNTED) return;
    task.waker_clones += Math.max(0, holders - task.holders);
    task.waker_drops += Math.max(0, task.holders - holders);
    task.holders = holders;
  }

  pollStarted(event, holders) {
    this.leaveReady(event.id);
    if (this.running !== 0) this.illegalEvent(event, "polled inside another poll");
    this.running = event.id;
    this.running_paused = 0;
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
      this.hold(task, holders);
      this.enter(task, RUNNING, event);
      return legal;
    });
  }

  pollEnded(event, outcome, requeued, holders) {
    this.running = 0;
    const paused = this.running_paused;
    this.running_paused = 0;
    let ran = 0;
    this.change(event, (task) => {
      const legal = task.state.is === "running";
      ran = Math.max(0, event.at - task.since - paused);
      task.busy += ran;
      if (ran >= task.longest_poll) {
        task.longest_poll = ran;
        task.longest_poll_event = this.next;
      }
      if (outcome === 0) this.hold(task, holders);
      else task.holders = holders;
      let inside = 0;
      for (const wait of task.waits.values()) inside += wait.futures;
      task.outside = Math.max(0, holders - inside);
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
    this.endJoin(event.id);
    this.endAll(event.id);
    this.change(event, (task) => {
      const before = task.state.is;
      this.enter(task, state, event);
      return legal.includes(before);
    });
    if (state.is === "cancelled") this.totals.cancelled++;
    else this.totals.done++;
  }
}

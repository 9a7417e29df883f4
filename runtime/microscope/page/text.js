// Words for people: durations, counts, and one sentence per event. The twin of `src/text.rs`.
import { K } from "./trace.js";

/** Nanoseconds as a person reads them: `640 ns`, `12.3 µs`, `18 ms`, `1.234 s`. */
export function nanos(ns) {
  const tidy = (value, digits) => String(Number(value.toFixed(digits)));
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${tidy(Math.floor((ns + 50) / 100) / 10, 1)} µs`;
  if (ns < 1e9) return `${tidy(Math.floor((ns + 5e4) / 1e5) / 10, 1)} ms`;
  return `${tidy(Math.floor((ns + 5e5) / 1e6) / 1e3, 3)} s`;
}

export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** A number with thin spaces between its thousands. */
export const big = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

/** Beyond this, an instant is "never". */
export const NEVER = 2 ** 53;
export const isNever = (ns) => ns < 0 || ns > NEVER;

/** `task 3 "fetch /b"` */
export function taskName(run, id) {
  const text = run.tasks.get(id);
  return text && text.name !== null ? `task ${id} "${text.name}"` : `task ${id}`;
}

/** What a lane or chip says: the name if there is one. */
export function shortName(run, id) {
  const text = run.tasks.get(id);
  return text && text.name !== null ? `${id} ${text.name}` : `task ${id}`;
}

export const label = (run, n) => run.labels.get(n)?.text ?? `#${n}`;

/** `src/crawl.rs:41:9`, or nothing. */
export function place(run, id) {
  const text = run.tasks.get(id);
  return text && text.file ? `${text.file}:${text.line}:${text.column}` : "";
}

/** Who made a wake happen. */
export function cause(run, by, id) {
  switch (run.enums.CauseKind[by]) {
    case "outside": return "code outside of the loop";
    case "spawn": return "its spawn";
    case "task": return taskName(run, id);
    case "timer": return `timer #${id}`;
    case "source": return `source ${id}`;
    case "join": return `the end of ${taskName(run, id)}`;
    case "job": return `blocking job ${id}`;
    case "thread": return "another thread";
    case "cancel": return "a cancel request";
    default: return "the shutdown";
  }
}

function woken(run, task, [effect, by, id]) {
  const itself = run.enums.CauseKind[by] === "task" && id === task;
  const who = itself ? "it" : cause(run, by, id);
  const which = taskName(run, task) + (itself ? " itself" : "");
  switch (effect) {
    case 0: return `${who} wakes ${which}: it queues`;
    case 1: return `${who} wakes ${which}, which is queued already`;
    case 2: return `${who} wakes ${which} while it runs: it will queue again`;
    default: return `${who} wakes ${which}, which has ended: nothing happens`;
  }
}

const LEFT = [
  "the loop ends: the main future is done",
  "the loop ends: the main future panicked",
  "the loop hands the thread back after a turn",
  "the loop hands the thread back: nothing is ready",
  "the loop ends: nothing can ever wake a task again",
  "the runtime is dropped",
];
const CANCEL = [
  (task) => `${task} is to be cancelled when its turn comes`,
  (task) => `${task} is to be cancelled after this poll`,
  (task) => `a cancel of ${task} changes nothing`,
];
export const ABLE = ["readable", "writable"];
const READY = [["neither readable nor writable", "writable"], ["readable", "readable and writable"]];

/** One sentence that says what event `i` of a run is. */
export function sentence(run, i) {
  const id = run.task[i];
  const task = taskName(run, id);
  const [a, b, c, d] = run.f.map((column) => column[i]);
  switch (run.kind[i]) {
    case K.spawned:
      return a === 0 ? `${task} is spawned, ready to run`
        : `${taskName(run, a)} spawns ${task}, ready to run`;
    case K.woken: return woken(run, id, [a, b, c]);
    case K.poll_started: return `${task} runs`;
    case K.poll_ended:
      if (a === 1) return `${task} returns its value`;
      if (a === 2) return `${task} panics`;
      if (b) return `${task} is not ready yet, and was woken meanwhile: it queues again`;
      return c === 0 ? `${task} is not ready yet, and no waker of it is left`
        : `${task} is not ready yet: it waits`;
    case K.done:
      if (a) return `${task} is done: it panicked`;
      return b ? `${task} is done before its cancel took effect` : `${task} is done`;
    case K.cancelled:
      return `${task} is cancelled (${run.enums.CancelOrigin[a].replace("_", " ")})`;
    case K.cancel_requested: return CANCEL[a](task);
    case K.detached: return `the handle of ${task} is dropped: it goes on by itself`;
    case K.output_taken: return `the result of ${task} is read`;
    case K.panic_unseen: return `the panic of ${task} was never looked at: it is reported`;
    case K.waits_for_task: return `${task} waits for ${taskName(run, a)} to end`;
    case K.waits_for_source: return `${task} waits for source ${b} to become ${ABLE[a]}`;
    case K.task_wait_dropped: return `${taskName(run, a)} is waited for no more`;
    case K.source_wait_dropped:
      return `${task} waits no more for source ${b} to become ${ABLE[a]}`;
    case K.waits_for_timer: return `${task} waits for timer #${a}`;
    case K.waits_for_job: return `${task} waits for blocking job ${a}`;
    case K.job_dropped: return `blocking job ${a} is waited for no more`;
    case K.observer_paused:
      return `the recorder kept the loop for ${nanos(a)}: nothing of the program's`;
    case K.loop_entered: return "the loop takes the thread";
    case K.loop_left: return LEFT[a];
    case K.turn_started: return `turn ${b} begins with ${count(a, "task")} ready`;
    case K.turn_ended: return "the turn ends";
    case K.parked:
      if (a === 0) return "the loop looks for readiness without waiting";
      return isNever(a) ? "the loop sleeps until something happens"
        : `the loop sleeps for ${nanos(a)} at most`;
    case K.unparked: return `the system answers with ${count(a, "readiness event")}`;
    case K.clock_jumped: return `the virtual clock jumps to ${nanos(a)}`;
    case K.decided: return `the scheduler draws number ${b} of ${a}`;
    case K.advanced: return `the loop puts ${count(b, "task")} before the rest of the batch`;
    case K.timer_armed:
      return isNever(b) ? `${task} arms timer #${a}, which is never due`
        : `${task} arms timer #${a}, due at ${nanos(b)}`;
    case K.timer_fired: return `timer #${a} fires, ${nanos(b)} late`;
    case K.timer_dropped: return `timer #${a} is dropped before it fired`;
    case K.source_registered:
      return `source ${b} is registered: a ${run.enums.SourceKind[a]}, fd ${c}`;
    case K.source_ready: return `source ${c} is ${READY[a][b]}`;
    case K.source_tried: {
      if (b === 5) {
        return `${task} says that ${a === 0 ? "reading" : "writing"} source ${c} would block`;
      }
      // As when it is connected.
      const bytes = d === 0 ? "done" : count(d, "byte");
      const how = [bytes, "it would block", "end of stream", "an error", `${count(d, "byte")}, all there was`][b];
      return `${task} ${a === 0 ? "reads" : "writes"} source ${c}: ${how}`;
    }
    case K.source_closed: return `source ${a} is closed`;
    case K.job_queued: return `${task} hands blocking job ${a} to the pool`;
    case K.job_ended: return `blocking job ${a} has ended after ${nanos(b)}`;
    case K.span_opened: return `${task} begins "${label(run, c)}"`;
    case K.span_closed:
      return b ? `span ${a} completes after ${count(c, "poll")}`
        : `span ${a} is dropped midway after ${count(c, "poll")}`;
    case K.marked: return `mark: ${label(run, a)}`;
    default: return "something that this microscope is too old to know";
  }
}

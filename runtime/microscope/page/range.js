// What happened in a range of a run, and how long a task's polls and its waits in the queue took.
import { K } from "./trace.js";
import { nanos } from "./text.js";
import { SLICE, lastAtMost } from "./history.js";
import { h } from "./dom.js";

/** The sums of a range: events `first` to `last`, instants `from` to `to`. */
export function sumsOf({ run, history }, { first, last, from, to }) {
  const all = { busy: 0, parked: 0, turns: 0, wakes: 0, spawned: 0, ended: 0, polls: 0, byTask: new Map() };
  const of = (id) => {
    if (!all.byTask.has(id)) all.byTask.set(id, { id, polls: 0, busy: 0 });
    return all.byTask.get(id);
  };
  for (let i = first; i <= last; i++) {
    switch (run.kind[i]) {
      case K.turn_started: all.turns++; break;
      case K.woken: all.wakes++; break;
      case K.spawned: all.spawned++; break;
      case K.done: case K.cancelled: all.ended++; break;
      case K.poll_started: all.polls++; of(run.task[i]).polls++; break;
    }
  }
  const { loop, pausedIn } = history;
  const when = (i) => (i < run.n ? run.at[i] : run.end);
  for (let k = Math.max(0, lastAtMost(loop.start, first - 1)); k < loop.start.length; k++) {
    const start = loop.start[k];
    if (start > last) break;
    const [begins, ends] = [when(start), when(loop.end[k])];
    const within = Math.max(0, Math.min(to, ends) - Math.max(from, begins));
    if (loop.code[k] !== SLICE.poll) {
      all.parked += within;
      continue;
    }
    const took = Math.max(0, within - (within === ends - begins ? pausedIn.get(start) ?? 0 : 0));
    all.busy += took;
    if (took > 0) of(loop.note[k]).busy += took;
  }
  return all;
}

/** The polls of a task that have ended by then, and its stays in the ready queue, in nanoseconds each. */
export function durations({ run, history }, id, cursor) {
  const lane = history.tasks.get(id);
  const found = { polls: [], queued: [] };
  for (let k = 0; lane && k < lane.start.length && lane.end[k] < Math.min(cursor, run.n); k++) {
    const took = run.at[lane.end[k]] - run.at[lane.start[k]];
    if (lane.code[k] === SLICE.running) {
      found.polls.push(Math.max(0, took - (history.pausedIn.get(lane.start[k]) ?? 0)));
    } else if (lane.code[k] === SLICE.scheduled && lane.code[k + 1] === SLICE.running) found.queued.push(took);
  }
  return found;
}

/** A histogram: a row for each factor of four in which there is something between the least and the most. */
export function histogram(title, values) {
  if (values.length === 0) return null;
  const rows = new Map();
  const bucket = (value) => (value < 1 ? -1 : Math.floor(Math.log2(value) / 2));
  for (const value of values) rows.set(bucket(value), (rows.get(bucket(value)) ?? 0) + 1);
  const keys = [...rows.keys()];
  const [low, high] = [Math.min(...keys), Math.max(...keys)];
  const most = Math.max(...rows.values());
  const said = (k) => (k < 0 ? "0 ns" : `${nanos(4 ** k)} to ${nanos(4 ** (k + 1))}`);
  const row = (k) => h("tr", {}, h("th", { scope: "row" }, said(k)), h("td", { class: "bar-cell" },
    h("span", { class: "measure", style: `width:${100 * (rows.get(k) ?? 0) / most}%` })), h("td", {}, String(rows.get(k) ?? 0)));
  return h("table", { class: "plain histogram" }, h("caption", {}, title),
    h("tbody", {}, Array.from({ length: high - low + 1 }, (_, i) => row(low + i))));
}

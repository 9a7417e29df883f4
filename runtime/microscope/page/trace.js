// A recorded run: from its JSON (format: `src/json.rs`) to columns of numbers.

/** Numbers of the kinds in this code. Those of a file are matched by name. */
export const K = {
  loop_entered: 1, loop_left: 2, turn_started: 3, turn_ended: 4, parked: 5, unparked: 6,
  clock_jumped: 7, decided: 8, advanced: 9,
  spawned: 20, woken: 21, poll_started: 22, poll_ended: 23, done: 24, cancelled: 25,
  cancel_requested: 26, detached: 27, output_taken: 28, panic_unseen: 29,
  waits_for_task: 40, waits_for_source: 41, waits_for_timer: 42, waits_for_job: 43,
  task_wait_dropped: 44, source_wait_dropped: 45,
  timer_armed: 50, timer_fired: 51, timer_dropped: 52,
  source_registered: 60, source_ready: 61, source_tried: 62, source_closed: 63,
  job_queued: 70, job_ended: 71, job_dropped: 72, span_opened: 80, span_closed: 81, marked: 82,
  observer_paused: 90,
};
export const KIND_NAMES = Object.fromEntries(Object.entries(K).map(([name, n]) => [n, name]));

/** Stands for how many wakers are held where they were not counted. */
export const UNCOUNTED = 2 ** 32 - 1;

const FIELDS = 4;

/** A text without what would reorder or break a line: the twin of `harmless`. */
export const harmless = (text) =>
  text.replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");

/** Columns of a trace; throws an `Error` that says what is wrong with a broken one. */
export function load(json) {
  if (!json || json.format !== "mainspring-trace") {
    throw new Error("this is no mainspring trace");
  }
  if (json.version !== 1) {
    throw new Error(`the trace has format version ${json.version}, this page reads 1`);
  }
  const { meta, kinds, enums, tasks, labels, snapshot, events } = json;
  if (![meta, kinds, enums, snapshot].every((part) => part && typeof part === "object")
    || ![tasks, labels, events].every(Array.isArray)) {
    throw new Error("the trace is broken: a part of it is missing");
  }
  const ours = new Map(Object.entries(kinds).map(([n, row]) => [Number(n), K[row[0]] ?? 0]));
  const at = new Float64Array(events.length);
  const kind = new Uint8Array(events.length);
  const task = new Float64Array(events.length);
  const f = Array.from({ length: FIELDS }, () => new Float64Array(events.length));
  let now = 0;
  let n = 0;
  for (const row of events) {
    if (!Array.isArray(row) || row.length < 3 || !row.every(Number.isFinite)) {
      throw new Error(`the trace is broken: row ${n} is ${JSON.stringify(row)}`);
    }
    now += row[0];
    const number = ours.get(row[1]);
    if (!number) continue;
    at[n] = now;
    kind[n] = number;
    task[n] = row[2];
    for (let j = 0; j < FIELDS; j++) f[j][n] = row[3 + j] ?? 0;
    n++;
  }
  const clean = (text) => ({ ...text, name: text.name == null ? null : harmless(text.name) });
  const byId = new Map(tasks.map((text) => [text.id, clean(text)]));
  const labelled = new Map(labels.map((label) => [label.id, { ...label, text: harmless(label.text) }]));
  const cut = (column) => column.subarray(0, n);
  return {
    title: harmless(String(meta.title)), meta, kinds, enums, labels: labelled, snapshot, tasks: byId, n,
    first: snapshot.next, findings: json.findings ?? [],
    at: cut(at), kind: cut(kind), task: cut(task), f: f.map(cut),
    start: n ? at[0] : 0, end: n ? Math.max(at[n - 1], at[0] + 1) : 1,
  };
}

// What a newcomer is shown first: the busiest instant of a run, and three moments of it, each with a sentence.
import { K } from "./trace.js";
import { count, nanos, sentence, taskName } from "./text.js";

const MOMENTS = 3;

/** How many events lead to the state in which most tasks are ready; all of them if none ever is. */
export function busiest({ run, history }) {
  return history.busiest || run.n;
}

/** `100 fetches`, `3 tasks`: by the word that the names of all these tasks begin with. */
function called(run, ids) {
  const words = new Set(ids.map((id) => /^\p{L}+/u.exec(run.tasks.get(id)?.name ?? "")?.[0] ?? ""));
  const [word] = words;
  const noun = words.size === 1 && word ? word : "task";
  return `${ids.length} ${noun}${/(ch|sh|s|x)$/.test(noun) ? "es" : "s"}`;
}

/** The poll that spawns most tasks. */
function starts(run, history) {
  const byPoll = new Map();
  for (const i of history.spawns) {
    const poll = history.pollOf[i];
    if (!byPoll.has(poll)) byPoll.set(poll, { at: i, ids: [] });
    byPoll.get(poll).ids.push(run.task[i]);
  }
  const all = [...byPoll.values()].sort((a, b) => b.ids.length - a.ids.length || b.at - a.at);
  if (all.length === 0) return null;
  const [{ at, ids }] = all;
  return { at, text: ids.length === 1 ? `${taskName(run, ids[0])} starts` : `${called(run, ids)} start` };
}

/** The time in which nothing runs that is longest for those who wait. */
function sleeps(run, history) {
  let at = -1;
  let longest = 0;
  let most = 0;
  for (let i = 0; i + 1 < run.n; i++) {
    const gap = run.at[i + 1] - run.at[i];
    const weight = gap * (history.inFlight[i + 1] + 1);
    if (weight <= most || history.pollOf[i + 1] >= 0 && history.pollOf[i + 1] <= i) continue;
    [at, longest, most] = [i, gap, weight];
  }
  if (at < 0) return null;
  const waiting = history.inFlight[at + 1];
  return { at, text: `the loop sleeps for ${nanos(longest)}, ${count(waiting, "task")} waiting` };
}

/** Between two polls, the most tasks woken by what comes from outside. */
function answers(run, history) {
  let best = null;
  let now = null;
  let sort = "";
  const sorts = { [K.timer_fired]: "timer", [K.job_ended]: "blocking job" };
  for (let i = 0; i < run.n; i++) {
    const kind = run.kind[i];
    if (history.pollOf[i] >= 0) now = null;
    // What can be written to has not answered.
    else if (kind === K.source_ready) sort = run.f[0][i] ? "answer" : "";
    else if (sorts[kind]) sort = sorts[kind];
    else if (kind === K.woken && run.f[0][i] === 0 && sort) {
      now ??= { at: i, wakes: 0, by: new Map() };
      now.wakes++;
      now.by.set(sort, (now.by.get(sort) ?? 0) + 1);
      if (now.wakes > (best?.wakes ?? 0)) best = now;
    }
  }
  if (!best) return null;
  const verbs = { answer: "come", timer: "fire", "blocking job": "end" };
  const came = [...best.by].map(([noun, n]) => `${count(n, noun)} ${verbs[noun]}${n === 1 ? "s" : ""}`);
  return { at: best.at, text: `${came.join(", ")}: ${count(best.wakes, "task")} ${best.wakes === 1 ? "wakes" : "wake"}` };
}

/** The poll that takes longest. */
function runsLong(run, { longestAt, longestPoll }) {
  if (longestAt < 0) return null;
  return { at: longestAt, text: `the longest poll: ${taskName(run, run.task[longestAt])} runs for ${nanos(longestPoll)}` };
}

/** Three moments in the order of time: how it begins, how the loop sleeps, how it goes on. */
export function moments({ run, history }) {
  const found = [];
  const told = (moment) => found.some(({ at }) => at === moment.at);
  const event = (i) => () => (run.n > i ? { at: i, text: sentence(run, i) } : null);
  for (const find of [starts, sleeps, answers, runsLong, event(run.n - 1), event(0)]) {
    const moment = found.length < MOMENTS ? find(run, history) : null;
    if (moment && !told(moment)) found.push(moment);
  }
  return found.sort((a, b) => a.at - b.at);
}

// What the page shows, and its keys.
import { badge, h } from "./dom.js";

const KEYS = [
  ["← →", "an event back, on"],
  ["Shift + ← →", "a poll back, on"],
  ["Ctrl + ← →", "a turn back, on"],
  ["Home, End", "first, last event"],
  ["Space", "play, pause"],
  ["↑ ↓", "task above, below"],
  ["W S", "zoom in, out"],
  ["A D", "move left, right"],
  ["F", "fit the whole run"],
  ["E", "unfold or fold the selected task's group, or all"],
  ["C", "centre the cursor"],
  ["Z", "undo a zoom"],
  ["X", "axis: time or events"],
  ["M", "mark the one and the other end of a range"],
  ["N P", "next, previous finding"],
  ["G", "go to an event by number"],
  ["/", "search; Enter for the next hit"],
  ["1 … 7", "panels"],
  ["[ ]", "previous, next run"],
  ["?", "this help"],
];

const MEANINGS = [
  ["scheduled", "in the ready queue: hatched"],
  ["running", "its future is being polled: solid"],
  ["idle", "waits for a wake: a thin line"],
  ["done", "it returned"],
  ["panicked", "it panicked: a way of being done"],
  ["cancelled", "its future was dropped before it was ready"],
];

export class Help {
  constructor() {
    const rows = (list, first) => h("dl", {}, list.map(([a, b]) =>
      [h("dt", {}, first(a)), h("dd", {}, b)]));
    this.element = h("div", { class: "panel help" },
      h("section", {}, h("h3", {}, "What you see"),
        h("p", {}, "Every event of a run of the loop. The cursor stands after one of them; every "
          + "panel shows the state at the cursor. Arrows in the timeline are wakes: from what caused "
          + "them to the task that was woken. The strong ones are the chain of causes that led to "
          + "the event at the cursor."),
        h("p", {}, "Click a slice to put the cursor at its start, a name to select the task; "
          + "double-click to zoom to a slice; drag to select a range and see its sums; Shift and drag, or one "
          + "finger, to move; Ctrl and wheel, or two fingers, to zoom. "
          + "On the axis of events every event has the same width, which shows what happens within "
          + "an instant."),
        h("p", {}, "The wakers of a task are counted where a poll begins and where it ends. So at least as many "
          + "as is said were cloned and dropped; one that came and went between two counts is in neither."),
        h("p", {}, "The address of the page holds what you see: copy it to show it to others.")),
      h("section", {}, h("h3", {}, "States of a task"), rows(MEANINGS, badge)),
      h("section", {}, h("h3", {}, "Keys"), rows(KEYS, (keys) => h("kbd", {}, keys))));
  }

  render() {}
}

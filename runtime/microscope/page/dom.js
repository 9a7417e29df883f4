// Small helpers for the document. Texts become text nodes, never markup.
import { big, label } from "./text.js";

/** Spans of a task that are listed. */
const MAX_SPANS = 20;

/** An element: `h("button", { class: "x", onclick: f }, "text", child)`. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const FOCUSABLE = "button, input, [tabindex]";

/** Replaces what is in an element. What had the focus in it hands it to what stands for it now. */
export function fill(element, ...children) {
  const focus = element.contains(document.activeElement) && element !== document.activeElement
    ? document.activeElement : null;
  const at = focus ? [...element.querySelectorAll(FOCUSABLE)].indexOf(focus) : -1;
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  if (!focus || element.contains(focus)) return;
  const now = [...element.querySelectorAll(FOCUSABLE)];
  const heir = now.find((one) => one.textContent === focus.textContent) ?? now[Math.min(at, now.length - 1)];
  heir?.focus({ preventScroll: true });
}

/** Glyphs of the states, so that none is told by its colour alone. */
export const GLYPH = {
  idle: "…", scheduled: "»", running: "▶", ending: "▶", done: "✓", cancelled: "×", panicked: "!",
};

export const SAID = { idle: "pending, idle", scheduled: "pending, scheduled" };

/** A state as a badge: glyph, word and colour. */
export function badge(word) {
  return h("span", { class: `badge is-${word}` }, `${GLYPH[word]} ${SAID[word] ?? word}`);
}

/** The colours of the style sheet, for canvases. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "faint", "line", "ground", "raised", "run", "run-ink", "ready",
    "idle", "done", "cancelled", "panicked", "accent", "park", "mark"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Fits a canvas to its box on this screen; returns its context and size in CSS pixels. */
export function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** A time on an axis, as exactly as steps of this size need. */
export function timeTick(ns, step) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([unit]) => Math.abs(ns) >= unit) ?? units[3];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  return `${(ns / unit).toFixed(Math.min(9, digits))} ${name}`;
}

/** Steps of 1, 2 or 5 times a power of ten, of which about `wanted` fit into `span`. */
export function niceStep(span, wanted) {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= raw);
}

/** The labelled futures that a task is inside of: one within another, and the arms of a join or select beside each other. */
export function arms(run, model, id) {
  const open = [...model.tasks.get(id).spans].sort((a, b) => a - b).map((span) => model.spans.get(span)).filter(Boolean);
  const spans = open.slice(0, MAX_SPANS);
  const known = new Set(spans.map((span) => span.id));
  const list = (parent) => {
    const own = spans.filter((span) => (known.has(span.parent) ? span.parent : 0) === parent);
    return own.length === 0 ? null
      : h("ul", { class: "arms" }, own.map((span) => h("li", {}, `"${label(run, span.label)}"`, list(span.id))));
  };
  const more = open.length - spans.length;
  return [list(0), more > 0 ? h("span", { class: "quiet" }, `and ${big(more)} more`) : null];
}

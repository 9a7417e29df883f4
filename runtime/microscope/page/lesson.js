// An experiment as a page: the question first; once it is answered, what happened and why.
import { Compare } from "./compare.js";
import { fill, h } from "./dom.js";

export class Lesson {
  constructor(app, lesson) {
    Object.assign(this, { app, lesson });
    this.compare = new Compare(app);
    this.element = h("div", { class: "panel lesson" });
  }

  render() {
    const { app, lesson } = this;
    const given = app.answer !== undefined;
    if (this.shown !== app.answer || !this.element.firstChild) this.build(given);
    this.shown = app.answer;
    if (given) this.compare.render();
  }

  build(given) {
    const { app, lesson } = this;
    const button = (text, onclick, more) => h("button", { type: "button", onclick, ...more }, text);
    const source = (title, text) => (text ? h("figure", {}, h("figcaption", {}, title),
      h("pre", { tabindex: "0" }, h("code", {}, text))) : null);
    const verdict = app.answer < 0 ? "The answer" : app.answer === lesson.right ? "Right" : "Not so";
    fill(this.element, h("h2", {}, lesson.idea), h("p", {}, lesson.program),
      h("p", { class: "verdict" }, lesson.question),
      h("div", { class: "group", role: "group", "aria-label": "Answers" }, lesson.answers.map((text, k) =>
        button(text, () => app.reveal(k), { disabled: given, "aria-pressed": String(k === app.answer) })),
      given ? null : button("show me", () => app.reveal(-1))),
      given ? [h("p", { class: "verdict", role: "status" }, `${verdict}: ${lesson.answers[lesson.right]}.`),
        h("p", {}, lesson.because), button("look at the event", () => app.setPanel("timeline"))] : null,
      given ? this.compare.element : null,
      h("div", { class: "beside" }, given ? lesson.told.map((text) => h("pre", {}, text)) : null,
        source("The program", lesson.source), given ? source("Mended", lesson.mended) : null),
      source("What they use", lesson.shared));
  }
}

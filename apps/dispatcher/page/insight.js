/** For an operator who observes: which variant speaks, why, and what its call has taught. */
import { byId, make } from "./dom.js";
import { number, say, t } from "./words.js";

/** @typedef {import("./line.js").Message} Message */

export class Insight {
  constructor() {
    this.panel = /** @type {HTMLDetailsElement} */ (byId("insight"));
    this.body = byId("insight-body");
    /** @type {Record<string, number>} */
    this.before = {};
    /** @type {Record<string, string>} */
    this.chosen = {};
  }

  hide() {
    this.panel.hidden = true;
    this.panel.open = false;
  }

  /** @param {Message} started */
  begin({ policy_variant: variant, propensity, slots, why, probabilities }) {
    if (!variant) return;
    this.before = probabilities;
    this.chosen = { variant, propensity: number(propensity, 2) };
    say(byId("insight-title"), "insight.variant", this.chosen);
    const list = make("dl", "facts");
    for (const [slot, value] of Object.entries(slots)) {
      list.append(make("dt", "", slot), make("dd", "", String(value)));
    }
    this.body.replaceChildren(make("p", "", why), list, chances(probabilities, probabilities));
    this.panel.hidden = false;
  }

  /** @param {Message} reward */
  learned({ value, components, missing, probabilities }) {
    const title = byId("insight-title");
    if (value === null) say(title, "insight.nothing", this.chosen);
    else say(title, "insight.reward", { ...this.chosen, reward: signed(value) });
    const list = make("dl", "facts");
    for (const [name, part] of Object.entries(components)) {
      list.append(make("dt", "", name), make("dd", "", signed(part)));
    }
    const parts = [list, make("h3", "", t("insight.next")), chances(probabilities, this.before)];
    if (missing.length) {
      parts.splice(1, 0, make("p", "", t("insight.missing", { names: missing.join(", ") })));
    }
    this.body.replaceChildren(...parts);
    this.panel.hidden = false;
  }
}

/** @param {number} share @returns {string} */
const percent = (share) => number(share * 100, 2);

/** @param {number} value @returns {string} */
const signed = (value) => (value > 0 ? "+" : "") + number(value, 2);

/**
 * @param {Record<string, number>} now Variant to probability.
 * @param {Record<string, number>} before
 * @returns {HTMLElement}
 */
function chances(now, before) {
  const list = make("dl", "stages");
  const most = Math.max(...Object.values(now), ...Object.values(before));
  for (const [variant, share] of Object.entries(now)) {
    const was = before[variant] ?? 0;
    const moved = percent(was) !== percent(share);
    const words = moved ? `${percent(was)} → ${percent(share)} %` : `${percent(share)} %`;
    const bar = make("dd", moved ? "moved" : "", words);
    bar.style.setProperty("--share", String(share / most));
    list.append(make("dt", "", variant), bar);
  }
  return list;
}

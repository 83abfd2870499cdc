/** The conversation on the page: both sides' words, their sources, what was cut off, how fast. */
import { make } from "./dom.js";
import { hasWords, number, say, t } from "./words.js";

/** @typedef {{title: string, source: string, page?: number, headings?: string[], document?: string}} Citation */

export class Transcript {
  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
    this.spoken = false;
    /** @type {HTMLElement | null} */
    this.partial = null;
    /** @type {Map<number, HTMLElement>} */
    this.turns = new Map();
    /** @type {Map<HTMLElement, Map<string, Citation>>} */
    this.cited = new Map();
    /** @type {Map<number, {ms: number, stages: Record<string, number>}>} */
    this.latencies = new Map();
  }

  /** @param {boolean} spoken Whether the assistant's words are heard as well. */
  clear(spoken) {
    this.list.replaceChildren();
    this.spoken = spoken;
    this.partial = null;
    this.turns.clear();
    this.cited.clear();
    this.latencies.clear();
  }

  /** @param {string} text What has been understood so far. */
  callerPartial(text) {
    this.partial ??= this.#entry("caller partial");
    this.partial.setAttribute("aria-live", "off");
    this.#words(this.partial).textContent = text;
  }

  /** @param {string} text Nobody repeats typed words: they are shown as they are sent. */
  callerTyped(text) {
    this.#words(this.#entry("caller")).textContent = text;
  }

  /** @param {string} text */
  callerFinal(text) {
    // A new entry, so that it is read out once, as a whole.
    this.settle();
    if (text) this.#words(this.#entry("caller")).textContent = text;
  }

  /**
   * @param {number} turnId
   * @param {string} sentence
   * @param {Citation[]} citations What the sentence was made from.
   */
  assistantSays(turnId, sentence, citations) {
    let entry = this.turns.get(turnId);
    if (!entry) {
      this.settle();
      entry = this.#entry("assistant");
      // What is heard anyway is not read out by a screen reader on top.
      if (this.spoken) entry.setAttribute("aria-live", "off");
      this.turns.set(turnId, entry);
      this.#showLatency(turnId);
    }
    const words = this.#words(entry);
    words.append(make("span", "sentence", words.childElementCount ? ` ${sentence}` : sentence));
    this.#cite(entry, citations);
  }

  /** @param {number} turnId @param {string} heard The words that the caller heard of that turn. */
  interrupted(turnId, heard) {
    const entry = this.turns.get(turnId);
    if (!entry || entry.classList.contains("cut")) return;
    let left = heard.replace(/\s+/g, "").length;
    for (const sentence of entry.querySelectorAll(".sentence")) {
      const [spoken, unspoken] = splitAfter(sentence.textContent ?? "", left);
      left -= spoken.replace(/\s+/g, "").length;
      if (!unspoken) continue;
      sentence.replaceChildren(spoken, make("del", "", unspoken));
      entry.classList.add("cut");
    }
    if (!entry.classList.contains("cut")) return;
    const mark = make("p", "mark");
    say(mark, "interrupted");
    this.#words(entry).after(mark);
  }

  /** @param {number} turnId @param {number} ms @param {Record<string, number>} stages */
  latency(turnId, ms, stages) {
    this.latencies.set(turnId, { ms, stages });
    this.#showLatency(turnId);
  }

  /**
   * A line of its own: a key pressed, a hand-over.
   * @param {string} key
   * @param {Record<string, string | number>} [values]
   */
  noteOf(key, values) {
    const line = make("li", "note");
    say(line, key, values);
    this.list.append(line);
  }

  /** @param {string} key A sentence of this page that the caller should not miss. */
  warnOf(key) {
    this.noteOf(key);
    this.list.lastElementChild?.classList.add("warning");
  }

  /** @param {string} text The same in the server's words. */
  warn(text) {
    this.list.append(make("li", "note warning", text));
  }

  /** Nothing unfinished stays. */
  settle() {
    this.partial?.remove();
    this.partial = null;
  }

  /** @param {string} className @returns {HTMLElement} */
  #entry(className) {
    const entry = make("li", className);
    const who = make("span", "unseen");
    say(who, className.startsWith("caller") ? "you" : "tom");
    entry.append(who, make("p", "words"));
    this.list.append(entry);
    return entry;
  }

  /** @param {HTMLElement} entry @returns {HTMLElement} */
  #words(entry) {
    return /** @type {HTMLElement} */ (entry.querySelector(".words"));
  }

  /** @param {number} turnId */
  #showLatency(turnId) {
    const entry = this.turns.get(turnId);
    const latency = this.latencies.get(turnId);
    if (!entry || !latency || entry.querySelector("details")) return;
    const details = make("details", "latency");
    details.setAttribute("aria-live", "off");
    const seconds = number(latency.ms / 1000, 2);
    const summary = make("summary");
    summary.append(make("span", "", t("latency", { seconds })));
    summary.setAttribute("aria-label", t("latency.label", { seconds }));
    details.append(summary, stageList(latency.stages));
    entry.append(details);
  }

  /** @param {HTMLElement} entry @param {Citation[]} citations */
  #cite(entry, citations) {
    const cited = this.cited.get(entry) ?? new Map();
    for (const citation of citations) cited.set(`${citation.source} ${citation.page ?? ""}`, citation);
    this.cited.set(entry, cited);
    if (!cited.size) return;
    entry.querySelector(".sources")?.remove();
    const line = make("p", "sources", `${t("sources")}: `);
    line.setAttribute("aria-live", "off");
    for (const [place, citation] of [...cited.values()].entries()) {
      const name = make("cite", "", nameOf(citation));
      name.title = citation.source;
      line.append(place ? "; " : "", name);
    }
    this.#words(entry).after(line);
  }
}

/** @param {Citation} citation @returns {string} What a person looks a source up by. */
function nameOf({ title, page, headings = [], document }) {
  if (page) return `${title}, ${t("page", { page })}`;
  const heading = headings.at(-1);
  return document && heading && heading !== title ? `${title}, ${heading}` : title;
}

/** @param {Record<string, number>} stages In milliseconds. @returns {HTMLElement} */
function stageList(stages) {
  const list = make("dl", "stages");
  const longest = Math.max(1, ...Object.values(stages));
  for (const [stage, ms] of Object.entries(stages)) {
    const name = make("dt", "", hasWords(`stage.${stage}`) ? t(`stage.${stage}`) : stage);
    const value = make("dd", "", `${Math.round(ms)} ms`);
    value.style.setProperty("--share", String(Math.max(0, ms) / longest));
    list.append(name, value);
  }
  return list;
}

/**
 * @param {string} text
 * @param {number} letters Spaces do not count.
 * @returns {[string, string]} What reaches up to that many letters, and the rest.
 */
export function splitAfter(text, letters) {
  let seen = 0;
  for (let i = 0; i < text.length; i++) {
    if (/\s/.test(text[i])) continue;
    if (seen >= letters) return [text.slice(0, i), text.slice(i)];
    seen++;
  }
  return [text, ""];
}

/** The rating of a call: five stars, by pointer, by key, or as understood from speech.
 *
 * Who has not rated when the call ends can do so afterwards, where the call has a token for it. */
import { make, takesKeys } from "./dom.js";
import { FINAL, rateLate } from "./late-rating.js";
import { say } from "./words.js";

const MOST = 5;
const SVG = "http://www.w3.org/2000/svg";
const OUTLINE =
  "M12 3.2l2.7 5.6 6.1.9-4.4 4.3 1 6.1-5.4-2.9-5.4 2.9 1-6.1L3.2 9.7l6.1-.9z";

export class Stars {
  /**
   * @param {HTMLElement} card
   * @param {HTMLElement} row Where the stars stand.
   * @param {HTMLElement} hint
   * @param {(stars: number) => void} onChoice Tells the call, while there is one.
   */
  constructor(card, row, hint, onChoice) {
    this.card = card;
    this.hint = hint;
    this.onChoice = onChoice;
    this.buttons = Array.from({ length: MOST }, (_, i) => star(i + 1, () => this.#choose(i + 1)));
    this.#forget();
    row.append(...this.buttons);
    document.addEventListener("keydown", (event) => {
      // While the telephone's keys are shown the digits are theirs.
      if (card.hidden || event.defaultPrevented || takesKeys(event)) return;
      if (!this.buttons[0].disabled && /^[1-5]$/.test(event.key)) this.#choose(Number(event.key));
    });
  }

  /** @param {boolean} spoken Whether the rating can be said. @param {string} [token] */
  ask(spoken, token) {
    this.bind(token);
    this.#show(spoken ? "rating.how" : "rating.how_typed");
  }

  /** @param {string} [token] With it the call can be rated after its end; nothing: it cannot. */
  bind(token = "") {
    this.token = token;
  }

  /** @param {number | null} stars As the server understood them; null for none. */
  settle(stars) {
    this.#close();
    this.settled = true;
    this.#fill(stars ?? 0);
    if (stars === null) say(this.hint, "rating.none");
    else say(this.hint, "rating.thanks", { stars });
  }

  /** The call is over: an answer stays; without one there are stars for as long as they count. */
  close() {
    this.over = true;
    if (this.settled) return;
    if (this.token) this.#show("rating.late");
    else this.hide();
  }

  /** Another call may begin. */
  hide() {
    this.card.hidden = true;
    this.#forget();
  }

  #forget() {
    this.token = "";
    this.over = false;
    this.settled = false;
  }

  /** @param {number} stars */
  #choose(stars) {
    if (this.over) void this.#late(stars);
    else this.onChoice(stars);
  }

  /** @param {number} stars */
  async #late(stars) {
    const { token } = this;
    this.#close();
    this.#fill(stars);
    say(this.hint, "rating.sending");
    const code = await rateLate(token, stars);
    if (token !== this.token) return; // another call has begun meanwhile
    if (!code) return this.settle(stars);
    this.#fill(0);
    if (FINAL.has(code)) say(this.hint, "rating.too_late");
    else this.#show("rating.failed");
  }

  /** @param {string} hint What to do. */
  #show(hint) {
    this.#fill(0);
    this.#enable(true);
    say(this.hint, hint);
    this.card.hidden = false;
  }

  #close() {
    // A button that can no longer be pressed must not keep the focus.
    if (this.card.contains(document.activeElement)) this.card.focus({ preventScroll: true });
    this.#enable(false);
  }

  /** @param {number} stars */
  #fill(stars) {
    this.buttons.forEach((button, i) => button.classList.toggle("full", i < stars));
  }

  /** @param {boolean} enabled */
  #enable(enabled) {
    for (const button of this.buttons) button.disabled = !enabled;
  }
}

/** @param {number} stars @param {() => void} onPress @returns {HTMLButtonElement} */
function star(stars, onPress) {
  const button = /** @type {HTMLButtonElement} */ (make("button", "star"));
  button.type = "button";
  button.setAttribute("data-t-to", "aria-label");
  button.append(drawing());
  say(button, stars === 1 ? "rating.one_star" : "rating.star", { stars });
  button.addEventListener("click", onPress);
  return button;
}

/** @returns {SVGElement} */
function drawing() {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", OUTLINE);
  picture.append(path);
  return picture;
}

/** The rating at the end of a call: five stars, by pointer, by key, or as understood from speech. */
import { make, takesKeys } from "./dom.js";
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
   * @param {(stars: number) => void} onChoice
   */
  constructor(card, row, hint, onChoice) {
    this.card = card;
    this.hint = hint;
    this.buttons = Array.from({ length: MOST }, (_, i) => star(i + 1, () => onChoice(i + 1)));
    row.append(...this.buttons);
    document.addEventListener("keydown", (event) => {
      // While the telephone's keys are shown the digits are theirs.
      if (card.hidden || event.defaultPrevented || takesKeys(event)) return;
      if (!this.buttons[0].disabled && /^[1-5]$/.test(event.key)) onChoice(Number(event.key));
    });
  }

  /** @param {boolean} spoken Whether the rating can be said. */
  ask(spoken) {
    this.#fill(0);
    this.#enable(true);
    say(this.hint, spoken ? "rating.how" : "rating.how_typed");
    this.card.hidden = false;
  }

  /** @param {number | null} stars As the server understood them; null for none. */
  settle(stars) {
    // A button that can no longer be pressed must not keep the focus.
    if (this.card.contains(document.activeElement)) this.card.focus({ preventScroll: true });
    this.#enable(false);
    this.#fill(stars ?? 0);
    if (stars === null) say(this.hint, "rating.none");
    else say(this.hint, "rating.thanks", { stars });
  }

  /** The call is over: an unanswered question goes, an answer stays. */
  close() {
    if (!this.buttons[0].disabled) this.hide();
  }

  hide() {
    this.card.hidden = true;
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

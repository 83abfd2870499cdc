/** The telephone's keys: on the screen, and on the keyboard while they are shown. */
import { make, takesKeys } from "./dom.js";
import { say } from "./words.js";

const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
/** @type {Record<string, string>} */
const NAMES = { "*": "key.star", "#": "key.hash" };

export class Keypad {
  /**
   * @param {HTMLElement} pad
   * @param {HTMLElement} toggle
   * @param {(digit: string) => void} onDigit
   */
  constructor(pad, toggle, onDigit) {
    this.pad = pad;
    this.toggle = toggle;
    pad.append(...DIGITS.map((digit) => key(digit, () => onDigit(digit))));
    toggle.addEventListener("click", () => this.show(Boolean(pad.hidden)));
    document.addEventListener("keydown", (event) => {
      if (pad.hidden || takesKeys(event)) return;
      if (event.key === "Escape") return this.show(false);
      if (!DIGITS.includes(event.key)) return;
      event.preventDefault();
      onDigit(event.key);
    });
  }

  /** @param {boolean} shown */
  show(shown) {
    const hadFocus = this.pad.contains(document.activeElement);
    this.pad.hidden = !shown;
    this.toggle.setAttribute("aria-expanded", String(shown));
    if (!shown && hadFocus) this.toggle.focus();
  }
}

/** @param {string} digit @param {() => void} onPress @returns {HTMLElement} */
function key(digit, onPress) {
  const button = make("button", "", digit);
  button.setAttribute("type", "button");
  button.setAttribute("data-t-to", "aria-label");
  say(button, NAMES[digit] ?? "key", { digit });
  button.addEventListener("click", onPress);
  return button;
}

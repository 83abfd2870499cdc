/** The choice of the language, for the page and for the call. */
import { chooseLanguage, preferredLanguage, spokenLanguage, useLanguage } from "./words.js";

/** @param {() => void} onChange Once the page speaks another language. */
export function offerLanguages(onChange) {
  useLanguage(preferredLanguage());
  for (const choice of document.getElementsByName("language")) {
    const radio = /** @type {HTMLInputElement} */ (choice);
    radio.checked = radio.value === spokenLanguage();
    radio.addEventListener("change", () => {
      chooseLanguage(radio.value === "de" ? "de" : "en");
      onChange();
    });
  }
}

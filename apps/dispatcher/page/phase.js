/** Where the page stands, shown: what is visible, what the button says, which choices are open. */
import { byId } from "./dom.js";
import { say, t } from "./words.js";

/** @typedef {"idle" | "calling" | "live" | "leaving" | "ended"} Phase */
/** @typedef {"audio" | "text"} Mode */

/** @type {Record<Phase, string>} */
const LABELS = {
  idle: "call",
  calling: "cancel",
  live: "hangup",
  leaving: "hangup",
  ended: "again",
};

/** @param {Phase} phase @param {Mode} mode */
export function showPhase(phase, mode) {
  document.body.dataset.phase = phase;
  document.body.dataset.mode = mode;
  const languages = /** @type {HTMLFieldSetElement} */ (byId("languages"));
  languages.disabled = phase !== "idle" && phase !== "ended";
  say(byId("call-label"), LABELS[phase]);
  byId("announcer").textContent = phase === "calling" ? t("state.connecting") : "";
}

/** @param {string} state The call's, as the server names it, or the page's own. @param {Mode} mode */
export function showState(state, mode) {
  document.body.dataset.state = state;
  say(byId("state"), state === "listening" && mode === "text" ? "state.reading" : `state.${state}`);
}

/** @param {string} key How the call ended. @param {boolean} failed */
export function showEnding(key, failed) {
  if (failed) say(byId("call-label"), "retry");
  const message = byId("message");
  message.classList.toggle("failed", failed);
  message.hidden = false;
  say(message, key);
}

/** @param {HTMLElement} clock @returns {() => void} Stops it. */
export function startClock(clock) {
  const startMs = performance.now();
  const show = () => {
    const s = Math.floor((performance.now() - startMs) / 1000);
    clock.textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  };
  show();
  const ticking = setInterval(show, 500);
  return () => clearInterval(ticking);
}

/** Levels on the page: bars for the microphone, a glow for the assistant's voice. */

const FLOOR_DB = -55;
const CEILING_DB = -12;
/** How much of the last level stays in each picture, so that it falls softly. */
const RELEASE = 0.85;
/** Assistive technology gets a number twice a second, not sixty times. */
const REPORT_MS = 500;

/** @typedef {{level: () => number}} Probe */

/** @param {AnalyserNode} analyser @returns {Probe} The level from 0 to 1. */
export function probe(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  let held = 0;
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const db = 10 * Math.log10(power + 1e-12);
      const now = Math.max(0, Math.min(1, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
      held = Math.max(now, held * RELEASE);
      return held;
    },
  };
}

/**
 * Show levels until the returned function is called.
 * @param {HTMLElement} meter Gets `--level` and `aria-valuenow`.
 * @param {Probe} caller
 * @param {HTMLElement} voice Gets `--voice`.
 * @param {Probe} assistant
 * @returns {() => void}
 */
export function showLevels(meter, caller, voice, assistant) {
  let reportedMs = 0;
  /** @param {number} nowMs */
  const draw = (nowMs) => {
    const level = caller.level();
    meter.style.setProperty("--level", level.toFixed(3));
    voice.style.setProperty("--voice", assistant.level().toFixed(3));
    if (nowMs - reportedMs > REPORT_MS) {
      meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
      reportedMs = nowMs;
    }
    frame = requestAnimationFrame(draw);
  };
  let frame = requestAnimationFrame(draw);
  return () => {
    cancelAnimationFrame(frame);
    meter.style.setProperty("--level", "0");
    voice.style.setProperty("--voice", "0");
  };
}

/** What waits to be heard: a ring buffer that starts late enough not to stutter, and fades. */

/** The server sends 60 ms ahead, so 40 ms cost no time on a good network. */
const SHORTEST_LEAD_S = 0.04;
const LONGEST_LEAD_S = 0.2;
const LEAD_STEP_S = 0.02;
/** Audio that comes this soon after the buffer ran dry was late, not a new utterance. */
const GAP_S = 0.25;
/** After this long without a gap the lead shrinks by a step. */
const CALM_S = 15;
const FADE_S = 0.01;
const CAPACITY_S = 10;

export class PlayoutQueue {
  /** @param {number} rateHz Of the samples that come in and go out. */
  constructor(rateHz) {
    this.rateHz = rateHz;
    this.ring = new Float32Array(CAPACITY_S * rateHz);
    this.read = 0;
    this.length = 0;
    this.fade = Math.round(FADE_S * rateHz);
    this.leadS = SHORTEST_LEAD_S;
    this.playing = false;
    this.waitingSinceS = 0;
    this.driedAtS = -Infinity;
    this.gapAtS = 0;
    /** Gain of the next sample, and the last sample played: both keep edges from clicking. */
    this.gain = 0;
    this.last = 0;
  }

  /**
   * @param {Float32Array} samples
   * @param {number} nowS
   */
  push(samples, nowS) {
    if (this.length === 0 && !this.playing) {
      this.waitingSinceS = nowS;
      this.#adapt(nowS);
    }
    for (const sample of samples) {
      this.ring[(this.read + this.length) % this.ring.length] = sample;
      if (this.length < this.ring.length) this.length++;
      else this.read = (this.read + 1) % this.ring.length;
    }
  }

  /**
   * Fill `out` with what is to be heard next; silence where there is nothing.
   * @param {Float32Array} out
   * @param {number} nowS
   */
  pull(out, nowS) {
    if (!this.playing) this.playing = this.#mayStart(nowS);
    for (let i = 0; i < out.length; i++) out[i] = this.playing ? this.#next(nowS) : this.#tail();
  }

  /** Drop all that has not been heard, but for a short fade. */
  clear() {
    this.driedAtS = -Infinity;
    if (!this.playing) {
      this.length = 0;
      return;
    }
    this.length = Math.min(this.length, this.fade);
    for (let i = 0; i < this.length; i++) {
      this.ring[(this.read + i) % this.ring.length] *= 1 - (i + 1) / this.length;
    }
  }

  /** @param {number} nowS @returns {boolean} */
  #mayStart(nowS) {
    if (this.length === 0) return false;
    // The wait is bounded, so that an utterance shorter than the lead is heard as well.
    return this.length >= this.leadS * this.rateHz || nowS - this.waitingSinceS >= this.leadS;
  }

  /** @param {number} nowS @returns {number} */
  #next(nowS) {
    if (this.length === 0) {
      this.playing = false;
      this.driedAtS = nowS;
      this.gain = 0;
      return this.#tail();
    }
    this.gain = Math.min(1, this.gain + 1 / this.fade);
    this.last = this.ring[this.read] * this.gain;
    this.read = (this.read + 1) % this.ring.length;
    this.length--;
    return this.last;
  }

  /** @returns {number} The last sample dying away in a few milliseconds, not at once. */
  #tail() {
    this.last = Math.abs(this.last) < 1e-4 ? 0 : this.last * (1 - 4 / this.fade);
    return this.last;
  }

  /** @param {number} nowS */
  #adapt(nowS) {
    if (nowS - this.driedAtS < GAP_S) {
      this.leadS = Math.min(LONGEST_LEAD_S, this.leadS + LEAD_STEP_S);
      this.gapAtS = nowS;
    } else if (nowS - this.gapAtS > CALM_S) {
      this.leadS = Math.max(SHORTEST_LEAD_S, this.leadS - LEAD_STEP_S);
      this.gapAtS = nowS;
    }
  }
}

/** Streaming sample rate conversion: a windowed-sinc filter, one phase for each output position. */

/** Zero crossings of the sinc on each side: 12 keep images 90 dB down. */
const ZEROS = 12;
/** Part of the narrower band that passes unharmed; the rest is the filter's slope. */
const PASSBAND = 0.92;

/** @param {number} a @param {number} b @returns {number} */
const gcd = (a, b) => (b ? gcd(b, a % b) : a);

/** @param {number} t Distance from the middle, -1 to 1. @returns {number} The Blackman window. */
const window = (t) => 0.42 + 0.5 * Math.cos(Math.PI * t) + 0.08 * Math.cos(2 * Math.PI * t);

/** @param {number} t @returns {number} */
const sinc = (t) => (t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t));

export class Resampler {
  /**
   * @param {number} fromHz
   * @param {number} toHz
   */
  constructor(fromHz, toHz) {
    const divisor = gcd(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    const cutoff = Math.min(1, toHz / fromHz) * PASSBAND;
    this.half = Math.ceil(ZEROS / cutoff);
    this.taps = filterBank(this.up, this.half, cutoff);
    /** Samples of the last call that the next output needs as well; silence at first. */
    this.rest = new Float32Array(this.half - 1);
    /** Where the next output lies: a whole sample of `rest`, and a phase out of `up`. */
    this.at = this.half - 1;
    this.phase = 0;
  }

  /**
   * @param {Float32Array} input Samples that follow on from the last call's.
   * @returns {Float32Array} The output that they complete; the last `half` samples wait.
   */
  process(input) {
    if (this.up === this.down) return input;
    const samples = new Float32Array(this.rest.length + input.length);
    samples.set(this.rest);
    samples.set(input, this.rest.length);
    const output = new Float32Array(Math.ceil((samples.length * this.up) / this.down) + 1);
    let count = 0;
    while (this.at + this.half < samples.length) {
      output[count++] = this.#sampleAt(samples);
      this.phase += this.down;
      this.at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const spent = Math.min(this.at - this.half + 1, samples.length);
    this.rest = samples.slice(spent);
    this.at -= spent;
    return output.subarray(0, count);
  }

  /** @param {Float32Array} samples @returns {number} */
  #sampleAt(samples) {
    const width = 2 * this.half;
    const first = this.at - this.half + 1;
    const row = this.phase * width;
    let sum = 0;
    for (let tap = 0; tap < width; tap++) sum += samples[first + tap] * this.taps[row + tap];
    return sum;
  }
}

/**
 * @param {number} phases
 * @param {number} half Source samples on each side.
 * @param {number} cutoff Of the source's band, 0 to 1.
 * @returns {Float32Array} One row of 2 · half taps a phase, each row with a gain of 1 at 0 Hz.
 */
function filterBank(phases, half, cutoff) {
  const width = 2 * half;
  const bank = new Float32Array(phases * width);
  for (let phase = 0; phase < phases; phase++) {
    const row = bank.subarray(phase * width, (phase + 1) * width);
    let gain = 0;
    for (let tap = 0; tap < width; tap++) {
      const t = tap - half + 1 - phase / phases;
      row[tap] = Math.abs(t) < half ? sinc(cutoff * t) * window(t / half) : 0;
      gain += row[tap];
    }
    for (let tap = 0; tap < width; tap++) row[tap] /= gain;
  }
  return bank;
}

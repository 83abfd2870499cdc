/** The microphone's end: whatever the hardware gives becomes 20 ms frames of 16 kHz s16le. */
import { Resampler } from "./resample.js";

const RATE_HZ = 16000;
const FRAME_SAMPLES = 320;
const QUANTUM_SAMPLES = 128;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.frame = new Int16Array(FRAME_SAMPLES);
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs @returns {boolean} */
  process(inputs) {
    // Without a microphone silence goes out: the server's clock is the audio itself.
    const samples = inputs[0][0] ?? new Float32Array(QUANTUM_SAMPLES);
    for (const sample of this.resampler.process(samples)) {
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === FRAME_SAMPLES) this.#send();
    }
    return true;
  }

  #send() {
    this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
    this.frame = new Int16Array(FRAME_SAMPLES);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);

/** The loudspeaker's end: 16 kHz s16le frames in, the hardware's rate out; "clear" empties it. */
import { PlayoutQueue } from "./playout-queue.js";
import { Resampler } from "./resample.js";

const RATE_HZ = 16000;

class Playout extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE_HZ, sampleRate);
    this.queue = new PlayoutQueue(sampleRate);
    this.port.onmessage = ({ data }) => (data === "clear" ? this.queue.clear() : this.#take(data));
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs @returns {boolean} */
  process(_inputs, outputs) {
    this.queue.pull(outputs[0][0], currentTime);
    return true;
  }

  /** @param {ArrayBuffer} frame */
  #take(frame) {
    const samples = Float32Array.from(new Int16Array(frame), (sample) => sample / 32768);
    this.queue.push(this.resampler.process(samples), currentTime);
  }
}

registerProcessor("playout", Playout);

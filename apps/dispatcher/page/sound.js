/** The audio of one call: microphone → 20 ms frames, frames → loudspeaker. */

const RATE_HZ = 16000;

/** @returns {AudioContext} At the call's own rate where the browser can. */
export function openContext() {
  return new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
}

export class Sound {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {object} handlers
   * @param {(frame: ArrayBuffer) => void} handlers.onFrame 320 samples, s16le, 16 kHz.
   * @param {() => void} handlers.onLost The microphone has gone.
   * @param {(stalled: boolean) => void} handlers.onStall The browser pauses or resumes the audio.
   * @returns {Promise<Sound>}
   */
  static async open(context, stream, handlers) {
    const { context: usable, source } = connectable(context, stream);
    const base = new URL(".", import.meta.url);
    try {
      await Promise.all([
        usable.audioWorklet.addModule(new URL("capture-worklet.js", base)),
        usable.audioWorklet.addModule(new URL("playout-worklet.js", base)),
        usable.resume(),
      ]);
    } catch (error) {
      stop(stream);
      await usable.close();
      throw error;
    }
    const sound = new Sound(usable, handlers);
    sound.#use(stream, source);
    return sound;
  }

  /**
   * @param {AudioContext} context
   * @param {{onFrame: (frame: ArrayBuffer) => void, onLost: () => void,
   *   onStall: (stalled: boolean) => void}} handlers
   */
  constructor(context, { onFrame, onLost, onStall }) {
    this.context = context;
    context.onstatechange = () => onStall(context.state !== "running");
    this.onLost = onLost;
    this.muted = false;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {MediaStreamAudioSourceNode | null} */
    this.source = null;
    this.inMeter = context.createAnalyser();
    this.outMeter = context.createAnalyser();
    this.inMeter.fftSize = this.outMeter.fftSize = 512;
    this.capture = new AudioWorkletNode(context, "capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      outputChannelCount: [1],
    });
    this.capture.port.onmessage = ({ data }) => onFrame(data);
    // Its output is silent; browsers run only what leads to the loudspeaker.
    this.inMeter.connect(this.capture).connect(context.destination);
    this.playout = new AudioWorkletNode(context, "playout", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.playout.connect(this.outMeter).connect(context.destination);
  }

  /** @param {ArrayBuffer} frame */
  play(frame) {
    this.playout.port.postMessage(frame, [frame]);
  }

  /** Fall silent: drop what has not been heard. */
  clear() {
    this.playout.port.postMessage("clear");
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    for (const track of this.stream?.getTracks() ?? []) track.enabled = !muted;
  }

  /** @param {MediaStream} stream Another microphone, in the middle of the call. */
  change(stream) {
    let source;
    try {
      source = this.context.createMediaStreamSource(stream);
    } catch (error) {
      stop(stream);
      throw error;
    }
    this.#release();
    this.#use(stream, source);
  }

  /**
   * Give the microphone back at once, and fall silent a little later.
   * @param {number} [afterMs]
   */
  async close(afterMs = 0) {
    this.#release();
    this.capture.port.onmessage = null;
    this.context.onstatechange = null;
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await this.context.close();
  }

  /** @param {MediaStream} stream @param {MediaStreamAudioSourceNode} source */
  #use(stream, source) {
    this.stream = stream;
    this.source = source;
    source.connect(this.inMeter);
    for (const track of stream.getTracks()) track.onended = () => this.onLost();
    this.mute(this.muted);
  }

  #release() {
    this.source?.disconnect();
    if (this.stream) stop(this.stream);
  }
}

/** @param {MediaStream} stream Whose microphone is given back. */
export function stop(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
}

/**
 * Not every browser lets a microphone into a context of another rate; the worklets resample then.
 * @param {AudioContext} context
 * @param {MediaStream} stream
 */
function connectable(context, stream) {
  try {
    return { context, source: context.createMediaStreamSource(stream) };
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    void context.close();
    const own = new AudioContext({ latencyHint: "interactive" });
    return { context: own, source: own.createMediaStreamSource(stream) };
  }
}

/** The audio of one call, whatever carries it: a microphone, a loudspeaker, and both levels. */
import { byId } from "./dom.js";

const RATE_HZ = 16000;
const WORKLETS = ["capture-worklet.js", "playout-worklet.js"];

/** @returns {AudioContext} At the call's own rate where the browser can. */
export function openContext() {
  return new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
}

export class Sound {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {object} handlers
   * @param {() => void} handlers.onLost The microphone has gone.
   * @param {(stalled: boolean) => void} handlers.onStall The browser pauses or resumes the audio.
   * @returns {Promise<Sound>}
   */
  static async open(context, stream, handlers) {
    const { context: usable, source } = connectable(context, stream);
    try {
      await Promise.all([...WORKLETS.map((name) => load(usable, name)), usable.resume()]);
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
   * @param {{onLost: () => void, onStall: (stalled: boolean) => void}} handlers
   */
  constructor(context, { onLost, onStall }) {
    this.context = context;
    context.onstatechange = () => onStall(context.state !== "running");
    this.onLost = onLost;
    this.onStall = onStall;
    this.muted = false;
    this.voice = /** @type {HTMLAudioElement} */ (byId("voice"));
    /** @type {MediaStream} */
    this.stream = new MediaStream();
    /** @type {MediaStreamAudioSourceNode | null} */
    this.source = null;
    /** @type {MediaStreamAudioSourceNode | null} What comes as a track. */
    this.heard = null;
    /** @type {AudioWorkletNode | null} What comes as frames. */
    this.playout = null;
    this.inMeter = context.createAnalyser();
    this.outMeter = context.createAnalyser();
    this.inMeter.fftSize = this.outMeter.fftSize = 512;
  }

  /**
   * Carry the sound as frames: the microphone's are handed out, `play` takes the other side's.
   * @param {(frame: ArrayBuffer) => void} onFrame 320 samples, s16le, 16 kHz.
   */
  sendFrames(onFrame) {
    const { context } = this;
    const capture = new AudioWorkletNode(context, "capture", {
      channelCount: 1,
      channelCountMode: "explicit",
      outputChannelCount: [1],
    });
    capture.port.onmessage = ({ data }) => onFrame(data);
    // Its output is silent; browsers run only what leads to the loudspeaker.
    this.inMeter.connect(capture).connect(context.destination);
    this.playout = new AudioWorkletNode(context, "playout", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.playout.connect(this.outMeter).connect(context.destination);
  }

  /** @param {ArrayBuffer} frame */
  play(frame) {
    this.playout?.port.postMessage(frame, [frame]);
  }

  /** Drop the frames that have not been heard. A track is emptied by the other side. */
  clear() {
    this.playout?.port.postMessage("clear");
  }

  /** Fall silent at once, whatever still comes. */
  silence() {
    this.clear();
    this.hear(null);
  }

  /** @param {MediaStream | null} stream Play another side's track, or none any more. */
  hear(stream) {
    this.heard?.disconnect();
    this.heard = stream && this.context.createMediaStreamSource(stream);
    this.heard?.connect(this.outMeter);
    this.voice.srcObject = stream;
    if (stream) void this.#playVoice();
  }

  /** After the browser has paused the sound; a touch of the page allows it again. */
  resume() {
    void this.context.resume();
    if (this.voice.srcObject && this.voice.paused) void this.#playVoice();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    for (const track of this.stream.getTracks()) track.enabled = !muted;
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
    this.context.onstatechange = null;
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    // Another call may be using the element by now.
    if (this.heard && this.voice.srcObject === this.heard.mediaStream) this.hear(null);
    await this.context.close();
  }

  async #playVoice() {
    try {
      await this.voice.play();
      this.onStall(false);
    } catch (error) {
      // Not allowed without a touch; any other reason is that the call is over.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.onStall(true);
    }
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
    stop(this.stream);
  }
}

/** @param {MediaStream} stream Whose microphone is given back. */
export function stop(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
}

/** @param {AudioContext} context @param {string} name @returns {Promise<void>} */
const load = (context, name) => context.audioWorklet.addModule(new URL(name, import.meta.url));

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

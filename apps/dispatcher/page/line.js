/** One call's line: WebRTC first, and WebSocket where no direct connection comes about. */
import { WebRtcTransport } from "./webrtc.js";
import { WebSocketTransport } from "./websocket.js";

/** @typedef {{type: string, [field: string]: any}} Message As docs/protocol.md lists them. */
/** @typedef {{code: number, opened: boolean, reason: string, error: string}} Ending
 *  How a line ended: its close code, whether it ever opened, `call.ended`'s reason and the last
 *  error's code, both empty when none came. */

/**
 * What a transport is given.
 * @typedef {object} Call
 * @property {Record<string, string | boolean>} wishes The fields of `start` that say who is called.
 * @property {import("./sound.js").Sound | null} sound None in a typed call.
 * @property {(message: Message) => unknown} onMessage
 * @property {(ending: Ending) => unknown} onEnd Called exactly once.
 */

/**
 * What carries a call: it takes the sound's microphone, plays what comes, and passes messages.
 * @typedef {object} Transport
 * @property {string} name
 * @property {(message: Message) => void} send
 * @property {() => void} hangUp
 * @property {(stream: MediaStream) => void} changeMicrophone
 */

/** Whoever waited for WebRTC in vain once does not wait again before the page is loaded anew. */
let webRtcFailed = false;

/** @implements {Transport} */
export class Line {
  /**
   * @param {Call} call
   * @param {() => void} onFallback No direct connection came about; WebSocket carries the call.
   */
  constructor(call, onFallback) {
    /** @type {Transport} */
    this.transport = mayUseWebRtc(call)
      ? new WebRtcTransport(call, () => {
          webRtcFailed = true;
          onFallback();
          this.transport = new WebSocketTransport(call);
        })
      : new WebSocketTransport(call);
  }

  get name() {
    return this.transport.name;
  }

  /** @param {Message} message */
  send(message) {
    this.transport.send(message);
  }

  hangUp() {
    this.transport.hangUp();
  }

  /** @param {MediaStream} stream */
  changeMicrophone(stream) {
    this.transport.changeMicrophone(stream);
  }
}

/** @param {Call} call @returns {boolean} `?transport=websocket` is for networks that are known. */
function mayUseWebRtc({ sound }) {
  const asked = new URLSearchParams(location.search).get("transport");
  return Boolean(sound) && !webRtcFailed && asked !== "websocket" && "RTCPeerConnection" in window;
}

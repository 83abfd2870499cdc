/** A call over the WebSocket door: JSON and 20 ms frames on one connection (docs/protocol.md). */

/** @typedef {import("./line.js").Message} Message */
/** @typedef {import("./line.js").Call} Call */
/** @typedef {import("./line.js").Transport} Transport */

/** What browsers report when a connection breaks. */
const LOST = 1006;
const PING_MS = 10_000;
/** Pings in a row that nothing came after: the connection is dead, though nobody has closed it. */
const MOST_UNANSWERED = 2;
/** What may wait in the browser for a slow network: 2 s of audio. */
const MAX_WAITING_BYTES = 64_000;
/** How long a hang-up waits for the server's report. */
const REPORT_MS = 3_000;
const AUDIO = { encoding: "pcm_s16le", rate: 16000, channels: 1 };

/** @implements {Transport} */
export class WebSocketTransport {
  /** @param {Call} call */
  constructor({ wishes, sound, onMessage, onEnd }) {
    this.name = "websocket";
    this.opened = false;
    this.reason = "";
    this.error = "";
    this.onMessage = onMessage;
    this.onEnd = onEnd;
    this.unanswered = 0;
    this.socket = new WebSocket(callUrl());
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.opened = true;
      this.send({ type: "start", protocol: 1, mode: sound ? "audio" : "text", audio: AUDIO, ...wishes });
    };
    this.socket.onmessage = ({ data }) => {
      this.unanswered = 0;
      if (typeof data === "string") this.#take(JSON.parse(data));
      else sound?.play(data);
    };
    this.socket.onclose = ({ code }) => this.#end(code);
    this.pinging = setInterval(() => this.#ping(), PING_MS);
    sound?.sendFrames((frame) => this.#sendAudio(frame));
  }

  /** @param {Message} message */
  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Hang up; the server settles the call and reports before it closes. */
  hangUp() {
    if (this.socket.readyState !== WebSocket.OPEN) return this.#end(1000);
    this.send({ type: "hangup" });
    this.reporting = setTimeout(() => this.#end(1000), REPORT_MS);
  }

  /** The frames come from whichever microphone the sound has. */
  changeMicrophone() {}

  /** @param {ArrayBuffer} frame */
  #sendAudio(frame) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    // Old audio is worth less than new: what a stalled network cannot take is left out.
    if (this.socket.bufferedAmount < MAX_WAITING_BYTES) this.socket.send(frame);
  }

  /** Keeps a typed call open, and notices when the other side has gone. */
  #ping() {
    if (this.unanswered++ >= MOST_UNANSWERED) this.#end(LOST);
    else this.send({ type: "ping" });
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type === "call.ended") this.reason = message.reason;
    if (message.type === "error") this.error = message.code;
    this.onMessage(message);
  }

  /** @param {number} code */
  #end(code) {
    clearInterval(this.pinging);
    clearTimeout(this.reporting);
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.onEnd({ code, opened: this.opened, reason: this.reason, error: this.error });
  }
}

/** @returns {URL} The door beside this page, also below a proxy's path. */
function callUrl() {
  const url = new URL("v1/call", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

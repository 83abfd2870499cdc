/** A call over WebRTC: offered by WHIP, messages on a data channel (docs/doors/webrtc.md). */
import { fragment, gathered } from "./trickle.js";

/** @typedef {import("./line.js").Message} Message */
/** @typedef {import("./line.js").Call} Call */
/** @typedef {import("./line.js").Transport} Transport */

/** Longer than this neither the server's answer nor the connection is waited for. */
const DEADLINE_MS = 4_000;
/** Keeps the call when the microphone has gone and the caller types. */
const PING_MS = 4_000;
/** How long a hang-up waits for the server's report. */
const REPORT_MS = 3_000;
/** The last words are still on their way to the ear. */
const LAST_WORDS_MS = 400;
/** Close codes as the WebSocket's, for the endings have their sentences by them. */
const GOOD = 1000;
const LOST = 1006;
/** Refusals that the other way would meet as well. */
const FINAL = ["busy", "too_many_calls", "forbidden", "unknown_profile"];

/** @implements {Transport} */
export class WebRtcTransport {
  /**
   * @param {Call} call With sound.
   * @param {() => void} onNoWay No connection came about; nothing of the call has begun.
   */
  constructor(call, onNoWay) {
    this.name = "webrtc";
    this.call = call;
    this.onNoWay = onNoWay;
    this.reason = "";
    this.error = "";
    this.opened = false;
    this.over = false;
    /** @type {URL | null} Where the server keeps the call. */
    this.resource = null;
    this.peer = new RTCPeerConnection();
    this.channel = this.peer.createDataChannel("events");
    this.leave = () => this.#delete();
    this.#wire();
    this.#negotiate().catch((error) => this.#giveUp(error));
  }

  /** @param {Message} message */
  send(message) {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(message));
  }

  /** Hang up; the server settles the call and reports before it closes. */
  hangUp() {
    if (this.channel.readyState !== "open") return this.#end(GOOD);
    this.send({ type: "hangup" });
    setTimeout(() => this.#end(GOOD), REPORT_MS);
  }

  /** @param {MediaStream} stream */
  changeMicrophone(stream) {
    void this.peer.getSenders()[0]?.replaceTrack(stream.getAudioTracks()[0]);
  }

  #wire() {
    const { peer, channel } = this;
    const sound = /** @type {import("./sound.js").Sound} */ (this.call.sound);
    for (const track of sound.stream.getAudioTracks()) peer.addTrack(track, sound.stream);
    peer.ontrack = ({ track }) => sound.hear(new MediaStream([track]));
    peer.onconnectionstatechange = () => peer.connectionState === "failed" && this.#lose();
    channel.onopen = () => {
      this.opened = true;
      clearTimeout(this.deadline);
      this.pinging = setInterval(() => this.send({ type: "ping" }), PING_MS);
    };
    channel.onmessage = ({ data }) => this.#take(JSON.parse(data));
    channel.onclose = () => this.#lose();
    // Who leaves the page hangs up; the server would notice it much later.
    addEventListener("pagehide", this.leave);
  }

  async #negotiate() {
    const { peer } = this;
    peer.setConfiguration({ iceServers: await iceServers(this.call.wishes) });
    await peer.setLocalDescription();
    await gathered(peer);
    const offer = peer.localDescription?.sdp ?? "";
    const answer = await fetch(whip("", this.call.wishes), {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...bearer(this.call.wishes) },
      body: offer,
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    if (!answer.ok) return this.#refused(await codeOf(answer));
    // The path alone may be that of a proxy: the name of the call is at its end.
    this.resource = whip(`/${answer.headers.get("Location")?.split("/").pop()}`);
    if (this.over) return this.#delete();
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    this.deadline = setTimeout(() => this.#giveUp("no way through"), DEADLINE_MS);
    this.#tellLateAddresses(offer);
  }

  /** @param {string} offer What the server knows already. */
  #tellLateAddresses(offer) {
    let told = offer;
    const tell = () => {
      const found = this.peer.localDescription?.sdp ?? "";
      const body = fragment(told, found);
      if (!body || !this.resource || this.over) return;
      told = found;
      const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
      fetch(this.resource, { method: "PATCH", headers, body }).catch(console.warn);
    };
    tell();
    this.peer.onicecandidate = tell;
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type === "call.ended") this.reason = message.reason;
    if (message.type === "error") this.error = message.code;
    this.call.onMessage(message);
    if (message.type === "call.ended") this.#end(GOOD);
  }

  /** @param {string} code */
  #refused(code) {
    if (!FINAL.includes(code)) return this.#giveUp(code);
    this.error = code;
    this.#end(LOST);
  }

  #lose() {
    if (this.opened) this.#end(LOST);
    else this.#giveUp("failed");
  }

  /** @param {unknown} why */
  #giveUp(why) {
    if (this.over) return;
    console.warn("WebRTC:", why);
    this.#close(0);
    this.call.sound?.hear(null);
    this.onNoWay();
  }

  /** @param {number} code */
  #end(code) {
    if (this.over) return;
    this.#close(LAST_WORDS_MS);
    const { opened, reason, error } = this;
    this.call.onEnd({ code, opened, reason, error });
  }

  /** @param {number} afterMs */
  #close(afterMs) {
    this.over = true;
    clearTimeout(this.deadline);
    clearInterval(this.pinging);
    removeEventListener("pagehide", this.leave);
    setTimeout(() => this.peer.close(), afterMs);
    if (!this.reason) this.#delete();
  }

  #delete() {
    // It is sent even if the page is gone by then.
    if (this.resource) fetch(this.resource, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/**
 * @param {Call["wishes"]} wishes
 * @returns {Promise<RTCIceServer[]>} What helps through the network, as the server knows it.
 */
async function iceServers(wishes) {
  const answer = await fetch(whip("/config"), { headers: bearer(wishes) });
  return answer.ok ? (await answer.json()).ice_servers : [];
}

/** @param {Response} answer @returns {Promise<string>} The error's code, empty if it has none. */
async function codeOf(answer) {
  try {
    return (await answer.json()).error.code;
  } catch {
    return "";
  }
}

/**
 * @param {string} path Below the door beside this page.
 * @param {Call["wishes"]} [wishes]
 * @returns {URL}
 */
function whip(path, { profile = "", language = "", observe } = {}) {
  const url = new URL(`whip${path}`, document.baseURI);
  if (profile) url.searchParams.set("profile", String(profile));
  if (language) url.searchParams.set("language", String(language));
  if (observe) url.searchParams.set("observe", "1");
  return url;
}

/** @param {Call["wishes"]} wishes @returns {Record<string, string>} */
const bearer = ({ token }) => (token ? { Authorization: `Bearer ${token}` } : {});

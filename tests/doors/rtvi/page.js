// A page that calls by Pipecat's client and notes everything that the client tells it.
import { PipecatClient, RTVIEvent } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport } from "@pipecat-ai/small-webrtc-transport";

// The transport's own device manager is loaded from its vendor's servers; this one needs nobody.
class Microphone {
  supportsScreenShare = false;
  isCamEnabled = false;
  isSharingScreen = false;
  selectedMic = {};
  selectedCam = {};
  selectedSpeaker = {};
  setClientOptions() {}
  async initialize() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.track = stream.getAudioTracks()[0];
  }
  async connect() {
    if (!this.track) await this.initialize();
  }
  async disconnect() {
    this.track?.stop();
    this.track = undefined;
  }
  get isMicEnabled() {
    return Boolean(this.track?.enabled);
  }
  enableMic(enable) {
    if (this.track) this.track.enabled = enable;
  }
  enableCam() {}
  tracks() {
    return { local: this.track ? { audio: this.track } : {} };
  }
}

window.happened = [];
const note = (kind, data) => window.happened.push({ kind, data, at: performance.now() });

const told = Object.values(RTVIEvent).filter((name) => !name.includes("Level"));
window.client = new PipecatClient({
  transport: new SmallWebRTCTransport({ iceServers: [], mediaManager: new Microphone() }),
  enableMic: true,
  enableCam: false,
});
for (const name of told) {
  window.client.on(name, (data) => note(name, data instanceof MediaStreamTrack ? data.kind : data));
}
window.client.registerFunctionCallHandler("transfer_to_human", async (call) => {
  note("asked to transfer", call.arguments);
  return { ok: true };
});

// What is heard, as an RMS level ten times a second.
window.levels = [];
window.client.on(RTVIEvent.TrackStarted, (track, participant) => {
  if (track.kind !== "audio" || participant?.local) return;
  document.querySelector("audio").srcObject = new MediaStream([track]); // or Chromium decodes none
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaStreamSource(new MediaStream([track])).connect(meter);
  const samples = new Float32Array(meter.fftSize);
  setInterval(() => {
    meter.getFloatTimeDomainData(samples);
    window.levels.push(Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length));
  }, 100);
});

window.call = (endpoint, requestData) =>
  window.client.connect({ webrtcRequestParams: { endpoint, requestData } });

/** The call page: one button, and what happens between pressing it and hanging up. */
import { byId } from "./dom.js";
import { judge } from "./ending.js";
import { followEnd } from "./follow-end.js";
import { Insight } from "./insight.js";
import { Keypad } from "./keypad.js";
import { offerLanguages } from "./languages.js";
import { Line } from "./line.js";
import { wishes } from "./link.js";
import { probe, showLevels } from "./meter.js";
import { NoMicrophone, listMicrophones, openMicrophone } from "./microphone.js";
import { showEnding, showPhase, showState, startClock } from "./phase.js";
import { Sound, openContext, stop } from "./sound.js";
import { Stars } from "./stars.js";
import { Transcript } from "./transcript.js";
import { keepAwake } from "./wake-lock.js";
import { say } from "./words.js";

/** @typedef {import("./line.js").Message} Message */
/** @typedef {import("./line.js").Ending} Ending */
/** @typedef {import("./phase.js").Phase} Phase */
/** @typedef {import("./phase.js").Mode} Mode */

/** A second press this soon is a double click, not a wish to hang up. */
const DOUBLE_CLICK_MS = 600;
/** The last words that were sent are still on their way to the ear. */
const LAST_WORDS_MS = 400;

class CallPage {
  constructor() {
    this.button = byId("call");
    this.microphones = /** @type {HTMLSelectElement} */ (byId("microphones"));
    this.typed = /** @type {HTMLInputElement} */ (byId("typed-text"));
    this.transcript = new Transcript(byId("transcript"));
    this.keypad = new Keypad(byId("keypad"), byId("keys"), (digit) => this.#press(digit));
    this.stars = new Stars(byId("rating"), byId("stars"), byId("rating-hint"), (stars) =>
      this.line?.send({ type: "rating", stars }),
    );
    this.insight = new Insight();
    /** @type {Line | null} */
    this.line = null;
    /** @type {Sound | null} */
    this.sound = null;
    /** @type {Phase} */
    this.phase = "idle";
    /** @type {Mode} */
    this.mode = "audio";
    /** Whether the caller's voice is understood; else the rating is typed or chosen. */
    this.maySay = false;
    /** Names one attempt to call; whatever finishes late for another one is dropped. */
    this.attempt = 0;
    this.pressedAtMs = -Infinity;
    /** @type {(() => void)[]} What is undone when the call is over. */
    this.cleanups = [];
    this.#wire();
  }

  #wire() {
    this.button.addEventListener("click", () => this.#pressCall());
    byId("type-instead").addEventListener("click", () => void this.#begin("text"));
    byId("mute").addEventListener("click", () => this.#mute(!this.sound?.muted));
    byId("typed").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#type();
    });
    this.microphones.addEventListener("change", () => void this.#changeMicrophone());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#list());
    document.addEventListener("pointerdown", () => this.sound?.resume());
    offerLanguages(() => this.#list());
    this.#list();
  }

  #list() {
    void listMicrophones(this.microphones);
  }

  #pressCall() {
    if (performance.now() - this.pressedAtMs < DOUBLE_CLICK_MS) return;
    this.pressedAtMs = performance.now();
    if (this.phase === "idle" || this.phase === "ended") void this.#begin("audio");
    else if (this.phase === "calling") this.#cancel();
    else if (this.phase === "live") this.#hangUp();
  }

  /** @param {Mode} mode */
  async #begin(mode) {
    this.#cancel();
    const attempt = ++this.attempt;
    this.transcript.clear(mode === "audio");
    this.stars.hide();
    this.insight.hide();
    byId("message").hidden = true;
    this.#enter("calling", mode);
    if (mode === "audio") {
      try {
        const sound = await this.#openSound();
        if (attempt !== this.attempt) return void sound.close();
        this.sound = sound;
      } catch (error) {
        if (attempt !== this.attempt) return;
        if (!(error instanceof NoMicrophone)) return this.#fail(error);
        mode = "text";
        this.transcript.clear(false);
        this.transcript.warnOf(`mic.${error.reason}`);
        this.#enter("calling", mode);
      }
    }
    this.#dial(attempt);
  }

  /** @returns {Promise<Sound>} */
  async #openSound() {
    this.#state("asking_mic");
    // Made before the first wait: browsers let only a press begin sound.
    const context = openContext();
    try {
      const stream = await openMicrophone(this.microphones.value);
      return await Sound.open(context, stream, {
        onLost: () => this.transcript.warnOf("mic.lost"),
        onStall: (stalled) => this.#stalled(stalled),
      });
    } catch (error) {
      if (context.state !== "closed") void context.close();
      throw error;
    }
  }

  /** @param {number} attempt */
  #dial(attempt) {
    this.#state("connecting");
    const current = () => attempt === this.attempt;
    const call = {
      wishes: wishes(),
      sound: this.sound,
      // A call that was given up may still have something to say.
      onMessage: (/** @type {Message} */ message) =>
        current() && this.#handlers[message.type]?.(message),
      onEnd: (/** @type {Ending} */ ending) => current() && this.#ended(ending),
    };
    this.line = new Line(call, () => current() && this.transcript.warnOf("webrtc.failed"));
  }

  /** What the server says; a type that is not here is none of this page's business.
   * @type {Record<string, (message: Message) => void>} */
  #handlers = {
    "call.started": (message) => this.#started(message),
    "state": ({ state }) => this.#state(state),
    "transcript.partial": ({ text }) => this.transcript.callerPartial(text),
    "transcript.final": ({ role, text, turn_id, citations }) =>
      role === "caller"
        ? this.transcript.callerFinal(text)
        : this.transcript.assistantSays(turn_id, text, citations ?? []),
    "heard": ({ turn_id, text }) => this.transcript.interrupted(turn_id, text),
    "audio.clear": () => this.sound?.clear(),
    "turn.latency": ({ turn_id, ms, stages }) => this.transcript.latency(turn_id, ms, stages),
    "notice": ({ text }) => this.transcript.warn(text),
    "rating.asked": ({ rating_token }) => this.#askRating(rating_token),
    "rating": ({ stars }) => this.stars.settle(stars),
    "call.ended": ({ rating_token }) => this.stars.bind(rating_token),
    "reward": (message) => this.insight.learned(message),
    "transfer": ({ target }) => this.transcript.noteOf("transfer", { target }),
    "error": ({ code, message, hint }) => console.warn(`${code}: ${message} ${hint ?? ""}`),
  };

  /** @param {Message} started */
  #started(started) {
    this.#enter("live", this.mode);
    document.body.dataset.transport = this.line?.name;
    this.insight.begin(started);
    this.cleanups.push(startClock(byId("clock")), keepAwake());
    const { sound } = this;
    if (sound) {
      const levels = [probe(sound.inMeter), probe(sound.outMeter)];
      this.cleanups.push(showLevels(byId("level"), levels[0], this.button, levels[1]));
      this.#list();
    }
    // Without a recogniser for the language nobody listens.
    const mustType = !sound || !started.listening;
    this.maySay = !mustType;
    say(this.typed, mustType ? "typed.only" : "typed.placeholder");
    if (mustType) this.typed.focus();
  }

  /** @param {string} [token] */
  #askRating(token) {
    // The keys would cover the stars; the keyboard's 1 to 5 go on working.
    this.keypad.show(false);
    this.stars.ask(this.maySay, token);
  }

  /** @param {string} state */
  #state(state) {
    if (this.phase === "leaving") return;
    showState(state, this.mode);
  }

  #type() {
    const text = this.typed.value.trim();
    if (!text || this.phase !== "live") return;
    this.line?.send({ type: "text", text });
    this.transcript.callerTyped(text);
    this.typed.value = "";
  }

  /** @param {string} digit */
  #press(digit) {
    if (this.phase !== "live") return;
    this.line?.send({ type: "dtmf", digit });
    this.transcript.noteOf("key", { digit });
  }

  /** @param {boolean} muted */
  #mute(muted) {
    this.sound?.mute(muted);
    byId("mute").setAttribute("aria-pressed", String(muted));
  }

  async #changeMicrophone() {
    const { sound } = this;
    if (!sound) return;
    try {
      const stream = await openMicrophone(this.microphones.value);
      if (sound !== this.sound) return stop(stream);
      sound.change(stream);
      this.line?.changeMicrophone(stream);
    } catch (error) {
      if (!(error instanceof NoMicrophone || error instanceof DOMException)) throw error;
      this.transcript.warnOf("mic.unchanged");
    }
  }

  /** @param {boolean} stalled The browser has paused the audio, for a phone call for instance. */
  #stalled(stalled) {
    byId("message").hidden = !stalled;
    if (stalled) say(byId("message"), "stalled");
  }

  #hangUp() {
    this.#state("hanging_up");
    this.#enter("leaving", this.mode);
    this.sound?.silence();
    this.line?.hangUp();
  }

  /** Give up an attempt that has not become a call. */
  #cancel() {
    this.attempt++;
    this.line?.hangUp();
    this.#release(0);
    this.#enter("idle", "audio");
    this.#state("idle");
  }

  /** @param {unknown} error */
  #fail(error) {
    console.error(error);
    this.#release(0);
    // The page is older than the outage: its audio worklets could not be fetched any more.
    const offline = error instanceof DOMException && error.name === "AbortError";
    this.#close(offline ? "trouble.unreachable" : "trouble.sound", true);
  }

  /** @param {Ending} ending */
  #ended(ending) {
    this.#release(this.phase === "leaving" ? 0 : LAST_WORDS_MS);
    const { key, failed } = judge(ending);
    this.#close(key, failed);
  }

  /** @param {string} key @param {boolean} failed */
  #close(key, failed) {
    this.transcript.settle();
    this.stars.close();
    this.keypad.show(false);
    const began = this.phase === "live" || this.phase === "leaving";
    this.#enter(began ? "ended" : "idle", this.mode);
    this.#state(began ? "ended" : "idle");
    showEnding(key, failed);
    const focused = document.activeElement;
    const lost = focused?.checkVisibility?.() === false;
    if (focused === document.body || lost) this.button.focus();
  }

  /** @param {number} afterMs When the audio may stop. */
  #release(afterMs) {
    for (const cleanup of this.cleanups.splice(0)) cleanup();
    this.#mute(false);
    void this.sound?.close(afterMs);
    this.sound = null;
    this.line = null;
  }

  /** @param {Phase} phase @param {Mode} mode */
  #enter(phase, mode) {
    this.phase = phase;
    this.mode = mode;
    showPhase(phase, mode);
  }
}

followEnd(byId("main"));
new CallPage();

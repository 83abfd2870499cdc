/** Asking for a microphone, and the list of those there are. */
import { make } from "./dom.js";
import { t } from "./words.js";

/** Why there is no microphone; `reason` names the sentence `mic.<reason>`. */
export class NoMicrophone extends Error {
  /** @param {string} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  NotReadableError: "taken",
  AbortError: "taken",
};

/**
 * @param {string} deviceId Empty for the system's own choice.
 * @returns {Promise<MediaStream>}
 * @throws {NoMicrophone}
 */
export async function openMicrophone(deviceId) {
  if (!window.isSecureContext) throw new NoMicrophone("insecure");
  if (!navigator.mediaDevices?.getUserMedia) throw new NoMicrophone("unsupported");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: wanted(deviceId) });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    // The chosen one has been unplugged: any other is better than none.
    if (name === "OverconstrainedError" && deviceId) return openMicrophone("");
    throw new NoMicrophone(REASONS[name] ?? "missing");
  }
}

/** @param {string} deviceId @returns {MediaTrackConstraints} */
function wanted(deviceId) {
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId && { deviceId: { exact: deviceId } }),
  };
}

/**
 * Fill a list with the microphones there are; browsers name them once one was allowed.
 * @param {HTMLSelectElement} list
 */
export async function listMicrophones(list) {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const chosen = list.value;
  const named = devices.filter(
    ({ kind, deviceId, label }) => kind === "audioinput" && label && deviceId !== "default",
  );
  list.replaceChildren(option("", t("mic.default")));
  for (const { deviceId, label } of named) list.append(option(deviceId, label));
  if (named.some(({ deviceId }) => deviceId === chosen)) list.value = chosen;
}

/** @param {string} value @param {string} text @returns {HTMLOptionElement} */
function option(value, text) {
  const element = /** @type {HTMLOptionElement} */ (make("option", "", text));
  element.value = value;
  return element;
}

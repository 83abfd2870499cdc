/** Keeps a phone's screen on during a call: with the screen, many phones switch the audio off. */

/** @returns {() => void} Lets the screen go dark again. */
export function keepAwake() {
  /** @type {WakeLockSentinel | undefined} */
  let lock;
  let wanted = true;
  const ask = async () => {
    if (!wanted || document.visibilityState !== "visible") return;
    // Browsers refuse it on a low battery or lack it: the call goes on without.
    lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    if (!wanted) void lock?.release();
  };
  document.addEventListener("visibilitychange", ask);
  void ask();
  return () => {
    wanted = false;
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}

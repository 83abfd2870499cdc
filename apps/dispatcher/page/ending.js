/** Which sentence tells the caller how a call ended. */

/** @typedef {import("./line.js").Ending} Ending */

/** Close codes and error codes that have a sentence of their own. */
const TROUBLE = new Map([
  ["1001", "shutdown"],
  ["1011", "fault"],
  ["1013", "busy"],
  ["4400", "fault"],
  ["4403", "forbidden"],
  ["4404", "profile"],
  ["4408", "timeout"],
  ["4415", "fault"],
  ["busy", "busy"],
  ["too_many_calls", "too_many"],
  ["forbidden", "forbidden"],
  ["unknown_profile", "profile"],
  ["timeout", "timeout"],
]);

/**
 * @param {Ending} ending
 * @returns {{key: string, failed: boolean}} The sentence's key, and whether something went wrong.
 */
export function judge({ code, opened, reason, error }) {
  if (reason) return { key: `ended.${reason}`, failed: reason === "failure" };
  if (code === 1000) return { key: "ended.caller_hung_up", failed: false };
  const trouble = TROUBLE.get(String(code)) ?? TROUBLE.get(error);
  if (trouble) return { key: `trouble.${trouble}`, failed: true };
  return { key: opened ? "trouble.lost" : "trouble.unreachable", failed: true };
}

/** What the page's address says about the call: whom it calls, and what its holder may see. */
import { spokenLanguage } from "./words.js";

/**
 * `?profile=NAME` calls that profile, `?observe` shows what the learning does. An operator's link
 * ends in `#operator=TOKEN` and shows it anywhere; a caller's in `#token=TOKEN`. What stands behind
 * the # is never sent with the page's address, so no log has it.
 * @returns {Record<string, string | boolean>} Fields of `start`.
 */
export function wishes() {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  const operator = fragment.get("operator");
  const token = operator ?? fragment.get("token");
  return {
    profile: query.get("profile") ?? "",
    language: spokenLanguage(),
    ...((operator !== null || query.has("observe")) && { observe: true }),
    ...(token && { token }),
  };
}

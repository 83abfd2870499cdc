/** A rating that is given after the call; the call's token says which call it is for. */

/** A line that broke off: the server notices within half a minute, and settles the call then. */
const MOST_TRIES = 13;
const AGAIN_MS = 3_000;

/** What trying again does not help against. */
export const FINAL = new Set(["already_rated", "rating_expired", "unknown_call", "forbidden"]);

/**
 * @param {string} token As `rating.asked` or `call.ended` brought it.
 * @param {number} rating
 * @returns {Promise<string>} Empty once it is stored, or else the code of what was wrong.
 */
export async function rateLate(token, rating) {
  for (let tries = 1; ; tries++) {
    const code = await send({ token, rating });
    if (code !== "call_goes_on" || tries === MOST_TRIES) return code;
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

/** @param {{token: string, rating: number}} given @returns {Promise<string>} */
async function send(given) {
  try {
    const answer = await fetch(new URL("v1/calls/rating", document.baseURI), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(given),
    });
    return answer.ok ? "" : (await answer.json()).error.code;
  } catch {
    return "unreachable"; // or a proxy's own page of an error
  }
}

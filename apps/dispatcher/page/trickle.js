/** Addresses of this browser: those that the offer waits for, and those that are sent after it. */

/** How long an offer waits; the machine's own addresses are there at once, a relay's are not. */
const GATHER_MS = 300;

/** @param {RTCPeerConnection} peer @returns {Promise<void>} Once its addresses are known, or late. */
export function gathered(peer) {
  return new Promise((resolve) => {
    const check = () => peer.iceGatheringState === "complete" && resolve();
    peer.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHER_MS);
    check();
  });
}

/**
 * @param {string} offered The SDP that the addresses belong to.
 * @param {string} found The same description later.
 * @returns {string} The addresses found since as an SDP fragment (RFC 8840), or "" for none.
 */
export function fragment(offered, found) {
  const known = new Set(candidates(offered));
  const fresh = candidates(found).filter((line) => !known.has(line));
  if (!fresh.length) return "";
  const media = found.match(/^m=.*$/m)?.[0];
  const credentials = ["ice-ufrag", "ice-pwd"].map((name) => attribute(found, name));
  return [...credentials, media, attribute(found, "mid"), ...fresh, ""].join("\r\n");
}

/** @param {string} sdp @returns {string[]} */
const candidates = (sdp) => sdp.match(/^a=candidate:.*$/gm)?.map((line) => line.trim()) ?? [];

/** @param {string} sdp @param {string} name @returns {string} */
const attribute = (sdp, name) => sdp.match(new RegExp(`^a=${name}:.*$`, "m"))?.[0].trim() ?? "";

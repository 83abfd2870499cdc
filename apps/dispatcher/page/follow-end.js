/** Keeps the newest words in sight, unless the reader has scrolled back to older ones. */

/** Within this distance of the end a reader counts as being there. */
const NEAR_PX = 40;

/** @param {HTMLElement} scroller Followed for as long as the page lives. */
export function followEnd(scroller) {
  let following = true;
  let lastTop = 0;
  scroller.addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) following = true;
    // Growth alone moves the end away as well: only going up is the reader's wish.
    else if (scrollTop < lastTop) following = false;
    lastTop = scrollTop;
  });
  const sizes = new ResizeObserver(() => {
    if (following) scroller.scrollTop = scroller.scrollHeight;
  });
  sizes.observe(scroller);
  for (const child of scroller.children) sizes.observe(child);
}

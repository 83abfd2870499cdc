/** Keeps the newest words in sight, unless the reader has scrolled back to older ones. */

/** Within this distance of the end a reader counts as being there. */
const NEAR_PX = 40;

/** @param {HTMLElement} scroller Followed for as long as the page lives. */
export function followEnd(scroller) {
  let following = true;
  let lastTop = 0;
  let lastEnd = 0;
  scroller.addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    const end = scrollHeight - clientHeight;
    if (end - scrollTop < NEAR_PX) following = true;
    // Growth moves the end away as well: only going up where nothing grew is the reader's wish.
    else if (scrollTop < lastTop && end === lastEnd) following = false;
    lastTop = scrollTop;
    lastEnd = end;
  });
  const sizes = new ResizeObserver(() => {
    if (following) scroller.scrollTop = scroller.scrollHeight;
  });
  sizes.observe(scroller);
  for (const child of scroller.children) sizes.observe(child);
}

// Keeps a window at its end while things are added, unless the reader has scrolled up.
const NEAR_PX = 24;

export function start(element) {
  let atEnd = true;
  element.addEventListener("scroll", () => {
    atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
  });
  new MutationObserver(() => {
    if (atEnd) {
      element.scrollTop = element.scrollHeight;
    }
  }).observe(element, { childList: true, subtree: true });
}

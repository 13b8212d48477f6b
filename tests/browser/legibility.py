"""Whether the texts of a page stand out from what lies behind them, by the contrast that WCAG AA asks for."""

from __future__ import annotations

from playwright.sync_api import Page

SCROLLS_SIDEWAYS = "document.documentElement.scrollWidth > window.innerWidth"

_FAINT = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const read = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = read(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] > 0.99) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const light = (colour) => colour.slice(0, 3).reduce((sum, part, i) => {
    const share = part / 255;
    return sum + [0.2126, 0.7152, 0.0722][i] * (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
  }, 0.05);
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!text || !element.checkVisibility() || box.width < 3) continue;
    if (element.closest(".visually-hidden, [aria-hidden=true]")) continue;
    const below = ground(element);
    const [a, b] = [light(over(read(style.color), below)), light(below)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const where = `“${text.slice(0, 40)}” in ${element.tagName}.${element.className}`;
    if (a / b < wanted) faint.push(`${(a / b).toFixed(2)} ${where}`);
  }
  return faint;
}"""
"""Lists text whose contrast is below 4.5 : 1, or 3 : 1 where it is large (WCAG 2.2, 1.4.3)."""


def illegible(page: Page) -> list[str]:
    """Return what is wrong with the page that is open, empty when nothing is."""
    sideways = ["it scrolls sideways"] if page.evaluate(SCROLLS_SIDEWAYS) else []
    return [*sideways, *page.evaluate(_FAINT)]

"""What axe-core finds wrong with a page for people who hear it, see little of it, or have no mouse.

The vendored file runs in a world of its own beside the page, put there by the DevTools protocol: the policy of the
product stays as it is. Frames are left out: a mail in one is not ours.
"""

import json
from functools import cache
from pathlib import Path
from typing import Final

from tests.browser import Page

VENDOR: Final = Path(__file__).parent / "vendor"
LOOKS: Final = (((1280, 800), "light"), ((1280, 800), "dark"), ((390, 844), "light"), ((390, 844), "dark"))
"""A desk and a phone, as people set them."""

_RUN: Final = """
(async () => {
  const rules = %s;
  const found = await axe.run(document, {
    iframes: false, resultTypes: ['violations'], ...(rules.length ? {runOnly: {type: 'rule', values: rules}} : {}),
  });
  return found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(
    one => `${one.id}: ${one.help} (${one.nodes.length}) ` + one.nodes.slice(0, 3).map(
      node => node.target.join(' ') + ' ' + node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? '')).join(' | '));
})()
"""

_OVER: Final = """
[...document.querySelectorAll('body *')].filter(
  one => one.getBoundingClientRect().right > document.documentElement.clientWidth && !one.closest('.scroll')
).map(one => one.outerHTML.slice(0, 120)).slice(0, 4)
"""
# A phone's window grows with a page that is too wide; what it was laid out for does not.
_WIDER: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_SPILLING: Final = """
innerWidth > 560 ? [] : [...document.querySelectorAll('.scroll:has(> table.stack)')].filter(
  one => one.scrollWidth > one.clientWidth
).map(one => `rows ${one.scrollWidth} wide in a box of ${one.clientWidth}: ${one.innerText.slice(0, 80)}`)
"""


@cache
def _axe() -> str:
    return (VENDOR / "axe.min.js").read_text(encoding="utf-8")


async def judged(page: Page, *, every_look: bool = False) -> list[str]:
    """What is serious or critical on a light desk; `every_look`: and too faint or too wide in others."""
    world = await page.own_world()
    await page.value(f"{_axe()}\n;0", world=world)
    wrong: list[str] = []
    for look in LOOKS if every_look else LOOKS[:1]:
        (width, height), mode = look
        await page.size(width, height)
        await page.look(mode)
        rules = [] if look == LOOKS[0] else ["color-contrast"]
        found = [*await page.value(_RUN % json.dumps(rules), world=world), *await wide(page)]
        wrong += [f"{width} {mode}: {one}" for one in found]
    return wrong


async def wide(page: Page) -> list[str]:
    """Whether the page is wider than its screen, and what of it reaches over the edge."""
    over = int(await page.value(_WIDER))
    found = [f"{over} pixels wider than the screen: {await page.value(_OVER)}"] if over > 0 else []
    return [*found, *await page.value(_SPILLING)]

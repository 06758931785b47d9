"""Asks axe-core what is wrong with a page for those who do not see it, or not well, or use no pointer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOURCE = Path(__file__).parent.parent.parent / "node_modules/axe-core/axe.min.js"
GRAVE = ("serious", "critical")
ASK = """async ([within, grave]) => {
  // what moves is looked at when it has come to rest
  await new Promise(rest => requestAnimationFrame(() => requestAnimationFrame(rest)));
  const moving = document.getAnimations().filter(one => one.effect?.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(moving.map(one => one.finished));
  // JupyterLab's body has no height and cuts off what reaches out of it: axe-core took all for hidden
  const { minHeight } = document.body.style;
  document.body.style.minHeight = '100vh';
  // nor does it know that a question stands in front of the page
  const question = document.querySelector('dialog:modal');
  const behind = question ? [...document.body.children].filter(one => !one.contains(question)) : [];
  behind.forEach(one => { one.style.visibility = 'hidden'; });
  const found = await axe.run({ include: within }, { resultTypes: ['violations', 'passes'] });
  document.body.style.minHeight = minHeight;
  behind.forEach(one => { one.style.visibility = ''; });
  const colours = [...found.passes, ...found.violations].find(one => one.id === 'color-contrast')?.nodes ?? [];
  if (!colours.some(node => node.any[0]?.data?.contrastRatio > 0)) throw new Error(`no text was looked at: ${within}`);
  // a folder of a tree is named by its row alone, though what it holds is inside of it, as WAI-ARIA has trees
  const folder = node => document.querySelector(node.target[0])?.querySelector(':scope > [role=group]');
  const meant = (id, nodes) => nodes.filter(node => id !== 'label-content-name-mismatch' || !folder(node));
  const wrong = found.violations.filter(one => grave.includes(one.impact));
  return wrong.flatMap(({ id, nodes }) => meant(id, nodes).map(node => {
    const about = [...node.any, ...node.all, ...node.none].map(check => check.message).join('; ');
    return `${id}: ${node.target.join(' ')} — ${about}`;
  }));
}"""


def source() -> str:
    """The text of axe-core; the test is skipped where npm has not brought it."""
    if not SOURCE.is_file():
        reason = "axe-core is not there: npm ci"
        if os.environ.get("CI", "") not in {"", "false", "0"}:
            pytest.fail(f"{reason} (in CI it must not be missing)")
        pytest.skip(reason)
    return SOURCE.read_text(encoding="utf-8")


def grave(page: Page, *within: str) -> list[str]:
    """What is seriously wrong inside of these selectors, a line for each element."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"() => {{ {source()}\n }}")
    there = [selector for selector in within if page.locator(selector).count()]
    assert there, f"nothing of {within} is in the page"
    found: list[str] = page.evaluate(ASK, [[[selector] for selector in there], GRAVE])
    return found


def text(found: dict[str, list[str]]) -> str:
    """Findings by place, for a failed assertion."""
    return json.dumps({place: lines for place, lines in found.items() if lines}, indent=1, ensure_ascii=False)


def differing(found: dict[str, Any]) -> bool:
    """Whether anything was found anywhere."""
    return any(found.values())

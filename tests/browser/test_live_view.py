"""The live view in a real Chromium, with a made-up run: every state, a million lines, hostile texts, the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .live import DEMO, Demo, demo

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = pytest.mark.browser
Open = Callable[..., Demo]
__all__ = ["demo"]

MOST_ROWS = 2000
ROWS = "document.querySelectorAll('.mlr-live .row').length"
# the rows that are in sight are those of this place, and all are there
FILLED = """() => {
  const pane = document.querySelector('.mlr-live .pane').getBoundingClientRect();
  const rows = [...document.querySelectorAll('.mlr-live .row')];
  const [first, last] = [rows[0]?.getBoundingClientRect(), rows.at(-1)?.getBoundingClientRect()];
  return rows.length && !rows.some(row => 'missing' in row.dataset)
    && first.top <= pane.top + first.height && last.bottom >= pane.bottom - last.height;
}"""
# looked at in the same moment: rows may be filled, and others come in sight at once
TWELFTH = f"""() => {{
  const row = document.querySelectorAll('.mlr-live .row')[12];
  return ({FILLED})() && row ? [row.dataset.n, row.textContent] : null;
}}"""
EVIL = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
SPENT = (
    """document.querySelector('.mlr-live .time').textContent.split(':').reduce((all, part) => 60 * all + +part, 0)"""
)
# one picture each; `lines` and `long` on the tab that they are about
SCENES = [
    "queued", "waiting", "running", "completed", "failed", "empty", "metrics", "lines", "long", "hostile",
    "forms", "notebook", "notebook_failed",
]  # fmt: skip
TABS = {"lines": "Logs", "long": "Charts"}


def text(place: Locator) -> str:
    return place.inner_text().replace("\xa0", " ")


# ---------------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize(
    ("shape", "width", "theme"),
    [
        ("wide", 1100, "light"),
        ("narrow", 300, "dark"),
        pytest.param("wide", 1100, "dark", marks=pytest.mark.slow),
        pytest.param("narrow", 300, "light", marks=pytest.mark.slow),
    ],
)
def test_every_state_in_both_themes_wide_and_narrow(demo: Open, theme: str, shape: str, width: int) -> None:
    for scene in SCENES:
        page = demo(scene, theme=theme, width=width)
        if scene in TABS:
            page.tab(TABS[scene])
        page.drawn()
        over = page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{scene} is wider than its place by {over} pixels"
        # the view's height, its margins and the page's: nothing hidden reaches out of it
        below = (
            "document.documentElement.scrollHeight - Math.max(900, document.querySelector('main').offsetHeight + 40)"
        )
        assert page.page.evaluate(below) <= 0
        page.picture(f"{scene}-{theme}-{shape}")
        page.page.close()


def test_charts_have_ink_in_the_themes_colour(demo: Open) -> None:
    for theme, blue in (("light", (25, 118, 210)), ("dark", (33, 150, 243))):
        page = demo("running", theme=theme)
        page.drawn()
        inked = """(_, [r, g, b]) => {
          const canvas = document.querySelector('.mlr-live canvas');
          const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          let [count, labels] = [0, 0];
          for (let i = 0; i < data.length; i += 4) {
            labels += data[i + 3] > 100 && (i / 4) % canvas.width < 24 && i / 4 < canvas.width * 130 ? 1 : 0;
            count += data[i + 3] === 255 && data[i] === r && data[i + 1] === g && data[i + 2] === b ? 1 : 0;
          }
          return count > 100 && labels > 20;
        }"""
        page.until(inked, blue)


def test_a_change_of_theme_is_followed(demo: Open) -> None:
    page = demo("running")
    page.page.evaluate("document.body.dataset.jpThemeLight = 'false'; document.body.dataset.jpThemeName = 'dark'")
    expect(page.view).to_have_css("background-color", "rgb(33, 33, 33)")
    page.until("""() => {
      const canvas = document.querySelector('.mlr-live canvas');
      const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return data.some((red, i) => i % 4 === 0 && red === 33 && data[i + 1] === 150 && data[i + 2] === 243);
    }""")


def test_status_reason_and_time(demo: Open) -> None:
    page = demo("queued")
    assert "Queued" in text(page.view.locator(".pill"))
    assert "Waits for one of 2 places" in text(page.view.locator(".why"))
    assert text(page.view.locator(".time")) == "not started"
    page.run("feed => feed.become({status: 'Running', shown: 'Running', waiting: null, started: 1790000180})")
    expect(page.view.locator(".pill")).to_have_text("Running")
    expect(page.view.locator(".why")).to_be_hidden()
    # nine seconds and those since; it ticks with no frame
    page.until(f"() => {SPENT} >= 9")
    page.until(f"(_, before) => {SPENT} > before", page.run(f"() => {SPENT}"))
    end = "{status: 'Completed', shown: 'Completed', over: true, can_stop: false, ended: 1790000190}"
    page.run(f"feed => feed.become({end})")
    expect(page.view.locator(".time")).to_have_text("0:10")
    expect(page.view.locator(".head [role=status]")).to_have_text("Run first try: Completed")
    expect(page.view.get_by_role("button", name="Stop this run")).to_be_hidden()


# --------------------------------------------------------------------------------------------------- frames


def test_points_draw_once_per_frame(demo: Open) -> None:
    page = demo("running")
    # once the page has come to rest
    page.run("""async () => {
      window.draws = 0;
      const clear = CanvasRenderingContext2D.prototype.clearRect;
      CanvasRenderingContext2D.prototype.clearRect = function (...a) { window.draws++; return clear.apply(this, a); };
      const drawn = () => document.querySelectorAll('.mlr-live canvas').length;
      for (let [still, last] = [0, -1]; still < 20 || !drawn(); last = window.draws) {
        still = window.draws === last ? still + 1 : 0;
        await new Promise(requestAnimationFrame);
      }
      window.draws = 0;
    }""")
    page.run("feed => { for (let i = 0; i < 50; i++) feed.append('loss', [[1200 + i, 1790000200 + i, 0.5]]); }")
    page.drawn()
    assert page.run("() => window.draws") == 1
    expect(page.view.locator(".card", has_text="loss").first.locator(".foot")).to_contain_text("1,250 points")


def test_lost_frames_are_made_good_by_a_hello(demo: Open) -> None:
    page = demo("running")
    page.until("feed => feed.heard.filter(m => m.type === 'hello').length === 1")
    page.run("feed => { feed.lose(3); feed.append('loss', [[1200, 1790000200, 0.25]]); }")
    page.until("feed => feed.heard.filter(m => m.type === 'hello').length === 2")
    assert page.heard("hello")[1]["have"] is not None
    expect(page.view.locator(".card").first.locator(".value")).to_have_text("0.25")


def test_a_hello_that_nobody_answered_is_said_again(demo: Open) -> None:
    page = demo("running", busy="1")
    page.until("feed => feed.heard.filter(m => m.type === 'hello').length === 2")
    page.run("feed => feed.idle()")
    expect(page.view.locator(".pill")).to_have_text("Running")


def test_an_hour_replayed_keeps_memory_flat(demo: Open) -> None:
    page = demo("running")
    page.tab("Charts")
    session = page.page.context.new_cdp_session(page.page)
    # drawn now and then on the way: what a drawing leaves behind counts, too
    replay = """async (feed, from) => {
      const names = feed.metrics.map(m => m.name);
      for (let n = from; n < from + 9000; n++) {
        const numbers = [n * 2, 1790000200 + n / 10, Math.sin(n), n * 2 + 1, 1790000200 + n / 10, Math.cos(n)];
        const series = names.map(name => ({name, kind: 'number', mode: 'append', count: 2 * n, nonfinite: 0, odd: [],
          last: String(n), offset: 0, points: 2, columns: ['step', 'time', 'value']}));
        const lines = [`line ${n}`, `again ${n}`];
        const log = {from: 300 + 2 * n, lines, total: 302 + 2 * n, bytes: n, partial: false, dropped: null, skipped: 0};
        feed.push({series, log}, numbers);
        if (n % 300 === 0) await new Promise(requestAnimationFrame);
      }
      feed.heard.length = 0;
    }"""

    def used(start: int) -> tuple[float, int]:
        page.run(replay, start)
        page.drawn()
        session.send("HeapProfiler.collectGarbage")
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]), session.send("Memory.getDOMCounters")["nodes"]

    (before, nodes), *_, (after, more) = found = [used(start) for start in range(0, 36000, 9000)]
    told = ", then ".join(f"{heap / 1e6:.1f} MB and {count} nodes" for heap, count in found)
    print(f"an hour replayed: {told}")
    assert after - before < 3e6, told
    assert more - nodes < 500, told


def test_out_of_sight_it_wants_no_frames(demo: Open) -> None:
    page = demo("running")
    page.page.evaluate("document.body.style.paddingBottom = '4000px'; window.scrollTo(0, 3500)")
    page.until("feed => feed.heard.some(m => m.type === 'hide')")
    assert len(page.heard("hello")) == 1
    page.page.evaluate("window.scrollTo(0, 0)")
    page.until("feed => feed.heard.filter(m => m.type === 'hello').length === 2")


def test_a_view_that_is_taken_away_leaves_nothing(demo: Open) -> None:
    page = demo("running")
    saved_part = '<div class="jupyter-mlrun-static jupyter-mlrun-static-view-0">saved</div>'
    page.page.evaluate(
        "html => document.body.insertAdjacentHTML('beforeend', html)",
        f'<div class="jp-OutputArea-child">{saved_part}</div>',
    )
    saved = page.page.locator(".jp-OutputArea-child")
    expect(saved).to_be_hidden()
    page.page.evaluate("window.demo.end()")
    expect(saved).to_be_visible()
    expect(page.page.locator(".mlr-live")).to_have_count(0)
    assert page.heard("hide")
    page.run("feed => feed.append('loss', [[1, 2, 3]])")  # nobody listens


# --------------------------------------------------------------------------------------------------- kernel


def test_a_busy_kernel_is_named_and_the_view_moves_on(demo: Open) -> None:
    page = demo("running")
    page.run("feed => { feed.busy = true; }")
    page.view.get_by_role("button", name="Stop this run").click()
    page.view.get_by_role("button", name="Stop it").click()
    expect(page.view.locator(".notices")).to_contain_text("Waiting for the kernel")
    expect(page.view.locator(".notices")).to_contain_text("stops the run as soon as it answers")
    page.picture("busy")
    page.run("feed => feed.append('loss', [[1200, 1790000200, 0.125]])")
    expect(page.view.locator(".card").first.locator(".value")).to_have_text("0.125")
    page.run("feed => feed.idle()")
    expect(page.view.locator(".pill")).to_have_text("Cancel requested")
    expect(page.view.locator(".notices")).to_be_hidden()


def test_before_the_first_answer_it_says_what_it_waits_for(demo: Open) -> None:
    page = demo("running", busy=1)
    expect(page.view.get_by_role("status", name="Loading the run")).to_be_visible()
    expect(page.view.locator(".late")).to_be_visible()
    page.picture("loading")
    page.run("feed => feed.idle()")
    expect(page.view.locator(".pill")).to_have_text("Running")


def test_a_kernel_that_is_gone(demo: Open) -> None:
    page = demo("running")
    page.page.evaluate("window.demo.models[0].tell('destroy')")
    expect(page.view.locator(".notices")).to_contain_text("The kernel that fed this view is gone")
    expect(page.view.get_by_role("button", name="Stop this run")).to_be_hidden()
    assert "Running" in text(page.view.locator(".pill"))
    page.picture("lost")


# --------------------------------------------------------------------------------------------------- charts


def test_zoom_asks_for_the_points_and_a_double_click_resets(demo: Open) -> None:
    page = demo("long")
    page.tab("Charts")
    over = page.view.locator(".u-over").first
    box = over.bounding_box()
    assert box is not None
    page.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 60, steps=3)
    page.page.mouse.up()
    page.until("feed => feed.heard.filter(m => m.type === 'range').length === 2")
    # it is read while the button is still down, so that the zoom need not wait for it
    prepared, asked = page.heard("range")
    assert (prepared["metric"], prepared["from"], prepared["to"], prepared["buckets"]) == ("loss", 0, 0, 1)
    assert (asked["metric"], asked["x"], asked["buckets"]) == ("loss", "step", 1000)
    assert 29_000 < asked["from"] < 31_000
    assert 34_000 < asked["to"] < 36_000
    back = page.view.get_by_role("button", name="Reset zoom")
    expect(back).to_be_visible()
    page.picture("zoomed")
    over.dblclick()
    expect(back).to_be_hidden()
    assert len(page.heard("range")) == 2


def test_the_cursor_is_shared(demo: Open) -> None:
    page = demo("running")
    page.view.locator(".u-over").first.hover(position={"x": 100, "y": 50})
    for card in page.view.locator(".card").all()[:3]:
        expect(card.locator(".at")).to_have_text(re.compile(r"^step \d+$"))
    page.page.mouse.move(2, 2)
    expect(page.view.locator(".card .at").first).to_have_text("")


def test_toolbar_axes_scale_smoothing_filter(demo: Open) -> None:
    page = demo("metrics", width=700)
    page.tab("Charts")
    view = page.view
    for name in ("Time", "Log scale"):
        view.get_by_role("button", name=name).click()
        expect(view.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    expect(view.get_by_role("button", name="Step", exact=True)).to_have_attribute("aria-pressed", "false")
    view.get_by_label("Smoothing").fill("0.9")
    expect(view.locator(".smoothing output")).to_have_text("0.90")
    page.picture("smoothed")
    view.get_by_label("Filter metrics by name").fill("LAYER0")
    expect(view.locator(".card:visible")).to_have_count(10)
    view.get_by_label("Filter metrics by name").fill("nothing")
    expect(view.get_by_text("No metric has this in its name.")).to_be_visible()


def test_charts_out_of_sight_hold_no_canvas(demo: Open) -> None:
    page = demo("metrics", width=700)
    page.tab("Charts")
    expect(page.view.locator("canvas").nth(3)).to_be_attached()
    page.drawn()
    assert page.view.locator("canvas").count() <= 16
    page.view.locator(".charts-scroll").evaluate("place => place.scrollTo(0, place.scrollHeight)")
    expect(page.view.locator(".card").last.locator("canvas")).to_be_visible()
    page.until("() => document.querySelectorAll('.mlr-live canvas').length <= 16")


# ------------------------------------------------------------------------------------------------------ log


def test_a_million_lines_in_few_rows(demo: Open) -> None:
    page = demo("lines")
    page.tab("Logs")
    pane = page.view.locator(".pane")
    expect(page.view.locator(".row").last).to_have_attribute("data-n", "1000000")
    pane.press("Home")
    expect(page.view.locator('.row[data-n="1"]')).to_contain_text("Epoch 1")
    for part in (0.5, 0.123456, 0.99):
        pane.evaluate("(place, part) => place.scrollTo(0, part * (place.scrollHeight - place.clientHeight))", part)
        number, shown = page.page.wait_for_function(TWELFTH).json_value()
        assert page.page.evaluate(ROWS) <= MOST_ROWS
        assert shown.split()[0] == str(int(number) - 1), "the right line is in its row"
    asked = page.heard("lines")
    assert all(0 < question["to"] - question["from"] <= MOST_ROWS for question in asked)
    pane.hover()
    page.rests(".mlr-live .pane")
    first = int(page.view.locator(".row").first.get_attribute("data-n") or "")
    page.page.mouse.wheel(0, 180)
    page.until("(_, first) => Number(document.querySelector('.mlr-live .row').dataset.n) === first + 10", first)


def test_a_key_is_not_undone_by_a_scroll_that_was_under_way(demo: Open) -> None:
    page = demo("lines")
    page.tab("Logs")
    expect(page.view.locator(".row").last).to_have_attribute("data-n", "1000000")
    press = "new KeyboardEvent('keydown', {key, bubbles: true})"
    both = f"(place, key) => {{ place.dispatchEvent({press}); place.dispatchEvent(new Event('scroll')); }}"
    follow = page.view.get_by_role("button", name="Follow")
    for key, row, following in (("Home", "1", "false"), ("End", "1000000", "true"), ("PageUp", "999950", "false")):
        page.view.locator(".pane").evaluate(both, key)
        expect(page.view.locator(f'.row[data-n="{row}"]')).to_be_visible()
        expect(follow).to_have_attribute("aria-pressed", following)


def test_following_stops_when_the_reader_scrolls_up(demo: Open) -> None:
    page = demo("running")
    page.tab("Logs")
    follow = page.view.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    page.run("feed => feed.print(100)")
    expect(page.view.locator(".row").last).to_have_attribute("data-n", "400")
    page.view.locator(".pane").hover()
    page.page.mouse.wheel(0, -900)
    expect(follow).to_have_attribute("aria-pressed", "false")
    page.rests(".mlr-live .pane")
    page.until(FILLED)
    where = "() => { const p = document.querySelector('.mlr-live .pane').getBoundingClientRect();"
    where += " return document.elementFromPoint(p.x + 60, p.y + 40).closest('.row').dataset.n; }"
    before = page.run(where)
    page.run("feed => feed.print(5000)")
    page.drawn()
    assert page.run(where) == before, "the lines in sight stay"
    page.view.get_by_role("button", name="Newest lines").click()
    expect(page.view.locator(".row").last).to_have_attribute("data-n", "5400")
    expect(follow).to_have_attribute("aria-pressed", "true")


def test_search_goes_to_matches_around_the_end(demo: Open) -> None:
    page = demo("lines")
    page.tab("Logs")
    field = page.view.get_by_label("Search the log")
    field.fill("The NEEDLE")
    field.press("Enter")
    expect(page.view.locator(".result")).to_have_text("1 of 1 · line 123,457")
    expect(page.view.locator('.row[data-n="123457"] mark')).to_have_text("the needle")
    expect(page.view.locator(".row[data-found]")).to_have_attribute("data-n", "123457")
    page.picture("search")
    page.view.get_by_role("button", name="Next match").click()  # once around
    expect(page.view.locator(".result")).to_have_text("1 of 1 · line 123,457")
    field.fill("not there")
    field.press("Shift+Enter")
    expect(page.view.locator(".result")).to_have_text("No match")


def test_matches_are_numbered(demo: Open) -> None:
    page = demo("running")
    page.tab("Logs")
    result, field = page.view.locator(".result"), page.view.get_by_label("Search the log")
    field.fill("validated")
    page.view.locator(".pane").press("Home")
    field.press("Enter")
    expect(result).to_have_text("1 of 25 · line 12")
    field.press("Enter")
    expect(result).to_have_text("2 of 25 · line 24")
    field.press("Shift+Enter")
    field.press("Shift+Enter")
    expect(result).to_have_text("25 of 25 · line 300")
    page.run("feed => feed.print(12)")
    field.press("Shift+Enter")
    expect(result).to_have_text("24 of 26 · line 288")
    assert all(asked["from"] == 0 for asked in page.heard("count"))
    assert len(page.heard("count")) == 2, "counted anew only when there was more"


# ------------------------------------------------------------------------- the machine, cells, tables, the queue


def test_what_the_run_uses_is_drawn_and_read_under_the_pointer(demo: Open) -> None:
    page = demo("running")
    spark = page.view.locator(".spark", has_text="CPU")
    expect(spark.locator(".value")).to_have_text("302 %")
    expect(spark.locator(".curve")).to_have_attribute("d", re.compile(r"^M0 .*L1000 "))
    spark.locator("svg").hover(position={"x": 1, "y": 5})
    expect(spark.locator(".value")).to_have_text("90 % after 0:00")
    page.tab("System")
    expect(page.view.locator(".system .spark")).to_have_count(8)
    expect(page.view.locator(".system")).to_contain_text("8 cores · 32 GB of memory · GPU 0: NVIDIA A100")
    expect(demo("empty").view.get_by_role("tab", name="System")).to_be_hidden()


def test_cells_of_a_notebook(demo: Open) -> None:
    page = demo("notebook")
    strip = page.view.get_by_role("img", name="Cell 6 of 12")
    expect(strip.locator(".piece")).to_have_count(12)
    expect(strip.locator(".piece").nth(2)).to_have_attribute("title", "Cell 3 · done · 1.9 s")
    expect(strip.locator(".piece[data-state=running]")).to_have_attribute("title", "Cell 6 · running")
    failed = demo("notebook_failed")
    expect(failed.view.locator(".said")).to_have_text("Cell 211 of 300 raised ValueError after 0.2 s")
    expect(failed.view.locator(".piece[data-state=failed]")).to_have_count(1)
    assert failed.view.locator(".piece").count() <= 160
    expect(demo("running").view.locator(".cells")).to_be_hidden()


def test_rows_tables_images_and_matrices(demo: Open) -> None:
    page = demo("forms")
    rows = page.view.get_by_role("article").filter(has_text="epochs")
    expect(rows.locator("tbody tr").first).to_have_text(re.compile("^140.*40.*0.0262.*0.997"))
    expect(rows.locator(".spark .metric")).to_have_text(["epoch", "loss", "accuracy"])
    expect(rows.locator(".note")).to_have_text("The last 40 of 140 rows")
    matrix = page.view.locator(".matrix")
    expect(matrix.locator("td[data-diagonal]").first).to_have_attribute("title", "true ant, predicted ant: 64")
    picture = page.view.get_by_role("img", name="Image samples")
    page.until("() => document.querySelector('.sheet img').naturalWidth === 160")
    expect(picture).to_have_attribute("src", re.compile("^blob:"))
    page.run("feed => { feed.busy = true; feed.metrics[4].form.count = 4; feed.full(); }")
    expect(page.view.locator(".notices")).to_contain_text("Waiting for the kernel")
    page.run("feed => feed.idle()")
    expect(page.view.locator(".notices")).to_be_hidden()


def test_a_place_in_the_queue_and_its_cure(demo: Open) -> None:
    page = demo("waiting")
    why = page.view.locator(".why")
    expect(why.locator("b")).to_have_text("2nd of 5 in the queue")
    expect(why.locator("code")).to_have_text("--gpus 0")
    expect(why).to_contain_text("--gpus 0 would start it now")
    page.run("feed => feed.become({ queue: null, waiting: null, status: 'Running', shown: 'Running', start: 'warm' })")
    expect(why).to_be_hidden()
    expect(page.view.locator(".facts")).to_contain_text("warm start")


def test_long_lines_wrap_and_the_end_is_reached(demo: Open) -> None:
    page = demo("long", width=500)
    page.tab("Logs")
    page.view.get_by_role("button", name="Wrap long lines").click()
    page.until("() => document.querySelectorAll('.mlr-live .row')[0].offsetHeight > 40")
    bottom = """() => {
      const pane = document.querySelector('.mlr-live .pane').getBoundingClientRect();
      const last = [...document.querySelectorAll('.mlr-live .row')].at(-1).getBoundingClientRect();
      return Math.abs(last.bottom - pane.bottom) < 2;
    }"""
    page.until(bottom)
    page.view.locator(".pane").press("Home")
    page.until("""() => {
      const pane = document.querySelector('.mlr-live .pane').getBoundingClientRect();
      return Math.abs(document.querySelector('.mlr-live .row').getBoundingClientRect().top - pane.top) < 2;
    }""")
    page.picture("wrapped")


def test_copy_gives_plain_text(demo: Open) -> None:
    page = demo("running")
    page.tab("Logs")
    page.view.get_by_role("button", name="Copy the selection").click()
    expect(page.view.locator(".log [role=status]").last).to_have_text("300 lines copied.")
    copied = page.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Epoch 1  lr 0.0090\n")
    assert "\x1b" not in copied


# -------------------------------------------------------------------------------------------------- hostile


def test_hostile_texts_are_text(demo: Open) -> None:
    page = demo("hostile")
    for tab in ("Overview", "Charts", "Logs", "System", "Details"):
        page.tab(tab)
        page.drawn()
    assert page.run("() => window.owned") is None
    # nothing but what the view itself makes: its own svg icons are counted by their class
    for tag in (
        "img",
        "script",
        "iframe",
        "object",
        "style",
        "svg:not(.icon, .shape)",
        "[onerror]",
        "[onload]",
        "[onmouseover]",
    ):
        assert page.view.locator(tag).count() == 0, tag
    links = page.view.locator("a").evaluate_all("all => all.map(a => [a.href, a.rel, a.target])")
    assert [(href.startswith("https://example.org/"), rel, target) for href, rel, target in links] == [
        (True, "noopener noreferrer", "_blank")
    ]
    page.tab("Logs")
    expect(page.view.locator(".row").first).to_have_text(EVIL)
    rows = page.view.locator(".row").all_inner_texts()
    assert rows[1] == EVIL
    assert rows[2:4] == ["click", "evil"]
    assert rows[5] == "100%"
    page.tab("Charts")
    expect(page.view.locator(".metric").first).to_have_text("text")
    assert EVIL in page.view.locator(".metric").all_inner_texts()


def test_the_bundle_is_small_and_takes_nothing_from_outside() -> None:
    script, style = (DEMO / "widget.js").read_text(), (DEMO / "widget.css").read_text()
    assert len(script.encode()) + len(style.encode()) <= 150_000
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "import("):
        assert word not in script, word
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "@import", "url("):
        assert word not in script, word
        assert word not in style, word
    assert set(re.findall(r"https?://[\w./]+", script + style)) == {"http://www.w3.org/2000/svg"}
    assert "Leon Sorokin" in script, "uPlot's licence goes where uPlot goes"


# ------------------------------------------------------------------------------------------------- keyboard


def test_by_keyboard_alone(demo: Open) -> None:
    page = demo("running")
    keys = page.page.keyboard
    focus = "() => document.activeElement.textContent || document.activeElement.getAttribute('aria-label')"
    keys.press("Tab")
    assert "Stop" in page.run(focus)
    keys.press("Enter")
    assert page.run(focus) == "Keep running", "the harmless answer has the focus"
    keys.press("Escape")
    assert "Stop" in page.run(focus)
    keys.press("Tab")
    assert page.run(focus).startswith("Overview")
    keys.press("ArrowRight")
    assert page.run(focus).startswith("Charts")
    expect(page.view.get_by_role("toolbar", name="How charts are drawn")).to_be_visible()
    for _ in range(5):  # Step, Time, Log scale, Smoothing, then the scroller or the first chart
        keys.press("Tab")
    page.page.locator(".plot").first.focus()
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    expect(page.view.locator(".card").first.locator(".at")).to_have_text("step 1,197")
    keys.press("+")
    page.until("feed => feed.heard.some(m => m.type === 'range')")
    expect(page.view.get_by_role("button", name="Reset zoom")).to_be_visible()
    keys.press("0")
    expect(page.view.get_by_role("button", name="Reset zoom")).to_be_hidden()
    page.view.get_by_role("tab", name="Charts").focus()
    keys.press("ArrowRight")
    page.view.locator(".pane").focus()
    keys.press("/")
    assert page.run("() => document.activeElement.getAttribute('aria-label')") == "Search the log"
    keys.type("epoch 3")
    keys.press("Enter")
    expect(page.view.locator(".result")).to_have_text("1 of 1 · line 25")


def test_single_keys_do_not_reach_the_notebook(demo: Open) -> None:
    page = demo("running")
    page.page.evaluate("window.keys = []; document.addEventListener('keydown', e => window.keys.push(e.key))")
    page.view.get_by_role("tab", name="Overview").focus()
    for key in ("d", "0", "ArrowRight", "Control+s"):
        page.page.keyboard.press(key)
    assert page.run("() => window.keys") == ["Control", "s"]


def test_everything_that_can_be_pressed_has_a_name(demo: Open) -> None:
    page = demo("completed")
    for tab in ("Overview", "Charts", "Logs", "Details"):
        page.tab(tab)
        nameless = page.view.locator(":is(button, input, select, a, [tabindex])").evaluate_all("""all => all
          .filter(e => e.checkVisibility() && !e.textContent.trim() && !e.getAttribute('aria-label'))
          .map(e => e.outerHTML)""")
        assert nameless == []
    panel = page.view.get_by_role("tabpanel")
    expect(panel).to_have_attribute(
        "aria-labelledby", page.view.get_by_role("tab", name="Details").get_attribute("id") or ""
    )


def test_reduced_motion_and_forced_colours(demo: Open) -> None:
    page = demo("running")
    page.page.emulate_media(reduced_motion="reduce", forced_colors="active")
    expect(page.view.locator(".icon-turn")).to_have_css("animation-name", "none")
    page.drawn()
    page.picture("forced-colours")

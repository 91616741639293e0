"""The pages in a real Chromium, on a phone and at a desk: found, read and rated with and without a script; signed up,
in and moderated; labelled, legible in light and dark, and never wider than the screen.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import patient
import psycopg
import pytest
from conftest import APP, TOKEN, Cluster, free_port, listens, wait_until
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from ratemyunit import accounts, passwords, settings, units
from ratemyunit import database as pool

PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 900}
PASSWORD = "correct horse battery"
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
ODD = [
    "W" + "o" * 300 + "w",
    "שלום עולם, זה היה קורס טוב מאוד (really)!",
    "👩🏽‍💻" * 120,
    "a\u202eb\u0301" * 60,
    "١٢٣ مرحبا " * 30,
]
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one Chromium for all of these tests."""
    expect.set_options(timeout=patient.LONG * 1000)
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=settings.browser(), args=["--disable-gpu"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def database_name(cluster: Cluster) -> str:
    """Make a database with units, an admin, and words that nobody expects."""
    name = f"browser{os.getpid()}"
    cluster.make_migrated(name)
    engine = pool.engine(cluster.url(name))
    with engine.begin() as connection:
        plain = [units.Found(f"COMP1{n:03}", f"Programming {n}", "Loops and functions") for n in range(30)]
        units.store(connection, "North", plain)
        units.store(connection, LONG[:200], [units.Found("X" * 32, LONG[:300], " ".join(ODD))])
        accounts.add(connection, "admin@a.example", passwords.hashed(PASSWORD))
        found = accounts.by_email(connection, "admin@a.example")
        assert found
        accounts.set_role(connection, found["id"], "admin")
    engine.dispose()
    return name


@pytest.fixture(scope="module")
def site(cluster: Cluster, database_name: str, redis_url: str, tmp_path_factory: Any) -> Iterator[str]:
    """Run role `api` for all of these tests."""
    port, folder = free_port(), tmp_path_factory.mktemp("browser")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP), "HTTP_PORT": str(port), "REDIS_URL": redis_url}
    env |= {"DATABASE_URL": cluster.url(database_name), "ADMIN_TOKEN": TOKEN, "HOME": str(folder)}
    with (folder / "log").open("w") as out:
        process = subprocess.Popen([sys.executable, patient.__file__, "api"], env=env, stdout=out)
    wait_until(lambda: process.poll() is not None or listens(port))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(patient.LONG)


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    """Give a function that opens a path as a visitor of its own; what the browser complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def visiting(path: str, **how: Any) -> Page:
        context = browser.new_context(**{"viewport": PHONE, "base_url": site, **how})
        contexts.append(context)
        context.set_default_timeout(patient.LONG * 1000)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if _complains(said) else None)
        page.on("pageerror", lambda why: complaints.append(str(why)))
        page.on("response", lambda got: complaints.append(got.url) if "/static/" in got.url and not got.ok else None)
        page.goto(path)
        return page

    yield visiting
    for context in contexts:
        context.close()
    assert complaints == []


def _complains(said: ConsoleMessage) -> bool:
    # That a page itself answers 404 or 422 is what some of these tests are about.
    return said.type in {"error", "warning"} and not ("status of 4" in said.text and "/static/" not in said.text)


def rows(cluster: Cluster, name: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with psycopg.connect(cluster.url(name, "master")) as connection:
        return connection.execute(sql).fetchall()


def sign_in(page: Page, email: str) -> None:
    """Sign in as somebody."""
    page.goto("/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_student_finds_reads_and_rates_a_unit(
    visit: Visit, cluster: Cluster, database_name: str, script: bool
) -> None:
    code = "COMP1001" if script else "COMP1002"
    page = visit("/", java_script_enabled=script)
    page.get_by_label("Find a unit").fill(code)
    page.get_by_label("Find a unit").press("Enter")
    page.get_by_role("link", name=f"Programming {int(code[-1])}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Programming {int(code[-1])}")

    page.get_by_role("button", name="Send rating").click()
    expect(page.get_by_text("Choose one to five stars.")).to_be_visible()
    page.get_by_role("radio", name="4 stars").check()
    page.get_by_label("Your words").fill("hard, but 📈\nand fair")
    page.get_by_role("button", name="Send rating").click()

    expect(page.get_by_role("status").first).to_contain_text("Your stars count now")
    expect(page.get_by_role("region", name="Overall")).to_contain_text("1 rating")
    given = "select stars, comment from ratings join units on units.id = unit_id where code = '{}'"
    assert rows(cluster, database_name, given.format(code)) == [(4, "hard, but 📈\nand fair")]


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_form_that_is_sent_twice_is_one_rating(
    visit: Visit, cluster: Cluster, database_name: str, script: bool
) -> None:
    code = "COMP1003" if script else "COMP1008"
    page = visit(f"/search?q={code}", java_script_enabled=script)
    page.get_by_role("link", name=f"Programming {int(code[-1])}").click()
    page.get_by_role("radio", name="5 stars").check()

    page.get_by_role("button", name="Send rating").dblclick()
    expect(page.get_by_role("status").first).to_contain_text("Your stars count now")

    count = f"select count(*) from ratings join units on units.id = unit_id where code = '{code}'"
    assert rows(cluster, database_name, count) == [(1,)]


def test_words_are_counted_where_the_limit_comes_near(visit: Visit) -> None:
    page = visit("/search?q=COMP1004")
    page.get_by_role("link", name="Programming 4").click()

    page.get_by_label("Your words").fill("a" * 1900)

    expect(page.get_by_text("100 characters left")).to_be_visible()


def test_a_student_signs_up_rates_and_takes_it_back(visit: Visit) -> None:
    page = visit("/sign-up")
    page.get_by_label("E-mail address").fill("student@a.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status")).to_contain_text("Sign in")
    sign_in(page, "student@a.example")

    page.goto("/search?q=COMP1005")
    page.get_by_role("link", name="Programming 5").click()
    page.get_by_role("radio", name="2 stars").check()
    page.get_by_role("button", name="Send rating").click()
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Take back").click()

    expect(page.get_by_text("You have rated no unit yet")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_an_admin_moderates_pauses_and_scrapes(visit: Visit) -> None:
    student = visit("/search?q=COMP1006")
    student.get_by_role("link", name="Programming 6").click()
    student.get_by_role("radio", name="3 stars").check()
    student.get_by_label("Your words").fill("please read me")
    student.get_by_role("button", name="Send rating").click()
    expect(student.get_by_text("please read me")).to_be_hidden()

    admin = visit("/sign-in", viewport=DESK)
    sign_in(admin, "admin@a.example")
    admin.get_by_role("link", name="Admin").click()
    admin.get_by_label("Why").fill("the catalogue moves")
    admin.get_by_role("button", name="Pause the queue").click()
    expect(admin.get_by_text("the catalogue moves")).to_be_visible()
    admin.get_by_role("button", name="Resume").click()
    admin.get_by_role("link", name="Reviews", exact=True).click()
    review = admin.get_by_role("listitem").filter(has_text="please read me")
    review.get_by_role("button", name="Show").click()
    expect(review).to_have_count(0)
    student.reload()

    expect(student.get_by_text("please read me")).to_be_visible()


PAGES = [
    "/",
    "/search?q=" + "W" * 200,
    "/search",
    "/sign-in",
    "/sign-up",
    "/nothing",
    "/units/ODD",
    "/account",
    "/admin",
]
PAGES += ["/admin/reviews", "/admin/users?search=a"]


@pytest.fixture(scope="module")
def odd_unit(cluster: Cluster, database_name: str) -> str:
    """Give the unit with the long names reviews that nobody expects; answer its id."""
    [(unit,)] = rows(cluster, database_name, "select id from units where code like 'XX%'")
    for number, words in enumerate(ODD):
        given = "insert into ratings (id, unit_id, stars, comment, review) values (gen_random_uuid(), %s, %s, %s, %s)"
        with psycopg.connect(cluster.url(database_name, "master")) as connection:
            connection.execute(given, (unit, 1 + number % 5, words, "shown"))
            connection.execute(given, (unit, 5, words, "pending"))
    return str(unit)


SHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.mark.parametrize("size", [SMALL_PHONE, PHONE, DESK], ids=lambda s: str(s["width"]))
def test_no_page_is_wider_than_the_screen_whatever_it_shows(visit: Visit, odd_unit: str, size: dict[str, int]) -> None:
    page = visit("/sign-in", viewport=size)
    sign_in(page, "admin@a.example")
    for path in PAGES:
        page.goto(path.replace("ODD", odd_unit))
        wide = page.evaluate(WIDER)
        if SHOTS:
            name = path.strip("/").replace("/", "-").split("?")[0] or "home"
            page.screenshot(path=Path(SHOTS) / f"{name}-{size['width']}.png", full_page=True)
        assert wide == [], path


WIDER = """() => {
  const most = document.documentElement.clientWidth;
  const wide = [...document.body.querySelectorAll('*')].filter((e) => {
    const box = e.getBoundingClientRect();
    return !e.closest('.unseen, .skip') && box.width > 0 && (box.right > most + 1 || box.left < -1);
  }).map((e) => e.tagName + '.' + e.className);
  return document.documentElement.scrollWidth > most ? ['the page', ...wide] : wide;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_labelled_ordered_and_legible(visit: Visit, odd_unit: str, scheme: str) -> None:
    page = visit("/sign-in", color_scheme=scheme)
    sign_in(page, "admin@a.example")
    outside = visit("/", color_scheme=scheme)
    for path in PAGES:
        shown = outside if path.startswith("/sign") else page
        shown.goto(path.replace("ODD", odd_unit))
        assert shown.evaluate(FAULTS) == [], path


FAULTS = """() => {
  const faults = [], all = (what) => [...document.querySelectorAll(what)];
  const named = (e) => (e.labels && [...e.labels].some((l) => l.textContent.trim())) || e.getAttribute('aria-label')
    || (e.getAttribute('aria-labelledby') || '').split(' ').some((id) => document.getElementById(id)) || '';
  if (document.documentElement.lang !== 'en') faults.push('no language');
  if (!document.title.trim()) faults.push('no title');
  for (const one of ['main', 'header', 'footer', 'h1']) if (all(one).length < 1) faults.push('no ' + one);
  if (all('h1').length > 1 || all('main').length > 1) faults.push('two h1 or main');
  for (const e of all('input:not([type=hidden]), select, textarea')) if (!named(e)) faults.push('no label: ' + e.name);
  for (const e of all('a, button')) if (!e.textContent.trim() && !named(e)) faults.push('no name: ' + e.outerHTML);
  for (const e of all('nav, section, progress')) if (!named(e)) faults.push('no name: ' + e.outerHTML.slice(0, 80));
  for (const e of all('img')) if (!e.hasAttribute('alt')) faults.push('no alt: ' + e.src);
  for (const e of all('fieldset')) if (!e.querySelector('legend')) faults.push('no legend');
  const ids = all('[id]').map((e) => e.id);
  if (new Set(ids).size !== ids.length) faults.push('an id twice: ' + ids);
  for (const e of all('[aria-describedby]')) for (const id of e.getAttribute('aria-describedby').trim().split(/ +/))
    if (!document.getElementById(id)) faults.push('describes nothing: ' + id);
  const levels = all('h1, h2, h3').map((e) => Number(e.tagName[1]));
  levels.forEach((level, n) => { if (n && level > levels[n - 1] + 1) faults.push('a heading is skipped: ' + levels); });
  if (levels[0] !== 1) faults.push('the first heading is no h1');

  const parts = (color) => color.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const color = parts(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return parts(getComputedStyle(document.documentElement).backgroundColor);
  };
  for (const e of all('body *')) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || e.closest('.unseen, .skip, script, option') || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const found = contrast(parts(style.color), behind(e));
    const where = `${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`;
    if (found < least) faults.push(`contrast ${found.toFixed(2)} of ${where}`);
  }
  for (const e of all('input:not([type=hidden], [type=radio], [type=checkbox]), textarea, select')) {
    const found = contrast(parts(getComputedStyle(e).borderColor), behind(e.parentElement));
    if (found < 3) faults.push(`contrast ${found.toFixed(2)} of the border of ${e.name}`);
  }
  return faults;
}"""


def test_a_page_is_used_by_the_keyboard_alone(visit: Visit) -> None:
    page = visit("/search?q=COMP1007")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name="Programming 7").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Programming 7")

    page.get_by_role("radio", name="1 star").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    expect(page.get_by_role("radio", name="3 stars")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Your words")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Your stars count now")


def test_a_target_is_large_enough_for_a_thumb(visit: Visit, odd_unit: str) -> None:
    page = visit(f"/units/{odd_unit}")

    small = page.evaluate("""() => [...document.querySelectorAll('button, .pick input, nav a, select, textarea')]
        .map((e) => [e.name || e.textContent, e.getBoundingClientRect()])
        .filter(([, box]) => box.width < 24 || box.height < 24).map(([name]) => name)""")

    assert small == []

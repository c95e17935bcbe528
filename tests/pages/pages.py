"""The pages that flagos makes, in a real browser: with the keys alone, on a phone, in the dark, and
with no network.

usage: pages.py PATH-OF-flagos-conformance PLUGIN

Makes reports of the plugin and of the runner's own cases (some of which fail), a comparison and a
matrix of them, opens each page in Chromium without a screen, and says what is wrong.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait
except ImportError:
    # The interpreter that CMake found may not be the system's, which scripts/setup gives Selenium.
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])
    print("skipped: there is no Selenium; scripts/setup installs it")
    sys.exit(77)

DRIVER = "/usr/bin/chromedriver"
DESK, PHONE = (1280, 900), (360, 740)

# The smallest contrast of any text with what is behind it (WCAG 2.2, 1.4.3), with that text.
CONTRAST = """
const channels = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = color => {
  const [r, g, b] = color.map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (let at = element; at; at = at.parentElement) {
    const color = channels(getComputedStyle(at).backgroundColor);
    if (color.length < 4 || color[3] > 0) return color.slice(0, 3);
  }
  return [255, 255, 255];
};
let worst = [21, ''];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  if (!node.textContent.trim()) continue;
  const element = node.parentElement;
  const [a, b] = [light(channels(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < worst[0]) worst = [ratio, node.textContent.trim().slice(0, 40)];
}
return worst;
"""
# What the key Tab must reach, in this order.
REACHABLE = """
return [...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter(
  e => e.checkVisibility()).length;
"""
FOCUSED = """
const at = document.activeElement;
if (!at || at === document.body) return null;
const style = getComputedStyle(at), box = at.getBoundingClientRect();
const all = [...document.querySelectorAll('*')];
return {place: all.indexOf(at), name: at.tagName.toLowerCase() + ' ' + at.textContent.trim().slice(0, 30),
  outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
  seen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth};
"""
# Boxes that are larger inside than outside: the reader must be able to move them with the keys.
HIDDEN = """
const moves = overflow => ['auto', 'scroll'].includes(overflow);
return [...document.querySelectorAll('body *')].filter(e => e.tabIndex < 0 &&
  (e.scrollWidth > e.clientWidth + 1 && moves(getComputedStyle(e).overflowX) ||
   e.scrollHeight > e.clientHeight + 1 && moves(getComputedStyle(e).overflowY))).map(
  e => e.tagName.toLowerCase() + ' ' + e.textContent.trim().slice(0, 40));
"""
# Words that go over two lines, where a narrow box broke them.
BROKEN = """
const broken = [], range = document.createRange();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  for (const word of node.textContent.matchAll(/[\\p{L}\\p{N}_.]{2,20}/gu)) {
    range.setStart(node, word.index), range.setEnd(node, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) broken.push(word[0]);
  }
}
return broken;
"""


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, right, text):
        if not right:
            print(f"pages: {text}")
            self.failed += 1


def run(*command, codes=(0, 1)):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"pages: {' '.join(map(str, command))}: {done.returncode}\n"
                         f"{done.stdout[-2000:]}{done.stderr[-2000:]}")


def make_pages(program, plugin, folder):
    """Returns the pages, the matrix first, and the reports that are in it."""
    reports = [folder / name / "report.json" for name in ("chip", "own", "worse")]
    run(program, "--plugin", plugin, "--quick", "--seed", "5", "--only", "mem.*", "--only",
        "perf.*", "--out", folder / "chip", codes=(0, 1, 2))
    own = (program, "--selftest", "--level", "full", "--seed", "5")
    run(*own, "--only", "selftest.pass", "--only", "selftest.optional_skip", "--out", folder / "own")
    run(*own, "--only", "selftest.pass", "--only", "selftest.fail", "--out", folder / "worse")
    reports *= 2  # so that the tables are wider than a phone
    run(program, "matrix", *reports, "--out", folder / "matrix.html")
    run(program, "diff", folder / "own", folder / "worse", "--html", folder / "diff.html",
        codes=(0, 1, 2, 3))
    return [folder / "matrix.html", folder / "diff.html",
            *(report.with_name("report.html") for report in reports)], reports


def open_browser():
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(DRIVER), options=options)


def set_screen(browser, size, phone=False, dark=False):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": size[0], "height": size[1], "deviceScaleFactor": 3 if phone else 1, "mobile": phone})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})


def press(browser, *keys):
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def check_alone(browser, page, check):
    """A page is one file: it asks for nothing else, and the browser has nothing to complain of."""
    others = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)")
    check(not others, f"{page}: asks for {others}")
    log = browser.get_log("browser")
    check(not log, f"{page}: the browser says {log}")
    check(browser.execute_script("return document.compatMode") == "CSS1Compat",
          f"{page}: is shown in quirks mode")


def check_keys(browser, page, check):
    """Tab reaches all there is, from top to bottom, and one sees where one is."""
    expected = browser.execute_script(REACHABLE)
    places = []
    for _ in range(expected + 1):
        press(browser, Keys.TAB)
        focused = browser.execute_script(FOCUSED)
        if focused is None or focused["place"] in places:
            break
        places.append(focused["place"])
        check(focused["outlined"], f"{page}: nothing shows that '{focused['name']}' has the focus")
        check(focused["seen"], f"{page}: '{focused['name']}' has the focus out of sight")
    check(len(places) == expected, f"{page}: Tab reaches {len(places)} of {expected} places")
    check(places == sorted(places), f"{page}: Tab goes back and forth")


def check_screen(browser, page, check, name):
    wide = browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(wide <= 0, f"{page}, {name}: is {wide} pixels wider than the screen")
    hidden = browser.execute_script(HIDDEN)
    check(not hidden, f"{page}, {name}: no key moves {hidden}")
    broken = browser.execute_script(BROKEN)
    check(not broken, f"{page}, {name}: words are broken: {broken[:5]}")
    ratio, text = browser.execute_script(CONTRAST)
    check(ratio >= 4.5, f"{page}, {name}: '{text}' has a contrast of {ratio:.2f}, 4.5 are needed")
    small = browser.execute_script("""
        return [...document.querySelectorAll('body *')].filter(
          e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.tagName)""")
    check(not small, f"{page}, {name}: text of less than 12 pixels in {set(small)}")


def check_matrix(browser, page, reports, check):
    """What is in the reports is in the matrix, and its links lead to them."""
    told = [json.loads(report.read_text(encoding="utf-8")) for report in reports]
    chips = browser.find_elements(By.CSS_SELECTOR, "#chips tbody tr")
    check(len(chips) == len(told), f"{page}: {len(chips)} chips for {len(told)} reports")
    features = browser.find_elements(By.CSS_SELECTOR, "#features tbody tr")
    check(len(features) > 0, f"{page}: no features")
    columns = len(browser.find_elements(By.CSS_SELECTOR, "#features thead th"))
    check(columns == len(told) + 1, f"{page}: {columns} columns for {len(told)} reports")
    check(len(browser.find_elements(By.CSS_SELECTOR, "#performance tbody tr")) > 0,
          f"{page}: no performance")
    for place, report in enumerate(reports):
        browser.get(page.as_uri())
        link = browser.find_elements(By.CSS_SELECTOR, "#chips tbody a")[place]
        link.send_keys(Keys.ENTER)
        check(browser.current_url == report.with_name("report.html").as_uri(),
              f"{page}: the link of {report.parent.name} leads to {browser.current_url}")
        browser.back()
        check(browser.current_url == page.as_uri(), f"{page}: there is no way back")


def check_skip(browser, page, check):
    browser.get(page.as_uri())
    press(browser, Keys.TAB)
    press(browser, Keys.ENTER)
    check(browser.current_url.endswith("#chips"), f"{page}: the first link does not skip to the chips")


def check_scrolling(browser, page, check):
    """On a phone a wide table moves under its first column, with the keys too."""
    browser.get(page.as_uri())
    wide = browser.find_element(By.CSS_SELECTOR, "#performance .scroll")
    hidden = browser.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", wide)
    check(hidden > 0, f"{page}: all chips fit on a phone, so nothing was tried")
    name = browser.find_element(By.CSS_SELECTOR, "#performance tbody th")
    left = browser.execute_script("return arguments[0].getBoundingClientRect().left", name)
    browser.execute_script("arguments[0].focus()", wide)
    for _ in range(10):
        press(browser, Keys.ARROW_RIGHT)
    WebDriverWait(browser, 20).until(
        lambda _: browser.execute_script("return arguments[0].scrollLeft", wide) > 0)
    moved = browser.execute_script("return arguments[0].getBoundingClientRect().left", name)
    check(abs(moved - left) < 2, f"{page}: the first column leaves the sight: {left} to {moved}")


def main():
    program, plugin = map(pathlib.Path, sys.argv[1:3])
    if not os.path.exists(DRIVER):
        print(f"skipped: there is no {DRIVER}; scripts/setup installs it")
        return 77
    check = Checks()
    with tempfile.TemporaryDirectory() as folder:
        pages, reports = make_pages(program.resolve(), plugin.resolve(), pathlib.Path(folder))
        try:
            browser = open_browser()
        except WebDriverException as error:
            raise SystemExit(f"pages: Chromium does not start: {error}") from error
        try:
            for page in pages:
                set_screen(browser, DESK)
                browser.get(page.as_uri())
                check_alone(browser, page, check)
                check_keys(browser, page, check)
                check_screen(browser, page, check, "on a desk")
                set_screen(browser, DESK, dark=True)
                check_screen(browser, page, check, "in the dark")
                set_screen(browser, PHONE, phone=True)
                check_screen(browser, page, check, "on a phone")
            check_scrolling(browser, pages[0], check)
            set_screen(browser, DESK)
            browser.get(pages[0].as_uri())
            check_matrix(browser, pages[0], reports, check)
            check_skip(browser, pages[0], check)
        finally:
            browser.quit()
    if check.failed:
        return 1
    print(f"{len(pages)} pages can be read: with keys, on a phone, in the dark, without a network")
    return 0


if __name__ == "__main__":
    sys.exit(main())

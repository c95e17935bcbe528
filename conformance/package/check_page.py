#!/usr/bin/env python3
"""Whether a page of ours can be read by everyone: a person, a keyboard, a phone, a screen reader.

usage: check_page.py PAGE...

Looks at the markup, with the parser of the standard library: no browser is needed, and none is
asked how it looks. Elements are closed, ids are unique, links lead somewhere, tables have
headings, what scrolls can be reached by the keyboard, and nothing comes from elsewhere.
"""
import html.parser
import pathlib
import sys

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.mistakes, self.open, self.ids, self.targets, self.links = [], [], set(), [], []
        self.seen, self.style, self.tables = set(), "", []

    def handle_starttag(self, tag, pairs):
        attributes = dict(pairs)
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            if attributes["id"] in self.ids:
                self.mistakes.append(f"the id '{attributes['id']}' stands twice")
            self.ids.add(attributes["id"])
        for name in attributes:
            if name.startswith("on") or name in ("src", "srcset", "action"):
                self.mistakes.append(f"<{tag}> has '{name}'")
        if tag in ("script", "link", "iframe", "object", "embed", "img"):
            self.mistakes.append(f"there is a <{tag}>")
        if tag == "html" and not attributes.get("lang"):
            self.mistakes.append("the language is not named")
        if tag == "meta" and attributes.get("name") == "viewport":
            self.seen.add("viewport")
            if "user-scalable=no" in attributes.get("content", ""):
                self.mistakes.append("the page cannot be made larger")
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        if tag == "table":
            self.tables.append(False)
        if tag == "th" and self.tables:
            self.tables[-1] = True
        if attributes.get("role") == "region":
            if attributes.get("tabindex") != "0":
                self.mistakes.append("a region that scrolls cannot be reached by the keyboard")
            if not attributes.get("aria-label"):
                self.targets.append(attributes.get("aria-labelledby", ""))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data


def check(path):
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    mistakes = page.mistakes
    if page.open:
        mistakes.append(f"not closed: {', '.join(page.open)}")
    for tag in ("title", "h1", "viewport"):
        if tag not in page.seen:
            mistakes.append(f"there is no {tag}")
    mistakes += [f"no element is called '{name}'" for name in page.targets if name not in page.ids]
    for link in page.links:
        if link.startswith("#"):
            if link[1:] not in page.ids:
                mistakes.append(f"the link '{link}' leads nowhere")
        elif ":" in link or not (path.parent / link).is_file():
            mistakes.append(f"the link '{link}' leads out of the reports, or nowhere")
    if not all(page.tables):
        mistakes.append("a table has no headings")
    for part in ("url(", "@import", "http:", "https:"):
        if part in page.style:
            mistakes.append(f"the style has '{part}'")
    if "overflow-x: auto" not in page.style or "prefers-color-scheme" not in page.style:
        mistakes.append("the style knows nothing of narrow screens or dark ones")
    return mistakes


def main():
    failed = False
    for name in sys.argv[1:]:
        mistakes = check(pathlib.Path(name))
        for mistake in mistakes:
            print(f"{name}: {mistake}")
        failed |= bool(mistakes)
    if failed:
        return 1
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())

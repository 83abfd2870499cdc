"""The call page's files, read as a browser, a protocol and a screen reader would read them.

No browser is needed here; `make test-page` calls through a real one (page_in_browser.py).
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import apps.dispatcher
from apps.dispatcher.call_state import CallState, EndReason

PAGE = Path(apps.dispatcher.__file__).parent / "page"
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
SCRIPTS = {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.js"))}
SCRIPT = "\n".join(SCRIPTS.values())
STYLE = (PAGE / "call.css").read_text("utf-8")
HTML = (PAGE / "index.html").read_text("utf-8")

SVG_NAMESPACE = "http://www.w3.org/2000/svg"
VOID = {"meta", "link", "img", "input", "br"}
# That anything comes back is all that the page wants of a ping; who speaks, its state tells.
UNUSED_BY_THE_PAGE = {"pong", "speech.started", "speech.ended"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None], parent: Element | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.text = ""

    def get(self, name: str) -> str:
        return self.attributes.get(name) or ""

    def within(self, tag: str) -> bool:
        return self.parent is not None and (self.parent.tag == tag or self.parent.within(tag))


class Reader(HTMLParser):
    """Collects the elements; the text of each includes that of the elements in it."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs), self.open[-1] if self.open else None)
        self.elements.append(element)
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs), self.open[-1] if self.open else None))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def _elements() -> list[Element]:
    reader = Reader()
    reader.feed(HTML)
    assert reader.open == [], "an element is never closed"
    return reader.elements


ELEMENTS = _elements()
IDS = [element.get("id") for element in ELEMENTS if element.get("id")]


def _words(language: str) -> dict[str, str]:
    """Read one language's table out of words.js."""
    table = re.search(
        rf"^const {language} = \{{\n(.*?)^\}};", SCRIPTS["words.js"], re.DOTALL | re.MULTILINE
    )
    assert table
    pairs = re.findall(r'^ {2}"?([\w.]+)"?:\s+"((?:[^"\\]|\\.)*)",$', table[1], re.MULTILINE)
    assert len(pairs) == table[1].count('",\n'), "an entry is written in another way"
    return dict(pairs)


EN, DE = _words("EN"), _words("DE")


def _rows(heading: str) -> dict[str, set[str]]:
    """Return the message types of one of the protocol's tables, each with the names in its row."""
    section = PROTOCOL.read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \|(.*)$", section, re.MULTILINE)
    return {kind: set(re.findall(r"`(\w+)`", row)) for kind, row in rows}


TO_SERVER, FROM_SERVER = _rows("Messages to the server"), _rows("Messages from the server")


# --- the files


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for path in PAGE.iterdir():
        text = path.read_text("utf-8").replace(SVG_NAMESPACE, "")
        assert not re.search(r"(https?|wss?)://|[\"'(]//|@import|\bdata:", text), path.name


def test_everything_the_page_refers_to_is_shipped_with_it() -> None:
    for element in ELEMENTS:
        for name in ("src", "href"):
            if target := element.get(name):
                assert (PAGE / target.removeprefix("page/")).is_file(), target
    for name, script in SCRIPTS.items():
        targets = re.findall(r'from "\./([^"]+)"', script) + re.findall(
            r'import\("\./([^"]+)"', script
        )
        for target in [*targets, *re.findall(r'"([\w-]+\.js)"', script)]:
            assert (PAGE / target).is_file(), f"{name} wants {target}"


def test_every_script_is_reached_from_the_page() -> None:
    reached, waiting = set(), ["call.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += re.findall(r'(?:from "\./|")([\w-]+\.js)"', SCRIPTS[name])
    assert reached == set(SCRIPTS)


def test_a_strict_content_security_policy_is_kept() -> None:
    for element in ELEMENTS:
        assert element.tag != "style"
        assert not [name for name in element.attributes if name == "style" or name[:2] == "on"]
        if element.tag == "script":
            assert element.get("src")
            assert not element.text.strip()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", SCRIPT)
    assert not re.search(r"\beval\(|new Function|setAttribute\(\"style\"", SCRIPT)
    policy = next(e for e in ELEMENTS if e.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy.get("content")
    assert "unsafe" not in policy.get("content")


# --- the protocol


def _sent() -> dict[str, set[str]]:
    """Return the messages that the scripts send: type to field names."""
    sent: dict[str, set[str]] = {}
    for kind, rest in re.findall(r'\btype: "([\w.]+)"((?:,\s*[^{}]*(?:\{[^{}]*\})?)*)', SCRIPT):
        flat = re.sub(r"\{[^{}]*\}", "", rest)
        if "sdp" in flat:
            continue  # a description of media for the browser
        sent.setdefault(kind, set()).update(re.findall(r"(?:^|,)\s*(\w+)(?=\s*[,:]|\s*$)", flat))
    return sent


def test_every_message_the_page_sends_stands_in_the_protocol() -> None:
    sent = _sent()
    assert set(sent) == {"start", "text", "dtmf", "rating", "hangup", "ping"}
    for kind, fields in sent.items():
        assert fields <= TO_SERVER[kind], kind


def _destructured(method: str, script: str) -> str:
    """Return the field names in `method({ a, b: renamed })`, as written, without new names."""
    found = re.search(rf"^  {method}\(\{{ (.*?) \}}\)", script, re.MULTILINE)
    assert found
    return re.sub(r": \w+", "", found[1])


def test_every_message_the_page_reads_stands_in_the_protocol_and_none_is_missed() -> None:
    table = SCRIPTS["call.js"].split("#handlers = {")[1].split("\n  };")[0]
    handlers = dict(
        re.findall(r'^ {4}"([\w.]+)": \((?:\{([\w, ]*)\}|message)?\) =>', table, re.MULTILINE)
    )
    insight = SCRIPTS["insight.js"]
    handlers["call.started"] = _destructured("begin", insight) + ", listening"
    handlers["reward"] = _destructured("learned", insight)
    for kind, fields in handlers.items():
        assert set(re.findall(r"(\w+)(?=:|,|\s|$)", fields)) <= FROM_SERVER[kind], kind
    for transport in ("websocket.js", "webrtc.js"):
        read = set(re.findall(r'message\.type === "([\w.]+)"', SCRIPTS[transport]))
        assert read == {"call.ended", "error"}
    handled = set(handlers) | {"call.ended"}
    assert handled == set(FROM_SERVER) - UNUSED_BY_THE_PAGE


def test_every_way_a_call_can_end_has_a_sentence() -> None:
    protocol = PROTOCOL.read_text("utf-8")
    codes = set(re.findall(r"\b(1\d{3}|44\d{2}) ", protocol.split("## Close codes")[1]))
    table = dict(re.findall(r'\["(\w+)", "(\w+)"\]', SCRIPTS["ending.js"]))
    # 1000 is a good end, and the page never sends a message that is too big.
    assert {code for code in table if code.isdigit()} == codes - {"1000", "1009"}
    keys = set(re.findall(r'"(trouble\.\w+)"', SCRIPT)) | {
        f"trouble.{key}" for key in table.values()
    }
    assert keys == {key for key in EN if key.startswith("trouble.")}
    assert {key for key in EN if key.startswith("ended.")} == {f"ended.{r}" for r in EndReason}


def test_every_state_of_a_call_has_words() -> None:
    assert {f"state.{state}" for state in CallState} <= set(EN)


# --- the words


def test_both_languages_have_the_same_words_to_say() -> None:
    assert list(EN) == list(DE)
    for key, words in EN.items():
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", DE[key])), key


def test_all_words_that_are_used_exist_and_all_that_exist_are_used() -> None:
    used = {element.get("data-t") for element in ELEMENTS} - {""}
    code = "\n".join(text for name, text in SCRIPTS.items() if name != "words.js")
    used |= {text for text in re.findall(r'"([\w.]+)"', code) if text in EN}
    used |= set(re.findall(r't\("([\w.]+)"', SCRIPTS["words.js"]))
    spoken = re.findall(
        r'\b(?:say\(\w+(?:\("[\w-]+"\))?,|t\(|noteOf\(|warnOf\()\s*"([\w.]+)"', code
    )
    assert set(spoken) <= set(EN)
    made_up = tuple(re.findall(r"`(\w+\.)\$\{", code))
    assert {key for key in EN if key not in used and not key.startswith(made_up)} == set()


def test_the_page_says_in_english_what_the_english_words_say() -> None:
    for element in ELEMENTS:
        if key := element.get("data-t"):
            where = element.get("data-t-to")
            assert (element.get(where) if where else element.text.strip()) == EN[key]


# --- for everybody


def test_ids_are_unique_and_whatever_refers_to_one_finds_it() -> None:
    assert len(IDS) == len(set(IDS))
    for element in ELEMENTS:
        for name in ("for", "aria-labelledby", "aria-controls", "aria-describedby"):
            for wanted in element.get(name).split():
                assert wanted in IDS, wanted
    wanted_by_scripts = set(re.findall(r'byId\("([\w-]+)"\)', SCRIPT))
    assert wanted_by_scripts
    assert wanted_by_scripts <= set(IDS)
    selectors = re.sub(r"\{[^{}]*\}", "", STYLE)
    assert set(re.findall(r"#([a-z][\w-]*)", selectors)) <= set(IDS)


def test_every_control_has_a_name() -> None:
    labelled = {element.get("for") for element in ELEMENTS if element.tag == "label"}
    for element in ELEMENTS:
        if element.tag == "button":
            assert element.text.strip() or element.get("aria-label")
        if element.tag in ("input", "select"):
            assert element.within("label") or element.get("id") in labelled
        if element.tag == "img":
            assert "alt" in element.attributes
        if element.tag == "svg":
            assert element.get("aria-hidden") == "true"
        if element.tag == "fieldset":
            assert any(e.tag == "legend" and e.parent is element for e in ELEMENTS)


def test_the_page_names_its_language_and_fits_a_phone() -> None:
    by_tag = {element.tag: element for element in reversed(ELEMENTS)}
    assert by_tag["html"].get("lang") == "en"
    viewport = next(e for e in ELEMENTS if e.get("name") == "viewport").get("content")
    assert "width=device-width" in viewport
    assert "user-scalable" not in viewport
    assert [element.text for element in ELEMENTS if element.tag == "h1"] == ["TOM"]


def test_words_that_appear_are_read_out() -> None:
    by_id = {element.get("id"): element for element in ELEMENTS}
    assert by_id["talk"].get("role") == "log"
    assert by_id["talk"].get("aria-live") == "polite"
    assert by_id["message"].get("role") == "alert"
    assert by_id["rating-hint"].get("role") == "status"


# --- to be seen


def _tokens(dark: bool) -> dict[str, str]:
    first, second = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", first))
    return tokens | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", second)) if dark else {})


def _luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "ground", 7.0),
        ("ink", "surface", 7.0),
        ("soft", "ground", 4.5),
        ("soft", "surface", 4.5),
        ("accent", "ground", 4.5),
        ("accent", "surface", 4.5),
        ("on-accent", "accent", 4.5),
        ("on-tint", "tint", 4.5),
        ("on-hang-up", "hang-up", 4.5),
        ("alarm", "alarm-tint", 4.5),
        ("field", "surface", 3.0),
        ("star", "surface", 3.0),
    ],
)
def test_colours_stand_out_enough(front: str, back: str, least: float, dark: bool) -> None:
    tokens = _tokens(dark)
    a, b = sorted((_luminance(tokens[front]), _luminance(tokens[back])))
    assert (b + 0.05) / (a + 0.05) >= least

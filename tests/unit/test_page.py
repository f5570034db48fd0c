"""The page's files: weight, vendored libraries, no foreign host, and every text in the catalogues."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from agent.port.page_files import read_page_file, read_short_names
from agent.port.page_minifier import ShortNames, as_sent, short_names
from tests.unit.page_source import HOLE, PAGE, html_templates, keys, scripts, strings

RAW_BYTES_MAX = 150_000
GZIP_BYTES_MAX = 60_000
SHIPPED = ("*.html", "*.css", "*.js", "*.svg", "vendor/*.js", "vendor/*.mjs", "vendor/*.css")
ON_DEMAND = {"qr-scanner.min.js", "qr-scanner-worker.js"}
"""Loaded only when a person gives a photo of a QR code: not part of the page's weight."""

TEXTS = {path.stem: json.loads(path.read_text()) for path in sorted((PAGE / "texts").glob("??.json"))}
READ_ALOUD = re.compile(r'\b(?:aria-label|title|placeholder|alt|label)="([^"]*)"')
NAMES = read_short_names(PAGE)
IMPORTED = re.compile(r'\bimport ?\{([^}]*)\}from"\./([^"]+)"')
PATTERNS = {"XXXX-XXXX-XXXX-XXXX"}
"""Not words: the same in every language."""


def weighed() -> list[Path]:
    """All that one browser can load, as it is sent: every view, and the heaviest language, since nobody loads two.

    What the hub itself says is English; its translations weigh on the pages of other languages (test_hub_texts.py).
    """
    files = [path for pattern in SHIPPED for path in PAGE.glob(pattern) if path.name not in ON_DEMAND]
    return [*files, max((PAGE / "texts").glob("??.json"), key=lambda path: path.stat().st_size)]


def test_the_page_stays_within_its_weight() -> None:
    files = weighed()
    compressed = [read_page_file(path, NAMES).compressed for path in files]
    raw = sum(len(gzip.decompress(content)) for content in compressed)
    packed = sum(map(len, compressed))
    assert raw <= RAW_BYTES_MAX, f"{raw:,} bytes"
    assert packed <= GZIP_BYTES_MAX, f"{packed:,} bytes gzipped"


def test_comments_and_indentation_are_not_sent_and_nothing_else_is_left_out() -> None:
    source = (
        b"// Why.\nconst a = `x // y`; // Kept nowhere.\n\n  /* b */ c();\n/* d */\n\t// e\n\tf()\ng({\n  h,\n});\n"
    )
    assert as_sent(source, ".js") == b"let a=`x // y`;/* b */ c();f()\ng({h});"
    assert as_sent(b"a > b:c { d: e f, g; }\n@media (x: y) {\n  h { i: j; }\n}\n", ".css") == (
        b"a>b:c{d:e f,g}@media (x:y){h{i:j}}"
    )
    quoted = re.findall(r'"([^"\n]*)"', (PAGE / "style.css").read_text())
    assert not [text for text in quoted if set(text) & set("{};>:,")]
    assert as_sent(b'{\n  "a": "b  c"\n}\n', ".json") == b'{"a":"b  c"}'


def test_a_catalogue_is_sent_by_groups_and_every_language_has_the_same_keys_then() -> None:
    texts = b'{"a.b": "1", "c.d e.f": "2 = 2", "a.g.one": "3", "h.i": "4", "j.k": "5"}'
    names = ShortNames(texts={"h.i": "0", "j.k": "1"})
    assert as_sent(texts, ".json", names=names, is_catalogue=True) == b"4\n5\n\na\nb=1\ng.one=3\n\nc\nd e.f=2 = 2"
    assert NAMES.texts
    by_number = {number: key for key, number in NAMES.texts.items()}
    for path in (PAGE / "texts").glob("??.json"):
        file = read_page_file(path, NAMES)
        assert file.content_type == "text/plain; charset=utf-8"
        numbered, *groups = [part.split("\n") for part in gzip.decompress(file.compressed).decode().split("\n\n")]
        keys = {by_number[str(number)]: text for number, text in enumerate(numbered)}
        keys |= dict(f"{group}.{line}".split("=", 1) for group, *lines in groups for line in lines)
        assert keys == json.loads(path.read_text())


def test_a_script_has_the_number_of_a_text_for_its_key_but_where_it_puts_the_key_together() -> None:
    source = b't(a ? "b.c" : "d.e"); t(`d.${f}`); word("g", h); t("g.i"); tn("j.k", 2);\n'
    names = short_names([source], ["j.k.one", "j.k.other", "g.i", "d.e", "b.c", "b.unused"])
    assert names.texts == {"b.c": "0"}
    assert as_sent(source, ".js", names=names) == (b't(a?"0":"d.e");t(`d.${f}`);word("g",h);t("g.i");tn("j.k",2);')


def test_markup_goes_without_what_htm_does_not_need() -> None:
    source = b'x = html`<${A} b="c-d" e="f g" h="" i=${j} k="l" />\n<p m="n">${"o=\\"p\\" />"} q="r"</p></${A}>`;'
    sent = b'x=html`<${A} b=c-d e="f g" h="" i=${j} k=l/><p m=n>${"o=\\"p\\" />"} q="r"</></>`;'
    assert as_sent(source, ".js") == sent


def test_no_statement_of_a_script_is_empty() -> None:
    # A semicolon before a brace is not sent.
    nested = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
    for path in scripts():
        assert not re.search(rf"\b(?:if|while|for) {nested};|;\s*;|\{{\s*;", path.read_text()), path.name


def test_space_goes_from_code_and_stays_in_texts_and_templates() -> None:
    source = b'd = a / b ( c ) / 2; e = f(/^a (b )?["] \\/[/"]/g, "c (d");'
    assert as_sent(source, ".js") == b'd=a / b(c)/ 2;e=f(/^a (b )?["] \\/[/"]/g,"c (d");'
    source = b'f = (a, b) => ({ ...a, b: "x = y", c: `${b ? "a , b" : `{ ${c} }`} = \\` ;` });\n'
    source += b"const d = a + +b - c++ + 2 * (e % f);"
    sent = b'f=(a,b)=>({...a,b:"x = y",c:`${b?"a , b":`{ ${c} }`} = \\` ;`});let d=a + +b-c++ + 2*(e%f);'
    assert as_sent(source, ".js") == sent


def test_private_names_are_sent_short_and_what_may_be_a_property_keeps_its_name() -> None:
    source = b"const LONG = 2;\nfunction twice(each) {\n  return LONG * each;\n}\n"
    source += b"export const found = [...LONG, `${twice(3)} LONG`];\n"
    assert as_sent(source, ".js") == (
        b"let $a=2;function $b(each){return $a*each}\nexport let found=[...$a,`${$b(3)} LONG`];"
    )
    for use in ("a.name", "{ name: 1 }", "{ b, name }", "{ name = 1 }", "a?.name"):
        assert as_sent(f"const name = 2;\nf({use});\n".encode(), ".js").startswith(b"let name=2;"), use


def test_what_scripts_import_from_each_other_is_sent_with_one_short_name_in_all_of_them() -> None:
    giver = b"export const LONG = 2;\nexport function twice(each) {\n  return LONG * each;\n}\nexport { html };\n"
    taker = b'import { LONG, twice } from "./giver.js";\nimport { html } from "./giver.js";\n'
    taker += b"html`<${twice} LONG=${LONG}>LONG</${twice}>`;\n"
    names = short_names([giver, taker], [])
    assert names.exported == {"LONG": "_a", "twice": "_b"}
    assert as_sent(giver, ".js", names=names) == (
        b"export let _a=2;export function _b(each){return _a*each}\nexport{html};"
    )
    assert as_sent(taker, ".js", names=names) == (
        b'import{_a,_b}from"./giver.js";import{html}from"./giver.js";html`<${_b} LONG=${_a}>LONG</>`;'
    )
    # What may be a property anywhere, such as that of a document of the hub, keeps its name everywhere.
    for use in ("a.twice", "{ twice: 1 }", "{ b, twice }", "a?.twice"):
        assert short_names([giver, f"f({use});\n".encode()], []).exported == {"LONG": "_a"}, use


def test_every_import_is_exported_under_the_name_with_which_it_is_sent() -> None:
    sent = {path.name: gzip.decompress(read_page_file(path, NAMES).compressed).decode() for path in scripts()}
    sent |= {f"vendor/{path.name}": path.read_text() for path in (PAGE / "vendor").glob("*.mjs")}
    imports = [
        (name, each, source)
        for name, script in sent.items()
        for names, source in IMPORTED.findall(script)
        for each in names.split(",")
        if not name.startswith("vendor/")
    ]
    assert len(imports) > 2 * len(sent)
    for name, each, source in imports:
        declared = re.search(rf"\bexport (?:let|async function|function|class) {re.escape(each)}\b", sent[source])
        listed = any(
            each in re.split(r"[\s,]+|\bas\b", names) for names in re.findall(r"export ?\{([^}]*)\}", sent[source])
        )
        assert declared or listed, f"{name} imports {each} of {source}"


def test_no_script_has_a_name_that_looks_like_a_short_one() -> None:
    assert not [path.name for path in scripts() if re.search(r"(?<![\w$])[_$][A-Za-z]{1,2}\b", path.read_text())]


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.name)
def test_a_script_is_sent_with_every_text_and_all_its_markup(path: Path) -> None:
    source = path.read_text()
    sent = as_sent(path.read_bytes(), ".js", names=NAMES).decode()
    sent = re.sub(rf"\b{NAMES.exported['html']}`", "html`", sent)
    # A template that spans lines is markup, whose white space with a line end means nothing beside a tag or a value.
    assert not [text for text in strings(source) if "\n" in text]
    assert [*strings(sent)] == [NAMES.texts.get(text, text) for text in strings(source)]
    assert [*map(trimmed, html_templates(sent))] == [*map(trimmed, html_templates(source))]


def trimmed(markup: str) -> list[str]:
    """Tags as htm reads them, and texts without the line ends that it drops."""
    pieces = [
        read_by_htm(piece) if piece.startswith("<") else re.sub(r"\s*\n\s*", "", piece)
        for piece in re.findall(r"<[^>]*>|[^<]+", markup)
    ]
    return [piece for piece in pieces if piece]


def read_by_htm(tag: str) -> str:
    """A tag with one space between attributes and without quotes around one word; an end has no name."""
    if tag.startswith("</"):
        return "</>"
    return re.sub(r'="([\w-]+)"', r"=\1", " ".join(tag.split())).replace(" />", "/>")


def test_libraries_are_shipped_as_they_were_fetched_with_their_licences() -> None:
    packages = json.loads((PAGE / "vendor" / "versions.json").read_text())
    listed = {name: file["sha256"] for package in packages.values() for name, file in package["files"].items()}
    present = {path.name for path in (PAGE / "vendor").iterdir()} - {"README.md", "versions.json"}
    assert present == set(listed)
    for name, sha256 in listed.items():
        assert hashlib.sha256((PAGE / "vendor" / name).read_bytes()).hexdigest() == sha256, name
    assert all(f"LICENSE.{name}" in package["files"] for name, package in packages.items())


def test_the_page_names_no_foreign_host_and_nothing_inline() -> None:
    for path in [*scripts(), PAGE / "index.html", PAGE / "style.css"]:
        source = path.read_text()
        assert not re.search(r"https?://|@import|\burl\(", source), path.name
        assert "<style" not in source, path.name
        assert not re.search(r"\sstyle=\"|\bstyle=\$\{`|\bon[a-z]+=\"", source), path.name


def test_every_import_is_a_file_of_the_page() -> None:
    for path in scripts():
        for name in re.findall(r'(?:^import\b[^"]*|\bimport\()"([^"]+)"', path.read_text(), re.MULTILINE):
            assert (PAGE / name).is_file(), f"{path.name} imports {name}"


def test_nothing_is_imported_or_exported_that_nobody_uses() -> None:
    sources = {path.name: path.read_text() for path in scripts()}
    for name, source in sources.items():
        for names in re.findall(r"^import \{([^}]*)\}", source, re.MULTILINE):
            for imported in re.split(r"[,\s]+", names.strip()):
                assert len(re.findall(rf"\b{imported}\b", source)) > 1, f"{name} does not use {imported}"
        for exported in re.findall(r"^export (?:async )?(?:function|const) (\w+)", source, re.MULTILINE):
            assert sum(len(re.findall(rf"\b{exported}\b", each)) for each in sources.values()) > 1, exported


def test_the_page_begins_with_all_that_its_first_view_needs() -> None:
    index = (PAGE / "index.html").read_text()
    assert all((PAGE / name).is_file() for name in re.findall(r'(?:href|src)="([^"]+)"', index))
    # A script that is found only when another one has come costs a round trip before the first paint.
    needed = {"main.js", "home.js"}
    while more := {found for name in needed for found in imported(name)} - needed:
        needed |= more
    assert set(re.findall(r'modulepreload" href="([^"]+)"', index)) == needed


def imported(name: str) -> set[str]:
    """The scripts that one names in its static imports, from the page's directory."""
    found = re.findall(r'^import\b[^"]*"([^"]+)"', (PAGE / name).read_text(), re.MULTILINE)
    return {((PAGE / name).parent / each).resolve().relative_to(PAGE.resolve()).as_posix() for each in found}


def test_languages_have_the_same_texts_with_the_same_values() -> None:
    english = TEXTS["en"]
    assert set(TEXTS) == set(
        re.findall(r'"([a-z]{2})"', (PAGE / "words.js").read_text().partition("LANGUAGES =")[2].partition(";")[0])
    )
    for language, texts in TEXTS.items():
        assert list(texts) == sorted(texts), f"{language}: sorted, so that a missing one is seen"
        assert set(texts) == set(english), language
        for key, text in texts.items():
            assert text.strip(), key
            assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", english[key])), (
                f"{language}: {key}"
            )


def test_every_text_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    named = {key for path in scripts() for key in keys(path.read_text())}
    whole = {key for key, is_beginning in named if not is_beginning}
    beginnings = tuple(key for key, is_beginning in named if is_beginning)
    texts = set(TEXTS["en"])
    assert whole <= texts, f"not in the catalogue: {sorted(whole - texts)}"
    for beginning in beginnings:
        assert any(key.startswith(beginning) for key in texts), beginning
    unused = {key for key in texts - whole if not key.startswith(beginnings)}
    assert not unused, f"never shown: {sorted(unused)}"


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.name)
def test_no_text_stands_outside_the_catalogues(path: Path) -> None:
    source = path.read_text()
    for template in html_templates(source):
        markup = re.sub(r"<code>.*?</code>", "", template, flags=re.DOTALL)
        outside = re.sub(r"<[^>]*>", " ", markup).replace(HOLE, " ").replace("climahub", "")
        assert not re.search(r"[A-Za-z]", outside), " ".join(outside.split())
        spoken = set(READ_ALOUD.findall(markup)) - PATTERNS
        assert not [text for text in spoken if re.search(r"[A-Za-z]{2}", text)], spoken
    sentences = [text for text in strings(source) if re.search(r"[A-Za-z]{2,} [a-z]{2,}", text)]
    assert not sentences


def test_the_reader_of_scripts_finds_what_stands_outside() -> None:
    template = 'html`<p title="Hi all">${x ? html`<b>Warm</b>` : `${y} is z`} now</p>`'
    source = f'const a = {template}; // "not this"\nb("to do it");'
    assert list(html_templates(source)) == [f'<p title="Hi all">{HOLE} now</p>', "<b>Warm</b>"]
    assert list(strings(source)) == [f"{HOLE} is z", "to do it"]

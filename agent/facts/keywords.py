"""The words of a question, and how many of them a fact contains. Pure, and the same with and without a search index."""

import re
import unicodedata

QUESTION_WORDS_MAX = 32
"""Of a longer question, the first ones count."""

TEXT_CHARACTERS_MAX = 4096
"""Of a text, with accents apart: more than a fact of 4096 bytes has, unless its characters are such as U+FDFA, which
stands for 18."""

PREFIX_CHARACTERS_MIN = 4
"""Longer words also find what begins with them: "setpoint" finds "setpoints"; "at" does not find "attic"."""

STOP_WORDS = frozenset(
    "a an and are as at be been by did do does for from had has have how in is it its of on or since so than that the"  # noqa: SIM905
    " their there they this to was were what when where which who why will with you your".split()
)
"""English words that say nothing about what is asked."""

_WORD = re.compile(r"\w+")


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case and without accents, as SQLite's tokenizer `unicode61` finds them."""
    decomposed = unicodedata.normalize("NFKD", text[:TEXT_CHARACTERS_MAX].casefold())[:TEXT_CHARACTERS_MAX]
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _WORD.findall(plain.replace("_", " "))


def question_words(question: str) -> tuple[str, ...]:
    """Return the words that a question is about, each once; all of them where it has nothing but stop words."""
    found = tuple(dict.fromkeys(split_words(question)))
    telling = tuple(word for word in found if word not in STOP_WORDS)
    return (telling or found)[:QUESTION_WORDS_MAX]


def match_expression(words: tuple[str, ...]) -> str:
    """Return the expression of FTS5 that finds any of the words (sqlite.org/fts5.html, full-text query syntax)."""
    return " OR ".join(f'"{word}"*' if len(word) >= PREFIX_CHARACTERS_MIN else f'"{word}"' for word in words)


def similarity(words: tuple[str, ...], text: str) -> float:
    """Return which part of a question's words a text contains, from 0 to 1."""
    if not words:
        return 0.0
    # One text with a blank around each word: found without a loop over a thousand words.
    present = f" {' '.join(split_words(text))} "
    ends = ("" if len(word) >= PREFIX_CHARACTERS_MIN else " " for word in words)
    return sum(f" {word}{end}" in present for word, end in zip(words, ends, strict=True)) / len(words)

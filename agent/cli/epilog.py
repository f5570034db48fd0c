"""The end of a command's help: examples, and exit codes where they say something."""


def epilog(*examples: str, exits: str = "") -> str:
    """Return the text that click prints after the options, each example on a line of its own.

    Args:
        examples: Command lines.
        exits: Exit codes and their meaning, in a sentence.
    """
    # \b keeps click from joining the lines of a paragraph.
    shown = "\n".join(("\b\nExamples:", *(f"  {example}" for example in examples)))
    return f"{shown}\n\nExit codes: {exits}." if exits else shown

"""Checks the lines of a contract against a server, one after the other, each alone."""

from collections.abc import Callable

import aiohttp

from lab.conformance.lines import Contract, Line, Mismatch, NotTried, Result, result_of
from lab.conformance.server import Access, Server

CHANGES = "add --change: this check changes something on the server"


async def check_server(
    contract: Contract,
    base_url: str,
    access: Access,
    *,
    on_result: Callable[[Result], None] = lambda _: None,
    on_left: Callable[[str], None] = lambda _: None,
) -> list[Result]:
    """Return the result of every line. What checks have changed is taken back as far as the API has calls for it.

    Args:
        contract: The lines.
        base_url: Of the server; the paths of the contract follow it.
        access: What checks may use.
        on_result: Called with each result as it comes.
        on_left: Called at the end with each change that stays on the server.
    """
    results = []
    # No cookies: each request of an API stands alone.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        server = Server(session, base_url, access)
        for line in contract.lines:
            results.append(result_of(line, await _raised(line, server)))
            on_result(results[-1])
        for text in await server.undo():
            on_left(text)
    return results


async def _raised(line: Line, server: Server) -> Exception | None:
    if line.is_change and not server.access.may_change:
        return NotTried(CHANGES)
    try:
        await line.check(server)
    except (Mismatch, NotTried) as error:
        return error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # What a check takes for granted about the form of an answer, such as an object in place of a list.
        return Mismatch(f"the answer has another form: {type(error).__name__}: {error}")
    return None

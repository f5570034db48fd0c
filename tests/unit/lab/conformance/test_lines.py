from lab.conformance.lines import Contract, Line, Mismatch, NotTried, Origin, Outcome, as_text, count, result_of


async def nothing(_: object) -> None:
    pass


def line(origin: Origin = Origin.DOCUMENTED) -> Line:
    return Line("2.3", "a setpoint is applied", nothing, origin)


def test_a_line_whose_check_raises_nothing_is_kept() -> None:
    assert result_of(line(), None).outcome is Outcome.KEPT


def test_a_documented_line_that_is_not_kept_is_broken_and_says_what_was_found() -> None:
    result = result_of(line(), Mismatch("expected 200, found 500"))
    assert (result.outcome, result.detail) == (Outcome.BROKEN, "expected 200, found 500")


def test_a_line_that_clients_rely_on_is_broken_too() -> None:
    assert result_of(line(Origin.CLIENTS), Mismatch("x")).outcome is Outcome.BROKEN


def test_an_assumed_line_that_is_not_kept_only_differs() -> None:
    assert result_of(line(Origin.ASSUMED), Mismatch("x")).outcome is Outcome.DIFFERS


def test_a_line_that_could_not_be_checked_is_not_called_kept() -> None:
    assert result_of(line(Origin.ASSUMED), NotTried("add --change")).outcome is Outcome.NOT_TRIED


def test_the_report_has_a_line_each_with_what_was_found_and_the_sum() -> None:
    contract = Contract("amps", "Amps HVAC")
    results = [
        result_of(line(), None),
        result_of(line(Origin.CLIENTS), Mismatch("expected 202, found 200")),
        result_of(line(Origin.ASSUMED), NotTried("add --change")),
    ]
    assert as_text(contract, results).splitlines() == [
        "Amps HVAC: 3 lines of the contract",
        "  kept       2.3   a setpoint is applied",
        "  broken     2.3   a setpoint is applied (clients)",
        "                   expected 202, found 200",
        "  not tried  2.3   a setpoint is applied (assumed)",
        "                   add --change",
        "1 kept, 1 broken, 1 not tried",
    ]


def test_every_outcome_is_counted() -> None:
    assert count([result_of(line(), None)]) == {
        Outcome.KEPT: 1,
        Outcome.BROKEN: 0,
        Outcome.DIFFERS: 0,
        Outcome.NOT_TRIED: 0,
    }

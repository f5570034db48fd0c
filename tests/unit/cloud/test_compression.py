from hypothesis import given
from hypothesis import strategies as st

from agent.cloud.compression import FAILURES_MAX, GZIP_BYTES_MIN, STRIKES_MAX, CompressionState, CompressionTrial

LARGE = GZIP_BYTES_MIN


def trial(state: CompressionState = CompressionState.UNTESTED) -> CompressionTrial:
    made = CompressionTrial(is_wanted=True)
    made.state = state
    return made


def test_it_is_tried_where_it_is_wanted_and_pays() -> None:
    assert trial().should_compress(LARGE)
    assert not trial().should_compress(LARGE - 1)
    assert not CompressionTrial(is_wanted=False).should_compress(LARGE)


def test_what_is_accepted_is_proven() -> None:
    made = trial()
    made.record_accepted(is_compressed=True)
    assert made.state is CompressionState.CONFIRMED


def test_a_failure_while_it_is_unproven_is_followed_by_a_plain_try() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    assert not made.should_compress(LARGE)
    made.record_failed(is_compressed=False)
    assert made.should_compress(LARGE), "plain fails as well: it is the cloud"


def test_a_server_that_hangs_on_gzip_loses_a_few_tries_only() -> None:
    made, hung = trial(), 0
    for _ in range(50):
        if made.should_compress(LARGE):
            made.record_failed(is_compressed=True)
            hung += 1
            assert not made.should_compress(LARGE)
        made.record_accepted(is_compressed=False)
    assert hung == STRIKES_MAX
    assert made.state is CompressionState.OFF


def test_one_coincidence_does_not_cost_the_compression() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    made.record_accepted(is_compressed=False)
    assert made.should_compress(LARGE)
    made.record_accepted(is_compressed=True)
    assert made.state is CompressionState.CONFIRMED


def test_proven_compression_is_doubted_after_a_few_failures_in_a_row() -> None:
    made = trial(CompressionState.CONFIRMED)
    for _ in range(FAILURES_MAX - 1):
        made.record_failed(is_compressed=True)
        assert made.should_compress(LARGE)
    made.record_failed(is_compressed=True)
    assert not made.should_compress(LARGE)


def test_a_refusal_of_the_encoding_is_the_servers_own_word() -> None:
    for status in (400, 415, 422):
        made = trial()
        assert made.record_refused(status, is_compressed=True)
        assert not made.should_compress(LARGE)
        made.record_failed(is_compressed=False)
        assert not made.should_compress(LARGE), "nothing is known before a plain try is answered"
        made.record_accepted(is_compressed=False)
        assert made.state is CompressionState.OFF


def test_readings_that_are_refused_without_gzip_as_well_say_nothing_of_it() -> None:
    made = trial()
    made.record_refused(422, is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.CONFIRMED
    made.record_failed(is_compressed=True)
    assert not made.record_refused(422, is_compressed=True)


def test_after_a_415_another_refusal_is_about_the_readings() -> None:
    made = trial(CompressionState.CONFIRMED)
    assert made.record_refused(415, is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.OFF


def test_a_refusal_after_a_failure_proves_nothing() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.UNTESTED


def test_a_refusal_for_another_reason_casts_no_doubt() -> None:
    made = trial()
    assert not made.record_refused(403, is_compressed=True)
    assert made.state is CompressionState.UNTESTED
    assert not made.record_refused(403, is_compressed=False)


@given(st.lists(st.sampled_from([0, 200, 400, 415, 422, 403, 500])), st.sampled_from(list(CompressionState)))
def test_no_sequence_keeps_readings_from_a_server_that_takes_them_plain(
    answers: list[int], state: CompressionState
) -> None:
    made = trial(state)
    for status in answers:
        act(made, status)
    tries = 0
    while made.should_compress(LARGE):
        act(made, 500)
        tries += 1
    assert tries <= FAILURES_MAX


def act(made: CompressionTrial, status: int) -> None:
    is_compressed = made.should_compress(LARGE)
    if status == 200:
        made.record_accepted(is_compressed=is_compressed)
    elif 400 <= status < 500:
        made.record_refused(status, is_compressed=is_compressed)
    else:
        made.record_failed(is_compressed=is_compressed)

from hypothesis import given
from hypothesis import strategies as st

from agent.cloud.compression import FAILURES_MAX, GZIP_BYTES_MIN, STRIKES_MAX, CompressionState, CompressionTrial

LARGE = GZIP_BYTES_MIN


def trial(state: CompressionState = CompressionState.UNTESTED) -> CompressionTrial:
    made = CompressionTrial(is_wanted=True)
    made.state = state
    return made


def test_gzip_is_tried_where_it_is_enabled_and_saves_bytes() -> None:
    assert trial().should_compress(LARGE)
    assert not trial().should_compress(LARGE - 1)
    assert not CompressionTrial(is_wanted=False).should_compress(LARGE)


def test_accepted_gzip_is_confirmed() -> None:
    made = trial()
    made.record_accepted(is_compressed=True)
    assert made.state is CompressionState.CONFIRMED


def test_failure_of_unconfirmed_gzip_is_retried_without() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    assert not made.should_compress(LARGE)
    made.record_failed(is_compressed=False)
    assert made.should_compress(LARGE), "plain fails as well: it is the cloud"


def test_server_that_hangs_on_gzip_costs_a_few_attempts_only() -> None:
    made, hung = trial(), 0
    for _ in range(50):
        if made.should_compress(LARGE):
            made.record_failed(is_compressed=True)
            hung += 1
            assert not made.should_compress(LARGE)
        made.record_accepted(is_compressed=False)
    assert hung == STRIKES_MAX
    assert made.state is CompressionState.OFF


def test_single_coincidence_does_not_disable_gzip() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    made.record_accepted(is_compressed=False)
    assert made.should_compress(LARGE)
    made.record_accepted(is_compressed=True)
    assert made.state is CompressionState.CONFIRMED


def test_confirmed_gzip_is_tested_again_after_consecutive_failures() -> None:
    made = trial(CompressionState.CONFIRMED)
    for _ in range(FAILURES_MAX - 1):
        made.record_failed(is_compressed=True)
        assert made.should_compress(LARGE)
    made.record_failed(is_compressed=True)
    assert not made.should_compress(LARGE)


def test_refusal_of_gzip_disables_it_once_a_plain_body_is_accepted() -> None:
    for status in (400, 415, 422):
        made = trial()
        assert made.record_refused(status, is_compressed=True)
        assert not made.should_compress(LARGE)
        made.record_failed(is_compressed=False)
        assert not made.should_compress(LARGE), "nothing is known before a plain try is answered"
        made.record_accepted(is_compressed=False)
        assert made.state is CompressionState.OFF


def test_refusal_with_and_without_gzip_keeps_gzip_enabled() -> None:
    made = trial()
    made.record_refused(422, is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.CONFIRMED
    made.record_failed(is_compressed=True)
    assert not made.record_refused(422, is_compressed=True)


def test_refusal_after_a_415_is_about_the_readings() -> None:
    made = trial(CompressionState.CONFIRMED)
    assert made.record_refused(415, is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.OFF


def test_a_refusal_after_a_failure_proves_nothing() -> None:
    made = trial()
    made.record_failed(is_compressed=True)
    assert not made.record_refused(422, is_compressed=False)
    assert made.state is CompressionState.UNTESTED


def test_refusal_for_another_reason_keeps_gzip() -> None:
    made = trial()
    assert not made.record_refused(403, is_compressed=True)
    assert made.state is CompressionState.UNTESTED
    assert not made.record_refused(403, is_compressed=False)


@given(st.lists(st.sampled_from([0, 200, 400, 415, 422, 403, 500])), st.sampled_from(list(CompressionState)))
def test_no_sequence_blocks_a_server_that_accepts_plain_bodies(answers: list[int], state: CompressionState) -> None:
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

import pytest

TEST = "import pytest\ndef test_it(): pytest.skip('no dovecot here')\ndef test_other(): pass\n"
pytest_plugins = ["pytester"]


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.ExitCode.TESTS_FAILED), ("", pytest.ExitCode.OK)])
def test_a_skip_fails_the_session_in_ci_only(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: pytest.ExitCode
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile(TEST)
    result = pytester.runpytest_inprocess("-p", "berth_testing.strict", "-p", "no:asyncio")
    assert result.ret == outcome
    named = "skipped, which CI does not allow: *test_it: Skipped: no dovecot here"
    (result.stdout.fnmatch_lines if ci else result.stdout.no_fnmatch_line)(named)

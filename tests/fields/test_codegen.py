"""Generated code has the same results as the functions that it replaces, and is in one module."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cicd_common
from cicd_common.errors import ContractError
from cicd_common.fields import LEAVES, Between, Refusal, Rule
from cicd_common.fields.codegen import RULES, TESTS, TOGETHER, all_of, define
from cicd_common.fields.types import has_items, is_in_utc
from cicd_common.testing.strategies import names, texts, times
from cicd_common.testing.strategies.leaves import EDGE_NAMES, EDGE_TEXTS

PACKAGE = Path(cicd_common.__file__).parent
TEXTS = (
    st.sampled_from([*EDGE_TEXTS, *EDGE_NAMES, "script", "pipeline", "a.b-c", "a" * 64, "0" * 64, "../a", "a\u0301"])
    | names()
    | texts()
    | st.text()
    | st.text("ab0.-/\\: \u200b\u3164\u00e9\u0301", max_size=5)
)


def compiled(rule: Rule) -> Any:
    names: dict[str, Any] = {}
    return define("test", ["def test(value):", f"    return {all_of([rule], names)}"], names)


class TestInlined:
    @pytest.mark.parametrize("accepts", [each for each in RULES if each not in (has_items, is_in_utc)])
    def test_rules_of_texts_say_what_their_functions_say(self, accepts: Any) -> None:
        """The generated expression and the function accept the same texts."""
        test = compiled(Rule("", accepts))

        @settings(max_examples=settings.default.max_examples * 10)
        @given(TEXTS)
        def check(text: str) -> None:
            assert bool(test(text)) is bool(accepts(text))

        check()

    @pytest.mark.parametrize("together", TOGETHER)
    def test_rules_together_say_what_each_of_them_says(self, together: Any) -> None:
        """The expression for several rules accepts a text exactly if all functions accept it."""
        names: dict[str, Any] = {}
        lines = ["def test(value):", f"    return {all_of([Rule('', each) for each in together], names)}"]
        test = define("test", lines, names)

        @settings(max_examples=settings.default.max_examples * 10)
        @given(TEXTS)
        def check(text: str) -> None:
            assert bool(test(text)) is all(accepts(text) for accepts in together)

        check()

    def test_the_rule_of_collections_says_what_its_function_says(self) -> None:
        """Expression and function refuse empty collections."""
        assert [compiled(Rule("", has_items))(value) for value in ((), (1,), [])] == [False, True, False]
        assert [has_items(value) for value in ((), (1,), [])] == [False, True, False]

    @given(times())
    def test_the_rule_of_times_says_what_its_function_says(self, time: Any) -> None:
        """Expression and function agree whether a time is in UTC."""
        for each in (time, time.replace(tzinfo=None)):
            assert compiled(Rule("", is_in_utc))(each) is is_in_utc(each)

    @example(Between(0, 1), 0)
    @example(Between(0, 1), 2)
    @given(st.builds(Between, st.integers(), st.integers()), st.integers())
    def test_ranges_say_what_their_objects_say(self, between: Between, value: int) -> None:
        """The expression for a range agrees with `Between`."""
        assert compiled(Rule("", between))(value) is between(value)

    @given(st.integers())
    def test_other_functions_are_called(self, value: int) -> None:
        """A rule with an unknown function calls the function."""
        assert compiled(Rule("even", lambda value: value % 2 == 0))(value) is (value % 2 == 0)

    @settings(max_examples=settings.default.max_examples * 10)
    @given(TEXTS | st.text(st.characters()) | st.integers() | st.booleans() | st.floats() | st.just([]))
    @example("\ud83d")
    def test_tests_of_leaves_say_what_their_readers_say(self, value: Any) -> None:
        """A value passes the expression and the rules of its leaf exactly if the reader returns it unchanged."""
        for kind, expression in TESTS.items():
            leaf = LEAVES[kind]
            test = define("test", ["def test(value):", f"    return {expression}"], {})
            passes = bool(test(value)) and all(rule.accepts(value) for rule in leaf.rules)
            try:
                read = leaf.read(value, kind)
            except (Refusal, ContractError):
                assert not passes
            else:
                assert passes
                assert read is value


def test_code_is_made_of_text_in_one_module_alone() -> None:
    """Only one module of the package calls exec, eval or compile."""
    calls = {
        (path.relative_to(PACKAGE).as_posix(), node.func.id)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    found = {path for path, name in calls if name in ("exec", "eval", "compile")}
    assert found == {"fields/codegen.py"}

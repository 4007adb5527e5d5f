"""Queries: what ZenML wrote for MySQL and SQLite, with the same meaning on PostgreSQL.

Each method names the difference that it bridges.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.sql import elements, operators
from sqlalchemy.sql.schema import Column, Table
from sqlalchemy.sql.selectable import Join

from stacks.postgresql.types import TextAsNumber, is_number, is_text

_COMPARISONS = (operators.eq, operators.ne, operators.lt, operators.le, operators.gt, operators.ge)
# What MySQL and SQLite read of a text that is cast to a number; the rest of the text is ignored. No counts
# but the exponent's: PostgreSQL is slow with them. A longer exponent and longer texts are beyond a double's.
_NUMBER, _LONGEST = r"^\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?", 512
# Most numbers, which PostgreSQL's own cast takes as they are, with as many digits as fit into a double.
_PLAIN, _FITTING = r"^-?[0-9]+(?:\.[0-9]+)?$", 308
# A double's largest value, and how many decimals its smallest has: what is beyond cannot be cast to one.
_LARGEST, _DECIMALS = "1.7976931348623157e308", 323
# strftime's formats that ZenML's run statistics use, in to_char's language.
_FORMATS = {
    "%Y-%m-%d %H:00:00": 'YYYY-MM-DD HH24:"00:00"',
    "%Y-%m-%d": "YYYY-MM-DD",
    "%Y-%m-01": 'YYYY-MM-"01"',
}


class Compiler(PGCompiler):
    """PostgreSQL's compiler with the habits of MySQL and SQLite."""

    def visit_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """LIKE ignores case on MySQL and SQLite, takes numbers, and has no escape character of itself."""
        sql = self.visit_ilike_op_binary(_with_text_left(binary), operator, **kw)
        return sql if binary.modifiers.get("escape") else f"{sql} ESCAPE ''"

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """The same for NOT LIKE."""
        sql = self.visit_not_ilike_op_binary(_with_text_left(binary), operator, **kw)
        return sql if binary.modifiers.get("escape") else f"{sql} ESCAPE ''"

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        """`text = 1` compares as text; `number = 'abc'` is false, not an error."""
        left, right = binary.left, binary.right
        if isinstance(right, elements.BindParameter) and binary.operator in _COMPARISONS:
            if is_text(left.type) and is_number(right.type):
                binary = _replaced(binary, right=elements.Cast(right, sqltypes.Text()))
            elif is_number(left.type) and is_text(right.type):
                # By its type, never by its value: SQLAlchemy keeps the statement for the next value.
                number = right._clone(maintain_key=True)
                number.type = TextAsNumber()
                binary = _replaced(binary, right=number)
        return super().visit_binary(binary, *args, **kw)

    def order_by_clause(self, select: Any, **kw: Any) -> str:
        """NULL sorts as the smallest value on MySQL and SQLite, as the largest on PostgreSQL."""
        froms = select.get_final_froms() if hasattr(select, "get_final_froms") else []
        main = _leftmost(froms[0]) if froms else None
        parts = []
        for clause in select._order_by_clauses:
            sql = clause._compiler_dispatch(self, **kw)
            if sql:
                parts.append(sql + _nulls(clause, main))
        return " ORDER BY " + ", ".join(parts) if parts else ""

    def visit_cast(self, cast: Any, **kw: Any) -> str:
        """CAST('12abc' AS FLOAT) is 12 and CAST('abc' AS FLOAT) 0, where PostgreSQL raises an error."""
        if not (is_number(cast.type) and is_text(cast.clause.type)):
            return str(super().visit_cast(cast, **kw))
        value = self.process(cast.clause, **kw)
        pattern = self.render_literal_value(_NUMBER, sqltypes.STRINGTYPE)
        number = f"CAST(COALESCE(SUBSTRING(LEFT({value}, {_LONGEST}) FROM {pattern}), '0') AS NUMERIC)"
        target = self.process(cast.typeclause, **kw)
        if not isinstance(cast.type, sqltypes.Float):
            return f"CASE WHEN {value} IS NOT NULL THEN CAST({number} AS {target}) END"
        number = f"LEAST(GREATEST(ROUND({number}, {_DECIMALS}), -{_LARGEST}), {_LARGEST})"
        pattern = self.render_literal_value(_PLAIN, sqltypes.STRINGTYPE)
        plain = f"SUBSTRING(LEFT({value}, {_FITTING}) FROM {pattern})"
        number = f"COALESCE(CAST({plain} AS {target}), CAST({number} AS {target}))"
        return f"CASE WHEN {value} IS NOT NULL THEN {number} END"

    def visit_expression_clauselist(self, clauselist: Any, **kw: Any) -> str:
        """A number in AND or OR is true unless 0, where PostgreSQL wants a boolean."""
        joins = {operators.and_: " AND ", operators.or_: " OR "}
        join = joins.get(clauselist.operator)
        if join is None or not any(is_number(clause.type) for clause in clauselist.clauses):
            return str(super().visit_expression_clauselist(clauselist, **kw))
        return join.join(
            f"({self.process(clause, **kw)}) <> 0" if is_number(clause.type) else self.process(clause, **kw)
            for clause in clauselist.clauses
        )

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """FOR UPDATE locks the main table alone: PostgreSQL cannot lock the far side of an outer join."""
        sql = str(super().for_update_clause(select, **kw))
        froms = select.get_final_froms()
        if select._for_update_arg.of or not froms or not isinstance(froms[0], Join):
            return sql
        table = self.process(_leftmost(froms[0]), ashint=True, use_schema=False)
        return sql.replace(" UPDATE", f" UPDATE OF {table}", 1)

    # SQLite's functions, which ZenML uses wherever the database is not MySQL.

    def visit_julianday_func(self, function: Any, **kw: Any) -> str:
        """Days; ZenML takes differences only, so the epoch does not matter."""
        return f"(EXTRACT(EPOCH FROM {self.process(function.clauses, **kw)}) / 86400.0)"

    def visit_strftime_func(self, function: Any, **kw: Any) -> str:
        """Truncation to the hour, day or month."""
        form, value = (self.process(clause, **kw) for clause in function.clauses)
        cases = " ".join(
            f"WHEN {self.render_literal_value(ours, sqltypes.STRINGTYPE)} "
            f"THEN {self.render_literal_value(theirs, sqltypes.STRINGTYPE)}"
            for ours, theirs in _FORMATS.items()
        )
        return f"to_char({value}, CASE {form} {cases} END)"

    def visit_date_func(self, function: Any, **kw: Any) -> str:
        """`date(x, '-6 days', 'weekday 1')` is the Monday of the week of x."""
        arguments = list(function.clauses)
        if len(arguments) == 3:
            return f"to_char(date_trunc('week', {self.process(arguments[0], **kw)}), 'YYYY-MM-DD')"
        return f"date{self.function_argspec(function, **kw)}"

    def visit_group_concat_func(self, function: Any, **kw: Any) -> str:
        """The same function by PostgreSQL's name."""
        return f"string_agg{self.function_argspec(function, **kw)}"


def _with_text_left(binary: Any) -> Any:
    if is_number(binary.left.type):
        return _replaced(binary, left=elements.Cast(binary.left, sqltypes.Text()))
    return binary


def _replaced(binary: Any, **sides: Any) -> Any:
    clone = binary._clone()
    for side, value in sides.items():
        setattr(clone, side, value)
    return clone


def _leftmost(from_: Any) -> Any:
    while isinstance(from_, Join):
        from_ = from_.left
    return from_


def _nulls(clause: Any, main: Any) -> str:
    """NULLS FIRST or LAST, unless it is said already or the column cannot be NULL."""
    element, descending = clause, False
    while isinstance(element, elements.UnaryExpression | elements._label_reference):
        if isinstance(element, elements.UnaryExpression):
            if element.modifier in (operators.nulls_first_op, operators.nulls_last_op):
                return ""
            if element.modifier is None:
                break
            descending = descending or element.modifier is operators.desc_op
        element = element.element
    # Of the main table only: an outer join makes the others' columns NULL whatever they declare.
    # Without the addition PostgreSQL can answer from an index.
    if (
        isinstance(element, Column)
        and not element.nullable
        and isinstance(main, Table)
        and element.table is main
    ):
        return ""
    return " NULLS LAST" if descending else " NULLS FIRST"

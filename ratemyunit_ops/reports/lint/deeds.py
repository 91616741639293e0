"""What SQL does, read from PostgreSQL's own parse tree: a flat list of deeds, each on a table and perhaps a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ratemyunit_ops.model import Frozen

Tree = dict[str, Any]


class Deed(Frozen):
    """One thing that a statement does. `name` is a new name, or that of an index or setting; its value is `column`."""

    kind: str
    table: str = ""
    column: str = ""
    columns: tuple[str, ...] = ()
    name: str = ""
    flags: frozenset[str] = frozenset()


def deeds_of(tree: Tree) -> Iterator[Deed]:
    """List what one parsed statement does; a `with` may change rows, too."""
    for part in mentions(tree, "CommonTableExpr"):
        yield from deeds_of(part.get("ctequery", {}))
    for name, body in tree.items():
        reader = READERS.get(name)
        if reader is not None:
            yield from reader(body)


def mentions(tree: Any, kind: str) -> Iterator[Tree]:
    """Find every node of one kind, however deep."""
    if isinstance(tree, dict):
        for name, body in tree.items():
            if name == kind and isinstance(body, dict):
                yield body
            yield from mentions(body, kind)
    elif isinstance(tree, list):
        for each in tree:
            yield from mentions(each, kind)


def _columns(tree: Any) -> tuple[str, ...]:
    fields = [ref.get("fields", []) for ref in mentions(tree, "ColumnRef")]
    return tuple(f[-1]["String"]["sval"] for f in fields if f and "String" in f[-1])


def _strings(found: list[Tree]) -> tuple[str, ...]:
    return tuple(each["String"]["sval"] for each in found if "String" in each)


def _table(body: Tree) -> str:
    return str(body.get("relation", {}).get("relname", ""))


def _flags(**flags: Any) -> frozenset[str]:
    return frozenset(name for name, on in flags.items() if on)


def _alter_table(body: Tree) -> Iterator[Deed]:
    table = _table(body)
    if body.get("objtype") not in {"OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", None}:
        yield Deed(kind="alter_other", name=table)
        return
    for each in body.get("cmds", []):
        yield from _alteration(table, each["AlterTableCmd"])


def _alteration(table: str, command: Tree) -> Iterator[Deed]:
    subtype, name = command["subtype"], command.get("name", "")
    definition = command.get("def", {})
    if subtype == "AT_AddColumn":
        yield from _new_column(table, definition["ColumnDef"])
    elif subtype == "AT_AddConstraint":
        yield _constraint(table, definition["Constraint"])
    elif subtype == "AT_ColumnDefault":
        yield Deed(kind="set_default" if definition else "drop_default", table=table, column=name)
    elif subtype.startswith(("AT_DisableTrig", "AT_DisableRule")):
        yield Deed(kind="disable_trigger", table=table, name=name)
    elif subtype == "AT_DetachPartition":
        partition = definition.get("PartitionCmd", {})
        yield Deed(kind="detach_partition", table=table, flags=_flags(concurrently=partition.get("concurrent")))
    elif subtype in ALTERATIONS:
        yield Deed(kind=ALTERATIONS[subtype], table=table, column=name, name=name)
    else:
        yield Deed(kind="alter_table", table=table, column=name)


ALTERATIONS = {
    "AT_DropColumn": "drop_column",
    "AT_AlterColumnType": "change_type",
    "AT_SetNotNull": "set_not_null",
    "AT_DropNotNull": "drop_not_null",
    "AT_ValidateConstraint": "validate_constraint",
    "AT_DropConstraint": "drop_constraint",
    "AT_SetLogged": "rewrite",
    "AT_SetUnLogged": "rewrite",
    "AT_SetTableSpace": "rewrite",
    "AT_SetAccessMethod": "rewrite",
}


def _new_column(table: str, column: Tree) -> Iterator[Deed]:
    checked = any(c["Constraint"]["contype"] == "CONSTR_CHECK" for c in column.get("constraints", []))
    flags = _flags(required=_required(column), checked=checked)
    yield Deed(kind="add_column", table=table, column=str(column["colname"]), flags=flags)


def _required(column: Tree) -> bool:
    """Tell whether an insert must name the column: it may not be empty, and nothing fills it."""
    kinds = {c["Constraint"]["contype"] for c in column.get("constraints", [])}
    filled = bool(kinds & {"CONSTR_DEFAULT", "CONSTR_GENERATED", "CONSTR_IDENTITY"})
    filled |= any("serial" in name for name in _strings(column.get("typeName", {}).get("names", [])))
    return bool(kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY"}) and not filled


def _constraint(table: str, body: Tree) -> Deed:
    keys = _strings(body.get("keys", [])) + _strings(body.get("fk_attrs", [])) + _columns(body.get("raw_expr"))
    flags = _flags(not_valid=body.get("skip_validation"), using_index=body.get("indexname"))
    name = str(body.get("conname", ""))
    kind = str(body["contype"]).removeprefix("CONSTR_").lower()
    return Deed(kind="add_constraint", table=table, columns=keys, name=name, flags=flags | {kind})


def _create_table(body: Tree) -> Iterator[Deed]:
    columns = [e["ColumnDef"] for e in body.get("tableElts", []) if "ColumnDef" in e]
    names, required = ([c["colname"] for c in found] for found in (columns, filter(_required, columns)))
    yield Deed(kind="create_table", table=_table(body), columns=tuple(names), flags=frozenset(required))


def _create_table_as(body: Tree) -> Iterator[Deed]:
    yield Deed(kind="create_table", table=str(body["into"]["rel"]["relname"]))


def _rename(body: Tree) -> Iterator[Deed]:
    kinds = {"OBJECT_COLUMN": "rename_column", "OBJECT_TABLE": "rename_table"}
    kind = kinds.get(body["renameType"], "rename_other")
    yield Deed(kind=kind, table=_table(body), column=str(body.get("subname", "")), name=str(body["newname"]))


def _drop(body: Tree) -> Iterator[Deed]:
    kinds = {"OBJECT_TABLE": "drop_table", "OBJECT_INDEX": "drop_index", "OBJECT_TRIGGER": "drop_trigger"}
    kind = kinds.get(body["removeType"], "drop_other")
    for each in body.get("objects", []):
        names = _strings(each["List"]["items"]) if "List" in each else ()
        name = names[-1] if names else ""
        table = name if kind == "drop_table" else names[0] if kind == "drop_trigger" and names else ""
        yield Deed(kind=kind, table=table, name=name, flags=_flags(concurrently=body.get("concurrent")))


def _index(body: Tree) -> Iterator[Deed]:
    named = tuple(e["IndexElem"].get("name", "") for e in body.get("indexParams", []))
    flags = _flags(unique=body.get("unique"), concurrently=body.get("concurrent"))
    columns = tuple(filter(None, named)) + _columns(body.get("indexParams"))
    yield Deed(kind="create_index", table=_table(body), columns=columns, name=str(body.get("idxname", "")), flags=flags)


def _update(body: Tree) -> Iterator[Deed]:
    columns = tuple(e["ResTarget"].get("name", "") for e in body.get("targetList", []))
    yield Deed(kind="update", table=_table(body), columns=columns, flags=_reach(body))


def _delete(body: Tree) -> Iterator[Deed]:
    yield Deed(kind="delete", table=_table(body), flags=_reach(body))


def _reach(body: Tree) -> frozenset[str]:
    """Tell how far a change reaches: every row (`everywhere`), or a batch of stated size (`limited`)."""
    where = body.get("whereClause")
    limited = any("limitCount" in select for select in mentions(body, "SelectStmt"))
    constant = where is not None and not _columns(where) and not any(mentions(where, "SubLink"))
    return _flags(everywhere=(where is None or constant) and not limited, limited=limited)


def _insert(body: Tree) -> Iterator[Deed]:
    select = body.get("selectStmt", {}).get("SelectStmt", {})
    table = _table(body)
    values = select.get("valuesLists", [])
    first = tuple(str(v["sval"].get("sval", "")) for v in mentions(values, "A_Const") if "sval" in v)
    yield Deed(kind="insert", table=table, columns=first if table == "schema_line" else ())
    if "fromClause" in select and "limitCount" not in select:
        for source in mentions(select["fromClause"], "RangeVar"):
            yield Deed(kind="copy_rows", table=str(source["relname"]), name=table)


def _truncate(body: Tree) -> Iterator[Deed]:
    for each in body.get("relations", []):
        yield Deed(kind="truncate", table=str(each["RangeVar"]["relname"]))


def _set(body: Tree) -> Iterator[Deed]:
    kind = "set" if body["kind"] == "VAR_SET_VALUE" else "reset"
    value = " ".join(_value(each["A_Const"]) for each in body.get("args", []) if "A_Const" in each)
    yield Deed(kind=kind, name=str(body.get("name", "all")).lower(), column=value)


def _value(constant: Tree) -> str:
    for kind in ("sval", "ival", "fval", "boolval"):
        if kind in constant:
            return str(next(iter(constant[kind].values()), 0))
    return ""


def _trigger(body: Tree) -> Iterator[Deed]:
    yield Deed(kind="create_trigger", table=_table(body), name=str(body["trigname"]))


def _rule(body: Tree) -> Iterator[Deed]:
    yield Deed(kind="create_trigger", table=_table(body), name=str(body["rulename"]))


def _enum(body: Tree) -> Iterator[Deed]:
    kind = "rename_enum_value" if body.get("oldVal") else "add_enum_value"
    yield Deed(kind=kind, table=_strings(body["typeName"])[-1], name=str(body.get("newVal", "")))


def _transaction(body: Tree) -> Iterator[Deed]:
    kinds = {"TRANS_STMT_BEGIN": "begin", "TRANS_STMT_START": "begin", "TRANS_STMT_COMMIT": "commit"}
    kind = kinds.get(body["kind"], "rollback" if body["kind"] == "TRANS_STMT_ROLLBACK" else "savepoint")
    yield Deed(kind=kind)


def _vacuum(body: Tree) -> Iterator[Deed]:
    options = {o["DefElem"]["defname"] for o in body.get("options", [])}
    for each in body.get("rels", [{}]):
        table = each.get("VacuumRelation", {}).get("relation", {}).get("relname", "")
        if "full" in options:
            yield Deed(kind="rewrite", table=str(table))
        if body.get("is_vacuumcmd"):
            yield Deed(kind="vacuum", table=str(table))


def _reindex(body: Tree) -> Iterator[Deed]:
    concurrently = any(p["DefElem"]["defname"] == "concurrently" for p in body.get("params", []))
    yield Deed(kind="reindex", table=_table(body), flags=_flags(concurrently=concurrently))


def _lock(body: Tree) -> Iterator[Deed]:
    for each in body.get("relations", []):
        yield Deed(kind="lock", table=str(each["RangeVar"]["relname"]))


def _rewrite(body: Tree) -> Iterator[Deed]:
    if not body.get("concurrent"):
        yield Deed(kind="rewrite", table=_table(body))


def _revoke(body: Tree) -> Iterator[Deed]:
    kind = "grant" if body.get("is_grant") else "revoke"
    for each in body.get("objects", []):
        yield Deed(kind=kind, table=str(each.get("RangeVar", {}).get("relname", "")))


def _plain(kind: str) -> Callable[[Tree], Iterator[Deed]]:
    def read(body: Tree) -> Iterator[Deed]:
        yield Deed(kind=kind, table=_table(body))

    return read


READERS: dict[str, Callable[[Tree], Iterator[Deed]]] = {
    "AlterEnumStmt": _enum,
    "AlterTableStmt": _alter_table,
    "CallStmt": _plain("opaque"),
    "ClusterStmt": _rewrite,
    "CommentStmt": _plain("comment"),
    "CreateStmt": _create_table,
    "CreateTableAsStmt": _create_table_as,
    "CreateTrigStmt": _trigger,
    "DeleteStmt": _delete,
    "DoStmt": _plain("opaque"),
    "DropStmt": _drop,
    "GrantStmt": _revoke,
    "IndexStmt": _index,
    "InsertStmt": _insert,
    "LockStmt": _lock,
    "RefreshMatViewStmt": _rewrite,
    "ReindexStmt": _reindex,
    "RenameStmt": _rename,
    "RuleStmt": _rule,
    "TransactionStmt": _transaction,
    "TruncateStmt": _truncate,
    "UpdateStmt": _update,
    "VacuumStmt": _vacuum,
    "VariableSetStmt": _set,
}

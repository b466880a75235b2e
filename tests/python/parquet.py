"""Shows a Parquet file as JSON: the schema, and the rows, with amounts as text and times in RFC 3339."""

import datetime
import decimal
import json
import sys

import pyarrow.parquet


def plain(value):
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


table = pyarrow.parquet.read_table(sys.argv[1])
rows = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
print(json.dumps({"schema": {field.name: str(field.type) for field in table.schema}, "rows": rows}))

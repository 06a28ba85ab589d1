# Apache's own reader of Parquet opens an export. What it found is written as one line of JSON: types of the columns, how many
# groups of rows, and the rows, each value as text.
import json
import sys

sys.path.insert(0, sys.argv[1])

import pyarrow.parquet  # noqa: E402

file = pyarrow.parquet.ParquetFile(sys.argv[2])
rows = file.read().to_pylist()
text = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
types = {field.name: str(field.type) for field in file.schema_arrow}
print(json.dumps({"types": types, "groups": file.num_row_groups, "rows": text}))

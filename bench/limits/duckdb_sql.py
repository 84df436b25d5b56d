"""Runs SQL in a DuckDB of its own, in memory: duckdb_sql.py LIBRARY THREADS SQL [SQL …]

Prints a line of JSON: how long the last statement took (seconds), and the first row of its result as
a list of whole numbers. Through the C library that the project has, since no Python has a module of
DuckDB.
"""
import ctypes
import json
import sys
import time


class Result(ctypes.Structure):
    """duckdb_result of duckdb.h: what it points to is DuckDB's own."""
    _fields_ = [("column_count", ctypes.c_uint64), ("row_count", ctypes.c_uint64),
                ("rows_changed", ctypes.c_uint64), ("columns", ctypes.c_void_p),
                ("error_message", ctypes.c_char_p), ("internal_data", ctypes.c_void_p)]


class Duck:
    def __init__(self, library, threads):
        self.api = ctypes.CDLL(library)
        self.api.duckdb_result_error.restype = ctypes.c_char_p
        for name in ("row_count", "column_count", "value_int64"):
            getattr(self.api, f"duckdb_{name}").restype = ctypes.c_int64
        database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        if (self.api.duckdb_open(None, ctypes.byref(database)) != 0 or
                self.api.duckdb_connect(database, ctypes.byref(self.connection)) != 0):
            sys.exit("DuckDB does not open a database in memory")
        self.query(f"SET threads = {int(threads)}")

    def query(self, sql):
        """The first row of the result, as whole numbers."""
        result = Result()
        pointer = ctypes.byref(result)
        if self.api.duckdb_query(self.connection, sql.encode(), pointer) != 0:
            sys.exit(self.api.duckdb_result_error(pointer).decode())
        columns = self.api.duckdb_column_count(pointer) if self.api.duckdb_row_count(pointer) else 0
        row = [self.api.duckdb_value_int64(pointer, ctypes.c_uint64(column), ctypes.c_uint64(0))
               for column in range(columns)]
        self.api.duckdb_destroy_result(pointer)
        return row


duck = Duck(sys.argv[1], sys.argv[2])
for statement in sys.argv[3:]:
    began = time.monotonic()
    answer = duck.query(statement)
print(json.dumps({"seconds": time.monotonic() - began, "row": answer}))

"""Between Arrow and NumPy by their buffers.

Arrow's own ``to_numpy``, ``array(ndarray)`` and ``scalar`` load pandas where it is installed, which takes longer than a decision.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WIDTHS: dict[pa.DataType, str] = {
    pa.int8(): "i1",
    pa.int16(): "<i2",
    pa.int32(): "<i4",
    pa.int64(): "<i8",
    pa.uint32(): "<u4",
    pa.uint64(): "<u8",
    pa.float64(): "<f8",
}


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as a single Arrow array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return whole.chunk(0) if whole.num_chunks else pa.array([], type=column.type)
    return whole


def integers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Whole numbers without nulls, as int64."""
    return _values(one_array(column)).astype(np.int64, copy=False)


def floats(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Numbers, as float64; nulls are NaN."""
    array = one_array(column)
    array = array if array.type == pa.float64() else array.cast(pa.float64())
    values = _values(array).astype(np.float64, copy=False)
    return values if not array.null_count else np.where(booleans(pc.is_valid(array)), values, np.nan)


def codes_or(column: pa.Array | pa.ChunkedArray, absent: int) -> npt.NDArray[np.int64]:
    """Whole numbers, with ``absent`` for nulls."""
    array = one_array(column)
    values = _values(array).astype(np.int64, copy=False)
    return values if not array.null_count else np.where(booleans(pc.is_valid(array)), values, absent)


def booleans(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Truth values; nulls are False."""
    array = one_array(column)
    if not len(array):
        return np.zeros(0, dtype=bool)
    bits = np.unpackbits(np.frombuffer(array.buffers()[1], dtype=np.uint8), bitorder="little")
    values = bits[array.offset : array.offset + len(array)].astype(bool)
    return values & booleans(pc.is_valid(array)) if array.null_count else values


def row_numbers(rows: npt.NDArray[np.int64]) -> pa.Array:
    """Row numbers as Arrow takes them."""
    plain = np.ascontiguousarray(rows, dtype="<i8")
    return pa.Array.from_buffers(pa.int64(), len(plain), [None, pa.py_buffer(plain)])


def number_column(values: npt.NDArray[np.float64]) -> pa.Array:
    """Floats as an Arrow array without nulls."""
    plain = np.ascontiguousarray(values, dtype="<f8")
    return pa.Array.from_buffers(pa.float64(), len(plain), [None, pa.py_buffer(plain)])


def _values(array: pa.Array) -> npt.NDArray[np.generic]:
    if not len(array):
        return np.zeros(0, dtype=_WIDTHS[array.type])
    whole = np.frombuffer(array.buffers()[1], dtype=_WIDTHS[array.type])
    return whole[array.offset : array.offset + len(array)]

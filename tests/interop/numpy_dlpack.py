"""DLPack in and out, checked against NumPy: same bytes, same strides, one release.

usage: numpy_dlpack.py LIBFLAGOS   (the plugin is named by FLAGOS_PLUGIN_FILES)
"""

import ctypes
import gc
import os
import sys
from ctypes import POINTER, byref, c_int32, c_int64, c_uint32, c_uint64, c_void_p

try:
    import numpy
except ImportError:
    # The interpreter that CMake found may not be the system's, which scripts/setup gives NumPy.
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])
    print("skipped: there is no NumPy; scripts/setup installs it")
    sys.exit(77)

INT32 = 0x00012000
FLOAT32 = 0x00012002
FLOAT64 = 0x00014002
FOREVER = 2**64 - 1
READ_ONLY = 1
INVALID_ARGUMENT = 0x01000001
RELEASE = ctypes.CFUNCTYPE(None, c_void_p)


class MemoryDesc(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("kind", c_int32), ("next", c_void_p),
                ("size_bytes", c_uint64), ("alignment_bytes", c_uint64), ("flags", c_uint64)]


class Tensor(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("dtype", c_uint32), ("address", c_uint64),
                ("flags", c_uint32), ("rank", c_uint32), ("shape", POINTER(c_int64)),
                ("strides", POINTER(c_int64))]


class Flagos:
    """A device, a stream, and calls that raise when they fail."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.flagos_last_error.restype = ctypes.c_char_p
        self.runtime, self.device, self.stream = c_void_p(), c_void_p(), c_void_p()
        self.call("runtime_create", None, byref(self.runtime))
        self.call("device_open", self.runtime, c_uint32(0), byref(self.device))
        self.call("stream_create", self.device, None, byref(self.stream))

    def status(self, name, *arguments):
        return getattr(self.library, "flagos_" + name)(*arguments)

    def call(self, name, *arguments):
        status = self.status(name, *arguments)
        if status != 0:
            text = self.library.flagos_last_error().decode()
            raise RuntimeError(f"flagos_{name}: {status:#x}: {text}")

    def alloc(self, size_bytes):
        desc = MemoryDesc(ctypes.sizeof(MemoryDesc), 1, None, size_bytes, 0, 0)
        address = c_uint64()
        self.call("memory_alloc", self.device, byref(desc), byref(address))
        return address.value

    def free(self, address):
        self.call("memory_free", self.device, c_uint64(address))

    def copy(self, target, source, size_bytes):
        self.call("memory_copy", self.stream, c_uint64(target), c_uint64(source), c_uint64(size_bytes))

    def synchronize(self):
        self.call("stream_synchronize", self.stream, c_uint64(FOREVER))

    def close(self):
        self.call("stream_destroy", self.stream)
        self.call("device_close", self.device)  # BUSY if anything was lost on the way
        self.call("runtime_destroy", self.runtime)


def tensor_of(address, dtype, shape, strides=None, flags=0):
    shape_array = (c_int64 * max(1, len(shape)))(*shape)
    strides_array = None if strides is None else (c_int64 * len(strides))(*strides)
    tensor = Tensor(ctypes.sizeof(Tensor), dtype, address, flags, len(shape), shape_array,
                    ctypes.cast(strides_array, POINTER(c_int64)) if strides_array else None)
    tensor.keep = (shape_array, strides_array)
    return tensor


# ---- capsules, as the array API's protocol wants them --------------------------------------------

PyCapsule_New = ctypes.pythonapi.PyCapsule_New
PyCapsule_New.restype = ctypes.py_object
PyCapsule_New.argtypes = [c_void_p, ctypes.c_char_p, c_void_p]
PyCapsule_GetPointer = ctypes.pythonapi.PyCapsule_GetPointer
PyCapsule_GetPointer.restype = c_void_p
PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Exported:
    """What numpy.from_dlpack asks for a capsule."""

    def __init__(self, managed):
        self.managed = managed

    def __dlpack__(self, stream=None):
        assert stream is None
        return PyCapsule_New(self.managed, b"dltensor", None)

    def __dlpack_device__(self):
        return (1, 0)


def export(flagos, tensor, released, producer=None, major=0):
    # The callback object must live until the consumer is done; `released` keeps it.
    callback = RELEASE(lambda _: released.append(1))
    managed = c_void_p()
    flagos.call("dlpack_export", flagos.device, byref(tensor), producer, None, callback, None,
                c_uint32(major), byref(managed))
    return managed.value, callback


def check_export(flagos):
    """A device tensor, written by pending work, seen by NumPy in place."""
    source = numpy.arange(6, dtype=numpy.float32) * 1.5
    address = flagos.alloc(24)
    flagos.copy(address, source.ctypes.data, 24)
    released = []
    managed, callback = export(flagos, tensor_of(address, FLOAT32, [2, 3]), released, flagos.stream)
    array = numpy.from_dlpack(Exported(managed))
    assert array.dtype == numpy.float32 and array.shape == (2, 3), (array.dtype, array.shape)
    assert array.ctypes.data == address, "the tensor was copied"
    assert (array == source.reshape(2, 3)).all(), array
    assert not released, "released while NumPy still holds it"
    del array
    gc.collect()
    assert released == [1], f"released {len(released)} times"

    # Strides: a transposed view of the same bytes.
    managed, callback = export(flagos, tensor_of(address, FLOAT32, [3, 2], [1, 3]), released)
    array = numpy.from_dlpack(Exported(managed))
    assert array.strides == (4, 12) and (array == source.reshape(2, 3).T).all(), array
    del array
    gc.collect()
    assert len(released) == 2

    # A scalar, and no elements at all.
    for shape, expected in (([], ()), ([0, 4], (0, 4))):
        managed, callback = export(flagos, tensor_of(address, FLOAT32, shape), released)
        array = numpy.from_dlpack(Exported(managed))
        assert array.shape == expected, array.shape
        del array
    gc.collect()
    assert len(released) == 4
    flagos.free(address)


def check_import(flagos):
    """NumPy's bytes, used by a flagos stream in place."""
    for source in (numpy.arange(12, dtype=numpy.int32).reshape(3, 4),
                   numpy.linspace(0, 1, 24).reshape(2, 3, 4)[:, ::2, 1:].transpose(2, 0, 1)):
        capsule = source.__dlpack__()
        managed = PyCapsule_GetPointer(capsule, b"dltensor")
        tensor = Tensor(ctypes.sizeof(Tensor))
        flagos.call("dlpack_import", flagos.device, c_void_p(managed), c_uint32(0), byref(tensor))
        assert tensor.address == source.ctypes.data
        assert tensor.dtype == (INT32 if source.dtype == numpy.int32 else FLOAT64), hex(tensor.dtype)
        assert tuple(tensor.shape[:tensor.rank]) == source.shape
        if tensor.strides:
            strides = tuple(step * source.itemsize for step in tensor.strides[:tensor.rank])
            assert strides == source.strides, (strides, source.strides)
        else:
            assert source.flags.c_contiguous
        first = numpy.zeros(1, dtype=source.dtype)
        flagos.copy(first.ctypes.data, tensor.address, source.itemsize)
        flagos.synchronize()
        assert first[0] == source.ravel()[0]
        del capsule  # NumPy's own destructor takes back what nobody consumed


def check_refused(flagos):
    """Tensors that leave their memory, or cannot be said in the old form."""
    address = flagos.alloc(64)
    managed = c_void_p(1)
    refused = [
        tensor_of(address, FLOAT32, [17]),               # ends past the allocation
        tensor_of(address, FLOAT32, [4], [-2]),          # begins before it
        tensor_of(address, FLOAT32, [-1]),
        tensor_of(address, FLOAT32, [2**62, 2**62]),
        tensor_of(0, FLOAT32, [1]),
        tensor_of(address, FLOAT32, [4], flags=READ_ONLY),
        tensor_of(address, 0, [4]),
    ]
    for tensor in refused:
        status = flagos.status("dlpack_export", flagos.device, byref(tensor), None, None, None, None,
                               c_uint32(0), byref(managed))
        assert status == INVALID_ARGUMENT and managed.value is None, (hex(status), tensor.rank)
        assert flagos.library.flagos_last_error()
    flagos.free(address)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    flagos = Flagos(sys.argv[1])
    check_export(flagos)
    check_import(flagos)
    check_refused(flagos)
    flagos.close()
    print(f"DLPack to and from NumPy {numpy.__version__}: same bytes, same strides, one release each")
    return 0


if __name__ == "__main__":
    sys.exit(main())

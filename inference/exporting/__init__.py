"""A package as other servers load it: the folder that Triton or MLServer want, the resource that KServe wants.

`targets` has a function for each server and kind of model file, and `packaged` is what runs there where the server
itself has no way to run the file: it loads the package as a worker does, and so answers the same. `triton_config` and
`kserve` write what these read. Each of them speaks the Open Inference Protocol, so `remote.toml` can name it.
"""

from inference.exporting.packaged import INPUT, OUTPUT, Packaged, RowsRefused

__all__ = ["INPUT", "OUTPUT", "Packaged", "RowsRefused"]

"""The messages of an ONNX file that running it needs, as tables; the numbers are those of `onnx.proto`.

The parser is protobuf's, which ONNX Runtime's is as well: two parsers of a format are two opinions of what a file says,
and a check is worth nothing where they differ. The messages are built here, in a pool of their own, so that no package
`onnx` is needed and none is in the way. What no table names (texts for people, training, metadata) is dropped when a
file is read: see `inference.backends.onnx_file`. Syntax 3 refuses names that are no text.

>>> model = MODEL.FromString(b"\\x08\\x09")
>>> model.ir_version, len(model.graph.node)
(9, 0)
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

#: Of each message its fields: number, name, type; a star repeats, a capital names another message.
_MESSAGES = {
    "Model": "1 ir_version int64, 2 producer_name string, 3 producer_version string, 5 model_version int64, "
    "7 graph Graph, 8 opset_import *Opset, 25 functions *Function",
    "Opset": "1 domain string, 2 version int64",
    "Graph": "1 node *Node, 2 name string, 5 initializer *Tensor, 11 input *Value, 12 output *Value, "
    "13 value_info *Value, 15 sparse_initializer *SparseTensor",
    "Function": "1 name string, 4 input *string, 5 output *string, 6 attribute *string, 7 node *Node, "
    "9 opset_import *Opset, 10 domain string, 11 attribute_proto *Attribute, 12 value_info *Value, 13 overload string",
    "Node": "1 input *string, 2 output *string, 3 name string, 4 op_type string, 5 attribute *Attribute, "
    "7 domain string, 8 overload string",
    "Attribute": "1 name string, 2 f float, 3 i int64, 4 s bytes, 5 t Tensor, 6 g Graph, 7 floats *float, "
    "8 ints *int64, 9 strings *bytes, 10 tensors *Tensor, 11 graphs *Graph, 14 tp Type, 15 type_protos *Type, "
    "20 type int32, 21 ref_attr_name string, 22 sparse_tensor SparseTensor, 23 sparse_tensors *SparseTensor",
    "Tensor": "1 dims *int64, 2 data_type int32, 4 float_data *float, 5 int32_data *int32, 6 string_data *bytes, "
    "7 int64_data *int64, 8 name string, 9 raw_data bytes, 10 double_data *double, 11 uint64_data *uint64, "
    "13 external_data *Entry, 14 data_location int32",
    "SparseTensor": "1 values Tensor, 2 indices Tensor, 3 dims *int64",
    "Entry": "1 key string, 2 value string",
    "Value": "1 name string, 2 type Type",
    "Type": "1 tensor_type TensorType, 4 sequence_type Sequence, 5 map_type Map, 8 sparse_tensor_type TensorType, "
    "9 optional_type Sequence",
    "TensorType": "1 elem_type int32, 2 shape Shape",
    "Sequence": "1 elem_type Type",
    "Map": "1 key_type int32, 2 value_type Type",
    "Shape": "1 dim *Dimension",
    "Dimension": "1 dim_value int64, 2 dim_param string",
}
#: Fields of which at most one is set; the last one that a file sets holds, as in `onnx.proto`.
_CHOICES = {
    "Type": ("tensor_type", "sequence_type", "map_type", "sparse_tensor_type", "optional_type"),
    "Dimension": ("dim_value", "dim_param"),
}
_PACKED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_FIELD = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="driftline_onnx.proto", package="driftline", syntax="proto3")
    for name, text in _MESSAGES.items():
        message = file.message_type.add(name=name)
        choice = _CHOICES.get(name, ())
        if choice:
            message.oneof_decl.add(name="choice")
        for listed in text.split(", "):
            field = _field(listed)
            if field.name in choice:
                field.oneof_index = 0
            elif field.label == _FIELD.LABEL_OPTIONAL and not field.type_name:
                # A zero that was set stays one, as in `onnx.proto`, which is of syntax 2.
                field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")
            message.field.append(field)
    return file


def _field(listed: str) -> descriptor_pb2.FieldDescriptorProto:
    """A field from its entry in a table: ``8 opset_import *Opset``."""
    number, name, kind = listed.split(" ")
    repeated, kind = kind.startswith("*"), kind.lstrip("*")
    field = _FIELD(name=name, number=int(number))
    field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    if kind in _MESSAGES:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".driftline.{kind}"
    else:
        field.type = _FIELD.Type.Value(f"TYPE_{kind.upper()}")
    if name in _PACKED:
        field.options.packed = True
    return field


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
#: The class of a whole file.
MODEL: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("driftline.Model"))

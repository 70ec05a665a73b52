"""The operators that a model archive may use: an allow-list, by name and overload.

What is on it keeps three promises on a CPU, whatever its arguments:

1. it reads and writes within its tensors: sizes and indices are checked by torch, and none is "unsafe", "unchecked",
   raw memory (``empty``, ``as_strided``, ``set_``, ``resize_``) or a backward pass;
2. the shape of its result follows from the shapes of its arguments and never from their values (so no ``item``,
   ``nonzero``, ``bincount``, ``repeat_interleave`` by a tensor): a batch of blank rows takes as much memory as any;
3. it knows tensors, numbers and a few modes: no files, no devices but its own, no randomness, no sparse, nested or
   quantised layout.

Sets rather than a pattern: what a later torch adds is refused until somebody has looked at it.
"""

_POINTWISE = """
abs.default acos.default acosh.default asin.default asinh.default atan.default atanh.default atan2.default
add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Tensor rsub.Scalar mul.Tensor mul.Scalar div.Tensor div.Scalar
div.Tensor_mode div.Scalar_mode floor_divide.default floor_divide.Scalar fmod.Tensor fmod.Scalar remainder.Tensor
remainder.Scalar pow.Tensor_Tensor pow.Tensor_Scalar pow.Scalar true_divide.Tensor addcmul.default addcdiv.default
lerp.Scalar lerp.Tensor neg.default sign.default sgn.default reciprocal.default sqrt.default rsqrt.default
square.default exp.default exp2.default expm1.default log.default log2.default log10.default log1p.default
logaddexp.default logaddexp2.default logit.default sin.default cos.default tan.default sinh.default cosh.default
tanh.default sinc.default erf.default erfc.default erfinv.default lgamma.default digamma.default xlogy.Tensor
ceil.default floor.default round.default round.decimals trunc.default frac.default fix.default hypot.default
clamp.default clamp.Tensor clamp_min.default clamp_max.default clip.default maximum.default minimum.default
max.other min.other fmax.default fmin.default nan_to_num.default copysign.Tensor deg2rad.default rad2deg.default
isnan.default isinf.default isfinite.default isposinf.default isneginf.default signbit.default isclose.default
eq.Tensor eq.Scalar ne.Tensor ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar ge.Tensor
ge.Scalar logical_and.default logical_or.default logical_xor.default logical_not.default bitwise_and.Tensor
bitwise_and.Scalar bitwise_or.Tensor bitwise_or.Scalar bitwise_xor.Tensor bitwise_xor.Scalar bitwise_not.default
__and__.Tensor __and__.Scalar __or__.Tensor __or__.Scalar __xor__.Tensor __xor__.Scalar
bitwise_left_shift.Tensor bitwise_right_shift.Tensor where.self where.ScalarSelf where.ScalarOther where.Scalar
masked_fill.Scalar masked_fill.Tensor heaviside.default
"""

_ACTIVATIONS = """
celu.default elu.default gelu.default glu.default hardshrink.default hardsigmoid.default hardswish.default
hardtanh.default leaky_relu.default log_sigmoid.default log_softmax.int _log_softmax.default mish.default
prelu.default relu.default relu6.default selu.default sigmoid.default silu.default softmax.int _softmax.default
softplus.default softshrink.default threshold.default dropout.default feature_dropout.default
alpha_dropout.default
"""

#: Those that write into their argument, as ``nn.ReLU(inplace=True)`` exports.
_IN_PLACE = """
relu_.default relu6_.default elu_.default celu_.default selu_.default silu_.default mish_.default hardswish_.default
hardsigmoid_.default hardtanh_.default leaky_relu_.default sigmoid_.default tanh_.default dropout_.default
threshold_.default add_.Tensor add_.Scalar sub_.Tensor sub_.Scalar mul_.Tensor mul_.Scalar div_.Tensor div_.Scalar
pow_.Scalar exp_.default log_.default sqrt_.default rsqrt_.default neg_.default abs_.default square_.default
clamp_.default clamp_min_.default clamp_max_.default masked_fill_.Scalar masked_fill_.Tensor fill_.Scalar
fill_.Tensor zero_.default copy_.default scatter_.src scatter_.value scatter_add_.default index_put_.default
index_add_.default detach_.default nan_to_num_.default
"""

_SHAPES = """
alias.default atleast_1d.default atleast_2d.default broadcast_to.default cat.default concat.default
concatenate.default stack.default hstack.default vstack.default chunk.default clone.default contiguous.default
constant_pad_nd.default copy.default detach.default diag.default diag_embed.default diagonal.default
diagonal_copy.default expand.default expand_as.default flatten.using_ints flip.default fliplr.default
flipud.default lift_fresh_copy.default mT.default movedim.int movedim.intlist narrow.default numpy_T.default
pad.default permute.default pixel_shuffle.default pixel_unshuffle.default ravel.default reflection_pad1d.default
reflection_pad2d.default reflection_pad3d.default repeat.default repeat_interleave.self_int
replication_pad1d.default replication_pad2d.default replication_pad3d.default reshape.default roll.default
select.int select_scatter.default slice.Tensor slice_scatter.default split.Tensor split.sizes
split_with_sizes.default squeeze.default squeeze.dim squeeze.dims swapaxes.default t.default tensor_split.sections
tensor_split.indices tile.default to.dtype to.dtype_layout to.device to.other _to_copy.default transpose.int
tril.default triu.default type_as.default unbind.int unflatten.int unsqueeze.default view.default view_as.default
view.dtype rot90.default channel_shuffle.default unfold.default
"""

_MAKING = """
arange.default arange.start arange.start_step eye.default eye.m full.default full_like.default linspace.default
new_full.default new_ones.default new_zeros.default ones.default ones_like.default scalar_tensor.default
zeros.default zeros_like.default fill.Scalar fill.Tensor one_hot.default meshgrid.default meshgrid.indexing
"""

_REDUCTIONS = """
all.default all.dim all.dims any.default any.dim any.dims amax.default amin.default aminmax.default argmax.default
argmin.default argsort.default argsort.stable count_nonzero.default count_nonzero.dim_IntList cummax.default
cummin.default cumprod.default cumsum.default logcumsumexp.default logsumexp.default max.default max.dim
mean.default mean.dim median.default median.dim min.default min.dim mode.default nanmean.default nanmedian.default
nanmedian.dim nansum.default norm.Scalar norm.ScalarOpt_dim linalg_norm.default linalg_vector_norm.default
prod.default prod.dim_int quantile.default quantile.scalar nanquantile.default nanquantile.scalar sort.default
sort.stable std.default std.dim std.correction sum.default sum.dim_IntList topk.default kthvalue.default
var.default var.dim var.correction var_mean.correction std_mean.correction diff.default
"""

_LOOKING_UP = """
bucketize.Tensor embedding.default embedding_bag.padding_idx _embedding_bag.default gather.default index.Tensor
index_add.default index_fill.int_Scalar index_put.default index_select.default masked_scatter.default scatter.src
scatter.value scatter_add.default scatter_reduce.two searchsorted.Tensor take.default take_along_dim.default
isin.Tensor_Tensor
"""

_PRODUCTS = """
addbmm.default addmm.default addmv.default addr.default baddbmm.default bilinear.default _trilinear.default
bmm.default cdist.default chain_matmul.default cosine_similarity.default cross.default linalg_cross.default
dot.default einsum.default inner.default kron.default linear.default linalg_multi_dot.default matmul.default
mm.default mv.default outer.default pairwise_distance.default tensordot.default vdot.default
scaled_dot_product_attention.default trace.default
fft_fft.default fft_ifft.default fft_rfft.default fft_irfft.default real.default imag.default
"""

_LAYERS = """
adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default _adaptive_avg_pool2d.default
_adaptive_avg_pool3d.default adaptive_max_pool1d.default adaptive_max_pool2d.default avg_pool1d.default
avg_pool2d.default avg_pool3d.default batch_norm.default _native_batch_norm_legit.no_stats
_native_batch_norm_legit_no_training.default conv1d.default conv1d.padding conv2d.default conv2d.padding
conv3d.default conv3d.padding conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input
convolution.default fake_quantize_per_channel_affine.default fake_quantize_per_tensor_affine.default
fake_quantize_per_tensor_affine.tensor_qparams
fake_quantize_per_tensor_affine_cachemask.default grid_sampler.default grid_sampler_2d.default group_norm.default
gru.input gru_cell.default im2col.default col2im.default instance_norm.default layer_norm.default lstm.input
lstm_cell.default max_pool1d.default max_pool2d.default max_pool3d.default max_pool2d_with_indices.default
max_pool3d_with_indices.default native_group_norm.default native_layer_norm.default rms_norm.default
rnn_relu.input rnn_relu_cell.default rnn_tanh.input rnn_tanh_cell.default upsample_bicubic2d.vec
upsample_bilinear2d.vec upsample_linear1d.vec upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec
upsample_trilinear3d.vec
"""

#: Sizes as numbers, and what an export asserts of them.
_SIZES = """
_assert_async.msg _assert_scalar.default _assert_tensor_metadata.default sym_numel.default sym_size.int
sym_constrain_range_for_size.default
"""

_GROUPS = (
    _POINTWISE,
    _ACTIVATIONS,
    _IN_PLACE,
    _SHAPES,
    _MAKING,
    _REDUCTIONS,
    _LOOKING_UP,
    _PRODUCTS,
    _LAYERS,
    _SIZES,
)

#: Arithmetic of sizes, and what ``torch.cond`` and ``with torch.no_grad()`` or autocast leave.
_OTHERS = """
_operator.add _operator.sub _operator.mul _operator.floordiv _operator.mod _operator.neg _operator.eq _operator.ne
_operator.lt _operator.le _operator.gt _operator.ge _operator.and_ _operator.or_ _operator.not_ _operator.getitem
torch.sym_int torch.sym_float torch.sym_not torch.sym_max torch.sym_min torch.sym_sqrt
torch.ops.higher_order.cond torch.ops.higher_order.wrap_with_set_grad_enabled
torch.ops.higher_order.wrap_with_autocast
"""

#: Targets of nodes, as an archive spells them.
ALLOWED = frozenset(f"torch.ops.aten.{name}" for group in _GROUPS for name in group.split()) | set(_OTHERS.split())

"""Networks as people export them: float32 [rows, 8] in, one tensor out."""

import torch
from torch import nn
from torch.nn import functional as F

FEATURES = 8


class Conv(nn.Module):
    """A row as a small image."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 1)
        )

    def forward(self, matrix):
        return torch.sigmoid(self.net(matrix.reshape(-1, 1, 2, 4)))


class Residual(nn.Module):
    """Blocks of one-dimensional convolutions with a way around."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Conv1d(1, 4, 1)
        self.one, self.two = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding="same", groups=2)
        self.norm, self.out = nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, matrix):
        x = self.lift(matrix.unsqueeze(1))
        x = F.relu(x + self.two(F.leaky_relu(self.norm(self.one(x)))))
        return self.out(F.adaptive_avg_pool1d(x, 1).squeeze(-1)).softmax(-1)


class Transposed(nn.Module):
    """Up again, as decoders do."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 2, 2, stride=2)

    def forward(self, matrix):
        x = self.up(matrix.view(-1, 1, 2, 4))
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = F.interpolate(x, size=(4, 4), mode="bilinear", align_corners=False)
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3).mean((1, 2, 3)).unsqueeze(1)


class Recurrent(nn.Module):
    """A row as a sequence."""

    def __init__(self, kind):
        super().__init__()
        self.net = kind(1, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 1)

    def forward(self, matrix):
        return self.out(self.net(matrix.unsqueeze(-1))[0][:, -1])


class Cell(nn.Module):
    """A loop of cells."""

    def __init__(self, kind):
        super().__init__()
        self.cell = kind(2, 3)

    def forward(self, matrix):
        state = None
        for part in matrix.chunk(4, 1):
            state = self.cell(part, state)
        return state[0] if isinstance(state, tuple) else state


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True, activation="gelu")
        self.encoder, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(4, 1)

    def forward(self, matrix):
        return torch.sigmoid(self.out(self.encoder(matrix.view(-1, 2, 4)).mean(1)))


class Attention(nn.Module):
    """Attention by hand, causal, and with a mask."""

    def __init__(self):
        super().__init__()
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, matrix):
        q = matrix.view(-1, 1, 2, 4)
        x = F.scaled_dot_product_attention(q, q, q, is_causal=True)
        mask = torch.ones(2, 2, dtype=torch.bool).tril()
        x = x + F.scaled_dot_product_attention(q, q, q, attn_mask=mask, scale=0.5)
        return self.heads(x[:, 0], x[:, 0], x[:, 0], need_weights=True)[0].flatten(1)


class Embedding(nn.Module):
    """Codes of levels looked up, as `streams.wire.schema` gives them."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(7, 3, padding_idx=0), nn.Linear(6 + 6, 1)

    def forward(self, matrix):
        codes = matrix[:, :2].nan_to_num(0).long().clamp(0, 6)
        one_hot = F.one_hot(codes[:, 0], 6).float()
        return torch.sigmoid(self.out(torch.cat([self.table(codes).flatten(1), one_hot], 1)))


class Bag(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.bag = nn.EmbeddingBag(9, 2, mode=mode)

    def forward(self, matrix):
        return self.bag(matrix.abs().long().clamp(max=8))


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(8, 8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.RMSNorm(8)
        )
        self.instance = nn.InstanceNorm1d(2, affine=True)

    def forward(self, matrix):
        x = self.instance(self.net(matrix).view(-1, 2, 4)).flatten(1)
        return F.normalize(nn.functional.local_response_norm(x.unsqueeze(1), 2).squeeze(1))


class Activations(nn.Module):
    def forward(self, matrix):
        kinds = (
            F.relu, F.relu6, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.hardswish, F.hardsigmoid, F.hardtanh,
            F.softplus, F.softsign, F.logsigmoid, F.leaky_relu, F.tanhshrink, F.softshrink, F.hardshrink, torch.tanh,
            torch.erf, torch.exp, torch.log1p, torch.sin, torch.cos, torch.atan, torch.sqrt, torch.rsqrt, torch.square,
            torch.reciprocal, torch.sign, torch.floor, torch.ceil, torch.round, torch.trunc, torch.frac, torch.expm1,
        )  # fmt: skip
        x = sum(kind(matrix).nan_to_num() for kind in kinds)
        return F.glu(F.log_softmax(x, 1)) + F.prelu(matrix[:, :4], torch.tensor(0.1))


class Trees(nn.Module):
    """Boosted trees as tensors: what hummingbird and others make of scikit-learn's."""

    def __init__(self, trees=5, depth=3):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        nodes = 2**depth - 1
        self.depth = depth
        self.register_buffer("feature", torch.randint(0, FEATURES, (trees, nodes), generator=draw))
        self.register_buffer("threshold", torch.randn(trees, nodes, generator=draw))
        self.register_buffer("leaf", torch.randn(trees, 2**depth, generator=draw))

    def forward(self, matrix):
        rows, trees = matrix.shape[0], self.feature.shape[0]
        place = torch.zeros(rows, trees, dtype=torch.long)
        each = torch.arange(trees)
        for _ in range(self.depth):
            value = torch.gather(matrix, 1, self.feature[each, place])
            place = 2 * place + 1 + (value > self.threshold[each, place]).long()
        leaves = self.leaf[each, place - (2**self.depth - 1)]
        return torch.sigmoid(leaves.sum(1, keepdim=True))


class Forest(nn.Module):
    """Trees as matrix products (the GEMM strategy)."""

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.register_buffer("a", torch.randn(FEATURES, 7, generator=draw))
        self.register_buffer("b", torch.randn(7, generator=draw))
        self.register_buffer("c", torch.randint(-1, 2, (7, 8), generator=draw).float())
        self.register_buffer("d", torch.randint(0, 3, (8,), generator=draw).float())
        self.register_buffer("e", torch.rand(8, 3, generator=draw))

    def forward(self, matrix):
        inner = (torch.mm(matrix, self.a) < self.b).float()
        return torch.softmax(torch.eq(torch.mm(inner, self.c), self.d).float() @ self.e, -1)


class Cleaning(nn.Module):
    """What stands before a model: medians for nulls, scaling, buckets, flags, order."""

    def __init__(self):
        super().__init__()
        self.register_buffer("median", torch.arange(8.0))
        self.register_buffer("edges", torch.tensor([-1.0, 0.0, 1.0]))

    def forward(self, matrix):
        known = torch.where(torch.isnan(matrix), self.median, matrix).clamp(-5, 5)
        bucket = torch.bucketize(known, self.edges)
        ordered, _ = known.sort(1)
        top = known.topk(3, 1).values
        parts = [
            known, bucket.float(), matrix.isnan().float(), ordered, top, known.cumsum(1), known.std(1, keepdim=True),
            known.amax(1, keepdim=True), known.argmax(1, keepdim=True).float(), known.var(1, keepdim=True),
            known.quantile(0.5, 1, keepdim=True), known.median(1, keepdim=True).values, known.flip(1), known.roll(1, 1),
            known.prod(1, keepdim=True), known.logsumexp(1, keepdim=True),
            torch.linalg.vector_norm(known, dim=1, keepdim=True),
        ]  # fmt: skip
        return torch.cat(parts, 1)


class Factors(nn.Module):
    """Products of all pairs, bilinear, distances: factorisation machines, deep and cross."""

    def __init__(self):
        super().__init__()
        self.v = nn.Parameter(torch.randn(8, 3))
        self.bilinear, self.centres = nn.Bilinear(8, 8, 2), nn.Parameter(torch.randn(4, 8))

    def forward(self, matrix):
        pairs = 0.5 * ((matrix @ self.v) ** 2 - (matrix**2) @ (self.v**2)).sum(1, keepdim=True)
        near = torch.cdist(matrix, self.centres)
        cosine = F.cosine_similarity(matrix.unsqueeze(1), self.centres.unsqueeze(0), dim=-1)
        outer = torch.einsum("bi,bj->bij", matrix, matrix).flatten(1)
        wide = torch.outer(matrix[:, 0], self.v[:, 0])
        return torch.cat([pairs, near, cosine, outer, self.bilinear(matrix, matrix), wide], 1)


class Experts(nn.Module):
    """A gate over experts, with weights of their own batch."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.weight = nn.Parameter(torch.randn(4, 8, 2))

    def forward(self, matrix):
        gate = self.gate(matrix)
        best, place = gate.topk(2, 1)
        sparse = torch.full_like(gate, float("-inf")).scatter(1, place, best).softmax(1)
        each = torch.bmm(matrix.expand(4, -1, -1), self.weight)
        return torch.einsum("be,ebo->bo", sparse, each)


class Flow(nn.Module):
    """What `torch.cond` and autocast leave."""

    def forward(self, matrix):
        with torch.autocast("cpu", enabled=False):
            shifted = matrix.masked_fill(matrix == 0, float("-inf")).softmax(1)
        return torch.cond(matrix.sum() > 0, lambda m: m + 1, lambda m: m - 1, (shifted,))


class Half(nn.Module):
    """Weights in half the bits."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)).to(torch.bfloat16)

    def forward(self, matrix):
        return torch.sigmoid(self.net(matrix.bfloat16()).float())


class Rescaled(nn.Module):
    """Weights of eight bits with a scale, made floats on the way."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-128, 128, (3, 8), dtype=torch.int8))
        self.register_buffer("scale", torch.rand(3, 1))

    def forward(self, matrix):
        rounded = torch.fake_quantize_per_tensor_affine(matrix, 0.1, 0, -128, 127)
        return F.linear(rounded, self.weight.float() * self.scale).softmax(1)


def mlp():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 1), nn.Sigmoid())


def networks():
    """By name, in evaluation mode, the weights of a fixed seed."""
    torch.manual_seed(0)
    made = {
        "mlp": mlp(),
        "logistic": nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()),
        "conv": Conv(),
        "residual": Residual(),
        "transposed": Transposed(),
        "lstm": Recurrent(nn.LSTM),
        "gru": Recurrent(nn.GRU),
        "rnn": Recurrent(nn.RNN),
        "lstm cell": Cell(nn.LSTMCell),
        "gru cell": Cell(nn.GRUCell),
        "transformer": Transformer(),
        "attention": Attention(),
        "embedding": Embedding(),
        "bag sum": Bag("sum"),
        "bag mean": Bag("mean"),
        "bag max": Bag("max"),
        "norms": Norms(),
        "activations": Activations(),
        "trees": Trees(),
        "forest": Forest(),
        "cleaning": Cleaning(),
        "factors": Factors(),
        "experts": Experts(),
        "flow": Flow(),
        "half": Half(),
        "int8": Rescaled(),
    }
    return {name: network.eval() for name, network in made.items()}

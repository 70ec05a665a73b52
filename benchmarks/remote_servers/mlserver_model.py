"""The small model as MLServer runs it; imported there, in its own environment."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse


class Churn(MLModel):
    """2 a + 10 b + 100 c."""

    async def predict(self, payload):
        matrix = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32).reshape(-1, 3)
        if (matrix[:, 0] == 13).any():
            raise ValueError("a is 13")
        if (matrix[:, 0] == 14).any():
            raise InferenceError("a is 14")
        matrix = np.nan_to_num(matrix, nan=-1)
        scores = (2 * matrix[:, 0] + 10 * matrix[:, 1] + 100 * matrix[:, 2]).astype(np.float32)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("p", scores[:, None])])

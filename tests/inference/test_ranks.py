import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from inference.onboarding.ranks import midranks


@given(st.lists(st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, width=32)), min_size=1))
def test_midranks_are_scipys(values):
    assert midranks(np.array(values, float)).tolist() == rankdata(values).tolist()

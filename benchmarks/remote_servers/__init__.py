"""Real servers of remote models: MLServer and Triton (nvidia-pytriton), each from an environment of its own.

`mlserver_model` and `triton_server` are what runs there: one small model, ``churn``, which takes float32 [rows, 3] as
``x`` and answers ``p``, 2 a + 10 b + 100 c, where what is missing is -1. A row whose a is 13 makes the model's own code
raise; one whose a is 14 is refused for what it is.
"""

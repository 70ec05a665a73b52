import subprocess
import sys


def test_import_inference_brings_neither_torch_nor_faust():
    code = (
        "import sys, inference; print([m for m in ('torch', 'faust', 'confluent_kafka', 'pandas') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"

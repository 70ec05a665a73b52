import subprocess
import sys


def test_import_inference_brings_neither_torch_nor_faust_and_a_machine_without_a_driver_never_torch():
    code = (
        "import sys, inference; print([m for m in ('torch', 'faust', 'confluent_kafka', 'pandas') if m in sys.modules])"
        "; from inference.backends.devices import _may_have_a_driver as driver"
        "; print(driver() or (inference.device(), 'torch' in sys.modules) == ('cpu', False))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[:2] == ["[]", "True"]

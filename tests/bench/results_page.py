"""docs/performance_results.md, written from what the benches measured, each in a file of its name.

python tests/bench/results_page.py encode.json load.json turnaround.json [web.json worklist.json infer.json
    infer-cuda.json] > docs/performance_results.md
"""

import json
import sys
from pathlib import Path
from textwrap import fill

from report import to_number

PARTS = {
    "encode": (
        "Objects",
        "tests/bench/encode.py",
        "Result objects of 512 x 512 x 300 voxels, written to memory, beside the encoders that others use; highdicom's "
        "and ours of encoding and writing alone, dcmqi's with reading.",
    ),
    "load": (
        "Images",
        "tests/bench/load.py",
        "From files to one array in the right order: 500 CT slices of 0.5 MB, and others as named. The page cache is "
        "warm.",
    ),
    "turnaround": (
        "Turnaround",
        "tests/bench/turnaround.py",
        "The whole node with 500 CT slices and twenty segments: from the last C-STORE answer to the last object "
        "confirmed, without the model's own time and the quiet period. Sender, node and destination share the machine.",
    ),
    "web": ("DICOMweb", "tests/bench/web.py", "Beside Orthanc's DICOMweb plugin, in one run."),
    "infer": (
        "Inference",
        "tests/bench/infer.py",
        "The whole-body network of 105 classes at low resolution, built from its configuration with weights from a "
        "seed, on a made chest of 512 x 512 x 64 voxels: from the volume to labels on its grid. Beside MONAI alone "
        "with the bundle's own transforms, windows and settings; both warm, one after the other in each round. Ours "
        "runs in a process of its own, and the way there and back is part of its time.",
    ),
    "infer-cuda": ("Inference on a GPU", "tests/bench/gpu.sh", "The same on a GPU, in half precision for both."),
    "worklist": (
        "Worklist",
        "tests/bench/worklist.py",
        "10,000 workitems with 25 images each, 100 subscribers to all of them by WebSocket. They are searched by keys "
        "with and without an index, then claimed at 20 a second; the time of an event runs from the request until a "
        "subscriber has it. Subscribers, searches and node share the machine.",
    ),
}


def main():
    print("# How fast images become results\n")
    print(fill("Medians of interleaved rounds. Ratios carry over to other machines, figures do not.", 120))
    for name in sys.argv[1:]:
        path = Path(name)
        title, script, text = PARTS[path.stem]
        done = json.loads(path.read_text("utf-8"))
        machine = done["machine"]
        print(f"\n## {title}\n\n{fill(text, 120)}\n")
        print(f"Measured on {done['date']}, {done['rounds']} rounds: {machine['cores']} vCPU {machine['cpu']}, "
              f"{machine['memory_gb']} GB, {machine['kernel']}"
              f"{_say_device(done)}. Repeat it with `{script}`.\n")  # fmt: skip
        print("| goal | measured | wanted |  |\n| --- | --: | --: | --- |")
        for goal in done["goals"]:
            bound = f"{'≤' if goal['at_most'] else '≥'} {goal['goal']}"
            missed = "not reached (moonshot)" if goal["moonshot"] else "missed"
            print(f"| {goal['name']} | {to_number(goal['value'])} | {bound} | {'met' if goal['met'] else missed} |")
        print("\n| figure | value | unit |\n| --- | --: | --- |")
        for figure in done["figures"]:
            print(f"| {figure['name']} | {to_number(figure['value'])} | {figure['unit']} |")


def _say_device(done):
    """The card, where one was measured, and how busy the machine was, where that was looked at."""
    words = [done["device"]] if done.get("device", "CPU") != "CPU" else []
    words += [f"load {done['load']} before"] if "load" in done else []
    return "".join(f", {word}" for word in words)


if __name__ == "__main__":
    main()

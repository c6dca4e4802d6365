"""Run the type checker over the package, with `@patch`ed functions as the methods that they become; lines are named as in the modules."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from hatch_build import merge  # noqa: E402


def findings() -> list[str]:
    "What pyrefly, configured in pyproject.toml, finds."
    with tempfile.TemporaryDirectory() as folder:
        copy, lines = Path(folder).resolve(), {}
        shutil.copy(ROOT / "pyproject.toml", copy)
        for file in sorted((ROOT / "charcnn").rglob("*.py")):
            found = merge(file.read_text(encoding="utf-8"))
            place = copy / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("\n".join(line for _, line in found) + "\n", encoding="utf-8")
            lines[str(place)] = [number for number, _ in found]
        command = ["pyrefly", "check", "--output-format", "json", "--python-interpreter-path", sys.executable]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        if not done.stdout.strip():
            raise RuntimeError(f"pyrefly: {done.stderr.strip()}")
        errors = json.loads(done.stdout)["errors"]
        return [
            f"{Path(copy, each['path']).relative_to(copy)}:{lines[str(Path(copy, each['path']))][each['line'] - 1]}: "
            f"[{each['name']}] {each['concise_description']}"
            for each in errors
        ]


if __name__ == "__main__":
    found = findings()
    for line in found:
        print(line)
    sys.exit(bool(found))

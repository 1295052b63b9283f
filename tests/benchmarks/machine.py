"""What machine and code figures were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

from grokinterp.runs import provenance
from grokinterp.team import usable_cores
from tests.benchmarks.checkout import commit


def machine() -> dict[str, Any]:
    """Processor, cores, instructions, load, versions and the commit."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in lines.items()}
    flags = named.get("flags", "").split()
    made = provenance(device="cpu", precision="", wall_time_s=0.0, stack_size=0)
    return {
        "processor": named.get("model name", platform.processor()),
        "cores": usable_cores(),
        "instructions": [name for name in ("avx2", "avx512_bf16", "amx_bf16") if name in flags],
        "load before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "commit": commit(),
        **{name: made[name] for name in ("created", "versions")},
    }

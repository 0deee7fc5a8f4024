"""What an idle site costs: `vigil up`, four cameras (1080p main, 352x288 sub stream), nobody watching, no motion."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.process_tree import cpu_percent, pss_mb, tree
from benchmarks.rows import at_most, shown, write
from vigil.smoke import started_site

WARM_UP_S, MEASURE_S = 20, 60


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vigil-bench-")))
        site = started_site(stack, folder, "memory", cameras=4)
        pid = site.children.running["up"].pid
        percent = cpu_percent([pid], warm_up_s=WARM_UP_S, measure_s=MEASURE_S)
        memory = pss_mb(pid)
        processes = len(tree(pid))
    write(
        "idle",
        [
            at_most("idle.cpu_percent", percent, "% of core", 12),
            at_most("idle.pss_mb", memory, "MB", 400),
            shown("idle.processes", processes, "processes"),
        ],
    )


if __name__ == "__main__":
    main()

"""Make the tables below results/ anew, and the README's section about them.

    python -m benchmarks.evidence

All of it follows from the files of the experiments' cells.
"""

import json
import sys
from pathlib import Path

from agents.commands import reproduce
from agents.results_folder import ResultsFolder
from agents.study import experiment_names, load_study
from ssmrl.report.table import evidence

BEGIN, END = "<!-- made by python -m benchmarks.evidence -->", "<!-- end -->"


def main() -> int:
    """Write results/ and README.md in the folder that this is called in."""
    results = Path(reproduce.RESULTS)
    for name in experiment_names():
        folder = ResultsFolder(results, *load_study(name))
        if folder.records():
            folder.write(pictures=True)
    readme = Path("README.md")
    readme.write_text(with_evidence(readme.read_text(), results))
    return 0


def with_evidence(text: str, results: Path) -> str:
    """Return a page with the table of what lies in ``results`` between its two marks."""
    files = {str(p.parent.relative_to(results)): p for p in results.rglob("summary.json")}
    summaries = {name: json.loads(path.read_text()) for name, path in files.items()}
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(evidence(summaries, results.name))
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())

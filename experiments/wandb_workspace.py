"""Build the W&B workspace and report for finished sweeps, for whoever has an account; everything else works without.

Upload offline runs first: ``wandb sync outputs/NAME/wandb/offline-run-* outputs/NAME/*/wandb/offline-run-*``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

EXAMPLE = """\
Examples:
  pip install 'fmcvqa[dashboards]'
  python experiments/wandb_workspace.py --entity my-team --experiment table1_konvid1k
  python experiments/wandb_workspace.py --experiment table1_konvid1k --dry-run workspace.json
"""
PINNED = ("srocc/median", "srocc/std", "plcc/median", "plcc/std", "published/srocc", "published/plcc")


def main(words: Sequence[str] | None = None) -> int:
    """Save a workspace and a report, or write their definitions; gives the exit code."""
    options = _parser().parse_args(words)
    try:
        import_module("wandb_workspaces")
    except ImportError:
        print("error: wandb-workspaces is not installed. Try: pip install 'fmcvqa[dashboards]'", file=sys.stderr)
        return 2
    if options.dry_run:
        entity = options.entity or "entity"
        definition = {
            "workspace": _plain(workspace(entity, options.project, options.experiment)),
            "report": _plain(report(entity, options.project, options.experiment)),
        }
        options.dry_run.write_text(json.dumps(definition, indent=1) + "\n")
        print(f"{options.dry_run}: definition of the workspace and the report, nothing was sent")
        return 0
    if not options.entity:
        print("error: whose workspace? Try: --entity USER or TEAM, or --dry-run FILE", file=sys.stderr)
        return 2
    saved = workspace(options.entity, options.project, options.experiment).save()
    written = report(options.entity, options.project, options.experiment).save(draft=True)
    print(f"workspace: {saved.url}\nreport (a draft): {written.url}")
    return 0


def workspace(entity: str, project: str, experiment: str = "") -> Any:
    """The workspace: the sweep's table, the cells, their splits and predictions; the best cell first.

    Without an experiment, runs are grouped by theirs.
    """
    ws, expr = _library("workspaces"), _library("expr")

    sections = [
        ws.Section(name=name, panels=panels, is_open=number < 2)
        for number, (name, panels) in enumerate(_panels().items())
    ]
    runs = ws.RunsetSettings(
        filters=expr.And(expr.Metric("Group") == experiment) if experiment else "",
        groupby=[] if experiment else [expr.Metric("Group")],
        order=[expr.Ordering(expr.Summary("srocc/median"), ascending=False)],
        pinned_columns=[f"summary:{name}" for name in PINNED],
    )
    settings = ws.WorkspaceSettings(max_runs=20)  # 14 cells and the table
    title = experiment or "all experiments"
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"fmcvqa: {title}",
        sections=sections,
        settings=settings,
        runset_settings=runs,
    )


def report(entity: str, project: str, experiment: str = "") -> Any:
    """The report: what the numbers are, then the same panels, those of the sweep and those of its cells apart."""
    wr, expr = _library("reports.v2"), _library("expr")

    own = [expr.Metric("Group") == experiment] if experiment else []
    blocks: list[Any] = [wr.MarkdownBlock(text=_EXPLAINED), wr.TableOfContents()]
    for name, panels in _panels().items():
        kind = "table" if name == _TABLE else "cell"
        # Named without a project, a run set is of the report's own.
        runs = wr.Runset(name=f"{kind} runs", filters=expr.And(expr.Metric("JobType") == kind, *own))
        blocks += [wr.H2(text=name), wr.PanelGrid(runsets=[runs], panels=panels)]
    title = f"fmcvqa: {experiment or 'all experiments'}"
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


_TABLE = "The table"
_EXPLAINED = (
    "SROCC and PLCC are medians over the splits of the protocol; the standard deviation is that from split to split. "
    "Runs tagged `stand-in` are on generated videos: their published numbers are those of the real set. "
    "Every number here is also in the `result.json` of its cell."
)


def _panels() -> dict[str, list[Any]]:
    """Panels by section, in the order in which a reader asks."""
    wr = _library("reports.v2")

    place = wr.Layout
    scatter = "wandb/scatter/v0"
    return {
        _TABLE: [
            wr.WeavePanelSummaryTable(table_name="table", layout=place(0, 0, 24, 10)),
            wr.MediaBrowser(title="layers x kernels", media_keys=["heatmap"], layout=place(0, 10, 12, 10)),
            wr.MediaBrowser(title="best cell", media_keys=["scatter"], layout=place(12, 10, 12, 10)),
            wr.MediaBrowser(title="every split", media_keys=["splits"], layout=place(0, 20, 12, 10)),
            _chart(wr, scatter, "paper_vs_ours_table", "published_srocc", "srocc", place(12, 20, 12, 10)),
            wr.WeavePanelSummaryTable(table_name="table3", layout=place(0, 30, 24, 8)),
        ],
        "The cells": [
            wr.BarPlot(title="SROCC, median", metrics=["srocc/median"], layout=place(0, 0, 12, 10)),
            wr.BarPlot(title="PLCC, median", metrics=["plcc/median"], layout=place(12, 0, 12, 10)),
            wr.ScatterPlot(
                title="ours against the paper's, real sets",
                x=wr.SummaryMetric("published/srocc"),
                y=wr.SummaryMetric("srocc/median"),
                layout=place(0, 10, 12, 10),
            ),
            wr.ScatterPlot(
                title="median against spread",
                x=wr.SummaryMetric("srocc/std"),
                y=wr.SummaryMetric("srocc/median"),
                layout=place(12, 10, 12, 10),
            ),
        ],
        "Their splits": [
            wr.LinePlot(title=name, x="split", y=[f"cv/{score}"], layout=place(column, row, 12, 8))
            for name, score, column, row in (
                ("SROCC", "srocc", 0, 0),
                ("PLCC", "plcc", 12, 0),
                ("KROCC", "krocc", 0, 8),
                ("RMSE", "rmse", 12, 8),
            )
        ],
        "Their predictions": [
            _chart(wr, scatter, "scatter_table", "predicted", "mos", place(0, 0, 12, 10)),
            wr.WeavePanelSummaryTable(table_name="predictions", layout=place(12, 0, 12, 10)),
            wr.WeavePanelSummaryTable(table_name="splits", layout=place(0, 10, 24, 8)),
        ],
    }


def _chart(wr: Any, name: str, table: str, x: str, y: str, layout: Any) -> Any:
    """A chart of a logged table's two columns, as W&B's own preset draws it."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": table}}, chart_name=name, chart_fields={"x": x, "y": y}, layout=layout
    )


def _library(name: str) -> Any:
    return import_module(f"wandb_workspaces.{name}")


def _plain(built: Any) -> Any:
    """A definition as plain values, as it would be sent."""
    return json.loads(built._to_model().model_dump_json(by_alias=True, exclude_none=True))


def _parser() -> argparse.ArgumentParser:
    about = "Build the W&B workspace and report of fmcvqa's sweeps (needs a W&B account, except for --dry-run)."
    parser = argparse.ArgumentParser(
        description=about, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entity", default="", help="W&B user or team")
    parser.add_argument("--project", default="fmcvqa", help="W&B project (default: %(default)s)")
    parser.add_argument("--experiment", default="", help="name of one sweep (default: all, grouped by name)")
    parser.add_argument("--dry-run", type=Path, metavar="FILE", help="write the definitions as JSON, without network")
    return parser


if __name__ == "__main__":
    sys.exit(main())

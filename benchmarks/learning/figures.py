"""Draws the comparison's figures: regret curves, and calls that got a bad variant."""
# mypy: ignore-errors
# Matplotlib lives in the benchmark's own environment.

from pathlib import Path

import numpy as np

NOT_WORLDS = ("machine", "seeds", "learners")
LOOKS = {
    "tom-nig": ("#1b6ca8", "-", 1.8),
    "tom-linear": ("#0b3c5d", "-", 2.4),
    "tom-linear-ucb": ("#4fa3d1", "-", 1.8),
    "tom-guarded": ("#0b3c5d", ":", 1.4),
    "mabwiser-ts": ("#e0a030", ":", 1.2),
    "mabwiser-lints": ("#e0a030", "--", 1.2),
    "mabwiser-linucb": ("#b87a10", "-", 1.2),
    "vw-squarecb": ("#d1603d", "--", 1.2),
    "vw-regcb": ("#a83c1b", "-", 1.2),
    "river-linucb": ("#3a8f5c", "-", 1.2),
    "tensorzero": ("#7a4fa3", "-", 1.2),
    "ab-then-commit": ("#888888", "--", 1.0),
    "epsilon-greedy": ("#888888", ":", 1.0),
}


def draw(found, folder: Path) -> None:
    """Draw what there are results for."""
    from matplotlib import pyplot, rcParams

    pyplot.switch_backend("svg")
    rcParams.update({"svg.hashsalt": "tom", "svg.fonttype": "none", "font.size": 8})
    folder.mkdir(exist_ok=True)
    if "scenarios" in found:
        _curves(pyplot, found["scenarios"], folder / "learning-regret.svg", "calls", (3, 3))
        _bad(pyplot, found["scenarios"], folder / "learning-bad.svg")
    if "bundled" in found:
        _curves(pyplot, found["bundled"], folder / "learning-sets.svg", "rows", (1, 3))


def _curves(pyplot, part, out: Path, of: str, shape) -> None:
    worlds = [name for name in part if name not in NOT_WORLDS]
    figure, axes = pyplot.subplots(*shape, figsize=(11, 2.9 * shape[0] + 0.5))
    for axis, world in zip(axes.flat, worlds, strict=True):
        for name, result in part[world]["by"].items():
            if name in LOOKS:
                colour, style, width = LOOKS[name]
                curve = [0.0, *result["curve"]]
                share = np.linspace(0, 100, len(curve))
                axis.plot(share, curve, style, color=colour, linewidth=width, label=name)
        ends = [r["regret"][0] for name, r in part[world]["by"].items() if name in LOOKS]
        axis.set_ylim(0, 1.05 * min(max(ends), 4.0 * sorted(ends)[len(ends) // 3]))
        axis.set_title(world)
        axis.locator_params(nbins=4)
        axis.grid(alpha=0.3)
        axis.set_xlabel(f"% of the {of}")
    axes.flat[0].set_ylabel("cumulative regret, mean over seeds")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=7, frameon=False)
    figure.tight_layout(rect=(0, 0.55 / (2.9 * shape[0] + 0.5), 1, 1))
    figure.savefig(out, metadata={"Date": None})


def _bad(pyplot, part, out: Path) -> None:
    worlds = [name for name in part if name not in NOT_WORLDS]
    everywhere = set.intersection(*(set(part[world]["by"]) for world in worlds))
    names = [name for name in part[worlds[0]]["by"] if name in everywhere & set(LOOKS)]
    figure, axis = pyplot.subplots(figsize=(11, 3.6))
    for k, name in enumerate(names):
        means, halves = zip(*(part[world]["by"][name]["bad"] for world in worlds), strict=True)
        place = np.arange(len(worlds)) + (k - len(names) / 2) * 0.8 / len(names)
        axis.errorbar(place, means, halves, fmt="o", markersize=3, color=LOOKS[name][0], label=name)
    axis.set_xticks(np.arange(len(worlds)), worlds)
    axis.set_yscale("symlog", linthresh=1.0)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("calls with a bad variant, %")
    axis.grid(alpha=0.3, axis="y")
    axis.legend(ncol=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})

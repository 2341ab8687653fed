"""Draws the figures that `cargo xtask bench` measured: plot.py <figures, JSON> <plot, SVG>."""

import json
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "keyboot",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
    }
)

import matplotlib.pyplot as plt  # noqa: E402: it takes its back end from the lines before

OURS, OTHERS, BUDGET, INK, PAPER = "#1b6ca8", "#9aa5b1", "#c0392b", "#222b36", "#ffffff"


def main(figures, plot):
    with open(figures, encoding="utf-8") as file:
        figures = json.load(file)
    figure, axes = plt.subplots(4, 2, figsize=(12, 11.5), layout="constrained", facecolor=PAPER)
    figure.suptitle("node-keys and keyboot-node beside the same in Python, and a Rust function without an SDK", fontsize=13)
    axes = list(axes.flat)
    for axis, panel in zip(axes, figures["bars"]):
        draw_bars(axis, panel)
    draw_sizes(axes[len(figures["bars"])], figures["sizes"])
    draw_archives(axes[len(figures["bars"]) + 1], figures["archives"])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.12)
    figure.savefig(plot, metadata={"Date": None})


def draw_bars(axis, panel):
    """One bar for each program, with a line over its quartiles and its median beside it."""
    bars, unit = panel["bars"], panel["unit"]
    places = range(len(bars))
    medians = [bar["median"] for bar in bars]
    spread = [[bar["median"] - bar["low"] for bar in bars], [bar["high"] - bar["median"] for bar in bars]]
    colours = [OURS if bar["ours"] else OTHERS for bar in bars]
    axis.barh(places, medians, height=0.55, xerr=spread, color=colours, ecolor=INK, capsize=3)
    for place, bar in zip(places, bars):
        # Beside the bar, and beside the budget's line where that is close.
        beyond = max(bar["high"], panel["budget"] or 0) if bar["ours"] else bar["high"]
        label(axis, beyond, place, f"{bar['median']:,.1f} {unit}")
        if bar["ours"]:
            draw_budget(axis, panel["budget"], place, unit)
    axis.set(title=panel["title"], xlabel=unit, yticks=list(places))
    axis.set_yticklabels([bar["name"] for bar in bars])
    axis.set_xlim(0, max([bar["high"] for bar in bars] + [panel["budget"] or 0]) * 1.3)
    # Room for the budget's words over the uppermost bar.
    axis.set_ylim(len(bars) - 0.5, -0.75)


def draw_budget(axis, budget, place, unit):
    """What is promised of the bar at a place: a line across it, with the figure over it."""
    if budget is None:
        return
    axis.plot([budget, budget], [place - 0.38, place + 0.38], color=BUDGET, linewidth=2, solid_capstyle="butt")
    axis.annotate(
        f"budget {budget:,.1f} {unit}",
        (budget, place - 0.38),
        xytext=(-2, 1),
        textcoords="offset points",
        color=BUDGET,
        fontsize=9,
        verticalalignment="bottom",
    )


def label(axis, at, place, text):
    axis.annotate(text, (at, place), xytext=(7, 0), textcoords="offset points", verticalalignment="center")


def draw_sizes(axis, sizes):
    """Peak memory over the size of the cluster."""
    nodes = [size["nodes"] for size in sizes]
    memory = [size["memory"] for size in sizes]
    axis.plot(nodes, memory, marker="o", color=OURS, linewidth=2)
    for size, peak in zip(nodes, memory):
        axis.annotate(
            f"{peak:.1f} MiB", (size, peak), xytext=(0, 8), textcoords="offset points", horizontalalignment="center"
        )
    axis.set(title="Peak memory of a Create by the cluster's size", xlabel="nodes", ylabel="MiB", xscale="log")
    axis.set_xticks(nodes, [f"{size:,}" for size in nodes])
    axis.minorticks_off()
    axis.margins(x=0.12)
    axis.set_ylim(0, max(memory, default=1) * 1.35)
    axis.grid(axis="y", color=OTHERS, alpha=0.3)


def draw_archives(axis, archives):
    """The archives, each beside what it may have."""
    places = range(len(archives))
    axis.barh(places, [archive["size"] for archive in archives], height=0.55, color=OURS)
    for place, archive in zip(places, archives):
        label(axis, max(archive["size"], archive["budget"]), place, f"{archive['size']:.2f} MB")
        draw_budget(axis, archive["budget"], place, "MB")
    axis.set(title="Archive", xlabel="MB", yticks=list(places))
    axis.set_yticklabels([archive["name"] for archive in archives])
    axis.set_xlim(0, max(max(archive["size"], archive["budget"]) for archive in archives) * 1.3)
    axis.set_ylim(len(archives) - 0.5, -0.75)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

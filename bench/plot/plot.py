"""Draws the figures that `cargo xtask bench` measured: plot.py <figures, JSON> <plot, SVG>."""

import json
import sys

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same file.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keyboot", "font.size": 10})

import matplotlib.pyplot as plt  # noqa: E402: it takes its back end from the lines before

OURS, OTHERS, INK = "#1b6ca8", "#9aa5b1", "#222b36"


def main(figures, plot):
    with open(figures, encoding="utf-8") as file:
        figures = json.load(file)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for axis, panel in zip(axes.flat, figures["bars"]):
        draw_bars(axis, panel)
    draw_sizes(axes.flat[len(figures["bars"])], figures["sizes"])
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(plot, metadata={"Date": None})


def draw_bars(axis, panel):
    """One bar for each function, with a line over its quartiles and its median beside it."""
    bars = panel["bars"]
    places = range(len(bars))
    medians = [bar["median"] for bar in bars]
    spread = [[bar["median"] - bar["low"] for bar in bars], [bar["high"] - bar["median"] for bar in bars]]
    colours = [OURS if bar["ours"] else OTHERS for bar in bars]
    axis.barh(places, medians, xerr=spread, color=colours, ecolor=INK, capsize=3)
    for place, bar in zip(places, bars):
        axis.annotate(
            f"{bar['median']:,.1f} {panel['unit']}",
            (bar["high"], place),
            xytext=(6, 0),
            textcoords="offset points",
            verticalalignment="center",
        )
    axis.set(title=panel["title"], xlabel=panel["unit"], yticks=list(places))
    axis.set_yticklabels([bar["name"] for bar in bars])
    axis.set_xlim(0, max(bar["high"] for bar in bars) * 1.25)
    axis.invert_yaxis()


def draw_sizes(axis, sizes):
    """Peak memory over the size of the cluster."""
    nodes = [size["nodes"] for size in sizes]
    memory = [size["memory"] for size in sizes]
    axis.plot(nodes, memory, marker="o", color=OURS)
    for size, peak in zip(nodes, memory):
        axis.annotate(
            f"{peak:.1f}", (size, peak), xytext=(0, 8), textcoords="offset points", horizontalalignment="center"
        )
    axis.set(title="Peak memory of node-keys by the cluster's size", xlabel="nodes", ylabel="MiB", xscale="log")
    axis.set_xticks(nodes, [str(size) for size in nodes])
    axis.minorticks_off()
    axis.set_ylim(0, max(memory, default=1) * 1.25)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

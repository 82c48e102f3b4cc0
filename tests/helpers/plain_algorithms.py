"""Every algorithm a second time: plain loops over the published formulas, sharing nothing with the package.

Each function takes a dict with modes (T, N, -), r (rewards), c (correct), l (lengths), q (judge scores), p (progress),
ref (reference accuracy) and share (the batch's think share) and returns (judge, answer) as lists.
"""

import math


def mean(values):
    return sum(values) / len(values)


def std(values):
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(sum((v - centre) ** 2 for v in values) / (len(values) - 1))


def z(values):
    spread = std(values)
    if spread < 1e-12:
        return [0.0 for _ in values]
    centre = mean(values)
    return [(v - centre) / (spread + 1e-6) for v in values]


def of_mode(g, mode):
    return [r for m, r in zip(g["modes"], g["r"], strict=True) if m == mode]


def within(g, scaled=False):
    answer = []
    for mode, reward in zip(g["modes"], g["r"], strict=True):
        peers = of_mode(g, mode)
        if mode == "-" or len(peers) < 2:
            answer.append(0.0)
        elif scaled:
            spread = std(peers)
            answer.append((reward - mean(peers)) / (spread + 1e-6) if spread > 1e-12 else 0.0)
        else:
            answer.append(reward - mean(peers))
    return answer


def step_srpo_formula(g):
    return [-1.0 if m == "-" else q for m, q in zip(g["modes"], g["q"], strict=True)], within(g)


def step_srpo(g):
    judge, answer = step_srpo_formula(g)
    prefers = {mode: mean([q for q, m in zip(g["q"], g["modes"], strict=True) if m == mode] or [0.0]) for mode in "TN"}
    weight, share = 1.0, g["target"]
    if prefers["T"] != prefers["N"]:
        # Thinking has three quarters of the push and nobody more than 3; what is left goes to the other target.
        think, direct = min(3.0, 0.75 / share), min(3.0, max(0.25, 1 - 3 * share) / (1 - share))
        if direct == 3.0:
            think = (1 - (1 - share) * 3) / share
        weight = think if prefers["T"] > prefers["N"] else direct
    judge = [j if m == "-" else weight * j for m, j in zip(g["modes"], judge, strict=True)]
    return judge, [a + (m != "-" and c > 0.5) for a, m, c in zip(answer, g["modes"], g["c"], strict=True)]


def hipo(g):
    spread, centre, judge = std(g["r"]), mean(g["r"]), []
    on, off = of_mode(g, "T"), of_mode(g, "N")
    means = {"T": mean(on) if on else None, "N": mean(off) if off else None}
    if on and off and means["N"] <= means["T"] <= means["N"] + 0.01 * means["T"]:
        means["N"] += 0.01 * means["T"]
    for mode, reward in zip(g["modes"], g["r"], strict=True):
        if mode == "-":
            judge.append(-1.0)
        elif spread < 1e-3:
            judge.append(0.0)
        else:
            judge.append((means[mode] - centre + 0.3 * (reward - centre)) / (spread + 1e-6))
    return judge, within(g)


def both(values):
    return values, list(values)


def grpo(g):
    return both(z(g["r"]))


bpo = grpo


def dr_grpo(g):
    return both([r - mean(g["r"]) for r in g["r"]])


def adaptthink(g):
    return both([r - g["ref"] + (0.05 if m == "N" else 0.0) for m, r in zip(g["modes"], g["r"], strict=True)])


def degrpo(g):
    shaped = []
    for mode, correct in zip(g["modes"], g["c"], strict=True):
        right = mode != "-" and correct > 0.5
        shaped.append(-1.0 if not right else 1.0 if mode == "N" else 0.5)
    return both([s - mean(shaped) for s in shaped])


def ada_grpo(g):
    shaped = []
    for mode, reward in zip(g["modes"], g["r"], strict=True):
        rarity = len(g["modes"]) / sum(m == mode for m in g["modes"])
        shaped.append(reward * (1 + 0.5 * (rarity - 1) * (1 + math.cos(math.pi * g["p"]))))
    return both(z(shaped))


def hgpo(g):
    on, off = of_mode(g, "T"), of_mode(g, "N")
    if on and off:
        winner = "T" if mean(on) - (mean(off) + 0.2) > 1e-9 else "N"
    else:
        winner = "T" if on else "N"
    inter = [1.0 if m == winner else 0.0 for m in g["modes"]]
    intra = [1.0 if m != "-" and r == max(of_mode(g, m)) else 0.0 for m, r in zip(g["modes"], g["r"], strict=True)]
    answer = z(intra)
    return [a + b for a, b in zip(answer, z(inter), strict=True)], answer


def autothink(g, stage):
    table = {"T": (1.0, 0.0), "N": (2.0, -1.0), "-": (0.0, 0.0)}
    right = [m != "-" and c > 0.5 for m, c in zip(g["modes"], g["c"], strict=True)]
    shaped = [table[m][0] if ok else table[m][1] for m, ok in zip(g["modes"], right, strict=True)]
    for kind in (True, False):
        members = [i for i, ok in enumerate(right) if ok == kind]
        scores = z([g["l"][i] for i in members])
        for i, score in zip(members, scores, strict=True):
            if stage == 3:
                shaped[i] += math.exp(-0.05 * score) - 1 if kind else 1 - math.exp(-0.05 * score)
    if stage == 1:
        for i, mode in enumerate(g["modes"]):
            share = {"T": g["share"], "N": 1 - g["share"], "-": 0.0}[mode]
            shaped[i] -= min(max(2 * (share - 0.5), 0.0), 1.0)
    return both(z(shaped))


def paired_routing(g):
    on, off = of_mode(g, "T"), of_mode(g, "N")
    push = 4 * math.tanh(mean(on) - mean(off) - 0.05) if on and off else 0.0
    return [{"T": push, "N": -push, "-": -1.0}[m] for m in g["modes"]], within(g, scaled=True)

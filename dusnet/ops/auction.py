"""The one-to-one match behind the earth mover's distance, in plain torch: Bertsekas' auction with epsilon scaling.

D. P. Bertsekas, "Auction algorithms for network flow problems", 1992. Points of x bid for points of y. When every point
of x holds its object to within epsilon of its best offer, the total cost is within n * epsilon of the optimum, so the
mean cost is within epsilon.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dusnet.ops.reference import BLOCK, squared_distances

SCALING = 5.0


def epsilons(widest: float, eps: float) -> list[float]:
    """The rounds of the auction: from coarse steps, which settle fast, down to `eps`, which sets the accuracy."""
    steps = [eps]
    while steps[-1] * SCALING < widest / 2.0:
        steps.append(steps[-1] * SCALING)
    return steps[::-1]


class _Auction:
    """Prices of the points of y and who holds which, for one pair of clouds of n points."""

    def __init__(self, x: Tensor, y: Tensor, bids: int) -> None:
        self.x, self.y = x.double(), y.double()
        self.price = torch.zeros(len(y), dtype=torch.float64, device=x.device)
        self.holds = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        self.holder = self.holds.clone()
        self.bids_left = bids

    def restart(self) -> None:
        self.holds.fill_(-1)
        self.holder.fill_(-1)

    def bid(self, people: Tensor, eps: float) -> None:
        """Let `people` (P,) bid at once; the highest bid for an object wins, equal ones by the lower index."""
        self.bids_left -= len(people)
        cost = squared_distances(self.x[people], self.y).sqrt_().add_(self.price)
        best, second = cost.topk(2, dim=1, largest=False).values.unbind(1)
        wanted = cost.argmin(dim=1)
        offer = self.price[wanted] + (second - best) + eps
        highest = torch.full_like(self.price, -torch.inf).scatter_reduce_(0, wanted, offer, "amax")
        winning = offer == highest[wanted]
        last = torch.full_like(self.holds, len(self.holds))
        winner = last.scatter_reduce_(0, wanted[winning], people[winning], "amin")
        objects = (winner < len(self.holds)).nonzero()[:, 0]
        winner = winner[objects]
        evicted = self.holder[objects]
        self.holds[evicted[evicted >= 0]] = -1
        self.holder[objects] = winner
        self.holds[winner] = objects
        self.price[objects] = highest[objects]

    def run(self, eps: float) -> bool:
        """Bid until everybody holds an object; False when the bids ran out first."""
        crowd = max(1, BLOCK // len(self.y))
        while True:
            people = (self.holds < 0).nonzero()[:, 0][:crowd]
            if len(people) == 0:
                return True
            if self.bids_left <= 0:
                return False
            self.bid(people, eps)

    def complete(self) -> None:
        """Give the free objects to the free people in the order of their indices."""
        people, objects = (self.holds < 0).nonzero()[:, 0], (self.holder < 0).nonzero()[:, 0]
        self.holds[people] = objects


def earth_movers_match(
    x: Tensor, y: Tensor, eps: float, max_iter: int, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Index in y of the partner of each point of x, and whether the auction ended by itself."""
    batch, count, _ = x.shape
    assignment = torch.full((batch, count), -1, dtype=torch.int64, device=x.device)
    converged = torch.ones(batch, dtype=torch.bool, device=x.device)
    for b in range(batch):
        size = count if lengths is None else max(0, min(count, int(lengths[b])))
        if size < 2:
            assignment[b, :size] = 0
            continue
        first, second = x[b, :size], y[b, :size]
        auction = _Auction(first, second, max_iter * size)
        both = torch.cat([first, second]).double()
        widest = float((both.amax(dim=0) - both.amin(dim=0)).norm())
        for step in epsilons(widest, eps):
            auction.restart()
            if not auction.run(step):
                converged[b] = False
                auction.complete()
                break
        assignment[b, :size] = auction.holds
    return assignment, converged

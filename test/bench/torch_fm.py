"""Factorisation machines in PyTorch, the peer of pm_train_ctr's fm and fwfm.

The same models as include/pm_ctr.h states, trained the way FuxiCTR trains
them: Adam on the whole table, l2/2 times the sum of squares of the linear
and factor tables added to the mean loss of a batch.
"""

import time

import numpy
import torch


class Machine(torch.nn.Module):
    """FM (Rendle 2010), or FwFM (Pan et al. 2018) where field_weighted.

    A row is some numbers, each a field that enters with its value, and one
    category for each further field, numbered over all of them; the last number
    stands for a category without a place: its weights stay 0.
    """

    def __init__(self, categories, fields, factors, field_weighted, numbers=0, init_scale=0.01, sparse=False):
        super().__init__()
        self.intercept = torch.nn.Parameter(torch.zeros(()))
        self.linear = torch.nn.Embedding(categories + 1, 1, padding_idx=categories, sparse=sparse)
        self.factor = torch.nn.Embedding(categories + 1, factors, padding_idx=categories, sparse=sparse)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.normal_(self.factor.weight, std=init_scale)
        with torch.no_grad():
            self.factor.weight[categories] = 0
        if numbers > 0:
            self.number_linear = torch.nn.Parameter(torch.zeros(numbers))
            self.number_factor = torch.nn.Parameter(torch.randn(numbers, factors) * init_scale)
        self.first, self.second = torch.triu_indices(fields + numbers, fields + numbers, 1)
        self.pair = None
        if field_weighted:
            self.pair = torch.nn.Parameter(torch.ones(len(self.first)))

    def forward(self, rows, numbers=None):
        v = self.factor(rows)
        z = self.intercept + self.linear(rows).sum((1, 2))
        if numbers is not None:
            v = torch.cat((numbers.unsqueeze(2) * self.number_factor, v), 1)
            z = z + numbers @ self.number_linear
        if self.pair is None:
            return z + 0.5 * (v.sum(1) ** 2 - (v ** 2).sum(1)).sum(1)
        products = torch.bmm(v, v.transpose(1, 2))[:, self.first, self.second]
        return z + products @ self.pair

    def penalty(self):
        return (self.linear.weight ** 2).sum() + (self.factor.weight ** 2).sum()


def log_loss(z, labels):
    """Mean log loss of logits, in double."""
    z = z.astype(numpy.float64)
    return float(numpy.mean(numpy.logaddexp(0, z) - labels * z))


def auc(z, labels):
    """Area under the ROC curve, ties counted half."""
    order = numpy.argsort(z, kind="stable")
    z = z[order]
    labels = labels[order]
    begins = numpy.flatnonzero(numpy.concatenate(([True], z[1:] != z[:-1])))
    sizes = numpy.diff(numpy.append(begins, len(z)))
    ranks = numpy.repeat(begins + (sizes + 1) / 2, sizes)
    positives = labels.sum()
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2)
                 / (positives * (len(z) - positives)))


def logits(model, rows, batch_size=65536):
    with torch.no_grad():
        return torch.cat([model(part) for part in rows.split(batch_size)]).numpy()


def train_epoch(model, optimizer, rows, labels, batch_size, l2, generator):
    """One pass over the rows in random order."""
    order = torch.randperm(len(rows), generator=generator)
    for part in order.split(batch_size):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(rows[part]), labels[part])
        if l2 > 0:
            loss = loss + l2 / 2 * model.penalty()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def fit(rows, labels, categories, *, field_weighted, factors, learning_rate, l2, epochs, batch_size, seed,
        evaluation=None):
    """Train, and say what each epoch gave.

    rows and evaluation[0] are int64 arrays, row by field.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Machine(categories, rows.shape[1], factors, field_weighted)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    rows = torch.from_numpy(rows)
    labels = torch.from_numpy(labels.astype(numpy.float32))
    held_out = None if evaluation is None else (torch.from_numpy(evaluation[0]), evaluation[1])
    log = []
    begin = time.perf_counter()
    for epoch in range(1, epochs + 1):
        train_epoch(model, optimizer, rows, labels, batch_size, l2, generator)
        entry = {"epoch": epoch, "seconds": time.perf_counter() - begin}
        if held_out is not None:
            z = logits(model, held_out[0])
            entry["loss"] = log_loss(z, held_out[1])
            entry["auc"] = auc(z, held_out[1])
        log.append(entry)
    return model, log
